"""What each recipe takes: `python benchmarks/recipes.py` counts on empty tensors and writes docs/recipes.md.

Parameters, multiply-accumulates and the tensors that the backward pass needs are counted exactly, nothing is run.
Hours follow from them by one stated rule; where benchmarks/results holds a measured time, that stands beside them.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

import torch
from run import RESULTS, save

from spikereel.energy import estimate
from spikereel.kernels import lif_torch
from spikereel.runs.clips import channels_of
from spikereel.runs.config import Recipe
from spikereel.runs.model import build_model
from spikereel.runs.recipes import RECIPES

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
SUSTAINED = 10e12
"""Operations a second that the estimate of hours takes a GPU to do; a stated assumption, no measurement."""

HEAD = """# What a recipe takes

Written by `python benchmarks/recipes.py`: change that, not this page.

- **Counted** columns are exact, from empty tensors of the recipe's shapes.
- **Estimated** columns follow from them. Memory: 16 bytes a parameter, and `optim.batch` times what the backward pass
  keeps of a clip, in float32, without `run.checkpointing` and `run.memory`; what comes and goes on the way is not in it
  (a training on a CPU held 16 GB where 12 are estimated). GPU hours: 6 operations for each multiply-accumulate, at
  {sustained:.0f} TFLOP/s sustained. That rate is an assumption; no GPU was at hand. Reading video can take longer.
- **Measured** is the median on one core of a shared Intel Xeon machine, with the commands of the [results](results.md).

`spikereel train RECIPE --show` prints all values of a recipe; its data has a page in [data](data/README.md).

