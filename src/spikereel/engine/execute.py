"""Runs a program on one clip: the only place that calls the kernels."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikereel.engine.loaded import native
from spikereel.engine.memory import Layout
from spikereel.engine.packing import LANES, affine_rows, coarse_rows, digit_rows, event_rows, table_rows, whole
from spikereel.engine.plan import (
    SILENT,
    AttendApply,
    AttendCount,
    Buffer,
    Fire,
    Layer,
    Norm,
    PictureConv,
    Pointwise,
    Resize,
    SpikeConv,
)

TABLES = ("tables", "coarse")
"""Choices that not every instruction set has."""
GROUPINGS = {"frame": 0, "clip": 1, "pixel": 2, "past": 0, "recent": 0}


@dataclass
class Call:
    """One clip on its way through a program."""

    layout: Layout
    pictures: NDArray[np.float32]
    """[T, C, H, W]."""
    membranes: Mapping[str, NDArray[np.float32]]
    """[P, lanes] by neuron; written, and read too unless `fresh`."""
    fresh: bool
    before: Mapping[str, NDArray[np.float32]] | None = None
    """Where the membranes are found at the first frame; None: where they are written."""
    first: int = 0
    """Frames of the clip before these."""
    near: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    counts: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    sums: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    past: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Running sums of attention to the past by layer, [heads, d, d]."""
    recent: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """What a running sum of the last frames is made of, [W, heads, d, d]."""
    targets: dict[tuple[int, ...], Any] = field(default_factory=dict)
    """Those made by calls before this one with the same memory."""

    def frames_of(self, buffer: Buffer, t0: int, t1: int) -> NDArray:
        """Frames t0 to t1 of a buffer."""
        array = self.layout.arrays[id(buffer)]
        if not t0 and array.shape[buffer.kind == "bits"] == t1:
            return array
        frames = slice(t0, t1) if buffer.whole_clip else slice(0, t1 - t0)
        return array[:, frames] if buffer.kind == "bits" else array[frames]

    def fired_by(self, layer: Layer, t0: int, t1: int) -> NDArray:
        """What a layer writes of its spikes in frames t0 to t1."""
        assert layer.spikes is not None
        return self.frames_of(layer.spikes, t0, t1)[..., layer.words]

    def membrane_of(self, layer: Layer, *, before: bool = False) -> NDArray:
        """The membrane of its neuron, as it is written or as the first frame finds it."""
        assert layer.neuron is not None
        membranes = self.before if before and self.before is not None else self.membranes
        return membranes[layer.neuron.name][:, layer.lanes]


Before = Callable[[Layer, Call, int, int], None]
Watch = Callable[[Layer, Call, int, int, float], None]


def run(call: Call, *, before: Before | None = None, watch: Watch | None = None) -> None:
    """All layers over all frames; `before` comes before each call of a kernel, `watch` is told its seconds."""
    frames = call.layout.frames
    for part, chunk in zip(call.layout.parts, call.layout.chunks, strict=True):
        for t0 in range(0, frames, chunk):
            t1 = min(t0 + chunk, frames)
            for layer in part:
                if before:
                    before(layer, call, t0, t1)
                started = time.perf_counter() if watch else 0.0
                run_layer(layer, call, t0, t1)
                if watch:
                    watch(layer, call, t0, t1, time.perf_counter() - started)


def run_layer(layer: Layer, call: Call, t0: int, t1: int) -> None:
    """Frames t0 to t1 of one layer."""
    if isinstance(layer, AttendCount):
        _count(layer, call, t0, t1)
        return
    if isinstance(layer, SpikeConv) and layer.packed is None:
        layer.choice = layer.choice or default_choice(layer)
        layer.packed = pack(layer, layer.choice)
    into = call.targets.get((id(layer), t0, t1)) or target(layer, call, t0, t1)
    RUN[type(layer)](layer, call, t0, t1, into)


def target(layer: Layer, call: Call, t0: int, t1: int) -> object:
    """Where the results of these frames go."""
    coarse = isinstance(layer, SpikeConv) and layer.choice == "coarse"
    norm = layer.coarse if coarse else norm_of(layer, call.layout)
    moves = norm is not None and len(norm.scale) > 1
    norm = None if norm is None else norm.at(call.first + t0, t1 - t0)
    neuron = layer.neuron or SILENT
    begins = call.before is not None and not t0 and layer.neuron is not None
    made = native().Target(
        layer.channels,
        scale=None if norm is None else norm.scale,
        bias=None if norm is None else norm.bias,
        residual=None if layer.residual is None else call.frames_of(layer.residual, t0, t1),
        value=None if layer.value is None else call.frames_of(layer.value, t0, t1),
        bits=None if layer.spikes is None else call.fired_by(layer, t0, t1),
        membrane=None if layer.neuron is None else call.membrane_of(layer),
        fresh=call.fresh and t0 == 0,
        near=call.near,
        before=call.membrane_of(layer, before=True) if begins else None,
        **neuron.constants(),
    )
    if not moves:
        call.targets[id(layer), t0, t1] = made
    return made


def norm_of(layer: Layer, layout: Layout) -> Norm | None:
    """The norm of a layer in calls of this shape, of sums of its weights as they are."""
    if isinstance(layer, AttendApply):
        height, width = layout.input_sizes[id(layer)]
        return layer.norm_in(layout.frames, height * width)
    return layer.norm


def pack(layer: SpikeConv, choice: str) -> NDArray:
    """The weights in the order of a kernel."""
    assert layer.weight is not None
    assert layer.norm is not None
    if choice == "coarse":
        rows, unit = coarse_rows(layer.weight, layer.source.planes)
        layer.coarse = Norm(layer.norm.scale * affine_rows(unit[None]), layer.norm.bias)
        return rows
    if choice == "tables":
        return table_rows(layer.weight)
    if choice == "digits":
        return digit_rows(layer.weight)
    return event_rows(layer.weight, 1 if choice == "cached" else int(choice[-1]))


def _pictures(layer: PictureConv, call: Call, t0: int, t1: int, into: object) -> None:
    native().pictures(
        call.pictures[t0:t1],
        kernel=layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        weights=layer.weights,
        target=into,
    )


def _spike_conv(layer: SpikeConv, call: Call, t0: int, t1: int, into: object) -> None:
    assert layer.packed is not None
    spike_conv(layer, call, t0, t1, into, layer.choice, layer.packed)


def spike_conv(layer: SpikeConv, call: Call, t0: int, t1: int, into: object, choice: str, packed: NDArray) -> None:
    """One way of a convolution of spikes."""
    height, width = call.layout.input_sizes[id(layer)]
    bits = call.frames_of(layer.source, t0, t1)
    shared = {
        "channels": layer.source.channels,
        "height": height,
        "width": width,
        "kernel": layer.kernel,
        "padding": layer.padding,
        "weights": packed,
        "target": into,
    }
    if choice == "tables":
        native().tables(bits, **shared)
    elif choice == "coarse":
        native().coarse(bits, **shared)
    elif choice == "digits":
        native().digits(bits, stride=layer.stride, **shared)
    elif choice == "cached":
        native().cached(bits, stride=layer.stride, **shared)
    else:
        by_row = choice.startswith("rows")
        native().events(bits, stride=layer.stride, block=int(choice[-1]), by_row=by_row, **shared)


def choices(layer: SpikeConv, *, exact: bool = True) -> list[str]:
    """The ways that this machine has."""
    vectors = whole(layer.channels)
    ways = [f"events{n}" for n in (8, 4, 2, 1) if n == 1 or n < 2 * vectors]
    if layer.kernel > 1:
        ways += [f"rows{n}" for n in (4, 2, 1) if n == 1 or n < 2 * vectors]
    ways += ["cached"]
    if native().digits_for() == 2 or (native().digits_for() == 1 and layer.source.planes > 1):
        ways += ["digits"]
    if native().has_tables() and layer.stride == 1 and 2 * layer.padding == layer.kernel - 1:
        ways += ["tables"] if exact else ["tables", "coarse"]
    return ways


def default_choice(layer: SpikeConv) -> str:
    """Before anything is measured."""
    return choices(layer)[0]


def _pointwise(layer: Pointwise, call: Call, t0: int, t1: int, into: object) -> None:
    height, width = call.layout.input_sizes[id(layer)]
    source = call.frames_of(layer.source, t0, t1)
    bits = source if layer.source.kind == "bits" else None
    value = source[..., layer.offset :] if layer.source.kind == "value" else None
    native().pointwise(
        bits,
        value,
        depth=layer.depth,
        height=height,
        width=width,
        kernel=layer.kernel,
        stride=layer.stride,
        taps=layer.taps,
        fixed=layer.fixed,
        weights=layer.weights,
        target=into,
    )


def _fire(layer: Fire, call: Call, t0: int, t1: int, into: object) -> None:
    native().fire(call.frames_of(layer.source, t0, t1), target=into)


def _resize(layer: Resize, call: Call, t0: int, t1: int, into: object) -> None:
    height, width = call.layout.input_sizes[id(layer)]
    (rows, down), (columns, along) = call.layout.grids[id(layer)]
    native().resize(
        call.frames_of(layer.source, t0, t1),
        height=height,
        width=width,
        rows=rows,
        columns=columns,
        down=down,
        along=along,
        target=into,
    )


def _count(layer: AttendCount, call: Call, t0: int, t1: int) -> None:
    d = layer.channels // layer.heads
    height, width = call.layout.input_sizes[id(layer)]
    groups = {"clip": 1, "pixel": height * width}.get(layer.grouping, t1 - t0)
    known = call.counts.get(id(layer)) if layer.grouping in ("clip", "pixel") else None
    if known is None:
        known = call.counts[id(layer)] = np.zeros((groups, layer.heads, d + 1, whole(d) * LANES), np.int32)
    native().attend_count(
        call.frames_of(layer.k, t0, t1),
        call.frames_of(layer.v, t0, t1),
        channels=layer.channels,
        heads=layer.heads,
        grouping=GROUPINGS[layer.grouping],
        counts=known.reshape(-1),
    )


def _apply(layer: AttendApply, call: Call, t0: int, t1: int, into: object) -> None:
    counted = layer.counted
    if counted.grouping not in ("clip", "pixel") or t0 == 0:
        counts = call.counts.pop(id(counted))
        sums = np.empty(counts.shape, np.float32)
        native().attend_between(counts, hamming=counted.hamming, sums=sums)
        if counted.grouping == "past":
            d, before, seen = sums.shape[2] - 1, call.past.get(layer.name), call.first + t0
            # the sums before belong to a state
            call.past[layer.name] = after = np.empty((counted.heads, d, d))
            native().attend_past(sums, hamming=counted.hamming, seen=seen, before=before, after=after)
        elif counted.grouping == "recent":
            d, before = sums.shape[2] - 1, (call.past.get(layer.name), call.recent.get(layer.name))
            call.past[layer.name] = summed = np.empty((counted.heads, d, d))
            call.recent[layer.name] = recent = np.empty((counted.window, counted.heads, d, d), np.float32)
            native().attend_recent(
                sums,
                hamming=counted.hamming,
                summed=before[0],
                recent=before[1],
                summed_after=summed,
                recent_after=recent,
            )
        call.sums[id(counted)] = sums
    native().attend_apply(
        call.frames_of(layer.q, t0, t1),
        channels=layer.channels,
        heads=counted.heads,
        grouping=GROUPINGS[counted.grouping],
        hamming=counted.hamming,
        sums=call.sums[id(counted)].reshape(-1),
        target=into,
    )


RUN: dict[type, Callable] = {
    PictureConv: _pictures,
    SpikeConv: _spike_conv,
    Pointwise: _pointwise,
    Fire: _fire,
    Resize: _resize,
    AttendApply: _apply,
}
