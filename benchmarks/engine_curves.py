"""Speed of the engine over firing rate, clip length, size, batch, task and neuron, beside the model in PyTorch."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from peers import peer
from peers.rounds import interleaved, summary
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

import spikereel
from spikereel.layers.calibrate import calibrate
from spikereel.layers.observe import firing_rates
from spikereel.models.base import VideoModel

CHECKED = 8
"""Frames of the first clip that are computed again in float64 before anything is timed."""
CURVES = ("rate", "frames", "model", "batch", "task", "neuron")

Case = tuple[str, dict[str, Any], str, tuple[int, ...], float]


def cases(curve: str, size: int) -> Iterator[Case]:
    """(label, options of the model, its name, shape of the clip, factor of all norms) of each point."""
    small, name = (8, 1, 3, size, size), "spikevideoformer_s"
    if curve == "rate":
        yield from ((f"norms x {gain}", {}, name, small, gain) for gain in (0.35, 0.5, 0.7, 1.0, 1.5, 2.5))
    elif curve == "frames":
        yield from ((f"T = {frames}", {}, name, (frames, *small[1:]), 1.0) for frames in (1, 4, 8, 32, 128))
    elif curve == "model":
        yield from ((x, {}, f"spikevideoformer_{x}", small, 1.0) for x in ("ti", "s", "m", "b"))
    elif curve == "batch":
        yield from ((f"B = {batch}", {}, name, (8, batch, *small[2:]), 1.0) for batch in (1, 4, 16))
    elif curve == "task":
        yield "SVFormer", {}, "svformer", (8, 1, 3, 112, 112), 1.0
        yield "segmentation, 512 x 1024", {"task": "segmentation"}, name, (2, 1, 3, 512, 1024), 1.0
    else:
        yield "LIF", {}, name, small, 1.0
        yield "Integer-LIF", {"neuron": "ilif"}, name, small, 1.0


def curve(name: str, size: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each point: seconds of engine and model, their ratio, the firing rate."""
    rows = []
    for case in cases(name, size):
        row = _point(*case, rounds)
        rows.append({"curve": name, **row})
        x = row["rows"]
        print(
            f"{name:7} {row['label']:26} rate {row['rate']:.3f}  engine {1e3 * x['engine']['median']:8.1f} ms  "
            f"model in PyTorch {x['model']['over_engine']:5.2f} x the engine",
            flush=True,
        )
    return rows


def _point(label: str, options: dict[str, Any], name: str, shape: tuple[int, ...], gain: float, rounds: int) -> dict:
    torch.manual_seed(0)
    model, clip = spikereel.create_model(name, **options), torch.randn(shape)
    calibrate(model, [clip[:CHECKED, :1]])
    model.eval()
    for norm in model.modules():
        if gain != 1.0 and isinstance(norm, _BatchNorm):
            norm.weight.data *= gain
    # ParityError unless every layer agrees with float64
    peer("engine").build(copy.deepcopy(model), clip[:CHECKED, :1])
    engine = spikereel.compile(model)
    runs = {"engine": lambda: engine(clip)[0], "model": lambda: _output(model, clip)}
    with firing_rates(model) as found:
        _output(model, clip[:CHECKED, :1])
    means = list(found.means().values())
    about = {"label": label, "model": name, "shape": list(shape), "rate": sum(means) / len(means)}
    return {**about, **summary(interleaved(runs, rounds), "engine")}


def _output(model: VideoModel, clip: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(clip)[0]
