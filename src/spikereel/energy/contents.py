"""What a tensor holds, looked at and never assumed: binary spikes, whole numbers, or real values."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.layer import Operand
from spikereel.layers.conv import OnSpikes
from spikereel.layers.neuron import NeuronConfig, collected
from spikereel.models.svformer import ClipConv

Figures = NDArray[np.float64]
"""Counts are small arrays, for which NumPy is several times as fast as PyTorch."""

PREFIX = 1024
"""Values looked at first, for what a spike is worth."""

SAMPLE = 64
"""Values looked at first: most real-valued tensors show themselves there."""

PLAIN = (torch.float32, torch.float64)
"""Types that NumPy looks at, on the CPU."""


@dataclass(kw_only=True, eq=False)
class Contents:
    """What a tensor was seen to hold."""

    operand: Operand
    levels: int = 0
    """Most spikes of one value; 0 for real ones."""
    lead: tuple[int, ...] = ()
    """Sizes of the first axes: time, batch and tokens, in whatever order the model has them."""
    sums: Tensor | Figures | None = None
    """[*lead, *places], of all channels; None for real values. Figures are made of it when they are asked for."""
    seen: "Contents | None" = None
    """What holds the sums, where only the first axes are others."""
    each: int = 1
    """Values behind one entry of `spikes`."""
    unit: float = 1.0
    """What a spike is worth."""
    rate: Figures | None = None
    """float64 [T], where firing rates are stated and nothing is counted."""
    by_time: dict[int, Figures] = field(default_factory=dict, init=False)
    """{T: float64 [T]}: sums of spikes whose first axes are T and others; `first_axis` fills it."""

    @property
    def real(self) -> bool:
        """No spikes."""
        return self.operand == "real"

    @cached_property
    def planes(self) -> Figures:
        """float64 [*lead, places]: spikes of all channels at each place."""
        if self.seen is not None:
            return self.seen.planes.reshape(*self.lead, -1)
        sums = self.sums.cpu().numpy() if isinstance(self.sums, Tensor) else self.sums
        assert sums is not None
        return sums.astype(np.float64).reshape(*self.lead, -1)

    @cached_property
    def spikes(self) -> Figures:
        """float64 [*lead]: of all channels and places."""
        return self.seen.spikes.reshape(self.lead) if self.seen is not None else np.add.reduce(self.planes, -1)

    @cached_property
    def total(self) -> float:
        """Spikes of all values."""
        return self.seen.total if self.seen is not None else float(np.add.reduce(self.spikes, None))

    def first_axis(self, steps: int) -> Figures:
        """float64 [T]: spikes of each time step, where time comes first. Worked out once: do not write into it."""
        if self.seen is not None:
            return self.seen.first_axis(steps)
        found = self.by_time.get(steps)
        if found is None:
            each = self.spikes.reshape(steps, -1)
            found = self.by_time[steps] = np.add.reduce(each, 1) if each.shape[1] > 1 else each[:, 0]
        return found


def look(x: Tensor, lead: int, places: int, *, scaled: bool = False) -> Contents:
    """What x [*lead, channels ..., *places] holds; lead, places: numbers of axes.

    scaled: spikes may be worth something else than 1, all of them the same.
    """
    operand, low, high = operand_of(x)
    if operand == "real":
        if scaled and (unit := unit_of(x)):
            return replace(summed(nonzero(x), "binary", 1, lead, places), unit=unit)
        return Contents(operand=operand, lead=tuple(x.shape[:lead]))
    return summed(x if low >= 0 else x.abs(), operand, max(high, -low, 1), lead, places)


def summed(counts: Tensor, operand: Operand, levels: int, lead: int, places: int) -> Contents:
    """As `look`, of counts that are known to be whole and not negative."""
    dtype, shape = counts.dtype, counts.shape
    wide = dtype if dtype is torch.float32 else torch.promote_types(dtype, torch.float32)
    channels = tuple(range(lead, len(shape) - places))
    sums = counts.sum(channels, dtype=wide) if channels else counts.to(wide, copy=True)
    sizes = tuple(shape[:lead])
    each = counts.numel() // max(prod(sizes), 1)
    return Contents(operand=operand, levels=levels, lead=sizes, sums=sums, each=each)


def zeros(x: Tensor) -> int:
    """How many values are zero: NumPy says it at a tenth of PyTorch's price."""
    if x.is_cpu and x.dtype in PLAIN:
        return int(np.count_nonzero(x.detach().numpy() == 0))
    return x.numel() - int(torch.count_nonzero(x))


def nonzero(x: Tensor) -> Tensor:
    """1 where a value is not zero, else 0: as float32, of which sums are several times as fast as of bool."""
    return torch.ne(x, 0, out=torch.empty_like(x, dtype=torch.float32))


def active(x: Tensor, seen: Contents) -> float:
    """How many values are not zero, of a tensor that was looked at."""
    binary = seen.levels == 1 and seen.sums is not None
    return seen.total if binary else float(x.numel() - zeros(x))