| recipe | clips x epochs | parameters, counted | G MAC a clip, counted | GB at batch, estimated \
| GPU hours, estimated | clips a second there, estimated | CPU, measured |
|---|---|---|---|---|---|---|---|"""

SETS: dict[str, tuple[int, int, int, str]] = {
    # clips that train, classes, width by height, where the number is from
    "motion": (0, 10, 1, "data.train_length"),
    "probe": (0, 2, 1, "data.train_length"),
    "figure": (0, 20, 1, "data.train_length"),
    "actions": (0, 14, 1, "data.train_length"),
    "ut_interaction": (54, 6, 1, "nine of ten sequences"),
    "utd_mhad": (754, 27, 1, "861 of 8 subjects, one left out"),
    "mmhpsd": (60000, 24, 1, "a guess from 4.4 hours at 15 Hz, 12 of 15 people, 1 in 3"),
    "camvid": (367, 11, 1, "the list of SegNet"),
    "cityscapes": (2677, 19, 2, "nine tenths of 2,975"),
    "vspw": (178000, 124, 1, "nine tenths of 198,000 frames"),
    "nmnist": (800, 10, 1, "four fifths of a list of 1,000"),
    "dvs128_objects": (600, 6, 1, "a guess: recordings differ"),
    "cifar10_dvs": (8100, 10, 1, "nine tenths of 9,000"),
    "dvs128_gesture": (1059, 11, 1, "nine tenths of 1,176"),
    "dvs_gesture_chain": (9000, 81, 1, "a guess: chains are drawn"),
    "hardvs": (64526, 300, 1, "six tenths of 107,646"),
    "dailydvs200": (15000, 200, 1, "a guess from 22,046"),
    "folder": (24, 6, 1, "a small folder"),
    "kinetics400": (240000, 400, 1, "some of 246,000 are gone"),
    "ucf101": (8600, 101, 1, "nine tenths of 9,537"),
    "ntu60": (36000, 60, 1, "nine tenths of 40,000"),
}

MEASURED: dict[str, tuple[str, str, str]] = {
    # recipe: result, which of its times, what was run
    "ut_interaction": ("compare_folds_ut_interaction_Intel*", "rows", "a fold"),
    "utd_mhad_action": ("compare_folds_utd_mhad_action_Intel*", "rows", "a fold"),
    "camvid_frames": ("camvid_Intel*", "0", "the whole recipe"),
    "camvid_vss": ("camvid_Intel*", "1", "10 of 40 epochs"),
    "nmnist": ("compare_events_nmnist_Intel*", "rows", "a list of 1,000"),
    "dvs128_objects": ("compare_events_dvs128_objects_Intel*", "rows", "a set of 100"),
}


@dataclass(eq=False)
class _Kept:
    """A tensor that the backward pass keeps; gone when its part of the graph is."""

    tensor: torch.Tensor


@contextmanager
def _neurons_that_learn() -> Iterator[None]:
    """On empty tensors a neuron gives shapes alone, and no gradient comes through; those of training keep what they do
    on a CPU."""

    def integrate(x: Any, v: Any, decay: Any, constants: Any, backend: str = "auto") -> Any:
        start = torch.zeros_like(x[0]) if v is None else v
        return lif_torch.fused_lif(x, start, decay, constants)

    def ilif(x: Any, v: Any = None, *, levels: int = 4, decay: float = 0.25, top: int | None = None, **_: Any) -> Any:
        start = torch.zeros_like(x[0]) if v is None else v
        return lif_torch.fused_ilif(x, start, decay, levels if top is None else top)

    with patch("spikereel.ops.lif.integrate", integrate), patch("spikereel.layers.neuron.ilif", ilif):
        yield


def count(recipe: Recipe) -> dict[str, float]:
    """Of one clip of a recipe: parameters, multiply-accumulates of a forward pass, bytes kept for the backward pass."""
    data = recipe.data
    clips, classes, wide, _ = SETS[data.kind]
    channels = channels_of(data)
    settled: dict[str, Any] = {"joints": 24 if data.smpl or data.kind == "mmhpsd" else 20}
    if recipe.task != "pose":
        settled = {"num_classes": classes}
    if recipe.task != "classification":
        settled["task"] = recipe.task
    kept: WeakSet[_Kept] = WeakSet()

    def keep(tensor: torch.Tensor) -> _Kept:
        kept.add(held := _Kept(tensor))
        return held

    spec = replace(recipe.model, start=None)
    with torch.device("meta"):
        model = build_model(spec, frames=data.frames, size=data.size, in_channels=channels, **settled).train()
        sides = data.crop or (data.size, data.size * wide)
        clip = (data.frames, channels, *sides)
        # two clips, so that norms have something to take a mean of
        video = torch.empty(clip[0], 2, *clip[1:])
        with _neurons_that_learn(), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x.tensor):
            output = model(video)
    storages = {x.tensor.untyped_storage()._cdata: x.tensor.untyped_storage().nbytes() for x in kept}
    weights = {x.untyped_storage()._cdata for x in model.parameters()}
    del output
    return {
        "parameters": sum(x.numel() for x in model.parameters()),
        "macs": float(estimate(model.eval(), 0.2, clip=clip).macs),
        "kept_bytes": sum(size for key, size in storages.items() if key not in weights) / 2,
        "clips": clips or data.train_length,
    }


def row(name: str, recipe: Recipe) -> dict[str, Any]:
    """All figures of a recipe."""
    found = count(recipe)
    seen = found["clips"] * recipe.optim.epochs
    # an operation each for product and sum; the backward pass takes twice the forward pass
    hours = 2 * 3 * found["macs"] * seen / SUSTAINED / 3600
    batch = recipe.optim.batch
    # weights, gradients and both means of AdamW
    memory = 16 * found["parameters"] + batch * found["kept_bytes"]
    return {"recipe": name, **found, "epochs": recipe.optim.epochs, "batch": batch, "memory": memory, "hours": hours}


def measured(name: str) -> str:
    """A time from a result, with its machine; a dash where none was taken."""
    if name not in MEASURED:
        return "-"
    pattern, which, what = MEASURED[name]
    content = json.loads(sorted(RESULTS.glob(f"{pattern}.json"))[-1].read_text())
    times = [x["train_seconds"] for x in content["rows"]] if which == "rows" else [content["train_seconds"][int(which)]]
    return f"{median(times) / 60:.0f} min, {what}"


def page(rows: list[dict[str, Any]]) -> str:
    """docs/recipes.md."""
    lines = [HEAD.format(sustained=SUSTAINED / 1e12)]
    for x in rows:
        speed = SUSTAINED / (6 * x["macs"])
        lines.append(
            f"| {x['recipe']} | {x['clips']:,} x {x['epochs']:g} | {x['parameters'] / 1e6:.1f} M | "
            f"{x['macs'] / 1e9:.3g} | "
            f"{x['memory'] / 1e9:.2g} at {x['batch']} | {_hours(x['hours'])} | {speed:,.0f} | {measured(x['recipe'])} |"
        )
    guesses = [f"{kind}: {source}" for kind, (_, _, _, source) in SETS.items() if not source.startswith("data.")]
    lines += ["", "**Clips that train.** " + "; ".join(guesses) + "."]
    return "\n".join(lines) + "\n"


def _hours(hours: float) -> str:
    return "under 0.1" if hours < 0.1 else f"{hours:.2g}" if hours < 100 else f"{hours:,.0f}"


if __name__ == "__main__":
    rows = [row(name, recipe()) for name, recipe in RECIPES.items()]
    save("recipes", {"sustained": SUSTAINED, "rows": rows}, script="recipes.py")
    PAGE.write_text(page(rows))
