"""Exact synaptic operations: one for every weight that a unit of a spike meets.

An operand x in {0, 1, 2, ...} meets, at each of its places, the weights of all outputs that look there; how many they
are depends on the place alone, so the count is a sum of x weighted by that number: what the layer would give with all
weights 1, at the price of one pass over x.
"""

from functools import cache, lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.contents import Contents, Figures
from spikereel.energy.steps import Axes, Place
from spikereel.layers.conv import OnSpikes
from spikereel.models.svformer import ClipConv

Axis = tuple[int, int, int, tuple[int, int], int, str]
"""What `reach` takes."""


@cache
def reach(length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int, mode: str) -> Tensor:
    """float64 [length]: how many outputs of a convolution look at each place of one axis.

    padding: places added before and after. mode: that of the convolution; places of zeros meet nobody.
    """
    before, after = padding
    padded = length + before + after
    outputs = (padded - dilation * (kernel - 1) - 1) // stride + 1
    taps = stride * torch.arange(outputs)[:, None] + dilation * torch.arange(kernel)
    seen = torch.bincount(taps.flatten(), minlength=padded).double()
    if mode == "zeros":
        return seen[before : before + length]
    places = torch.arange(length, dtype=torch.float64).view(1, 1, length)
    source = F.pad(places, padding, mode=mode).flatten().long()
    return torch.zeros(length, dtype=torch.float64).index_add_(0, source, seen)


@lru_cache(maxsize=1024)
def field(axes: tuple[Axis, ...]) -> tuple[Figures, float]:
    """float64 [places]: how many outputs of a convolution look at each place, given `reach`'s arguments for each axis;
    and their sum. For many calls of many layers: do not write into it."""
    grid, *rest = (reach(*axis) for axis in axes)
    total = prod(float(r.sum()) for r in (grid, *rest))
    for axis in rest:
        grid = (grid[:, None] * axis).flatten()
    figures = grid.numpy()
    figures.flags.writeable = False
    return figures, total


class Window(NamedTuple):
    """What of its input each output of a convolution looks at, axis by axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[int, ...]
    """After and before, of the last axis first."""
    mode: str

    @property
    def local(self) -> bool:
        """Whether the place of a spike matters to its count: not in 1x1 convolutions of stride 1."""
        return prod(self.kernel) > 1 or prod(self.stride) > 1 or any(self.pads)

    def axes(self, sizes: tuple[int, ...]) -> tuple[Axis, ...]:
        """What `reach` takes, for each axis of places; sizes: of these axes of the input."""
        pads = self.pads[::-1]
        return tuple(
            (n, self.kernel[i], self.stride[i], (pads[2 * i + 1], pads[2 * i]), self.dilation[i], self.mode)
            for i, n in enumerate(sizes)
        )


def window(layer: _ConvNd) -> Window:
    """Of a convolution."""
    pads = tuple(layer._reversed_padding_repeated_twice)
    return Window(layer.kernel_size, layer.stride, layer.dilation, pads, layer.padding_mode)


def reaches(layer: _ConvNd, sizes: tuple[int, ...]) -> list[Tensor]:
    """`reach` of every axis of the input of a convolution; sizes: of its spatial axes."""
    return [reach(*axis) for axis in window(layer).axes(sizes)]


def fan_out(layer: _ConvNd | nn.Linear) -> int:
    """Outputs of one place that an input channel feeds."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels // layer.groups


class Plan(NamedTuple):
    """What a layer makes of operands of one shape."""

    values: int
    """Of an operand, of one sub-step where counts are replayed."""
    weights: int
    taps: int
    """Multiply-accumulates of one output."""
    fan: int
    inner: float
    """Multiply-accumulates of an operand, without those on padding."""
    sub_steps: int
    grid: Figures | None
    """float64 [places]: outputs that look at each place; None: all alike."""

    def meets(self, seen: Contents, place: Place, axes: Axes, batch: int) -> Figures | None:
        """float64 [T], or [1] for a call that saw one step: synaptic operations of what was seen to enter."""
        if seen.sums is None:
            return None
        if self.grid is None:
            return axes.spikes(seen, place, batch) * self.fan
        return axes.by_step(seen.planes @ self.grid, place, batch) * self.fan

    def all_meet(self, seen: Contents) -> float:
        """Synaptic operations of what was seen to enter, of all time steps."""
        return float((seen.spikes if self.grid is None else seen.planes @ self.grid).sum()) * self.fan


def plan(layer: _ConvNd | nn.Linear, shape: tuple[int, ...]) -> Plan:
    """Of a layer and the shape of its operand."""
    sub_steps = layer.neuron.sub_steps if isinstance(layer, OnSpikes) else 1
    # not `get_parameter`: weights may be pruned, or parametrised
    sizes, fan = layer.weight.shape, fan_out(layer)
    if isinstance(layer, (ClipConv, nn.Linear)):
        return _plan(shape, sizes, fan, sub_steps, 0, None)
    return _plan(shape, sizes, fan, sub_steps, layer.in_channels, window(layer))


@lru_cache(maxsize=1024)
def _plan(
    shape: tuple[int, ...], sizes: tuple[int, ...], fan: int, sub_steps: int, channels: int, seen: Window | None
) -> Plan:
    """The same for all layers of these sizes; seen: None where all places are alike."""
    weights, values = prod(sizes), prod(shape) // sub_steps
    taps = weights // sizes[0]
    if seen is None or not seen.local:
        return Plan(values, weights, taps, fan, float(values * fan), sub_steps, None)
    grid, total = field(seen.axes(shape[-len(seen.kernel) :]))
    inner = channels * fan * total * (values // (channels * len(grid)))
    return Plan(values, weights, taps, fan, inner, sub_steps, grid)


def inner_macs(layer: _ConvNd, sizes: tuple[int, ...]) -> float:
    """Multiply-accumulates of a convolution for one input [channels, *sizes], none on padding zeros."""
    return layer.in_channels * fan_out(layer) * field(window(layer).axes(sizes))[1]