def axes_of(layer: nn.Module, x: Tensor) -> tuple[int, int]:
    """Numbers of leading axes and of axes of places that the operand of a weight layer has."""
    if isinstance(layer, ClipConv):
        return 2, 0
    if not isinstance(layer, _ConvNd):
        return x.ndim - 1, 0
    places = len(layer.kernel_size)
    return x.ndim - places - 1, places


def operand_of(x: Tensor) -> tuple[Operand, int, int]:
    """What the values of a tensor are; the smallest and the largest, where they are whole."""
    if x.dtype == torch.bool:
        return "binary", 0, 1
    if x.numel() == 0:
        return "binary", 0, 0
    if x.is_cpu and x.dtype in PLAIN:
        whole, low, high = _whole_values(x.detach().numpy())
    else:
        whole = torch.equal(x, x.round())
        low, high = (v.item() for v in x.aminmax()) if whole else (0, 0)
    if not whole or math.isinf(low) or math.isinf(high):
        return "real", 0, 0
    return ("binary", 0, 1) if low >= 0 and high <= 1 else ("integer", int(low), int(high))


def _whole_values(x: np.ndarray) -> tuple[bool, float, float]:
    """Whether all values are whole; the smallest and the largest of these. NumPy takes a fifth of PyTorch's time."""
    # most real values show themselves at once; Python looks at a few in less time than NumPy
    if (
        not x.item(x.size // 2).is_integer()
        or not all(map(float.is_integer, _some(x).tolist()))
        or not bool((np.rint(x) == x).all())
    ):
        return False, 0.0, 0.0
    return True, float(x.min()), float(x.max())


def _some(x: np.ndarray) -> np.ndarray:
    """Some of the values, without a copy of the others: from all over, for channels without a spike are zero. An even
    step would meet the same few channels again and again."""
    while x.ndim != 1:
        x = x.reshape(-1) if x.flags.c_contiguous else x[0]
    return x[:: x.size // SAMPLE | 1]


def unit_of(x: Tensor) -> float:
    """What a spike is worth, if real values are 0 or one and the same number; otherwise 0."""
    start = x.flatten()[:PREFIX] if x.is_contiguous() else x
    unit = start.amax()
    if unit <= 0 and start.numel() < x.numel():
        # silent at first
        start, unit = x, x.amax()
    if unit <= 0 or not bool(((start == 0) | (start == unit)).all()) or not bool(((x == 0) | (x == unit)).all()):
        return 0.0
    return float(unit)


def counts_of(spikes: Tensor, neuron: NeuronConfig) -> Tensor:
    """Spikes of each time step as whole numbers, sub-steps summed up, whatever a spike is worth."""
    counts = collected(spikes, neuron)
    return counts if neuron.unit == 1 else (counts / neuron.unit).round()


def one_sub_step(x: Tensor, module: nn.Module) -> Tensor:
    """The part of an operand that has the size of all time steps; all of it where nothing is replayed."""
    replays = isinstance(module, OnSpikes) and module.neuron.replays
    return x[: len(x) // module.neuron.sub_steps] if replays else x


def seen_again(x: Tensor, layer: nn.Module, output: Tensor, seen: Contents) -> Contents | None:
    """What x holds, the operand of a layer, if it is the whole `output` of a neuron in one of the ways layers take it.

    output: [T, B, ...], or more where sub-steps are replayed; None for any other view, which has to be looked at.
    """
    if x.storage_offset() != output.storage_offset() or len(seen.lead) != 2:
        return None
    lead, shape, stride = seen.lead, tuple(output.shape), output.stride()
    if x.ndim == len(shape):
        if isinstance(layer, nn.Linear):
            shape, stride = ((*v[:2], *v[3:], v[2]) for v in (shape, stride))
    elif (step := _step(shape, stride)) is not None:
        lead, (shape, stride) = (prod(lead),), ((shape[0] * shape[1], *shape[2:]), (step, *stride[2:]))
        if x.ndim == 3 < len(shape) and output.is_contiguous():
            shape, stride = (*shape[:2], prod(shape[2:])), (*stride[:2], 1)
    if x.shape != shape or not _alike(shape, x.stride(), stride) or not _fits(layer, x, len(lead)):
        return None
    if lead == seen.lead:
        return seen
    # `replace` takes three times as long
    return Contents(
        operand=seen.operand,
        levels=seen.levels,
        lead=lead,
        sums=seen.sums,
        seen=seen,
        each=seen.each,
        unit=seen.unit,
        rate=seen.rate,
    )


def _step(shape: tuple[int, ...], stride: tuple[int, ...]) -> int | None:
    """The stride of the first two axes as one; None where they cannot be. That of an axis of one entry says nothing."""
    if shape[1] == 1:
        return stride[0]
    return stride[1] if shape[0] == 1 or stride[0] == shape[1] * stride[1] else None


def _alike(shape: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether two strides find the same values."""
    return a == b or all(n == 1 or i == j for n, i, j in zip(shape, a, b, strict=True))


def _fits(layer: nn.Module, x: Tensor, lead: int) -> bool:
    """Whether the layer takes the axis after the first ones for its channels."""
    return isinstance(layer, nn.Linear) or axes_of(layer, x)[0] == lead
