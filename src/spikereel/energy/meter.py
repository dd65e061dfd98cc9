"""Running real clips once and counting, through hooks that change nothing.

Operands are looked at, never assumed: what enters a weight layer at a call is binary, integer or real. Spikes are
summed over batch and channels once, which gives firing rates and exact counts at the same time
(`spikereel.energy.counts`). What the calls of a clip add up to is decided at its end (`spikereel.energy.sums`).
"""

import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.attended import Attended
from spikereel.energy.chains import chains
from spikereel.energy.contents import (
    Contents,
    active,
    axes_of,
    counts_of,
    look,
    nonzero,
    one_sub_step,
    seen_again,
    summed,
)
from spikereel.energy.counts import Plan
from spikereel.energy.counts import plan as plan_of
from spikereel.energy.neurons import Candidate, Frame, eligible, forget, observe
from spikereel.energy.order import mark
from spikereel.energy.tally import Call, Tally
from spikereel.energy.unchanged import Kept, first_tensor
from spikereel.energy.workload import ACTIVATIONS
from spikereel.layers.attention import ProductAttention
from spikereel.layers.contrast import Contrast
from spikereel.layers.conv import OnSpikes
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import WEIGHT_LAYERS

LAYOUT = "T B C H W"


class Known(NamedTuple):
    """The output of one of our neurons, and what it holds."""

    output: weakref.ref
    version: int
    contents: Contents


class Watch:
    """A forward hook of a module that has no others, at a tenth of the price of one of PyTorch's."""

    def __init__(self, module: nn.Module, hook: Callable[[Any, Any, Mapping[str, Any], Any], None]):
        self.module, forward = module, module.forward

        def watched(*inputs: Any, **kwargs: Any) -> Any:
            output = forward(*inputs, **kwargs)
            hook(module, inputs, kwargs, output)
            return output

        # in the module's own dictionary it hides that of its class
        module.__dict__["forward"] = watched

    def remove(self) -> None:
        """Leave the module as it was."""
        del self.module.__dict__["forward"]


