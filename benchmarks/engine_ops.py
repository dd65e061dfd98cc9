"""Single operations of the engine against PyTorch's: neuron, attention, convolutions of spikes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from peers.rounds import interleaved, summary
from torch.nn import functional as F

from spikereel.engine import packing
from spikereel.engine.loaded import native
from spikereel.ops.hamming import attention
from spikereel.ops.lif import lif

FRAMES = 8
IN_A_ROW = 0.03
"""Seconds of calls in a row; the same after a pause, with cold caches, is a row of its own."""
LIF = {
    "kind": 1,
    "soft_reset": False,
    "decay_input": True,
    "top": 1,
    "decay": 0.5,
    "threshold": 1.0,
    "v_reset": 0.0,
    "start": 0.0,
    "fresh": True,
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Ours and its opponents, the last check done."""

    name: str
    runs: dict[str, Callable[[], object]]
    about: dict[str, Any]


def operations(threads: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each operation; AssertionError, and no time, where results differ."""
    torch.set_num_threads(threads)
    native().set_threads(threads)
    rows = []
    made = [_neuron(), _attention(), *(_convolution(rate) for rate in (0.02, 0.05, 0.1, 0.2, 0.4))]
    with torch.inference_mode():
        for operation in made:
            for least in (IN_A_ROW, 0.0):
                found = summary(interleaved(operation.runs, rounds, least=least), "engine")
                about = {"operation": operation.name, "threads": threads, "in_a_row": bool(least)}
                rows.append({**about, **operation.about, **found})
                how = "in a row" if least else "after a pause"
                for name, x in found["rows"].items():
                    print(
                        f"{operation.name:44} {threads} thread(s) {how:14} {name:20} {1e3 * x['best']:8.3f} ms, "
                        f"{x['over_engine']:6.1f} x the engine (best {x['best_over_best']:.1f})",
                        flush=True,
                    )
    return rows


class Into:
    """Where sums go, and what becomes of them there."""

    def __init__(self, channels: int, pixels: int, *, spikes: bool, norm: bool, unit: float = 1.0):
        lanes = packing.whole(channels) * 16
        self.value = None if spikes else np.zeros((FRAMES, pixels, lanes), np.float32)
        self.bits = np.zeros((1, FRAMES, pixels, packing.spike_words(channels)), np.uint16) if spikes else None
        self.membrane = np.zeros((pixels, lanes), np.float32) if spikes else None
        scaled = norm or unit != 1.0
        self.scale = np.full((1, lanes), unit * (0.05 if norm else 1.0), np.float32) if scaled else None
        self.bias = np.full((1, lanes), 0.5 if norm else 0.0, np.float32) if scaled else None
        neuron = LIF if spikes else {**LIF, "kind": 0}
        self.target = native().Target(
            channels,
            scale=self.scale,
            bias=self.bias,
            residual=None,
            value=self.value,
            bits=self.bits,
            membrane=self.membrane,
            near=None,
            **neuron,
        )


def _last(x: torch.Tensor) -> np.ndarray:
    """[T, C, H, W] as [T, H W, C]."""
    return np.ascontiguousarray(x.flatten(2).transpose(1, 2).numpy())


def _authors_neuron() -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The neuron of the authors' implementation, from a fresh state; None in an environment without it."""
    try:
        from spikingjelly.clock_driven.functional import reset_net
    except ImportError:
        return None
    from peers.authors import neuron

    node = neuron()

    def run(x: torch.Tensor) -> torch.Tensor:
        reset_net(node)
        return node(x)

    return run


def _authors_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, neuron: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """As their blocks do it, spikes [T, 1, C, H, W] in and out: to heads, +-1, two products, back, norm, neuron."""
    t, b, dim, h, w = q.shape
    q, k, v = (
        x.flatten(3).transpose(-1, -2).reshape(t, b, h * w, heads, dim // heads).permute(1, 3, 0, 2, 4).contiguous()
        for x in (q, k, v)
    )
    q, k, v = (x.flatten(2, 3) for x in (2.0 * q - 1.0, 2.0 * k - 1.0, v))
    a = q @ (k.transpose(-2, -1) @ v)
    a = a.view(b, heads, t, h * w, dim // heads).permute(2, 0, 1, 4, 3).reshape(t, b, dim, h, w).contiguous()
    return neuron(torch.addcmul(torch.tensor(0.5), a, torch.tensor(0.05)))


def _neuron() -> Operation:
    x = torch.randn(FRAMES, 128, 56, 56)
    values, into = _last(x), Into(128, 56 * 56, spikes=True, norm=False)
    run = lambda: native().fire(values, target=into.target)  # noqa: E731
    run()
    assert torch.equal(torch.from_numpy(packing.unpack_spikes(into.bits, 128, 56, 56)), lif(x)[0])
    runs = {"engine": run, "reference": lambda: lif(x), "plain loop": lambda: lif(x, backend="reference")}
    if authors := _authors_neuron():
        with torch.inference_mode():
            assert torch.equal(authors(x), lif(x)[0])
        runs["authors"] = lambda: authors(x)
    return Operation(name="LIF [8, 128, 56, 56]", runs=runs, about={"rate": float(lif(x)[0].mean())})


def _attention() -> Operation:
    dim, heads, height = 256, 8, 14
    q, k, v = ((torch.rand(FRAMES, dim, height, height) < 0.18).float() for _ in range(3))
    packed = [packing.pack_spikes(x.numpy()) for x in (q, k, v)]
    into = Into(dim, height**2, spikes=True, norm=True)
    d = dim // heads
    shared = {"channels": dim, "heads": heads, "grouping": 1}

    def run() -> None:
        counts = np.zeros((1, heads, d + 1, packing.whole(d) * 16), np.int32)
        native().attend_count(packed[1], packed[2], counts=counts.reshape(-1), **shared)
        sums = np.empty(counts.shape, np.float32)
        native().attend_between(counts, hamming=True, sums=sums)
        native().attend_apply(packed[0], hamming=True, sums=sums.reshape(-1), target=into.target, **shared)

    def tokens(x: torch.Tensor) -> torch.Tensor:
        return x.view(FRAMES, heads, d, -1).permute(1, 0, 3, 2).flatten(1, 2)

    def reference() -> torch.Tensor:
        a = attention(tokens(q), tokens(k), tokens(v), similarity="hamming", scale=1.0)
        a = a.unflatten(1, (FRAMES, -1)).permute(1, 0, 3, 2).reshape(q.shape)
        return lif(torch.addcmul(torch.tensor(0.5), a, torch.tensor(0.05)))[0]

    run()
    with torch.inference_mode():
        assert torch.equal(torch.from_numpy(packing.unpack_spikes(into.bits, dim, height, height)), reference())
    runs = {"engine": run, "reference": reference}
    if authors := _authors_neuron():
        clips = [x.unsqueeze(1) for x in (q, k, v)]
        with torch.inference_mode():
            assert torch.equal(_authors_attention(*clips, heads, authors)[:, 0], reference())
        runs["authors"] = lambda: _authors_attention(*clips, heads, authors)
    return Operation(name="Hamming attention, norm, LIF [8, 256, 14, 14]", runs=runs, about={"rate": 0.18})


def _convolution(rate: float) -> Operation:
    inputs, outputs, size = 64, 256, 56
    x = (torch.rand(FRAMES, inputs, size, size) < rate).float()
    # multiples of 1/16: sums are exact, results have to be equal
    weight = torch.randint(-64, 65, (outputs, inputs, 3, 3)).float() / 16
    last, last_weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    bits = packing.pack_spikes(x.numpy())
    shared = {"channels": inputs, "height": size, "width": size, "kernel": 3, "padding": 1}
    fixed = np.round(weight.numpy() * 16).astype(np.int32)
    check = Into(outputs, size**2, spikes=False, norm=False, unit=1 / 16)
    timed = Into(outputs, size**2, spikes=True, norm=True, unit=1 / 16)
    packed = {f"events{block}": packing.event_rows(fixed, block) for block in (8, 4, 2)}
    packed |= {"cached": packing.event_rows(fixed, 1), "tables": packing.table_rows(fixed)}

    def run(name: str, target: object) -> None:
        if name == "cached":
            native().cached(bits, stride=1, weights=packed[name], target=target, **shared)
        elif name == "tables":
            native().tables(bits, weights=packed[name], target=target, **shared)
        else:
            native().events(bits, stride=1, weights=packed[name], block=int(name[-1]), target=target, **shared)

    ways = {name: partial(run, name) for name in packed if name != "tables" or native().has_tables()}
    for way in ways.values():
        check.value[:] = np.nan
        way(check.target)
        with torch.inference_mode():
            assert np.array_equal(check.value, _last(F.conv2d(x.double(), weight.double(), padding=1).float()))
    seconds = {name: _once(lambda way=way: way(timed.target)) for name, way in ways.items()}
    best = min(seconds, key=seconds.__getitem__)
    runs = {
        "engine": lambda: ways[best](timed.target),
        "oneDNN channels-last": lambda: F.conv2d(last, last_weight, padding=1),
        "oneDNN": lambda: F.conv2d(x, weight, padding=1),
    }
    return Operation(
        name=f"3x3 of spikes 64 -> 256 at 56, {100 * rate:.0f} %, ours with norm and LIF",
        runs=runs,
        about={"rate": rate, "kernel": best},
    )


def _once(run: Callable[[], object]) -> float:
    import time

    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best
