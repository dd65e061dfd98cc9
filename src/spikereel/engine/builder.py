"""Writes a program layer by layer: neurons join the layer before them, norms are folded, lifetimes are found."""

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from spikereel.engine import plan
from spikereel.engine.packing import LANES, affine_rows, depthwise_taps, fixed_point, matrix_panels, spike_words, whole
from spikereel.engine.plan import Buffer, Grouping, Layer, Norm, Program
from spikereel.errors import ConfigError
from spikereel.layers.norm import ClipNorm

MOST_INPUTS = 65_535
"""Inputs of one output, all taps of the kernel counted, that an event list can name."""


def neuron_constants(name: str, neuron: Any) -> plan.Neuron:
    """The neuron as the kernels take it; ConfigError for the artificial one, and for rules of other libraries."""
    c = neuron.config
    if not neuron.spiking:
        raise ConfigError("the native engine runs spiking networks; this is an artificial one: engine='reference'")
    if c.ported:
        raise ConfigError(
            f"the native engine has neurons that fire at the threshold and reset at once; {name} has "
            f"fires={c.fires!r}, reset_delay={c.reset_delay}, recheck={c.recheck}: engine='reference'"
        )
    if c.tau_spread is not None:
        raise ConfigError(
            f"the native engine has neurons with one time constant a layer; {name} has one for each channel "
            f"(tau_spread={tuple(c.tau_spread)}): engine='reference'"
        )
    if c.kind == "ilif":
        top = c.levels if c.top is None else c.top
        return plan.Neuron(
            name, 2, False, True, top, c.ilif_decay, 0.0, 0.0, 0.0, 1.0 / c.levels if c.normalise else 1.0
        )
    decay_input = c.decay_input and c.kind != "if"
    if c.kind == "plif":
        decay = float(torch.sigmoid(neuron.w.detach().float()))
    else:
        decay = 0.0 if c.kind == "if" or math.isinf(c.tau) else 1.0 / c.tau
    soft = c.reset == "soft"
    return plan.Neuron(name, 1, soft, decay_input, 1, decay, c.threshold, c.v_reset, 0.0 if soft else c.v_reset)


def array(x: Any) -> NDArray[np.float64]:
    """A parameter in float64."""
    return x.detach().cpu().double().numpy()


