"""A training run of a few seconds, the weights of one, and a folder of videos to train on."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikereel.data.made.scenes import CLASSES
from spikereel.data.video.write import write_video
from spikereel.hub import Metadata, create_model, save_model
from spikereel.layers.calibrate import calibrate
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.runs.clips import build_dataset, channels_of
from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec

SMALL = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
DATA = DataSpec(size=32, frames=4, test_length=20, train_length=48, workers=0)
KINDS = ("dark", "light")


def small_recipe(folder: Path, **changes: Any) -> Recipe:
    """Three steps a half epoch; `changes` of any field of the four parts."""
    parts = {
        "model": ModelSpec(**SMALL),
        "data": DATA,
        "optim": OptimSpec(batch=8, epochs=0.5, lr=1e-3),
        "run": RunSpec(out=str(folder), progress=False, silent_epochs=0),
    }
    for name, part in parts.items():
        names = {f.name for f in dataclasses.fields(part)} & changes.keys()
        parts[name] = dataclasses.replace(part, **{key: changes.pop(key) for key in names})
    assert not changes
    return Recipe(name="small", **parts)


def small_weights(path: Path, spec: DataSpec = DATA, classes: tuple[str, ...] = CLASSES) -> SpikeVideoFormer:
    """Random weights whose norms have seen clips, saved with all that `predict` and `evaluate` ask for."""
    torch.manual_seed(0)
    model = create_model("spikevideoformer_ti", num_classes=len(classes), in_channels=channels_of(spec), **SMALL)
    # logits that differ from clip to clip
    nn.init.normal_(model.head.weight)
    clips = build_dataset(
        dataclasses.replace(DATA, size=spec.size, frames=spec.frames, simulate=spec.simulate), "train"
    )
    model.order_known = True
    calibrate(model, [torch.stack([clips[i][0] for i in range(8)], dim=1)])
    save_model(model.eval(), path, Metadata(name="small", classes=classes, preprocess=dataclasses.asdict(spec)))
    return model


def video_file(path: Path, *, frames: int = 8, seed: int = 0, level: int = 128) -> Path:
    """Noise around a grey level, 48 x 64."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.randint(-40, 40, (frames, 3, 48, 64), generator=torch.Generator().manual_seed(seed))
    write_video(path, (noise + level).to(torch.uint8), 10)
    return path


def video_folder(root: Path, *, each: int = 3) -> Path:
    """`root/<class>/<i>.mp4`, two classes."""
    for level, kind in enumerate(KINDS):
        for i in range(each):
            video_file(root / kind / f"{i}.mp4", seed=i, level=60 + 130 * level)
    return root


def cut_short(path: Path) -> Path:
    """The first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
