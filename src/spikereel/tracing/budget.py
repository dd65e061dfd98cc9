"""What a trace takes, known before anything runs: all of it, or named layers as rates alone, or one error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from spikereel.energy.costs import COSTS
from spikereel.energy.layer import PARTS
from spikereel.errors import ConfigError, DataError
from spikereel.tracing.layers import Layer

Fit = Literal["error", "reduce"]

NUMBERED = 8 + 8 + 8 + 1
"""Bytes of a frame: its number, its time, that of its answer, and whether the state began anew."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is to be kept, and how much room there is."""

    frames: int
    memory: int
    """Bytes."""
    fit: Fit
    pictures: int
    """Bytes of the picture of a frame."""
    neurons: Mapping[str, np.ndarray]
    energy: bool
    answer: int
    """Bytes of the output of a frame."""
    state: int
    """Bytes of the state, once."""

    def __post_init__(self) -> None:
        if self.memory < 1 or self.fit not in get_args(Fit):
            raise ConfigError(f"memory is {self.memory} and fit {self.fit!r}: give bytes above 0, and error or reduce")

    def other(self, layers: Sequence[Layer]) -> int:
        """Bytes of a frame besides spikes: rates, membranes, pictures, energy, output, and what numbers it."""
        membranes = sum(9 * len(x) for x in self.neurons.values())
        energy = 8 * len(COSTS) * (len(PARTS) + 1) if self.energy else 0
        return 8 * len(layers) + membranes + self.pictures + energy + self.answer + NUMBERED


def fitted(layers: Sequence[Layer], kept: set[str], budget: Budget) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """The layers, those that are kept marked, and notes on those that did not fit.

    Raises DataError where there is no room, and fit="error" or where not even rates have any.
    """
    once = budget.state + 8 * sum(map(len, budget.neurons.values()))
    room = (budget.memory - once) // max(budget.frames, 1) - budget.other(layers)
    recorded = sorted((x for x in layers if x.name in kept), key=lambda x: -x.bytes)
    needed = sum(x.bytes for x in recorded)
    if needed <= room:
        return tuple(replace(x, recorded=x.name in kept) for x in layers), ()
    dropped: list[Layer] = []
    while recorded and needed > room:
        dropped.append(recorded.pop(0))
        needed -= dropped[-1].bytes
    total = once + budget.frames * (needed + sum(x.bytes for x in dropped) + budget.other(layers))
    if budget.fit == "error" or needed > room:
        raise DataError(
            f"a trace of {budget.frames} frames takes {total / 1e6:.4g} MB, memory is {budget.memory / 1e6:.4g} MB; "
            'keep fewer layers, allow more memory, or keep rates alone of what does not fit: fit="reduce", --reduce'
        )
    left = {x.name for x in recorded}
    names = ", ".join(x.name for x in dropped)
    note = (
        f"of {len(dropped)} of {len(layers)} layers rates alone are kept, {total / 1e6:.4g} MB would not fit into "
        f"{budget.memory / 1e6:.4g} MB: {names}"
    )
    return tuple(replace(x, recorded=x.name in left) for x in layers), (note,)
