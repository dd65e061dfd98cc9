"""What weights know of clips of other lengths and sizes: `python benchmarks/token_scale.py`.

Attention sums over tokens, and norms behind it are those of training: with more tokens its neurons see larger sums.
Each weights file is judged on fresh clips of other lengths, and of other sizes, as it is (fixed), with its sums held
against those of training (tokens, `model.attention_clip`), and as it is with all norms taken anew on clips of that
length and size (calibrated). On clips of training fixed and tokens are the same network bit by bit, in training too,
so that one training serves both. `--train SEED ...` adds trainings of `motion` of so many seeds, kept in `--out`.
"""

import argparse
import copy
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from run import save
from torch import Tensor

from spikereel.config import override
from spikereel.files import write_json
from spikereel.hub import load_model
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.calibrate import calibrate
from spikereel.layers.observe import firing_rates
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import at_any_size
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import Recipe, data_spec_of
from spikereel.runs.recipes import get_recipe

FRESH, BATCH = 20_000, 10
WAYS = ("fixed", "tokens", "calibrated")


def trained(seed: int, options: argparse.Namespace) -> Path:
    """Weights of a short training of `motion`; those that are there are not trained again."""
    out = options.out / f"motion_{seed}"
    found = sorted(out.rglob("last.safetensors"))
    if found:
        return found[0]
    from spikereel.train.run import train

    given = [f"run.out={out}", f"run.seed={seed}", f"data.seed={100 * seed}", "run.threads=1", "run.progress=false"]
    given += [f"data.train_length={options.clips // 4}", "optim.epochs=4", "data.test_length=200"]
    return Path(train(override(get_recipe("motion"), [*given, "optim.precise_norms=256"])).last)


def clips_of(model: VideoModel, frames: int, size: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Videos [T, N, C, H, W] and labels [N] of the kind that the weights were trained on."""
    given = [f"data.frames={frames}", f"data.size={size}", "data.split=test", f"data.seed={seed}"]
    recipe = Recipe(name="clips", data=data_spec_of(model.metadata))
    spec = override(recipe, [*given, f"data.test_length={count}"]).data
    data = build_dataset(spec, "test", task=model.task)
    items = [data[i] for i in range(count)]
    return torch.stack([item[0] for item in items], 1), torch.tensor([int(item[1]) for item in items])


def judged(model: VideoModel, videos: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy, and firing rates: of the neurons behind attention, and of all."""
    behind = [f"{name}.attn_lif" for name, module in model.named_modules() if isinstance(module, SpikeAttention)]
    with torch.inference_mode(), firing_rates(model) as rates:
        said = torch.cat([model(part)[0].argmax(1) for part in videos.split(BATCH, 1)])
    means = rates.means()
    return {
        "top1": 100 * (said == labels).float().mean().item(),
        "attn_rate": statistics.fmean(means[name] for name in behind),
        "rate": statistics.fmean(means.values()),
    }


def grid(name: str, model: VideoModel, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each way at each length, of the size of training, and at each size, of the length of training."""
    rows = []
    own = model.metadata.preprocess
    cells = [(frames, own["size"]) for frames in options.frames] + [(own["frames"], size) for size in options.sizes]
    for frames, size in dict.fromkeys(cells):
        kept = options.out / f"{name.replace('/', '_').replace(', ', '-')}_{frames}_{size}_{options.judged}.json"
        if not kept.is_file():
            videos, labels = clips_of(model, frames, size, options.judged, FRESH)
            anew = copy.deepcopy(model)
            anew.order_known = True
            calibrate(anew, clips_of(model, frames, size, 64, FRESH + 1)[0].split(32, 1))
            networks = {"fixed": model, "tokens": at_any_size(model), "calibrated": anew.eval()}
            write_json(kept, {way: judged(networks[way], videos, labels) for way in WAYS})
        for way, row in json.loads(kept.read_text()).items():
            rows.append({"weights": name, "frames": frames, "size": size, "way": way, **row})
            line = "{weights:38} T {frames:2}  {size:3} px  {way:10} {top1:5.1f} %  attn_lif {attn_rate:.3f}"
            print(line.format(**rows[-1]), flush=True)
    return rows


def main() -> None:
    """Parse the command line, measure, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    shipped = [f"spikevideoformer_ti.{tag}" for tag in ("motion", "motion_spatial", "motion_causal", "actions")]
    parser.add_argument("--weights", nargs="*", default=shipped)
    parser.add_argument("--train", type=int, nargs="*", default=[], metavar="SEED")
    parser.add_argument("--clips", type=int, default=16_000, help="that a training sees")
    parser.add_argument("--frames", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 96])
    parser.add_argument("--judged", type=int, default=300, help="fresh clips")
    parser.add_argument("--out", type=Path, default=Path("runs/token_scale"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rows = [row for name in options.weights for row in grid(name, load_model(name), options)]
    for seed in options.train:
        rows += grid(f"motion, {options.clips} clips, seed {seed}", load_model(trained(seed, options)), options)
    save("token_scale", {"judged_on": options.judged, "rows": rows}, script="token_scale.py")


if __name__ == "__main__":
    main()
