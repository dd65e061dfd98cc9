"""Running sums over clips: what a layer does, and the firing rate of a neuron."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from torch import Tensor

from spikereel.energy.contents import Contents, Figures
from spikereel.energy.counts import Plan
from spikereel.energy.layer import LayerCost, Operand, wider
from spikereel.energy.steps import Axes, Place


@dataclass(kw_only=True, eq=False, slots=True)
class Call:
    """One call of a module within a clip, until it is known which time steps it saw."""

    name: str
    contents: Contents
    """Of the operand of a layer, of the output of a neuron."""
    at: int
    """Calls of all modules before it."""
    values: int = 0
    """Values of the operand or the output."""
    active: float | None = 0.0
    """Of the output of a neuron: those that are not zero; None: as many as spikes."""
    macs: float = 0.0
    inner: float = 0.0
    plan: Plan | None = None
    """Of a layer."""
    looked: float | None = None
    """What `spikereel.energy.workload` had to see of the operand."""
    folds: tuple[float, float] = (1.0, 1.0)
    mean: Contents | None = None
    """Where the operand can be spikes averaged over time: what these are in one time step."""
    marks: Tensor | None = None
    """See `spikereel.energy.order`."""
    source: "Call | None" = None
    """The spikes that came last before it."""
    layer: "Tally | None" = None
    """The weight layer that came last before a neuron."""


class Mean:
    """The firing rate of each time step, averaged over clips and over the calls that saw the step."""

    def __init__(self, steps: int):
        self.sums = np.zeros(steps)
        self.samples: Figures | float = 0.0
        """Of all steps alike, until one is noted by itself."""

    def add(self, place: Place, rate: Figures, batch: int) -> None:
        """Note the rate of a call, [T] or [1]."""
        if place.step is None:
            self.sums += rate * batch
            self.samples += batch
            return
        if not isinstance(self.samples, np.ndarray):
            self.samples = np.full(len(self.sums), self.samples)
        self.sums[place.step] += float(rate[0]) * batch
        self.samples[place.step] += batch

    def value(self) -> Figures:
        """[T]."""
        n = self.samples
        return self.sums / (np.maximum(n, 1) if isinstance(n, np.ndarray) else max(n, 1))


class Tally:
    """Running sums of one layer."""

    def __init__(self, name: str, kind: str, steps: int):
        self.name, self.kind, self.steps = name, kind, steps
        self.macs = self.inner = self.folded = self.fused = self.inputs = self.intermediates = 0.0
        self.neurons = self.membranes = self.spike_bits = 0.0
        self.operand: Operand = "binary"
        self.analog = self.merged = False
        self.saw_spikes = self.saw_values = False
        self.counted = True
        self.weights = self.levels = 0
        self.rate = Mean(steps)
        self.synops = np.zeros(steps)
        self.calls: list[Call] = []
        """Of the clip that runs."""

    def see(self, contents: Contents) -> None:
        """Note what enters."""
        self.saw_values |= contents.real
        self.saw_spikes |= not contents.real and contents.sums is not None and bool(contents.total)
        self.operand = wider(self.operand, contents.operand)
        self.levels = max(self.levels, contents.levels)

    def add(self, macs: float, inner: float, folds: tuple[float, float]) -> None:
        """Note dense operations."""
        self.macs += macs
        self.inner += inner
        self.folded += macs * folds[0]
        self.fused += macs * folds[1]

    def fire(self, outputs: float, bits: int | None) -> None:
        """Note what the neurons behind the layer gave; bits of a spike, None for artificial neurons."""
        self.neurons += outputs
        if bits is not None:
            self.membranes += outputs
            self.spike_bits += outputs * bits

    def meet(self, place: Place, operations: Figures) -> None:
        """Note synaptic operations of a call, [T] or [1]; those of no step in particular are spread over all."""
        if place.form == "one" and place.step is None:
            self.synops += operations.sum() / self.steps
        elif place.step is None:
            self.synops += operations
        else:
            self.synops[place.step] += operations.sum()

    def cost(self, samples: int, *, exact: bool) -> LayerCost:
        """The sums as a row of the passport, per clip of one sample; exact: synaptic operations were counted."""
        return LayerCost(
            name=self.name,
            kind=self.kind,
            macs=self.macs / samples,
            inner_macs=self.inner / samples,
            folded_macs=self.folded / samples,
            fused_macs=self.fused / samples,
            operand=self.operand,
            rate=tuple(self.rate.value().tolist()),
            analog=self.analog,
            synops=tuple((self.synops / samples).tolist()) if self.counted and exact else None,
            merged=self.merged,
            levels=0 if self.operand == "real" else max(self.levels, 1),
            inputs=self.inputs / samples,
            weights=self.weights,
            intermediates=self.intermediates / samples,
            neurons=self.neurons / samples,
            membranes=self.membranes / samples,
            spike_bits=self.spike_bits / samples,
        )


def rate_of(contents: Contents, place: Place, axes: Axes, batch: int) -> Figures:
    """The firing rate of a call: [T], or [1] for a call that saw one step."""
    if contents.rate is not None:
        return contents.rate
    sums = axes.spikes(contents, place, batch if place.form != "time" else 1)
    return sums * len(sums) / max(contents.each * prod(contents.lead), 1)


class Placed:
    """The calls of a module within a clip, and which time steps each of them saw."""

    def __init__(self, calls: list[Call], places: list[Place], axes: Axes, batch: int):
        self.calls, self.places, self.axes, self.batch = calls, places, axes, batch
        self.rates: dict[Call, Figures] = {}

    def rate(self, call: Call, place: Place) -> Figures:
        """Of one of the calls, see `rate_of`; worked out once."""
        if call not in self.rates:
            self.rates[call] = rate_of(call.contents, place, self.axes, self.batch)
        return self.rates[call]

    @cached_property
    def mean(self) -> Figures:
        """[T]: the rate of the spikes of the module in this clip."""
        mean = Mean(self.axes.steps)
        for call, place in zip(self.calls, self.places, strict=True):
            if not call.contents.real:
                mean.add(place, self.rate(call, place), self.batch)
        return mean.value()