class Meter(Attended):
    """Forward hooks that count operations and look at operands."""

    def __init__(self, model: nn.Module, *, steps: int, axes: Sequence[str]):
        super().__init__(model, steps=steps, axes=axes)
        self.kept = None if self.whole else Kept(model)
        self.folds, self.merged = chains(self.modules.values())
        self.plans: dict[nn.Module, dict[tuple[int, ...], Plan]] = {}
        """By layer and shape of the operand."""

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
        self.neurons = {}
        self.known: dict[int, Known] = {}
        self.outputs = {}
        self.frames = [Frame(self.model)]
        with ExitStack() as stack:
            if self.kept is not None:
                stack.callback(self.kept.put_back)
            if self.products is not None:
                stack.enter_context(self.products)
            if any(m._compiled_call_impl is not None for m in self.modules.values()):
                # compiled parts would be compiled anew with the hooks in them
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            hooks: list[Any] = []
            stack.callback(lambda: [hook.remove() for hook in hooks])
            hooks.extend(self._hooks())
            yield
        self.finish(clip)

    def _hooks(self) -> Iterable[Any]:
        attended = {m for a in self.modules.values() if isinstance(a, ProductAttention) for m in a.children()}
        for name, module in self.modules.items():
            if not self.whole:
                yield module.register_forward_pre_hook(self._enter(name))
            if isinstance(module, WEIGHT_LAYERS):
                hook = self._weights(name, module)
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
            yield Watch(module, hook) if self.trusted else module.register_forward_hook(hook, with_kwargs=True)
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

    def _weights(self, name: str, layer: _ConvNd | nn.Linear):
        folds, merged, plans = self.folds.get(layer, (1.0, 1.0)), layer in self.merged, self.plans.setdefault(layer, {})

        def hook(module: _ConvNd | nn.Linear, inputs: Any, kwargs: Mapping[str, Any], output: Any) -> None:
            # most layers take one tensor and give one, which is quickly seen
            x = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], Tensor) else first_tensor(inputs, kwargs)
            out = output if isinstance(output, Tensor) else first_tensor(output)
            if x is None or out is None:
                return
            if x.requires_grad:
                x = x.detach()
            contents = self.contents(x, module)
            if (plan := plans.get(x.shape)) is None:
                plan = plans[x.shape] = plan_of(module, x.shape)
            call = self._call(name, contents, plan.values)
            call.plan, call.inner, call.macs, call.folds = plan, plan.inner, out.numel() * plan.taps, folds
            x = one_sub_step(x, module)
            if self.exact:
                call.looked = self.workload.look(module, x, contents, plan)
            call.mean = self.mean_over_time(call, x)
            if not self.order_known and self.axes.doubtful(contents.lead, self.batch):
                call.marks = mark(x, min(len(contents.lead), 2))
            if (tally := self.tallies.get(name)) is None:
                tally = self.tally(name, _kind(module))
            tally.weights, tally.merged = plan.weights, merged
            tally.calls.append(call)
            self.last = tally
            if not contents.real:
                self.chain = call

        return hook

    def contents(self, x: Tensor, module: nn.Module) -> Contents:
        """What enters a weight layer; the output of one of our neurons is looked at once, while it is unchanged."""
        if (known := self.known_as(x, module)) is not None:
            return known
        seen = counts_of(x, module.neuron) if isinstance(module, OnSpikes) else x
        found = look(seen, *axes_of(module, x), scaled=self.chain is not None and not self.ours)
        if found.unit != 1 and active(x, found) == x.numel():
            # one number everywhere is no spikes
            found = Contents(operand="real", lead=found.lead)
        if isinstance(module, OnSpikes) and module.neuron.replays and not found.real:
            # counts that are replayed are binary, however large
            found.operand = "binary"
        return found

    def known_as(self, x: Tensor, module: nn.Module) -> Contents | None:
        """What a neuron of ours was seen to give, where x is that very output; None for all else."""
        entry = self.known.get(_storage(x))
        output = entry.output() if entry is not None else None
        if entry is None or output is None or self.version(x) != entry.version:
            return None
        return seen_again(x, module, output, entry.contents)

    def version(self, x: Tensor) -> int | None:
        """A number that changes with the values of a tensor; None where there is none."""
        return (-1 if self.trusted else None) if x.is_inference() else x._version

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
        each = np.full(self.steps, float(x.sum(dtype=torch.float64)) / unit)
        return Contents(operand=spikes.operand, levels=spikes.levels, lead=(self.steps,), sums=each, each=x.numel())

    def _call(self, name: str, contents: Contents, values: int) -> Call:
        self.moment += 1
        return Call(name=name, contents=contents, at=self.moment, values=values, source=self.chain, layer=self.last)

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

    def _neuron(self, name: str, *, keep: bool):
        def hook(module: Neuron, _inputs: Any, _kwargs: Any, output: tuple[Tensor, Tensor]) -> None:
            out = output[0].detach() if output[0].requires_grad else output[0]
            counts = counts_of(out, module.config)
            found = self.fired(name, module, counts)
            call = self._call(name, found, counts.numel())
            if self.exact:
                # the sums of a real output are those of its values that are not zero
                call.active = None if found.levels <= 1 else active(counts, found)
            self.neurons.setdefault(name, []).append(call)
            if module.spiking:
                if (version := self.version(out)) is not None:
                    self.known[_storage(out)] = Known(weakref.ref(output[0]), version, found)
                self.recent, self.chain = (found, module.config.unit), call
            if keep:
                self.outputs[module] = counts, found

        return hook

    def fired(self, name: str, module: Neuron, counts: Tensor) -> Contents:
        """What one of our neurons gave."""
        lead = 2 if counts.ndim > 2 else 1
        if not module.spiking:
            return summed(nonzero(counts), "real", 0, lead, 0)
        levels = 1 if module.config.kind != "ilif" else max(int(counts.max()), 1)
        operand = "integer" if levels > 1 and not module.config.replays else "binary"
        return summed(counts, operand, levels, lead, counts.ndim - lead - 1)

    def _other(self, name: str):
        """Modules of others that make spikes of what is none are their neurons."""

        def hook(module: nn.Module, inputs: Any, kwargs: Mapping[str, Any], output: Any) -> None:
            if isinstance(module, ACTIVATIONS) and (out := first_tensor(output)) is not None:
                self.workload.fire(out.numel(), int(torch.count_nonzero(out)))
            if not eligible(name, module):
                return
            candidate, frame = self.candidates.setdefault(name, Candidate(name)), self.frames[-1]
            call = self._call(name, Contents(operand="binary"), 0)
            if observe(candidate, frame, (inputs, kwargs), output, call) is None:
                return
            forget(frame)
            frame.fired = [(candidate, call)]
            candidate.calls.append(call)
            self.recent, self.chain = (call.contents, call.contents.unit), call

        return hook


def _kind(layer: nn.Module) -> str:
    """What a layer is called, whatever its weights are made of."""
    return type(layer).__name__.removeprefix("Parametrized").lower()


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata
