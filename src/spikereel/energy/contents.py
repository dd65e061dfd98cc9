"""What a tensor holds, looked at and never assumed: binary spikes, whole numbers, or real values."""

import torch
from torch import Tensor, nn

from spikereel.energy.layer import Operand
from spikereel.layers.conv import OnSpikes
from spikereel.layers.neuron import NeuronConfig, collected

PREFIX = 1024
"""Values looked at first: most real-valued tensors show themselves there."""


class Contents:
    """What a tensor was seen to hold.

    sums: spikes of each time step and place, over batch and channels, float64 [S, places]. rate: their mean, [S].
    S is the number of time steps that were looked at: those of the clip, or one. Both are None for real values.
    """

    def __init__(self, operand: Operand, levels: int, sums: Tensor | None = None, rate: Tensor | None = None):
        self.operand, self.levels, self.sums, self.rate = operand, levels, sums, rate


def operand_of(x: Tensor) -> tuple[Operand, int, int]:
    """What the values of a tensor are; the smallest and the largest, where they are whole."""
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


def counts_of(spikes: Tensor, neuron: NeuronConfig) -> Tensor:
    """Spikes of each time step as whole numbers, sub-steps summed up, whatever a spike is worth."""
    counts = collected(spikes, neuron)
    return counts if neuron.unit == 1 else (counts / neuron.unit).round()


def one_sub_step(x: Tensor, module: nn.Module) -> Tensor:
    """The part of an operand that has the size of all time steps; all of it where nothing is replayed."""
    return x[: len(x) // module.neuron.sub_steps] if isinstance(module, OnSpikes) else x
