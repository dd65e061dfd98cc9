"""Spikes of a file and of its model, layer by layer: how many differ, where that begins, and by how little."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Part

ROUNDING = 1e-5
"""Of a membrane: what sums in another order may move it by. Less than half a spike up to 50,000 thresholds, and beyond
that no charge is near one."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Decisions of one neuron layer: neurons times calls."""

    name: str
    decisions: int
    from_zero: int
    """Spikes that differ where the file runs on from its own states, from zero."""
    from_states: int
    """Spikes that differ where every call begins with the state of the model."""
    first: int = 0
    """Of those that differ, the ones in calls in which no layer before does: where it begins."""
    distance: float = 0.0
    """Largest distance of their charges from where the decision changes: rounding alone is some 1e-6."""

    @property
    def verdict(self) -> str:
        """faithful: not one spike differs; approximate: some do."""
        return "approximate" if self.from_zero or self.from_states else "faithful"


def compared(contract: Contract, i: int, ours: list[Tensor], mine: list[Tensor], forced: list[Tensor]) -> Layer:
    """The i-th part of a state after one call; with where its spikes differ from equal states, else from its own."""
    part, expected = contract.parts[i], ours[i]
    free, off = (differ(part, expected, found[i]) for found in (mine, forced))
    where, found = (off, forced[i]) if off.any() else (free, mine[i])
    return Layer(
        name=part.name,
        decisions=expected.numel(),
        from_zero=int(free.sum()),
        from_states=int(off.sum()),
        first=int(where.sum()),
        distance=_distance(part, contract.neurons[part.name], expected[where], found[where]),
    )


def first_alone(layers: list[Layer]) -> list[Layer]:
    """`first` of the first layer that differs, from equal states where one does so."""
    some = [i for i, x in enumerate(layers) if x.from_states] or [i for i, x in enumerate(layers) if x.from_zero]
    return [x if i in some[:1] else replace(x, first=0, distance=0.0) for i, x in enumerate(layers)]


def differ(part: Part, a: Tensor, b: Tensor) -> Tensor:
    """Which neurons spiked otherwise, of membranes after a call."""
    assert part.jump is not None
    a, b = a.double(), b.double()
    # a membrane of millions is off by more than a spike takes through rounding alone
    near = torch.maximum(a.abs(), b.abs()).mul(ROUNDING).clamp_min(part.jump / 2)
    # what is no number differs
    return ~((a - b).abs() <= near)


def rounding_of_sum(part: Part, x: Tensor) -> float:
    """What the sum of a layer's membranes may be off by with not one spike another: rounding errors are independent.

    Of millions of neurons it is half a spike still; only membranes of many thousands make it more.
    """
    assert part.jump is not None
    return max(part.jump / 2, ROUNDING * float(x.double().square().sum().sqrt()))


def _distance(part: Any, neuron: dict[str, Any], a: Tensor, b: Tensor) -> float:
    """How far the charges were from where a decision changes, of membranes of which one has spiked once more."""
    if neuron["kind"] == "ilif":
        # what is left of a charge between two counts is a half
        left = torch.minimum(0.5 - a.abs(), 0.5 - b.abs())
    else:
        # the one that did not spike has its charge still
        charge = torch.maximum(a, b) if neuron["reset"] == "soft" else torch.where(a == part.start, b, a)
        left = neuron["threshold"] - charge
    return float(left.abs().nan_to_num(torch.inf).max()) if left.numel() else 0.0


def added(known: Layer | None, x: Layer) -> Layer:
    """Of all calls so far and one more."""
    if known is None:
        return x
    return Layer(
        name=x.name,
        decisions=known.decisions + x.decisions,
        from_zero=known.from_zero + x.from_zero,
        from_states=known.from_states + x.from_states,
        first=known.first + x.first,
        distance=max(known.distance, x.distance),
    )


def summary(layers: Sequence[Layer]) -> str:
    """One line for a terminal."""
    total = sum(x.decisions for x in layers)
    zero, states = sum(x.from_zero for x in layers), sum(x.from_states for x in layers)
    off = [x.name for x in layers if x.verdict != "faithful"]
    said = f"{len(layers) - len(off)} of {len(layers)} neuron layers faithful; of {total:,} decisions {zero} differ"
    said += f", {states} from equal states"
    if not off:
        return said
    said += f"; approximate: {', '.join(off[:3])}{', ...' if len(off) > 3 else ''}"
    begins = [f"{x.name} ({x.first}, within {x.distance:.1g} of the threshold)" for x in layers if x.first]
    return f"{said}; begins at {', '.join(begins[:3])}{', ...' if len(begins) > 3 else ''}" if begins else said
