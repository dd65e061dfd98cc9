"""Running sums over clips: what a layer does, and the firing rate of a neuron."""

import torch
from torch import Tensor

from spikereel.energy.contents import Contents
from spikereel.energy.layer import LayerCost, Operand, wider


class Mean:
    """The firing rate of each time step, averaged over clips and over the calls that saw the step."""

    def __init__(self, steps: int):
        self.sums = torch.zeros(steps, dtype=torch.float64)
        self.samples = torch.zeros(steps, dtype=torch.float64)

    def add(self, at: slice, rate: Tensor, batch: int) -> None:
        self.sums[at] += rate * batch
        self.samples[at] += batch

    def value(self) -> Tensor:
        return self.sums / self.samples.clamp_min(1)


class Tally:
    """Running sums of one layer."""

    def __init__(self, kind: str, steps: int):
        self.kind = kind
        self.macs = self.inner = self.folded = self.fused = self.inputs = self.intermediates = 0.0
        self.neurons = self.membranes = self.spike_bits = 0.0
        self.operand: Operand = "binary"
        self.analog = self.merged = False
        self.counted = self.at_once = True
        self.weights = self.levels = self.calls = 0
        self.rate = Mean(steps)
        self.synops = torch.zeros(steps, dtype=torch.float64)

    def see(self, look: Contents) -> None:
        self.operand = wider(self.operand, look.operand)
        self.levels = max(self.levels, look.levels)

    def add(self, macs: float, inner: float, folds: tuple[float, float], inputs: float) -> None:
        self.macs += macs
        self.inner += inner
        self.folded += macs * folds[0]
        self.fused += macs * folds[1]
        self.inputs += inputs

    def spread(self) -> tuple[Tensor, Tensor]:
        """Rate and operations of a layer that sees the whole clip in one call, its time hidden: all steps alike."""
        steps = len(self.synops)
        return self.rate.value().sum().expand(steps), (self.synops.sum() / steps).expand(steps)

    def cost(self, name: str, samples: int, *, exact: bool) -> LayerCost:
        """The sums as a row of the passport, per clip of one sample; exact: synaptic operations were counted."""
        once = self.at_once and self.calls == 1 and len(self.synops) > 1
        rate, synops = self.spread() if once else (self.rate.value(), self.synops)
        return LayerCost(
            name=name,
            kind=self.kind,
            macs=self.macs / samples,
            inner_macs=self.inner / samples,
            folded_macs=self.folded / samples,
            fused_macs=self.fused / samples,
            operand=self.operand,
            rate=tuple(rate.tolist()),
            analog=self.analog,
            synops=tuple((synops / samples).tolist()) if self.counted and exact else None,
            merged=self.merged,
            levels=0 if self.operand == "real" else max(self.levels, 1),
            inputs=self.inputs / samples,
            weights=self.weights,
            intermediates=self.intermediates / samples,
            neurons=self.neurons / samples,
            membranes=self.membranes / samples,
            spike_bits=self.spike_bits / samples,
        )
