"""Running real clips once and counting, through hooks that change nothing.

Operands are looked at, never assumed: what enters a weight layer at a call is binary, integer or real. Spikes are
summed over batch and channels once, which gives firing rates and exact counts at the same time
(`spikereel.energy.counts`). Which time step a call saw is decided at the end of a clip (`spikereel.energy.steps`).
"""

import hashlib
import weakref
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.chains import chains
from spikereel.energy.contents import Contents, axes_of, counts_of, look, one_sub_step, seen_again, summed
from spikereel.energy.costs import spike_bits
from spikereel.energy.counts import fan_out, inner_macs, is_local, reaches
from spikereel.energy.layer import wider
from spikereel.energy.neurons import Candidate, Frame, eligible, forget, observe
from spikereel.energy.order import mark, time_first
from spikereel.energy.passport import Origin, Passport, code_hash
from spikereel.energy.products import Products, uncounted
from spikereel.energy.steps import ORDER, Axes, Place
from spikereel.energy.tally import Call, Mean, Tally, rate_of
from spikereel.energy.unchanged import Kept, first_tensor
from spikereel.errors import DataError
from spikereel.layers.attention import ProductAttention
from spikereel.layers.contrast import Contrast
from spikereel.layers.conv import OnSpikes
from spikereel.layers.modes import mode, submodules
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import WEIGHT_LAYERS, dense_macs
from spikereel.models.base import VideoModel
from spikereel.models.files import weights_hash
from spikereel.models.metadata import Metadata
from spikereel.models.svformer import ClipConv
from spikereel.models.wrappers import unwrapped

LAYOUT = "T B C H W"


def measure(
    model: nn.Module,
    clips: Tensor | Iterable[Tensor],
    *,
    layout: str = LAYOUT,
    steps: int | None = None,
    views: int = 1,
    notes: tuple[str, ...] = (),
) -> Passport:
    """Run clips of one shape through a model in evaluation mode and count.

    model: one of ours, or any other whose convolutions and linear layers are `nn` modules; membranes that a model keeps
    to itself are the same before every clip and afterwards.
    layout: axes of a clip; models from elsewhere may want "B T C H W", "B C T H W" or "B C H W". Where a model loops
    over time, the calls of a layer within a clip are the time steps.
    steps: time steps of a clip, where a model makes more of them than the clip has frames.
    views: views x clips of a decision, for energies of decisions.
    Raises DataError without clips or with clips of unequal shape.
    """
    model = unwrapped(model, VideoModel)
    clips = [clips] if isinstance(clips, Tensor) else list(clips)
    if not clips:
        raise DataError("energy needs at least one clip to measure firing rates on")
    for clip in clips:
        if isinstance(clip, tuple | list):
            raise DataError("clips come with labels here; give the clips alone: measure(model, (x for x, _ in loader))")
        if not isinstance(clip, Tensor):
            raise DataError(f"a clip is a {type(clip).__name__}; give tensors: torch.as_tensor(clip).float()")
    axes = layout.split()
    shapes = {_clip_shape(x, axes) for x in clips}
    if len(shapes) != 1:
        raise DataError(f"energy needs clips of one shape, got {sorted(shapes)}")
    (shape,) = shapes
    shape = (steps or shape[0], *shape[1:])
    meter, seed = Meter(model, steps=shape[0], axes=axes), torch.initial_seed()
    with mode(model, training=False), torch.no_grad():
        for clip in clips:
            meter.run(clip, clip.shape[axes.index("B")])
    return meter.passport(shape, views=views, origin=_origin(model, clips, seed), notes=notes)