def affine(norm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A batch norm with its running statistics as scale and bias [C], [steps, C] where time steps have their own."""
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    bias = array(norm.bias) - array(norm.running_mean) * scale
    shape = (norm.steps, norm.channels) if isinstance(norm, ClipNorm) and norm.steps else (-1,)
    return scale.reshape(shape), bias.reshape(shape)


def after_bias(norm: Any, bias: Any) -> Norm:
    """The norm of (sums + bias), of sums."""
    scale, shift = affine(norm)
    return rows(scale, shift if bias is None else shift + scale * array(bias))


def rows(scale: NDArray, bias: NDArray) -> Norm:
    """Vectors [C] or [frames, C] in whole lanes."""
    return Norm(affine_rows(np.atleast_2d(scale)), affine_rows(np.atleast_2d(bias)))


class Builder:
    """`program` grows with each call; buffers that a call returns are the inputs of others."""

    def __init__(self) -> None:
        self.program = Program()
        self.part = 0

    def cut(self) -> None:
        """All frames go through what is there before they enter what comes."""
        self.part += 1

    def pictures(self, name: str, conv: Any, norm: Norm) -> Buffer:
        """The first convolution."""
        weight = array(conv.weight)
        layer = plan.PictureConv(
            name,
            len(weight),
            kernel=weight.shape[2],
            stride=conv.stride[0],
            padding=int(conv.padding[0]),
            in_channels=weight.shape[1],
            weights=matrix_panels(weight.reshape(len(weight), -1)),
            norm=norm,
        )
        return self._add(layer)

    def conv(
        self,
        name: str,
        source: Buffer,
        weight: NDArray,
        norm: Norm | None,
        *,
        stride: int = 1,
        padding: int = 0,
        onto: Buffer | None = None,
    ) -> Buffer:
        """Weights [C', C, k, k] on spikes; `onto`: added to these values, in their place."""
        assert source.kind == "bits"
        assert source.writer is not None
        assert source.writer.neuron is not None
        if weight[0].size > MOST_INPUTS:
            raise ConfigError(f"{name} has {weight[0].size} inputs an output; the native engine takes {MOST_INPUTS}")
        weight = (weight * source.writer.neuron.unit).astype(np.float32)
        fixed, unit = fixed_point(weight, source.planes)
        if norm is None:
            norm = rows(np.ones(len(weight)), np.zeros(len(weight)))
        layer = plan.SpikeConv(
            name,
            len(weight),
            source=source,
            shape=weight.shape,
            weight=fixed,
            unit=unit,
            real=weight,
            stride=stride,
            padding=padding,
            norm=Norm(norm.scale * affine_rows(unit[None]), norm.bias),
        )
        return self._add(layer, onto)

    def pointwise(
        self,
        name: str,
        source: Buffer,
        weight: NDArray,
        norm: Norm | None,
        *,
        taps: NDArray | None = None,
        stride: int = 1,
        offset: int = 0,
        onto: Buffer | None = None,
    ) -> Buffer:
        """Depthwise `taps` [C, k, k], then the matrix [C', C]."""
        kernel = 1 if taps is None else taps.shape[-1]
        fixed = real = None
        if taps is not None and source.kind == "bits":
            assert source.writer is not None
            assert source.writer.neuron is not None
            taps = taps * source.writer.neuron.unit
            fixed, unit = fixed_point(taps, source.planes)
            real, taps, weight = depthwise_taps(taps / unit[:, None, None]), None, weight * unit
        layer = plan.Pointwise(
            name,
            len(weight),
            source=source,
            offset=offset,
            depth=weight.shape[1],
            kernel=kernel,
            stride=stride,
            norm=norm,
            taps=None if taps is None else depthwise_taps(taps),
            fixed=None if fixed is None else depthwise_taps(fixed),
            real=real,
            weights=matrix_panels(weight),
        )
        return self._add(layer, onto)

    def attend(
        self,
        name: str,
        q: Buffer,
        k: Buffer,
        v: Buffer,
        *,
        heads: int,
        grouping: Grouping,
        hamming: bool,
        window: int = 1,
        norm: Norm,
        reference: tuple[int, int] | None = None,
        onto: Buffer | None = None,
    ) -> Buffer:
        """Attention of spikes; `norm` holds its scale as well. reference: see `SpikeAttention`."""
        if q.channels // heads > 256:
            raise ConfigError(f"{name} has heads of {q.channels // heads} channels; the native engine takes 256")
        counted = plan.AttendCount(
            name, q.channels, k=k, v=v, heads=heads, grouping=grouping, hamming=hamming, window=window
        )
        self._append(counted)
        if grouping in ("clip", "pixel"):
            self.cut()
        return self._add(plan.AttendApply(name, q.channels, q=q, counted=counted, norm=norm, reference=reference), onto)

    def fire(self, name: str, source: Buffer, neuron: Any, *, flat: bool = False) -> Buffer:
        """Spikes of values: at the end of the layer that makes them, where that has no neuron yet."""
        constants = replace(neuron_constants(name, neuron), flat=flat)
        layer = source.writer
        if layer is None or layer.neuron is not None or layer.channels != source.channels:
            layer = plan.Fire(name, source.channels, source=source)
            self._append(layer)
        layer.neuron = constants
        layer.spikes = self._buffer("bits", source.channels, constants.planes)
        layer.spikes.writer = layer
        return layer.spikes

    def resize(
        self, name: str, source: Buffer, like: Buffer, *, bilinear: bool = True, onto: Buffer | None = None
    ) -> Buffer:
        """Values at the size of others."""
        assert like.writer is not None
        return self._add(plan.Resize(name, source.channels, source=source, like=like.writer, bilinear=bilinear), onto)

    def join(self, name: str, sources: list[Buffer], neuron: Any) -> Buffer:
        """Spikes of one neuron on values side by side, all of one size and as many channels, which are whole vectors.

        The spikes of each begin at whole words of 64 channels: see `spread`.
        """
        (channels,) = {source.channels for source in sources}
        assert channels % LANES == 0
        constants = replace(neuron_constants(name, neuron), parts=len(sources))
        own = spike_words(channels) * LANES
        bits = Buffer("bits", len(sources) * own, constants.planes, padding=len(sources) * (own - channels))
        for i, source in enumerate(sources):
            layer = source.writer
            if layer is None or layer.neuron is not None:
                layer = plan.Fire(name, channels, source=source)
                self._append(layer)
            layer.neuron, layer.spikes, layer.share = constants, bits, i
            bits.writer = layer
        return bits

    def finish(self, taps: dict[str, Buffer]) -> Program:
        """The whole program, whose caller wants these values."""
        program = self.program
        program.taps = taps
        for buffer in taps.values():
            buffer.kept = True
        read = {id(b) for layer in program.layers for b in (*layer.inputs(), layer.residual) if b is not None}
        for layer in program.layers:
            if layer.value is not None and id(layer.value) not in read and not layer.value.kept:
                layer.value = None
        used: dict[int, Buffer] = {}
        for i, layer in enumerate(program.layers):
            for buffer in (*layer.inputs(), layer.residual, layer.value, layer.spikes):
                if buffer is None:
                    continue
                buffer.first = i if id(buffer) not in used else buffer.first
                buffer.last = i
                used[id(buffer)] = buffer
        program.buffers = list(used.values())
        for buffer in program.buffers:
            parts = {program.layers[i].part for i in (buffer.first, buffer.last)}
            buffer.whole_clip = buffer.kept or len(parts) > 1
        return program

    def _buffer(self, kind: Literal["bits", "value"], channels: int, planes: int = 1) -> Buffer:
        return Buffer(kind, channels, planes)

    def _add(self, layer: Layer, onto: Buffer | None = None) -> Buffer:
        layer.residual = onto
        layer.value = self._buffer("value", layer.channels) if onto is None else onto
        layer.value.writer = layer
        self._append(layer)
        return layer.value

    def _append(self, layer: Layer) -> None:
        layer.part = self.part
        self.program.layers.append(layer)


def spread(weight: NDArray, parts: int) -> NDArray:
    """Weights [C', parts C, k, k] of what `Builder.join` made, with zeros between the parts."""
    outputs, inputs, *kernel = weight.shape
    own = inputs // parts
    out = np.zeros((outputs, parts, spike_words(own) * LANES, *kernel))
    out[:, :, :own] = weight.reshape(outputs, parts, own, *kernel)
    return out.reshape(outputs, -1, *kernel)


def lanes(channels: int) -> int:
    """Channels in whole vectors."""
    return whole(channels) * LANES
