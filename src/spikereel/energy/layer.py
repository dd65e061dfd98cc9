"""What a layer costs, as counted: the rows that cost models, opponents and passports work on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

Operand = Literal["binary", "integer", "real"]

PARTS = ("mac", "ac", "attention", "neurons", "memory")


class Split(dict[str, list[float]]):
    """Picojoules of each time step by part: mac, ac, attention, neurons, memory."""

    @property
    def total(self) -> float:
        """Picojoules of all parts and time steps."""
        return sum(sum(x) for x in self.values())


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """One weight layer or attention product, per clip of one sample."""

    name: str
    kind: str
    macs: float
    """Dense multiply-accumulates, those on padding included, as FLOP counters give them."""
    inner_macs: float
    """Those without the ones on padding zeros."""
    folded_macs: float
    """Dense multiply-accumulates with every RepConv folded into one dense 3x3."""
    fused_macs: float
    """The same with SepConv's depthwise 7x7 and the 1x1 after it folded as well."""
    operand: Operand
    """What was observed at the input."""
    rate: tuple[float, ...]
    """Per time step: firing rate of the spikes that enter the chain this layer belongs to; 1 for an analog input."""
    analog: bool
    """No spikes come before this layer: it is a multiply-accumulate in every cost model."""
    synops: tuple[float, ...] | None = None
    """Exact synaptic operations of each time step; None for real operands, and where rates were only stated."""
    merged: bool = False
    """Inside a chain of linear layers that its authors count as one layer on spikes."""
    levels: int = 1
    """Most spikes of one place and time step that were observed: 1 for binary ones unless they replay counts, 0 for
    real operands."""
    inputs: float = 0.0
    """Values of the operand, read once."""
    weights: int = 0
    intermediates: float = 0.0
    """Attention: values of k^T v, written and read; contrast: the mean of the past, at every step."""
    neurons: float = 0.0
    """Outputs of the neurons that come after this layer and before the next."""
    membranes: float = 0.0
    """Updates of membranes among them: all of them, or none for artificial neurons."""
    spike_bits: float = 0.0
    """Bits of the spikes among them."""

    @property
    def stage(self) -> str:
        """First part of the name."""
        return self.name.split(".")[0]


class Counted(Protocol):
    """A clip whose layers were counted: a passport, or what has these of it."""

    @property
    def clip(self) -> tuple[int, ...]:
        """[T, C, H, W]."""
        ...

    @property
    def layers(self) -> tuple[LayerCost, ...]:
        """In order of execution."""
        ...

    @property
    def firing(self) -> dict[str, tuple[float, ...]]:
        """Firing rate of every neuron, per time step."""
        ...


def wider(a: Operand, b: Operand) -> Operand:
    """The operand that holds both."""
    return max(a, b, key=("binary", "integer", "real").index)


def largest_spike(layers: Iterable[LayerCost]) -> int:
    """Most spikes of one place and time step that any layer saw."""
    return max((layer.levels for layer in layers if layer.operand != "real"), default=1)
