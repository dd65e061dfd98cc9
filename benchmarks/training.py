"""A training step in every memory mode beside the authors' structure: `python benchmarks/run.py train`.

Seconds are of interleaved steps in one process a clip length; saved bytes are all that autograd holds between forward
and backward, each piece of memory once, weights left out; peaks are those of a process for each. Before anything is
timed, the gradients of a small clip in float64 have to agree.
"""

import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peers.authors import PEER, network
from peers.rounds import interleaved, summary
from torch import Tensor, nn

import spikereel
from spikereel.layers.fused import set_memory
from spikereel.models.base import VideoModel
from spikereel.ops.training import describe

AUTHORS = "authors"
MODES = ("plain", "fast", "lean")
GOALS = {
    "saved, times less": {"fast": 5.0, "lean": 14.0},
    "step at T=8, 224 px": 2.5,
    "step at T=32, 224 px": 6.0,
    "peak of lean at T=32, 224 px, GiB": 4.0,
}


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds, saved bytes and peak memory of a training step, ratios to the authors' structure in one run."""
    names = [*options.modes, *([AUTHORS] if options.authors else [])]
    if options.authors and (reason := PEER.missing()):
        sys.exit(reason)
    rows = []
    for frames in options.frames:
        row = {"frames": frames, "size": options.size, "threads": options.threads}
        row |= _alone("_train", frames, names, options)
        row["memory"] = {name: _alone("_train_memory", frames, [name], options) for name in names}
        rows.append(row)
        _say(row)
    return {
        "model": f"{options.model}, random weights, batch 1, batch norms in training",
        "kernels": describe(),
        "rows": rows,
        "goals": GOALS,
    }


def timed(options: argparse.Namespace) -> dict[str, Any]:
    """Parity, then interleaved steps."""
    torch.set_num_threads(options.threads)
    parity = {name: _agrees(name, options.model) for name in options.modes if name != "plain"}
    steps = {name: _step(name, options) for name in options.modes}
    base = AUTHORS if AUTHORS in options.modes else options.modes[0]
    return {"parity": parity, **summary(interleaved(steps, options.rounds), base)}


def remembered(options: argparse.Namespace) -> dict[str, Any]:
    """What a step saves, and the most memory it takes above what is there before it."""
    torch.set_num_threads(options.threads)
    step = _step(options.modes[0], options)
    saved: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        saved[x.untyped_storage()._cdata] = x.untyped_storage().nbytes()
        kept.append(x)
        return x

    kept: list[Tensor] = []
    weights = {p.untyped_storage()._cdata for p in step.net.parameters()}
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    step()
    peak = _resident("VmHWM") - before
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        loss = step.forward()
    total = sum(size for data, size in saved.items() if data not in weights)
    del loss
    return {"saved_mib": total / 2**20, "saved_mib_a_frame": total / 2**20 / options.frames[0], "peak_mib": peak}


class _Step:
    """One training step, from a fresh state."""

    def __init__(self, net: nn.Module, forward: Callable[[], Tensor]):
        self.net, self.forward = net, forward

    def __call__(self) -> None:
        self.net.zero_grad()
        self.forward().backward()


def _step(name: str, options: argparse.Namespace) -> _Step:
    torch.manual_seed(0)
    model = spikereel.create_model(options.model, attention="joint", similarity="hamming")
    clip = torch.randn(options.frames[0], 1, model.config.in_channels, options.size, options.size)
    return _trained(name, model, clip)


def _trained(name: str, model: VideoModel, clip: Tensor) -> _Step:
    model = copy.deepcopy(model)
    if name == AUTHORS:
        from spikingjelly.clock_driven.functional import reset_net

        theirs = network(model).train()

        def forward() -> Tensor:
            reset_net(theirs)
            return _loss(theirs(clip))

        return _Step(theirs, forward)
    for layer in model.modules():
        # as our trainer has them
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    set_memory(model.train(), name)
    return _Step(model, lambda: _loss(model(clip)[0]))


def _loss(logits: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))


def _agrees(name: str, kind: str) -> float:
    """Largest difference of gradients from those of plain in float64, in shares of the largest of all."""
    torch.manual_seed(0)
    model = spikereel.create_model(kind, attention="joint", similarity="hamming", residual_gain=0.3).double()
    clip = torch.randn(2, 1, model.config.in_channels, 64, 64, dtype=torch.float64)
    grads = []
    for which in ("plain", name):
        step = _trained(which, model, clip)
        step()
        grads.append({key: p.grad for key, p in step.net.named_parameters() if p.grad is not None})
    ours, theirs = grads
    assert ours.keys() == theirs.keys()
    off = max(float((theirs[key] - x).abs().max()) for key, x in ours.items())
    found = off / max(float(x.abs().max()) for x in ours.values())
    if found > 1e-10:
        sys.exit(f"{name}: gradients differ from those of plain by {found:.1e}; nothing is timed")
    return found


def _resident(which: str) -> float:
    """MiB of this process: VmRSS now, VmHWM the most since the mark began."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(which))
    return int(line.split()[1]) / 1024


def _alone(what: str, frames: int, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """One measurement in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("run.py")), what, "--frames", str(frames), "--model"]
    command += [options.model, "--size", str(options.size), "--rounds", str(options.rounds)]
    command += ["--threads", str(options.threads), "--modes", *names]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _say(row: dict[str, Any]) -> None:
    first = AUTHORS if AUTHORS in row["memory"] else next(iter(row["memory"]))
    held = row["memory"][first]
    print(f"T = {row['frames']}, {row['size']} px, {row['threads']} thread(s), {row['quiet_rounds']} quiet rounds")
    for name, memory in row["memory"].items():
        x = row["rows"][name]
        print(
            f"  {name:8} {x['median']:7.2f} s ({1 / x['over_' + first]:.2f} x as fast as {first}), saved "
            f"{memory['saved_mib_a_frame']:6.1f} MiB a frame ({held['saved_mib'] / memory['saved_mib']:.1f} x less), "
            f"peak {memory['peak_mib']:6.0f} MiB",
            flush=True,
        )