def _origin(model: nn.Module, clips: Iterable[Tensor], seed: int) -> Origin:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(clip.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    name = getattr(model, "metadata", Metadata()).name or type(model).__name__
    return Origin(model=name, weights=weights_hash(model), data=digest.hexdigest(), code=code_hash(), seed=seed)


@contextmanager
def metering(model: VideoModel) -> Generator["Run", None, None]:
    """Counts what a model of ours does inside the block, in evaluation mode and without gradients.

    with metering(model) as run:
        logits, state = model(video)
    passport = run.passport()

    Every call of the model is a clip, and all clips have one shape; whoever calls parts of the model says
    `run.begin(clip)` before. Raises DataError for clips of unequal shape.
    """
    run = Run(model)
    hook = model.register_forward_pre_hook(lambda _model, inputs: run.begin(inputs[0]))
    try:
        with mode(model, training=False), torch.no_grad():
            yield run
    finally:
        hook.remove()
        run.end()


class Run:
    """Clips that go through a model while it is metered."""

    def __init__(self, model: VideoModel):
        self.model, self.seed = model, torch.initial_seed()
        self.meter: Meter | None = None
        self.shape: tuple[int, ...] = ()
        self.clips: list[Tensor] = []
        self.counting = ExitStack()

    def begin(self, clip: Tensor) -> None:
        """A clip comes next."""
        self.end()
        axes = LAYOUT.split()
        shape = _clip_shape(clip, axes)
        if self.meter is None:
            self.shape, self.meter = shape, Meter(self.model, steps=shape[0], axes=axes)
        elif shape != self.shape:
            raise DataError(f"energy needs clips of one shape, got {sorted({shape, self.shape})}")
        self.clips.append(clip.detach())
        self.counting.enter_context(self.meter.counting(clip, clip.shape[1]))

    def end(self) -> None:
        """The last clip is through."""
        self.counting.close()

    def passport(self, *, views: int = 1, notes: tuple[str, ...] = ()) -> Passport:
        """What was counted, per clip. Raises DataError where no clip was."""
        self.end()
        if self.meter is None:
            raise DataError("energy needs at least one clip to measure firing rates on")
        origin = _origin(self.model, self.clips, self.seed)
        return self.meter.passport(self.shape, views=views, origin=origin, notes=notes)


def _clip_shape(clip: Tensor, axes: Sequence[str]) -> tuple[int, ...]:
    if clip.ndim != len(axes) or "B" not in axes:
        raise DataError(f"a clip of shape {list(clip.shape)} does not have the axes {' '.join(axes)}; give layout=")
    sizes = dict(zip(axes, clip.shape, strict=True))
    return (sizes.pop("T", 1), *(n for axis, n in sizes.items() if axis != "B"))


class Known(NamedTuple):
    """The output of one of our neurons, and what it holds."""

    output: weakref.ref
    version: int
    contents: Contents


class Meter:
    """Forward hooks that count operations and look at operands."""

    exact = True

    def __init__(self, model: nn.Module, *, steps: int, axes: Sequence[str]):
        self.model, self.steps = model, steps
        self.modules = submodules(model)
        self.whole = isinstance(model, VideoModel)
        self.ours = any(isinstance(m, Neuron) for m in self.modules.values())
        first = self.ours or "T" not in axes or axes.index("T") < axes.index("B")
        self.axes = Axes(steps, looped=False if self.whole else None, time_first=first)
        self.kept = None if self.whole else Kept(model)
        self.products = None if self.whole else Products()
        self.tallies: dict[str, Tally] = {}
        self.candidates: dict[str, Candidate] = {}
        self.firing: dict[str, Mean] = {}
        self.updates: dict[str, float] = {}
        self.samples = 0
        self.folds, self.merged = chains(self.modules.values())
        self.grids: dict[tuple[nn.Module, tuple[int, ...]], tuple[Tensor, float]] = {}
        self.batch_axis = axes.index("B")
        self.order_known = self.ours or steps == 1
        self.doubts: tuple[str, ...] = ()

    def run(self, clip: Tensor, batch: int) -> None:
        """Count one clip."""
        with self.counting(clip, batch):
            self.model(clip)

    @contextmanager
    def counting(self, clip: Tensor, batch: int) -> Generator[None, None, None]:
        """Count what is called inside the block, which is what the model makes of one clip."""
        self.batch = batch
        self.samples += batch
        self.moment = 0
        self.chain: Call | None = None
        self.last: Tally | None = None
        self.recent = Contents(operand="binary", levels=1), 1.0
        self.neurons: dict[str, list[Call]] = {}
        self.known: dict[int, Known] = {}
        self.outputs: dict[nn.Module, tuple[Tensor, Contents]] = {}
        self.frames = [Frame(self.model)]
        with ExitStack() as stack:
            if self.kept is not None:
                stack.callback(self.kept.put_back)
            if self.products is not None:
                stack.enter_context(self.products)
            for hook in self._hooks():
                stack.callback(hook.remove)
            yield
        self._finish(clip)

    def _hooks(self) -> Iterable[Any]:
        attended = {m for a in self.modules.values() if isinstance(a, ProductAttention) for m in a.children()}
        for name, module in self.modules.items():
            if not self.whole:
                yield module.register_forward_pre_hook(self._enter(name))
            if isinstance(module, WEIGHT_LAYERS):
                hook = self._weights(name)
            elif isinstance(module, Neuron):
                hook = self._neuron(name, keep=module in attended)
            elif isinstance(module, ProductAttention):
                hook = self._attention(name)
            elif isinstance(module, Contrast):
                hook = self._contrast(name)
            elif not self.whole:
                hook = self._other(name)
            else:
                continue
            yield module.register_forward_hook(hook, with_kwargs=True)
            if not self.whole:
                yield module.register_forward_hook(self._leave)

    def _enter(self, name: str):
        def hook(module: nn.Module, _inputs: Any) -> None:
            assert self.products is not None
            self.frames.append(Frame(module))
            self.products.where.append(name)
            self.products.inside += isinstance(module, WEIGHT_LAYERS)

        return hook

    def _leave(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        assert self.products is not None
        self.products.where.pop()
        self.products.inside -= isinstance(module, WEIGHT_LAYERS)
        frame = self.frames.pop()
        self.frames[-1].inside += [module, *frame.inside]
        self.frames[-1].fired += frame.fired

    def _weights(self, name: str):
        def hook(module: _ConvNd | nn.Linear, inputs: Any, kwargs: Mapping[str, Any], output: Any) -> None:
            x, out = first_tensor(inputs, kwargs), first_tensor(output)
            if x is None or out is None:
                return
            x = x.detach()
            contents, x = self.contents(x, module), one_sub_step(x, module)
            grid, inner = self.reach_of(module, x)
            call = self._call(name, contents, x.numel())
            call.macs, call.inner, call.fan = dense_macs(module, out), inner, fan_out(module)
            call.folds = self.folds.get(module, (1.0, 1.0))
            if contents.planes is not None and contents.spikes is not None:
                meets = contents.spikes if grid is None else contents.planes @ grid
                call.meets = meets * call.fan
            call.mean = self.mean_over_time(call, x)
            if not self.order_known and self.axes.doubtful(contents.lead, self.batch):
                call.marks = mark(x, min(len(contents.lead), 2))
            tally = self.tally(name, _kind(module))
            tally.weights, tally.merged = module.weight.numel(), module in self.merged
            tally.calls.append(call)
            self.last = tally
            if not contents.real:
                self.chain = call

        return hook

    def contents(self, x: Tensor, module: nn.Module) -> Contents:
        """What enters a weight layer; the output of one of our neurons is looked at once, while it is unchanged."""
        if (known := self.known_as(x, module)) is not None:
            return known
        found = look(counts_of(x, module.neuron) if isinstance(module, OnSpikes) else x, *axes_of(module, x))
        if isinstance(module, OnSpikes) and module.neuron.replays and not found.real:
            # counts that are replayed are binary, however large
            found.operand = "binary"
        return found

    def known_as(self, x: Tensor, module: nn.Module) -> Contents | None:
        """What a neuron of ours was seen to give, where x is that very output; None for all else."""
        entry = self.known.get(_storage(x))
        output = entry.output() if entry is not None else None
        if entry is None or output is None or x.is_inference() or x._version != entry.version:
            return None
        return seen_again(x, module, output, entry.contents)

    def mean_over_time(self, call: Call, x: Tensor) -> Contents | None:
        """What a time step holds, if the operand can be spikes averaged over time: whole numbers once times T."""
        if self.steps == 1 or call.source is None or not (self.ours or call.contents.real):
            return None
        if self.axes.forms(call.contents.lead, self.batch) != ["one"]:
            return None
        spikes, unit = self.recent
        counts = x * (self.steps / unit)
        if not bool(((counts - counts.round()).abs() < 1e-4).all()):
            return None
        each = (x.sum(dtype=torch.float64) / unit).cpu().reshape(1).expand(self.steps)
        return Contents(operand=spikes.operand, levels=spikes.levels, lead=(self.steps,), spikes=each, each=x.numel())

    def _call(self, name: str, contents: Contents, values: int) -> Call:
        self.moment += 1
        return Call(name=name, contents=contents, at=self.moment, values=values, source=self.chain, layer=self.last)

    def tally(self, name: str, kind: str) -> Tally:
        """The sums of a layer."""
        return self.tallies.setdefault(name, Tally(name, kind, self.steps))

    def _contrast(self, name: str):
        """Multiply-accumulates on real values, the mean of the past read and written at every step."""

        def hook(module: Contrast, inputs: Any, _kwargs: Any, output: tuple[Tensor, Tensor]) -> None:
            x, mean = inputs[0].detach(), output[1]
            call = self._call(name, Contents(operand="real", lead=tuple(x.shape[:2])), x.numel())
            call.macs = call.inner = float(module.macs(x))
            tally = self.tally(name, "contrast")
            tally.intermediates += len(x) * mean.numel()
            tally.calls.append(call)

        return hook

    def reach_of(self, module: _ConvNd | nn.Linear, x: Tensor) -> tuple[Tensor | None, float]:
        """Outputs that look at each place (None: at all alike), and multiply-accumulates without those on padding."""
        if isinstance(module, ClipConv | nn.Linear) or not is_local(module):
            return None, float(x.numel() * fan_out(module))
        sizes = tuple(x.shape[-len(module.kernel_size) :])
        if (module, sizes) not in self.grids:
            grid, *rest = reaches(module, sizes)
            for axis in rest:
                grid = (grid[:, None] * axis).flatten()
            self.grids[module, sizes] = grid, inner_macs(module, sizes) / (module.in_channels * len(grid))
        grid, each = self.grids[module, sizes]
        return grid, each * x.numel()

    def _neuron(self, name: str, *, keep: bool):
        def hook(module: Neuron, _inputs: Any, _kwargs: Any, output: tuple[Tensor, Tensor]) -> None:
            out = output[0].detach()
            counts = counts_of(out, module.config)
            found = self.fired(name, module, counts)
            call = self._call(name, found, counts.numel())
            self.neurons.setdefault(name, []).append(call)
            if module.spiking:
                version = -1 if out.is_inference() else out._version
                self.known[_storage(out)] = Known(weakref.ref(output[0]), version, found)
                self.recent, self.chain = (found, module.config.unit), call
            if keep:
                self.outputs[module] = counts, found

        return hook

    def fired(self, name: str, module: Neuron, counts: Tensor) -> Contents:
        """What one of our neurons gave."""
        lead = 2 if counts.ndim > 2 else 1
        if not module.spiking:
            found = summed(counts != 0, "real", 0, lead, 0)
            return found
        levels = 1 if module.config.kind != "ilif" else max(int(counts.max()), 1)
        operand = "integer" if levels > 1 and not module.config.replays else "binary"
        return summed(counts, operand, levels, lead, counts.ndim - lead - 1)

    def _other(self, name: str):
        """Modules of others that make spikes of what is none are their neurons."""

        def hook(module: nn.Module, inputs: Any, kwargs: Mapping[str, Any], output: Any) -> None:
            if not eligible(name, module):
                return
            candidate, frame = self.candidates.setdefault(name, Candidate(name)), self.frames[-1]
            call = self._call(name, Contents(operand="binary"), 0)
            if observe(candidate, frame, (inputs, kwargs), output, call) is None:
                return
            forget(frame)
            frame.fired = [(candidate, call)]
            candidate.calls.append(call)
            self.recent, self.chain = (call.contents, 1.0), call

        return hook

    def _attention(self, name: str):
        def hook(module: ProductAttention, inputs: Any, _kwargs: Any, _output: Any) -> None:
            x = inputs[0]
            macs = float(x.numel() * module.head_dim)
            for i, suffix in enumerate(module.suffixes):
                parts = [self.outputs.pop(module.get_submodule(f"{part}_lif{suffix}")) for part in "qkv"]
                groups = getattr(module, "groupings", ("frame",))[i]
                self._products(f"{name}.{{}}{suffix}", module, parts, macs, _matrices(groups, x))

        return hook

    def _products(
        self, name: str, module: ProductAttention, parts: list[tuple[Tensor, Contents]], macs: float, matrices: int
    ) -> None:
        (q, q_seen), (k, k_seen), (v, v_seen) = parts
        always = torch.ones(self.steps, dtype=torch.float64)
        real = q_seen.real or k_seen.real or v_seen.real
        if real:
            rates = counts = (always, always)
        elif module.product == "hamming":
            rates = self._rate(v_seen), always
            counts = self._sums(v_seen) * module.head_dim, always * macs / self.steps
        else:
            rates = torch.minimum(self._rate(k_seen), self._rate(v_seen)), self._rate(q_seen)
            counts = self.coincidences(k, v, module.head_dim), self._sums(q_seen) * module.head_dim
        for i, (part, operands) in enumerate((("k^T v", (k_seen, v_seen)), ("q (k^T v)", (q_seen,)))):
            tally = self.tally(name.format(part), "attention")
            tally.add(macs, macs, (1.0, 1.0))
            tally.inputs += len(operands) * q.numel()
            for seen in operands:
                tally.see(seen)
            if i and not real:
                tally.operand = wider(tally.operand, "integer")
            tally.analog, tally.counted = tally.analog or real, tally.counted and not real
            tally.intermediates += 0 if i else matrices * q.shape[2] * module.head_dim
            tally.rate.add(WHOLE, rates[i], self.batch)
            tally.synops += counts[i]

    def _sums(self, seen: Contents) -> Tensor:
        return torch.zeros(self.steps) if seen.spikes is None else seen.spikes.reshape(self.steps, -1).sum(1)

    def _rate(self, seen: Contents) -> Tensor:
        if seen.rate is not None:
            return seen.rate
        assert seen.spikes is not None
        return self._sums(seen) * self.steps / (seen.each * seen.spikes.numel())

    def coincidences(self, k: Tensor, v: Tensor, head_dim: int) -> Tensor:
        """k^T v of spikes: one operation wherever a spike of k meets one of v in a token and head, float64 [T]."""
        k, v = (s.unflatten(2, (-1, head_dim)).sum(3, dtype=torch.float32) for s in (k, v))
        return (k * v).flatten(1).sum(1, dtype=torch.float64).cpu()

    def _finish(self, clip: Tensor) -> None:
        """Decide which time steps each call saw, and add the clip up."""
        self.neurons |= {n: c.calls for n, c in self.candidates.items() if c.is_neuron and c.calls}
        tallies = [t for t in self.tallies.values() if t.calls]
        groups = [*(t.calls for t in tallies), *self.neurons.values()]
        self.axes.decide([[call.contents.lead for call in calls] for calls in groups], self.batch)
        self._learn_order(clip, tallies)
        pace = self._pace(groups)
        placed = {calls[0].name: self._places(calls, pace) for calls in groups}
        rates = {calls[0].name: self._clip_rate(calls, placed[calls[0].name]) for calls in groups}
        for name, calls in self.neurons.items():
            self._fire(name, calls, placed[name])
        known = {call for calls in groups for call in calls if not call.contents.real}
        for tally in tallies:
            for call, place in zip(tally.calls, placed[tally.name], strict=True):
                self._add(tally, call, place, rates, known)
        for each in (*self.tallies.values(), *self.candidates.values()):
            each.calls = []

    def _places(self, calls: list[Call], pace: list[int]) -> list[Place]:
        leads = [call.contents.lead for call in calls]
        return self.axes.places(leads, [call.at for call in calls], pace, self.batch)

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
        """Whether time or batch comes first where the model has folded them, once a model."""
        for tally in tallies:
            call = tally.calls[0]
            if self.order_known or call.marks is None or self._places(tally.calls, [])[0].form == "one":
                continue
            found = time_first(
                self.model,
                clip,
                tally.name,
                call.marks,
                lead=min(len(call.contents.lead), 2),
                steps=self.steps,
                batch=self.batch,
                axis=self.batch_axis,
            )
            self.order_known = True
            if found is None:
                self.doubts = (ORDER,)
            else:
                self.axes.time_first = found

    def _clip_rate(self, calls: list[Call], places: list[Place]) -> Tensor:
        """[T]: the rate of the spikes of a module in this clip."""
        mean, seen = Mean(self.steps), [(c, p) for c, p in zip(calls, places, strict=True) if not c.contents.real]
        for call, place in seen:
            mean.add(place, rate_of(call.contents, place, self.axes, self.batch), self.batch)
        return mean.value()

    def _fire(self, name: str, calls: list[Call], places: list[Place]) -> None:
        firing = self.firing.setdefault(name, Mean(self.steps))
        for call, place in zip(calls, places, strict=True):
            firing.add(place, rate_of(call.contents, place, self.axes, self.batch), self.batch)
            self.updates[name] = self.updates.get(name, 0.0) + call.values
            if call.layer is not None:
                call.layer.fire(call.values, None if call.contents.real else spike_bits(call.contents.levels))

    def _add(self, tally: Tally, call: Call, place: Place, rates: dict[str, Tensor], known: set[Call]) -> None:
        """Add a call to the sums of its layer."""
        contents, meets, times = call.contents, call.meets, 1
        if call.mean is not None and len(tally.calls) == 1:
            # as many operations as one product a time step
            contents, times, place = call.mean, self.steps, WHOLE
            meets = None if contents.spikes is None else contents.spikes * call.fan
        tally.see(contents)
        tally.add(call.macs * times, call.inner * times, call.folds)
        tally.inputs += call.values
        if not contents.real:
            tally.rate.add(place, rate_of(contents, place, self.axes, self.batch), self.batch)
            if meets is not None:
                tally.meet(place, self.axes.by_step(meets, place, self.batch))
            return
        # a real operand has the rate of the spikes before it, which the papers count it at; 1 without any
        source = call.source
        while source is not None and source not in known:
            source = source.source
        tally.analog, tally.counted = tally.analog or source is None, False
        rate = torch.ones(self.steps, dtype=torch.float64) if source is None or tally.analog else rates[source.name]
        alike = place.form == "one" and place.step is None
        rate = rate.mean()[None] if alike else rate if place.step is None else rate[place.step : place.step + 1]
        tally.rate.add(place, rate, self.batch)

    def passport(self, clip: tuple[int, ...], *, views: int, origin: Origin, notes: tuple[str, ...] = ()) -> Passport:
        """What was counted, per clip of one sample."""
        n = self.samples
        products = {} if self.products is None else self.products.seen
        unseen = uncounted(self.model, products, set(self.tallies))
        return Passport(
            clip=clip,
            clips=n,
            views=views,
            origin=origin,
            notes=(*unseen, *self.doubts, *notes),
            layers=tuple(x.cost(n, exact=self.exact) for x in self.tallies.values()),
            firing={name: tuple(rate.value().tolist()) for name, rate in self.firing.items()},
            updates={name: x / n for name, x in self.updates.items()},
        )


WHOLE = Place("time")
"""All time steps, in their order."""


def _kind(layer: nn.Module) -> str:
    """What a layer is called, whatever its weights are made of."""
    return type(layer).__name__.removeprefix("Parametrized").lower()


def _matrices(grouping: str, x: Tensor) -> int:
    """Matrices k^T v of a head that x [T, B, D, H, W] makes."""
    t, b = x.shape[:2]
    return {"frame": t * b, "past": t * b, "recent": t * b, "clip": b, "pixel": b * x.shape[3] * x.shape[4]}[grouping]


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata
