"""Every layer of an engine computed again in float64 from the spikes and values that the engine gave it.

One spike that rounding decides changes all that comes after it, so whole networks are not compared: layer by layer, on
the very operands of a call, spikes have to be those of float64 except where the charge lies at the threshold.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.engine.engine import Engine, compile
from spikereel.engine.execute import Call, norm_of
from spikereel.engine.packing import unpack_spikes
from spikereel.engine.plan import (
    AttendApply,
    AttendCount,
    Buffer,
    Fire,
    Layer,
    Neuron,
    PictureConv,
    Pointwise,
    Resize,
    SpikeConv,
)
from spikereel.errors import ConfigError
from spikereel.ops.hamming import attention


@dataclass(frozen=True, kw_only=True)
class Verified:
    """One layer over one clip."""

    layer: str
    spikes: int
    """Decided by its neuron."""
    differing: int
    """Of these, otherwise than in float64."""
    farthest: float
    """Largest distance from the threshold of a charge whose spike differs."""
    error: float
    """Largest error of a value, in shares of the largest value; of layers that hand on values."""


def verify(engine: Engine, video: Tensor) -> list[Verified]:
    """A call on a clip [T, 1, C, H, W] from no state, layer by layer.

    Raises ConfigError for several clips, and where the weights are gone: for an engine from a file.
    """
    if video.shape[1] != 1:
        raise ConfigError(f"verify takes one clip at a time, got {video.shape[1]}; give video[:, i : i + 1]")
    found: list[Verified] = []
    kept: dict[str, Tensor] = {}

    def before(layer: Layer, call: Call, t0: int, t1: int) -> None:
        if layer.residual is not None:
            # in place: what is added to is gone afterwards
            kept["residual"] = _read(layer.residual, call, t0, t1, call.layout.sizes[id(layer)])

    def watch(layer: Layer, call: Call, t0: int, t1: int, _seconds: float) -> None:
        if isinstance(layer, AttendCount):
            # their memory belongs to others by the time that q comes
            size = call.layout.input_sizes[id(layer)]
            for part, buffer in (("k", layer.k), ("v", layer.v)):
                chunk, name = _read(buffer, call, t0, t1, size), f"{layer.name} {part}"
                goes_on = t0 and layer.grouping in ("clip", "pixel")
                kept[name] = torch.cat([kept[name], chunk]) if goes_on else chunk
            return
        if isinstance(layer, AttendApply):
            y = _attended(layer, call, t0, t1, *(kept[f"{layer.name} {part}"] for part in "kv"))
        else:
            y = _sums(layer, call, t0, t1)
        if (norm := norm_of(layer, call.layout)) is not None:
            norm = norm.at(call.first + t0, t1 - t0)
            scale, bias = (
                torch.from_numpy(x[:, : layer.channels]).double()[..., None, None] for x in (norm.scale, norm.bias)
            )
            y = y * scale + bias
        if layer.residual is not None:
            y = y + kept.pop("residual")
        found.append(_compared(layer, call, t0, t1, y, kept))

    engine._before, engine._watch = before, watch
    try:
        engine(video)
    finally:
        engine._before = engine._watch = None
    return _joined(found)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an engine changed on one clip, beside one that is exact."""

    spikes: float
    """Share of spikes decided otherwise than in float64 from the same operands, all layers together."""
    worst: float
    """The same of the layer where it is largest."""
    output: float
    """Largest difference of an output from that of the exact engine, in shares of its largest output."""
    same_class: bool | None
    """Whether the best class is the same; None for outputs that are no scores."""


def cost(engine: Engine, video: Tensor) -> Cost:
    """What `exact=False` costs on a clip [T, 1, C, H, W], beside float64 layer by layer and beside an exact engine."""
    rows = [row for row in verify(engine, video) if row.spikes]
    own, _ = engine(video)
    other, _ = compile(engine.model, threads=engine.threads)(video)
    scores = isinstance(own, Tensor) and own.ndim == 2
    pairs = zip(own, other, strict=True) if isinstance(own, tuple) else [(own, other)]
    return Cost(
        spikes=sum(row.differing for row in rows) / sum(row.spikes for row in rows),
        worst=max(row.differing / row.spikes for row in rows),
        output=max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)) for a, b in pairs),
        same_class=bool((own.argmax(1) == other.argmax(1)).all()) if scores else None,
    )


def _read(buffer: Buffer, call: Call, t0: int, t1: int, size: tuple[int, int]) -> Tensor:
    """Frames [T, C, H, W] of a buffer in float64."""
    array = call.frames_of(buffer, t0, t1)
    if buffer.kind == "bits":
        return torch.from_numpy(unpack_spikes(array, buffer.channels, *size)).double()
    values = torch.from_numpy(array).double()[..., : buffer.channels]
    return values.transpose(1, 2).unflatten(2, size)


def _sums(layer: Layer, call: Call, t0: int, t1: int) -> Tensor:
    size = call.layout.input_sizes[id(layer)]
    if isinstance(layer, PictureConv):
        weight = _unpacked(layer.weights, layer.channels).unflatten(1, (layer.in_channels, layer.kernel, layer.kernel))
        return F.conv2d(torch.from_numpy(call.pictures[t0:t1]).double(), weight, None, layer.stride, layer.padding)
    if isinstance(layer, SpikeConv):
        if layer.real is None or layer.unit is None:
            raise ConfigError("an engine from a file has no weights to check with; compile the model")
        # the weights as they were; the norm is one of sums in fixed point
        weight = torch.from_numpy(layer.real).double() / torch.from_numpy(layer.unit).double()[:, None, None, None]
        return F.conv2d(_read(layer.source, call, t0, t1, size), weight, None, layer.stride, layer.padding)
    if isinstance(layer, Pointwise):
        return _pointwise(layer, call, t0, t1, size)
    if isinstance(layer, Resize):
        mode, align = ("bilinear", False) if layer.bilinear else ("nearest", None)
        x = _read(layer.source, call, t0, t1, size)
        return F.interpolate(x, size=list(call.layout.sizes[id(layer)]), mode=mode, align_corners=align)
    assert isinstance(layer, Fire)
    return _read(layer.source, call, t0, t1, size)


def _pointwise(layer: Pointwise, call: Call, t0: int, t1: int, size: tuple[int, int]) -> Tensor:
    if layer.source.kind == "bits":
        x = _read(layer.source, call, t0, t1, size)
    else:
        values = torch.from_numpy(call.frames_of(layer.source, t0, t1)).double()
        x = values[..., layer.offset : layer.offset + layer.depth].transpose(1, 2).unflatten(2, size)
    own = layer.taps if layer.fixed is None else layer.real
    if layer.kernel > 1:
        if own is None:
            raise ConfigError("an engine from a file has no weights to check with; compile the model")
        taps = torch.from_numpy(own).double().view(layer.kernel**2, -1)[:, : layer.depth]
        taps = taps.T.reshape(layer.depth, 1, layer.kernel, layer.kernel)
        x = F.conv2d(x, taps, stride=layer.stride, padding=layer.padding, groups=layer.depth)
    return F.conv2d(x, _unpacked(layer.weights, layer.channels)[..., None, None])


def _unpacked(panels_of: Any, outputs: int) -> Tensor:
    """The matrix [C', K] behind its panels."""
    from spikereel.engine.packing import LANES, panels, whole

    flat = torch.from_numpy(panels_of).double()
    depth = len(flat) // (whole(outputs) * LANES)
    parts, at = [], 0
    for first, last in panels(whole(outputs)):
        width = (last - first) * LANES
        parts.append(flat[at : at + depth * width].view(depth, width).T)
        at += depth * width
    return torch.cat(parts)[:outputs]


def _attended(layer: AttendApply, call: Call, t0: int, t1: int, k: Tensor, v: Tensor) -> Tensor:
    counted = layer.counted
    if counted.grouping in ("past", "recent"):
        raise ConfigError("attention to the past is checked against the model itself")
    size = call.layout.input_sizes[id(layer)]
    q = _read(layer.q, call, t0, t1, size)
    m, similarity = counted.heads, "hamming" if counted.hamming else "dot"

    def tokens(x: Tensor) -> Tensor:
        x = x.flatten(2).unflatten(1, (m, -1)).permute(1, 0, 3, 2)
        if counted.grouping == "clip":
            return x.flatten(1, 2)
        return x.transpose(1, 2) if counted.grouping == "pixel" else x

    a = attention(tokens(q), tokens(k), tokens(v), similarity=similarity, scale=1.0)
    if counted.grouping == "clip":
        a = a.unflatten(1, (len(q), -1))
    elif counted.grouping == "pixel":
        a = a.transpose(1, 2)
    return a.permute(1, 0, 3, 2).reshape(len(q), layer.channels, *size)


def _compared(layer: Layer, call: Call, t0: int, t1: int, y: Tensor, membranes: dict[str, Tensor]) -> Verified:
    size = call.layout.sizes[id(layer)]
    error = 0.0
    if layer.value is not None:
        own = _read(layer.value, call, t0, t1, size)
        error = float((own - y).abs().max() / y.abs().max().clamp_min(1e-30))
    if layer.neuron is None or layer.spikes is None:
        return Verified(layer=layer.name, spikes=0, differing=0, farthest=0.0, error=error)
    own = torch.from_numpy(unpack_spikes(call.fired_by(layer, t0, t1), layer.channels, *size)).double()
    differing, farthest = 0, 0.0
    n = layer.neuron
    part = f"{n.name} {layer.share}"
    v = membranes.get(part, torch.full_like(y[0], n.start))
    for x, spikes in zip(y, own, strict=True):
        h = _charged(n, v, x)
        within = h.clamp(0, n.top)
        distance = (h - n.threshold).abs() if n.kind == 1 else (within - within.floor() - 0.5).abs()
        wrong = spikes != (h >= n.threshold if n.kind == 1 else within.round())
        differing += int(wrong.sum())
        farthest = max(farthest, float(distance[wrong].max()) if wrong.any() else 0.0)
        # on with the engine's own spike: each decision is judged by itself
        v = _after(n, h, spikes)
    membranes[part] = v
    return Verified(layer=layer.name, spikes=own.numel(), differing=differing, farthest=farthest, error=error)


def _charged(n: Neuron, v: Tensor, x: Tensor) -> Tensor:
    if n.kind == 2:
        return n.decay * v + x
    leak = v - n.v_reset
    return v + (x - leak) * n.decay if n.decay_input else v - leak * n.decay + x


def _after(n: Neuron, h: Tensor, spikes: Tensor) -> Tensor:
    if n.kind == 2:
        return h - spikes
    return h - spikes * n.threshold if n.soft_reset else torch.where(spikes > 0, n.v_reset, h)


def _joined(found: list[Verified]) -> list[Verified]:
    """The chunks of each layer in one row."""
    rows: dict[str, Verified] = {}
    for x in found:
        y = rows.get(x.layer)
        rows[x.layer] = (
            x
            if y is None
            else Verified(
                layer=x.layer,
                spikes=x.spikes + y.spikes,
                differing=x.differing + y.differing,
                farthest=max(x.farthest, y.farthest),
                error=max(x.error, y.error),
            )
        )
    return list(rows.values())
