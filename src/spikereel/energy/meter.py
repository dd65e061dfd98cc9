"""Running real clips once and counting, through hooks that change nothing.

Operands are looked at, never assumed. What enters a weight layer is binary, integer or real; spikes are summed over
batch and channels once, which gives firing rates and exact counts at the same time (`spikereel.energy.counts`).
"""

import hashlib
import weakref
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.chains import chains, uncounted
from spikereel.energy.contents import Contents, counts_of, one_sub_step, operand_of
from spikereel.energy.costs import spike_bits
from spikereel.energy.counts import fan_out, inner_macs, is_local, reaches
from spikereel.energy.layer import wider
from spikereel.energy.passport import Origin, Passport, code_hash
from spikereel.energy.tally import Mean, Tally
from spikereel.errors import DataError
from spikereel.layers.attention import ProductAttention
from spikereel.layers.contrast import Contrast
from spikereel.layers.conv import OnSpikes
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.observe import WEIGHT_LAYERS, dense_macs
from spikereel.models.files import weights_hash
from spikereel.models.metadata import Metadata
from spikereel.models.svformer import ClipConv

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

    model: one of ours, or any other whose convolutions and linear layers are `nn` modules.
    layout: axes of a clip; models from elsewhere may want "B T C H W", "B C T H W" or "B C H W". Where a model loops
    over time, the calls of a layer within a clip are the time steps.
    steps: time steps of a clip, where a model makes more of them than the clip has frames.
    views: views x clips of a decision, for energies of decisions.
    Raises DataError without clips or with clips of unequal shape.
    """
    clips = [clips] if isinstance(clips, Tensor) else list(clips)
    if not clips:
        raise DataError("energy needs at least one clip to measure firing rates on")
    shapes = {_clip_shape(x, layout.split()) for x in clips}
    if len(shapes) != 1:
        raise DataError(f"energy needs clips of one shape, got {sorted(shapes)}")
    with metering(model, layout=layout, steps=steps) as run:
        for clip in clips:
            model(clip)
    return run.passport(views=views, notes=notes)


@contextmanager
def metering(model: nn.Module, *, layout: str = LAYOUT, steps: int | None = None) -> Generator["Run", None, None]:
    """Counts what a model does inside the block, in evaluation mode and without gradients.

    with metering(model) as run:
        logits, state = model(video)
    passport = run.passport()

    Every call of the model is a clip, and all clips have one shape; whoever calls parts of the model says
    `run.begin(clip)` before. layout, steps: as in `measure`. Raises DataError for clips of unequal shape.
    """
    run, training = Run(model, layout.split(), steps), model.training
    hook = model.register_forward_pre_hook(lambda _model, inputs: run.begin(inputs[0]))
    model.eval()
    try:
        with torch.no_grad():
            yield run
    finally:
        hook.remove()
        if run.meter is not None:
            run.meter.__exit__()
        model.train(training)


class Run:
    """Clips that go through a model while it is metered."""

    def __init__(self, model: nn.Module, axes: list[str], steps: int | None):
        self.model, self.axes, self.steps, self.seed = model, axes, steps, torch.initial_seed()
        self.meter: Meter | None = None
        self.shape: tuple[int, ...] = ()
        self.digest = hashlib.sha256()

    def begin(self, clip: Tensor) -> None:
        """A clip comes next."""
        shape = _clip_shape(clip, self.axes)
        if self.meter is None:
            self.shape = (self.steps or shape[0], *shape[1:])
            self.meter = Meter(self.model, steps=self.shape[0], axes=self.axes).__enter__()
        elif (self.steps or shape[0], *shape[1:]) != self.shape:
            raise DataError(f"energy needs clips of one shape, got {sorted({shape, self.shape})}")
        self.meter.begin(clip.shape[self.axes.index("B")])
        self.digest.update(clip.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())

    def passport(self, *, views: int = 1, notes: tuple[str, ...] = ()) -> Passport:
        """What was counted, per clip. Raises DataError where no clip was."""
        if self.meter is None:
            raise DataError("energy needs at least one clip to measure firing rates on")
        name = getattr(self.model, "metadata", Metadata()).name or type(self.model).__name__
        weights, data = weights_hash(self.model), self.digest.hexdigest()
        origin = Origin(model=name, weights=weights, data=data, code=code_hash(), seed=self.seed)
        return self.meter.passport(self.shape, views=views, origin=origin, notes=notes)


def _clip_shape(clip: Tensor, axes: list[str]) -> tuple[int, ...]:
    if clip.ndim != len(axes) or "B" not in axes:
        raise DataError(f"a clip of shape {list(clip.shape)} does not have the axes {' '.join(axes)}; give layout=")
    sizes = dict(zip(axes, clip.shape, strict=True))
    return (sizes.pop("T", 1), *(n for axis, n in sizes.items() if axis != "B"))


class Meter:
    """Forward hooks that count operations and look at operands."""

    exact = True

    def __init__(self, model: nn.Module, *, steps: int, axes: list[str]):
        self.model, self.steps, self.axes = model, steps, axes
        self.hooks: list[Any] = []
        self.tallies: dict[str, Tally] = {}
        self.firing: dict[str, Mean] = {}
        self.updates: dict[str, float] = {}
        self.samples = 0
        self.known: dict[int, tuple[weakref.ref, Contents]] = {}
        self.folds, self.merged = chains(model)
        self.ours = any(isinstance(m, Neuron) for m in model.modules())
        self.grids: dict[tuple[nn.Module, tuple[int, ...]], tuple[Tensor, float]] = {}

    def begin(self, batch: int) -> None:
        """Before every clip."""
        self.batch = batch
        self.samples += batch
        self.chain: Tensor | None = None
        self.last: Tally | None = None
        self.recent, self.unit = Contents("binary", 1), 1.0
        self.outputs: dict[nn.Module, tuple[Tensor, Contents]] = {}
        self.fired: dict[str, int] = {}
        for tally in self.tallies.values():
            tally.calls = 0

    def __enter__(self) -> "Meter":
        attended = {m for a in self.model.modules() if isinstance(a, ProductAttention) for m in a.children()}
        for name, module in self.model.named_modules():
            if isinstance(module, WEIGHT_LAYERS):
                hook = self._weights(name)
            elif isinstance(module, Neuron):
                hook = self._neuron(name, keep=module in attended)
            elif isinstance(module, ProductAttention):
                hook = self._attention(name)
            elif isinstance(module, Contrast):
                hook = self._contrast(name)
            elif not self.ours and not any(module.children()):
                hook = self._leaf(name)
            else:
                continue
            self.hooks.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()

    def look(self, x: Tensor, module: nn.Module) -> Contents:
        """What a tensor holds; one that a neuron gave is looked at once."""
        found = self.known.get(_storage(x))
        if found is not None and (source := found[0]()) is not None and source.numel() == x.numel():
            return found[1]
        if isinstance(module, OnSpikes):
            return self._see_spikes(counts_of(x, module.neuron), module, module.neuron)
        return self._see(x, module)

    def _see(self, x: Tensor, module: nn.Module) -> Contents:
        operand, low, high = operand_of(x)
        if operand == "real":
            return Contents(operand, 0)
        stepped = self._over_time(x if low >= 0 else x.abs(), module)
        sums = stepped.sum(1, dtype=torch.promote_types(x.dtype, torch.float32)).double().cpu()
        return Contents(operand, max(high, -low, 1), sums, sums.sum(1) / stepped[0].numel())

    def _over_time(self, x: Tensor, module: nn.Module) -> Tensor:
        """[S, batch and channels, places]: S all time steps of the clip, or the one of this call."""
        t, b = self.steps, self.batch
        if x.shape[:2] == (t, b):
            stepped = x
        elif self.has_time(x):
            time_first = "T" not in self.axes or self.axes.index("T") < self.axes.index("B")
            stepped = x.unflatten(0, (t, b)) if time_first else x.unflatten(0, (b, t)).transpose(0, 1)
        else:
            stepped = x[None]
        # [S, B, C, places] or, for linear layers, [S, B, places, C]
        if isinstance(module, nn.Linear) or stepped.ndim < 4:
            return stepped.reshape(len(stepped), -1, 1)
        return stepped.flatten(3).flatten(1, 2)

    def has_time(self, x: Tensor) -> bool:
        """Whether the first axis of an operand holds the time steps of the clip, alone or with the batch."""
        return x.shape[:2] == (self.steps, self.batch) or (
            len(x) == self.steps * self.batch and (self.steps > 1 or x.ndim > 2)
        )

    def _neuron(self, name: str, *, keep: bool):
        def hook(module: Neuron, _inputs: Any, output: tuple[Tensor, Tensor]) -> None:
            out = output[0]
            counts = counts_of(out.detach(), module.config)
            if module.spiking:
                look = self._spikes(name, module, counts)
                assert look.rate is not None
                self.known[_storage(out)], self.recent = (weakref.ref(out), look), look
                self.unit = module.config.unit
                self._fire(name, look.rate, counts.numel(), spike_bits(look.levels))
            else:
                look = Contents("real", 0)
                self._fire(name, _over_steps((out != 0).float()), out.numel(), None)
            if keep:
                self.outputs[module] = counts, look

        return hook

    def _spikes(self, name: str, module: Neuron, counts: Tensor) -> Contents:
        return self._see_spikes(counts, module, module.config)

    def _see_spikes(self, counts: Tensor, module: nn.Module, neuron: NeuronConfig) -> Contents:
        """As `_see`; counts that are replayed are binary, however large."""
        look = self._see(counts, module)
        return Contents("binary", look.levels, look.sums, look.rate) if neuron.replays else look

    def _fire(self, name: str, rate: Tensor, outputs: int, bits: int | None) -> None:
        """Note what a neuron gave; bits of a spike, None for an artificial neuron."""
        at = self.fired.get(name, 0)
        self.fired[name] = at + 1
        self.firing.setdefault(name, Mean(self.steps)).add(self._slice(rate, at), rate, self.batch)
        self.updates[name] = self.updates.get(name, 0.0) + outputs
        if self.last is not None:
            self.last.neurons += outputs
            if bits is not None:
                self.last.membranes += outputs
                self.last.spike_bits += outputs * bits

    def _leaf(self, name: str):
        """Modules of others that make spikes of what is none are their neurons."""

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            x = inputs[0] if inputs else None
            if not (isinstance(x, Tensor) and isinstance(output, Tensor) and output.ndim > 1):
                return
            if operand_of(x)[0] != "real" or (look := self._see(output.detach(), module)).rate is None:
                return
            self.known[_storage(output)], self.recent = (weakref.ref(output), look), look
            self._fire(name, look.rate, output.numel(), spike_bits(look.levels))

        return hook

    def _slice(self, rate: Tensor, call: int) -> slice:
        """The time steps of a call: all, or the one whose turn it is."""
        return slice(None) if len(rate) == self.steps else slice(call % self.steps, call % self.steps + 1)

    def tally(self, name: str, kind: str) -> Tally:
        """The sums of a layer."""
        return self.tallies.setdefault(name, Tally(kind, self.steps))

    def _weights(self, name: str):
        def hook(module: _ConvNd | nn.Linear, inputs: Any, output: Any) -> None:
            x = inputs[0].detach()
            tally = self.tally(name, type(module).__name__.lower())
            look, times = self.operand(x, module)
            x = one_sub_step(x, module)
            grid, inner = self.reach_of(module, x)
            macs = dense_macs(module, output[0] if isinstance(output, tuple) else output)
            tally.add(macs * times, inner * times, self.folds.get(module, (1.0, 1.0)), x.numel())
            tally.weights, tally.merged = module.weight.numel(), module in self.merged
            tally.see(look)
            if look.rate is None:
                self._real(tally, x)
            else:
                at = self._slice(look.rate, tally.calls)
                tally.rate.add(at, look.rate, self.batch)
                tally.synops[at] += self.synops(look, grid) * fan_out(module)
                self.chain = look.rate.expand(self.steps)
                tally.at_once = tally.at_once and len(look.rate) == 1 and tally.calls == 0
            self.last = tally
            tally.calls += 1

        return hook

    def _contrast(self, name: str):
        """Multiply-accumulates on real values, the mean of the past read and written at every step."""

        def hook(module: Contrast, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
            x, mean = inputs[0].detach(), output[1]
            tally, macs = self.tally(name, "contrast"), module.macs(x)
            tally.add(macs, macs, (1.0, 1.0), x.numel())
            tally.see(Contents("real", 0))
            tally.intermediates += len(x) * mean.numel()
            self._real(tally, x)
            tally.calls += 1

        return hook

    def _real(self, tally: Tally, x: Tensor) -> None:
        """A real operand has the rate of the spikes before it, which the papers count it at; 1 without any."""
        tally.analog, tally.counted = tally.analog or self.chain is None, False
        rate = self.chain
        if rate is None or tally.analog:
            rate = torch.ones(self.steps, dtype=torch.float64)
        looped = not self.ours and not self.has_time(x)
        at = slice(tally.calls % self.steps, tally.calls % self.steps + 1) if looped else slice(None)
        tally.rate.add(at, rate[at], self.batch)
        tally.at_once = tally.at_once and looped and tally.calls == 0

    def operand(self, x: Tensor, module: nn.Module) -> tuple[Contents, int]:
        """What enters a weight layer, and how many times it counts: once, or a time step each for a mean over them."""
        look, x = self.look(x, module), one_sub_step(x, module)
        if self.steps == 1 or self.has_time(x) or self.chain is None or not (self.ours or look.operand == "real"):
            return look, 1
        x = x / self.unit
        counts = x * self.steps
        if not bool(((counts - counts.round()).abs() < 1e-4).all()):
            return look, 1
        # spikes averaged over time: as many operations as one product a time step
        total = x.sum(dtype=torch.float64).cpu()
        steps = torch.ones(self.steps, dtype=torch.float64)
        source = self.recent
        return Contents(source.operand, source.levels, steps[:, None] * total, steps * total / x.numel()), self.steps

    def synops(self, look: Contents, grid: Tensor | None) -> Tensor:
        """Units of spikes, each as often as outputs look at its place, of the time steps that were looked at."""
        assert look.sums is not None
        return look.sums.sum(1) if grid is None else look.sums @ grid

    def reach_of(self, module: _ConvNd | nn.Linear, x: Tensor) -> tuple[Tensor | None, float]:
        """Outputs that look at each place (None: at all alike), and multiply-accumulates without those on padding."""
        if isinstance(module, ClipConv | nn.Linear):
            return None, float(x.numel() * fan_out(module))
        if not is_local(module):
            return None, float(x.numel() * fan_out(module))
        sizes = tuple(x.shape[2 - module.weight.ndim :])
        if (module, sizes) not in self.grids:
            grid, *rest = reaches(module, sizes)
            for axis in rest:
                grid = (grid[:, None] * axis).flatten()
            self.grids[module, sizes] = grid, inner_macs(module, sizes) / (module.in_channels * len(grid))
        grid, each = self.grids[module, sizes]
        return grid, each * x.numel()

    def _attention(self, name: str):
        def hook(module: ProductAttention, inputs: Any, _output: Any) -> None:
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
        (q, q_look), (k, k_look), (v, v_look) = parts
        always = torch.ones(self.steps, dtype=torch.float64)
        real = q_look.rate is None or k_look.rate is None or v_look.rate is None
        if real:
            rates = counts = (always, always)
        elif module.product == "hamming":
            rates = v_look.rate, always
            counts = self.synops(v_look, None) * module.head_dim, always * macs / self.steps
        else:
            rates = torch.minimum(k_look.rate, v_look.rate), q_look.rate
            counts = self.coincidences(k, v, module.head_dim), self.synops(q_look, None) * module.head_dim
        for i, (part, operands) in enumerate((("k^T v", (k_look, v_look)), ("q (k^T v)", (q_look,)))):
            tally = self.tally(name.format(part), "attention")
            tally.add(macs, macs, (1.0, 1.0), len(operands) * q.numel())
            for look in operands:
                tally.see(look)
            if i and not real:
                tally.operand = wider(tally.operand, "integer")
            tally.analog, tally.counted = tally.analog or real, tally.counted and not real
            tally.intermediates += 0 if i else matrices * q.shape[2] * module.head_dim
            tally.rate.add(slice(None), rates[i], self.batch)
            tally.synops += counts[i]
            tally.at_once = False

    def coincidences(self, k: Tensor, v: Tensor, head_dim: int) -> Tensor:
        """k^T v of spikes: one operation wherever a spike of k meets one of v in a token and head, float64 [T]."""
        k, v = (s.unflatten(2, (-1, head_dim)).sum(3, dtype=torch.float32) for s in (k, v))
        return (k * v).flatten(1).sum(1, dtype=torch.float64).cpu()

    def passport(self, clip: tuple[int, ...], *, views: int, origin: Origin, notes: tuple[str, ...] = ()) -> Passport:
        """What was counted, per clip of one sample."""
        n = self.samples
        return Passport(
            clip=clip,
            clips=n,
            views=views,
            origin=origin,
            notes=(*notes, *uncounted(self.model)),
            layers=tuple(x.cost(name, n, exact=self.exact) for name, x in self.tallies.items()),
            firing={name: tuple(rate.value().tolist()) for name, rate in self.firing.items()},
            updates={name: x / n for name, x in self.updates.items()},
        )


def _matrices(grouping: str, x: Tensor) -> int:
    """Matrices k^T v of a head that x [T, B, D, H, W] makes."""
    t, b = x.shape[:2]
    return {"frame": t * b, "past": t * b, "clip": b, "pixel": b * x.shape[3] * x.shape[4]}[grouping]


def _over_steps(x: Tensor) -> Tensor:
    """Mean of [T, ...] at each time step, float64 on the CPU."""
    return x.detach().flatten(1).mean(1, dtype=torch.float64).cpu()


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata
