"""Speed of the engine over firing rate, clip length, size, batch, task and neuron, beside the model in PyTorch.

Each point runs in a process of its own and is kept in a file as soon as it is measured: a run may stop and go on.
"""

import argparse
import copy
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peers import peer
from peers.rounds import interleaved, summary
from settled import DRAWN, TRAINED, Rates, settle
from torch import Tensor

import spikereel
from spikereel.models.base import VideoModel

CHECKED = 8
"""Frames of the first clip that are computed again in float64 before anything is timed."""
CURVES = ("rate", "frames", "model", "batch", "task", "neuron")
MANY = 64
"""Frames, over all clips, from which on few rounds are enough."""

Case = tuple[str, dict[str, Any], str, tuple[int, ...], Rates | None]


def cases(curve: str, size: int) -> Iterator[Case]:
    """(label, options of the model, its name, shape of the clip, firing rates) of each point."""
    small, name = (8, 1, 3, size, size), "spikevideoformer_s"
    if curve == "rate":
        for rate in (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5):
            yield f"{100 * rate:g} %", {}, name, small, rate
        yield "as trained weights", {}, name, small, TRAINED
    elif curve == "frames":
        for frames in (1, 2, 4, 8, 16, 32, 64, 128):
            yield f"T = {frames}", {}, name, (frames, *small[1:]), DRAWN
    elif curve == "model":
        yield from ((x, {}, f"spikevideoformer_{x}", small, DRAWN) for x in ("ti", "s", "m", "b"))
    elif curve == "batch":
        yield from ((f"B = {batch}", {}, name, (8, batch, *small[2:]), DRAWN) for batch in (1, 2, 4, 8, 16))
    elif curve == "task":
        yield f"SVFormer, {size} px", {"image_size": size, "frames": 8}, "svformer", (8, 1, 3, size, size), None
        high, wide = (512, 1024) if size >= 224 else (size, 2 * size)
        maps = {"task": "segmentation", "num_classes": 19}
        yield f"segmentation, {high} x {wide}", maps, name, (2, 1, 3, high, wide), DRAWN
    else:
        yield "LIF", {}, name, small, DRAWN
        yield "Integer-LIF", {"neuron": "ilif"}, name, small, None


def points(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each point; those measured before come from `options.state`, new ones go there.

    Begins none after `options.seconds`, saying how many are left; a point that fails is said, and left out.
    """
    state = Path(options.state)
    kept = json.loads(state.read_text()) if state.exists() else {}
    began, left, rows = time.monotonic(), 0, []
    for curve in options.curves:
        for i, case in enumerate(cases(curve, options.size)):
            key = _key(curve, case, options)
            if key not in kept and time.monotonic() - began > options.seconds:
                left += 1
                continue
            if key not in kept:
                try:
                    kept[key] = {"curve": curve, **_alone(curve, i, options)}
                except subprocess.CalledProcessError:
                    # the others need not wait for it
                    print(f"{curve}, {case[0]}: failed, see above; it is tried again by the next run", flush=True)
                    continue
                state.write_text(json.dumps(kept, indent=1))
            rows.append(kept[key])
            _say(kept[key])
    if left:
        print(f"{left} points are left: run the same command again", flush=True)
    return rows


def _key(curve: str, case: Case, options: argparse.Namespace) -> str:
    kernels = Path(spikereel.__file__).parent / "engine"
    digest = hashlib.sha256(repr((case, options.size, options.threads, torch.__version__)).encode())
    for path in sorted(kernels.glob("_native*.so")):
        digest.update(path.read_bytes())
    return f"{curve}, {case[0]}, {digest.hexdigest()[:12]}"


def _alone(curve: str, index: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).parent / "engine.py"), "_point", "--curves", curve]
    command += ["--point", str(index), "--size", str(options.size), "--rounds", str(options.rounds)]
    command += ["--threads", str(options.threads[0])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _say(row: dict[str, Any]) -> None:
    x = row["rows"]
    print(
        f"{row['curve']:7} {row['label']:26} rate {row['rate']:.3f}  engine {1e3 * x['engine']['median']:8.1f} ms  "
        f"model in PyTorch {x['model']['over_engine']:5.2f} x the engine",
        flush=True,
    )


def point(curve: str, index: int, size: int, rounds: int) -> dict[str, Any]:
    """Seconds of engine and model, their ratio, the mean firing rate. Rounds: fewer of long clips."""
    label, options, name, shape, rates = list(cases(curve, size))[index]
    model, clip, means = prepared(options, name, shape, rates)
    # ParityError unless every layer agrees with float64
    built = peer("engine").build(copy.deepcopy(model), clip[:CHECKED, :1])
    engine = spikereel.compile(model)
    runs = {"engine": lambda: engine(clip)[0], "model": lambda: _output(model, clip)}
    about = {"label": label, "model": name, "shape": list(shape), "rate": sum(means.values()) / len(means)}
    about |= {"least_rate": min(means.values()), "most_rate": max(means.values()), "parity": built.settings}
    few = 3 if shape[0] * shape[1] >= MANY else rounds
    return {**about, **summary(interleaved(runs, few), "engine")}


def prepared(
    options: dict[str, Any], name: str, shape: tuple[int, ...], rates: Rates | None
) -> tuple[VideoModel, Tensor, dict[str, float]]:
    """A model with seed 0, a clip of noise, and the firing rates of its neurons on the first clip of the batch."""
    torch.manual_seed(0)
    model = spikereel.create_model(name, **options)
    # clip by clip: the first one is the same for any batch
    clip = torch.cat([torch.randn(shape[0], 1, *shape[2:]) for _ in range(shape[1])], dim=1)
    return model, clip, settle(model, clip[:, :1], rates)


def _output(model: VideoModel, clip: Tensor) -> Any:
    with torch.inference_mode():
        return model(clip)[0]
