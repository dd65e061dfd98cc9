"""What a tensor holds, looked at and never assumed: binary spikes, whole numbers, or real values."""

from dataclasses import dataclass, replace
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
"""Values looked at first: most real-valued tensors show themselves there."""


@dataclass(kw_only=True, eq=False)
class Contents:
    """What a tensor was seen to hold."""

    operand: Operand
    levels: int = 0
    """Most spikes of one value; 0 for real ones."""
    lead: tuple[int, ...] = ()
    """Sizes of the first axes: time, batch and tokens, in whatever order the model has them."""
    spikes: Figures | None = None
    """float64 [*lead], spikes of all channels and places; None for real values."""
    planes: Figures | None = None
    """The same for each place: float64 [*lead, places]."""
    each: int = 1
    """Values behind one entry of `spikes`."""
    unit: float = 1.0
    """What a spike is worth."""
    rate: Figures | None = None
    """float64 [T], where firing rates are stated and nothing is counted."""

    @property
    def real(self) -> bool:
        """No spikes."""
        return self.operand == "real"


def look(x: Tensor, lead: int, places: int, *, scaled: bool = False) -> Contents:
    """What x [*lead, channels ..., *places] holds; lead, places: numbers of axes.

    scaled: spikes may be worth something else than 1, all of them the same.
    """
    operand, low, high = operand_of(x)
    if operand == "real":
        if scaled and (unit := unit_of(x)):
            return replace(summed(x != 0, "binary", 1, lead, places), unit=unit)
        return Contents(operand=operand, lead=tuple(x.shape[:lead]))
    return summed(x if low >= 0 else x.abs(), operand, max(high, -low, 1), lead, places)


def summed(counts: Tensor, operand: Operand, levels: int, lead: int, places: int) -> Contents:
    """As `look`, of counts that are known to be whole and not negative."""
    wide = torch.promote_types(counts.dtype, torch.float32)
    channels = tuple(range(lead, counts.ndim - places))
    planes = counts.sum(channels, dtype=wide) if channels else counts.to(wide)
    sizes = tuple(counts.shape[:lead])
    planes = planes.reshape(*sizes, -1).cpu().numpy().astype(np.float64)
    each = counts.numel() // max(prod(sizes), 1)
    return Contents(operand=operand, levels=levels, lead=sizes, spikes=planes.sum(-1), planes=planes, each=each)


def active(x: Tensor, seen: Contents) -> float:
    """How many values are not zero, of a tensor that was looked at."""
    binary = seen.levels == 1 and seen.spikes is not None
    return float(seen.spikes.sum()) if binary else float(torch.count_nonzero(x))


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
    start = x.flatten()[:PREFIX] if x.is_contiguous() else x
    if not bool((start == start.round()).all()):
        return "real", 0, 0
    # only 0 and 1 are their own squares
    if torch.equal(x * x, x):
        return "binary", 0, 1
    if not bool((x == x.round()).all()):
        return "real", 0, 0
    low, high = (int(v) for v in x.aminmax())
    return "integer", low, high


def unit_of(x: Tensor) -> float:
    """What a spike is worth, if real values are 0 or one and the same number; otherwise 0."""
    start = x.flatten()[:PREFIX] if x.is_contiguous() else x
    unit = start.amax()
    if unit <= 0 or not bool(((start == 0) | (start == unit)).all()) or not bool(((x == 0) | (x == unit)).all()):
        return 0.0
    return float(unit)


def counts_of(spikes: Tensor, neuron: NeuronConfig) -> Tensor:
    """Spikes of each time step as whole numbers, sub-steps summed up, whatever a spike is worth."""
    counts = collected(spikes, neuron)
    return counts if neuron.unit == 1 else (counts / neuron.unit).round()


def one_sub_step(x: Tensor, module: nn.Module) -> Tensor:
    """The part of an operand that has the size of all time steps; all of it where nothing is replayed."""
    return x[: len(x) // module.neuron.sub_steps] if isinstance(module, OnSpikes) else x


def seen_again(x: Tensor, layer: nn.Module, output: Tensor, seen: Contents) -> Contents | None:
    """What x holds, the operand of a layer, if it is the whole `output` of a neuron in one of the ways layers take it.

    output: [T, B, ...], or more where sub-steps are replayed; None for any other view, which has to be looked at.
    """
    if x.storage_offset() != output.storage_offset() or len(seen.lead) != 2:
        return None
    folded = output.stride(0) == output.shape[1] * output.stride(1)
    ways = [(output.movedim(2, -1) if isinstance(layer, nn.Linear) else output, seen.lead)]
    if folded:
        flat = output.flatten(0, 1)
        ways.append((flat, (prod(seen.lead),)))
        if flat.ndim > 3 and flat.is_contiguous():
            ways.append((flat.flatten(2), (prod(seen.lead),)))
    for view, lead in ways:
        if x.shape == view.shape and x.stride() == view.stride() and _fits(layer, x, len(lead)):
            spikes = None if seen.spikes is None else seen.spikes.reshape(lead)
            planes = None if seen.planes is None else seen.planes.reshape(*lead, -1)
            return replace(seen, lead=lead, spikes=spikes, planes=planes)
    return None


def _fits(layer: nn.Module, x: Tensor, lead: int) -> bool:
    """Whether the layer takes the axis after the first ones for its channels."""
    return isinstance(layer, nn.Linear) or axes_of(layer, x)[0] == lead
