"""Sums over clips: which time steps each call saw, once a clip is through, and what that makes of a layer."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from torch import Tensor, nn

from spikereel.energy.costs import spike_bits
from spikereel.energy.neurons import Candidate
from spikereel.energy.order import time_first
from spikereel.energy.passport import Origin, Passport
from spikereel.energy.products import Products, uncounted
from spikereel.energy.steps import ORDER, Axes, Place
from spikereel.energy.tally import Call, Mean, Placed, Tally, rate_of
from spikereel.energy.workload import Workload
from spikereel.layers.modes import submodules
from spikereel.layers.neuron import Neuron
from spikereel.models.base import VideoModel

PACKAGES = ("spikereel", "torch")

WHOLE = Place("time")
"""All time steps, in their order."""


class Sums:
    """What calls add up to: layers, neurons and their rates. `finish` places the calls of a clip."""

    exact = True

    def __init__(self, model: nn.Module, *, steps: int, axes: Sequence[str]):
        self.model, self.steps = model, steps
        self.modules = submodules(model)
        self.whole = isinstance(model, VideoModel)
        self.ours = any(isinstance(m, Neuron) for m in self.modules.values())
        self.trusted = self.whole and all(map(_keeps, self.modules.values()))
        """Nothing but our own code and PyTorch's runs, which changes no spikes in place."""
        first = self.ours or "T" not in axes or axes.index("T") < axes.index("B")
        self.axes = Axes(steps, looped=False if self.whole else None, time_first=first)
        self.products = None if self.whole else Products()
        self.tallies: dict[str, Tally] = {}
        self.candidates: dict[str, Candidate] = {}
        self.neurons: dict[str, list[Call]] = {}
        """Calls of neurons of ours in the clip that runs."""
        self.firing: dict[str, Mean] = {}
        self.updates: dict[str, float] = {}
        self.samples = self.batch = 0
        self.workload = Workload(self.modules)
        self.batch_axis = axes.index("B")
        self.order_known = self.ours or steps == 1
        self.doubts: tuple[str, ...] = ()

    def tally(self, name: str, kind: str) -> Tally:
        """The sums of a layer."""
        found = self.tallies.get(name)
        if found is None:
            found = self.tallies[name] = Tally(name, kind, self.steps)
        return found

    def finish(self, clip: Tensor) -> None:
        """Decide which time steps each call saw, and add the clip up."""
        self.neurons |= {n: c.calls for n, c in self.candidates.items() if c.is_neuron and c.calls}
        tallies = [t for t in self.tallies.values() if t.calls]
        groups = [*(t.calls for t in tallies), *self.neurons.values()]
        self.axes.decide([[call.contents.lead for call in calls] for calls in groups], self.batch)
        self._learn_order(clip, tallies)
        pace = self._pace(groups)
        found = {calls[0].name: Placed(calls, self._places(calls, pace), self.axes, self.batch) for calls in groups}
        for name in self.neurons:
            self._fire(name, found[name])
        known = {call for calls in groups for call in calls if not call.contents.real}
        for tally in tallies:
            for call, place in zip(tally.calls, found[tally.name].places, strict=True):
                self._add(tally, call, place, found, known)
        for each in (*self.tallies.values(), *self.candidates.values()):
            each.calls = []

    def _places(self, calls: list[Call], pace: list[int]) -> list[Place]:
        leads = [call.contents.lead for call in calls]
        before = calls[0].layer
        named = [calls[0].name, *([before.name] if before is not None else [])] if self.axes.orders else ()
        return self.axes.places(leads, [call.at for call in calls], pace, self.batch, named)

    def _pace(self, groups: list[list[Call]]) -> list[int]:
        """When the time steps of the clip began: the calls of the first module that was called once in each."""
        found = [
            calls
            for calls in groups
            if len(calls) == self.steps and all("one" in self.axes.forms(c.contents.lead, self.batch) for c in calls)
        ]
        first = min(found, key=lambda calls: calls[0].at, default=[])
        return [call.at for call in first]

    def _learn_order(self, clip: Tensor, tallies: list[Tally]) -> None:
        """Whether time or batch comes first where the model has folded them, layer by layer, once a model."""
        if self.order_known:
            return
        marks = {
            tally.name: (call.marks, min(len(call.contents.lead), 2))
            for tally in tallies
            if (call := tally.calls[0]).marks is not None and self._places(tally.calls, [])[0].form != "one"
        }
        if not marks:
            return
        self.order_known = True
        self.axes.orders = time_first(self.model, clip, marks, steps=self.steps, batch=self.batch, axis=self.batch_axis)
        if self.axes.orders:
            self.axes.time_first = next(iter(self.axes.orders.values()))
        else:
            self.doubts = (ORDER,)

    def _fire(self, name: str, placed: Placed) -> None:
        firing = self.firing.setdefault(name, Mean(self.steps))
        for call, place in zip(placed.calls, placed.places, strict=True):
            firing.add(place, placed.rate(call, place), self.batch)
            self.updates[name] = self.updates.get(name, 0.0) + call.values
            active = call.contents.total if call.active is None else call.active
            self.workload.fire(call.values, active)
            if call.layer is not None:
                call.layer.fire(call.values, None if call.contents.real else spike_bits(call.contents.levels))

    def _add(self, tally: Tally, call: Call, place: Place, found: dict[str, Placed], known: set[Call]) -> None:
        """Add a call to the sums of its layer."""
        contents, plan, times = call.contents, call.plan, 1
        meets = plan.meets(contents, place, self.axes, self.batch) if plan is not None else None
        if plan is not None and self.exact:
            self.workload.meet(plan, contents, meets, call.looked)
        if call.mean is not None and len(tally.calls) == 1:
            # as many operations as one product a time step
            contents, times, place = call.mean, self.steps, WHOLE
            meets = contents.spikes * plan.fan if contents.sums is not None and plan is not None else None
        tally.see(contents)
        tally.add(call.macs * times, call.inner * times, call.folds)
        tally.inputs += call.values
        if not contents.real:
            own = contents is call.contents
            rate = found[tally.name].rate(call, place) if own else rate_of(contents, place, self.axes, self.batch)
            tally.rate.add(place, rate, self.batch)
            if meets is not None:
                tally.meet(place, meets)
            return
        # a real operand has the rate of the spikes before it, which the papers count it at; 1 without any
        source = call.source
        while source is not None and source not in known:
            source = source.source
        tally.analog, tally.counted = tally.analog or source is None, False
        rate = np.ones(self.steps) if source is None or tally.analog else found[source.name].mean
        alike = place.form == "one" and place.step is None
        rate = rate.mean(keepdims=True) if alike else rate if place.step is None else rate[place.step : place.step + 1]
        tally.rate.add(place, rate, self.batch)

    def passport(self, clip: tuple[int, ...], *, views: int, origin: Origin, notes: tuple[str, ...] = ()) -> Passport:
        """What was counted, per clip of one sample."""
        n = self.samples
        products = {} if self.products is None else self.products.seen
        unseen = uncounted(self.modules, products, set(self.tallies))
        mixed = [name for name, x in self.tallies.items() if x.kind != "attention" and x.saw_spikes and x.saw_values]
        if mixed:
            unseen += (f"took spikes and real values, all counted as multiply-accumulates: {', '.join(mixed)}",)
        return Passport(
            clip=clip,
            clips=n,
            views=views,
            origin=origin,
            notes=(*unseen, *self.doubts, *notes),
            layers=tuple(x.cost(n, exact=self.exact) for x in self.tallies.values()),
            firing={name: tuple(rate.value().tolist()) for name, rate in self.firing.items()},
            updates={name: x / n for name, x in self.updates.items()},
            workload=self.workload.figures(n) if self.exact else None,
        )


def _keeps(module: nn.Module) -> bool:
    """Whether a module is ours or PyTorch's, without hooks of others, a `forward` of its own, or compiled code."""
    hooks = module._forward_hooks or module._forward_pre_hooks
    own = "forward" in module.__dict__ or module._compiled_call_impl is not None
    return not (hooks or own) and _package(type(module)) in PACKAGES


@cache
def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
