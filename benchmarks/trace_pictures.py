"""The pictures of docs/tracing.md: shipped weights on a procedural clip.

python benchmarks/trace_pictures.py [FOLDER]          (docs)
"""

import sys
from dataclasses import replace
from pathlib import Path

import spikereel
from spikereel import plot
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import data_spec_of
from spikereel.tracing import Trace

JOINT, SPATIAL = "spikevideoformer_ti.motion", "spikevideoformer_ti.motion_spatial"
SIDE, CLIP = 128, 3
"""Four times the side that the weights were trained on, so that attention has 8 x 8 tokens a frame."""
NEURON = "block3.1.attn.q_lif"


def traces() -> tuple[Trace, Trace]:
    """Both shipped weights on one clip."""
    joint, spatial = spikereel.load_model(JOINT), spikereel.load_model(SPATIAL)
    spec = replace(data_spec_of(joint.metadata), size=SIDE)
    video = build_dataset(spec, "test")[CLIP][0][:, None]
    return (spikereel.trace(joint, video, neurons={NEURON: 6}), spikereel.trace(spatial, video))


def main(folder: Path) -> None:
    """Write them all."""
    joint, spatial = traces()
    drawn = {
        "attention": plot.attention(joint, (4, 4, 4)),
        "raster": plot.raster(joint, NEURON, dark=True),
        "membranes": plot.membranes(joint, NEURON),
        "energy": plot.energy(joint, "executed"),
        "compare": plot.compare(joint, spatial, names=("joint", "spatial")),
    }
    for name, picture in drawn.items():
        plot.save(picture, folder / f"trace-{name}.png")
        print(folder / f"trace-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
