"""A part of a network as one operation with a backward pass by hand: linear maps of spikes, norm, neuron over all T.

Kept for the backward pass are the spikes that came in, as bits, the statistics of the norm, and where `keep` says so
the norm's input; everything else is computed again, membranes inside the kernels of `spikereel.ops.training`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from spikereel.errors import ConfigError
from spikereel.ops.training import Affine, Unit, dense_for, events_for, kernels_for, unpack

aten = torch.ops.aten

_Gradients = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Of the input, the weight and the bias."""


@dataclass(frozen=True, kw_only=True)
class Spikes:
    """Spikes [T, B, C, ...] between two operations, as what is kept of them; or values, of which nothing is."""

    dense: Tensor
    """Of spikes only the place that gradients come back to, without values."""
    kept: Tensor | None = None
    unit: Unit | None = None


@dataclass(frozen=True, kw_only=True)
class Input:
    """What an operation was given, unpacked only where it has to be."""

    kept: Tensor
    """Of spikes; the values themselves where there is no unit."""
    shape: torch.Size
    unit: Unit | None
    dtype: torch.dtype

    @cached_property
    def values(self) -> Tensor:
        """[T, B, C, ...], channels last in memory."""
        if self.unit is None:
            return self.kept
        rows = torch.Size((self.shape[0], self.shape.numel() // (self.shape[0] * self.shape[2]), self.shape[2]))
        return frames_of(unpack(self.kept, rows, self.unit, self.dtype), self.shape)

    @property
    def binary(self) -> bool:
        """Whether what is kept are bits."""
        return self.unit is not None and not self.unit.integer

    @property
    def short(self) -> Tensor:
        """What is kept of spikes, rows of what are none."""
        return self.kept if self.binary else rows_of(self.values)

    def events(self, part: "Convolution", weight: Tensor) -> Any:
        """What convolves these spikes by lists, None where a dense convolution is meant."""
        if not self.binary or not part.keeps_size(weight):
            return None
        return events_for(self.kept, self.shape, weight)


@dataclass(frozen=True, kw_only=True)
class Norm:
    """A batch norm in training: running statistics [G, C], which a call brings up to date."""

    mean: Tensor
    var: Tensor
    momentum: float
    eps: float


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """How a convolution of frames moves; a linear layer of channels is one of a single pixel."""

    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    bias: bool = False

    def keeps_size(self, weight: Tensor) -> bool:
        """Whether each pixel has one, with the pixels around it as neighbours."""
        steps = {*self.stride, *self.dilation, self.groups}
        return steps == {1} and tuple(self.padding) == (weight.shape[2] // 2, weight.shape[3] // 2)

    def deep(self, weight: Tensor) -> bool:
        """Whether each channel is convolved by itself, pixel after pixel."""
        steps, (out, inputs, height, width) = {*self.stride, *self.dilation}, weight.shape
        alone = inputs == 1 and self.groups == out and not self.bias
        return alone and steps == {1} and height == width and len({*self.padding}) == 1

    def __call__(self, x: Input | Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """[T, B, C', H', W'] of [T, B, C, H, W]."""
        weight = _square(weight)
        if isinstance(x, Input) and (by_lists := x.events(self, weight)) is not None:
            rows = by_lists.events(x.kept, x.shape, weight, bias)
            return frames_of(rows, torch.Size((*x.shape[:2], len(weight), *x.shape[3:])))
        kernels = dense_for(weight) if x.dtype == weight.dtype else None
        if kernels is not None and self.keeps_size(weight):
            rows = kernels.convolve(rows_of(_values(x)), x.shape, weight, bias)
            return frames_of(rows, torch.Size((*x.shape[:2], len(weight), *x.shape[3:])))
        if kernels is not None and self.deep(weight) and kernels.deep(x.shape, weight, self.padding[0]):
            rows = kernels.depth(_short(x), x.shape, weight, self.padding[0])
            wider = 2 * self.padding[0] - weight.shape[2] + 1
            return frames_of(rows, torch.Size((*x.shape[:3], *(size + wider for size in x.shape[3:]))))
        x = _values(x)
        y = torch.conv2d(x.flatten(0, 1), weight, bias, self.stride, self.padding, self.dilation, self.groups)
        return y.unflatten(0, x.shape[:2])

    def gradients(self, to_y: Tensor, x: Input | Tensor, weight: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Those of x (None where it is not asked for), of the weight and, where there is one, of the bias."""
        square = _square(weight)
        kernels = dense_for(square) if to_y.dtype == square.dtype else None
        if kernels is not None and self.keeps_size(square):
            found = self._gradients(kernels, to_y, x, square, to_input=to_input)
        elif kernels is not None and self.deep(square) and kernels.deep(x.shape, square, self.padding[0]):
            found = self._deep_gradients(kernels, to_y, x, square, to_input=to_input)
        else:
            found = self._any_gradients(to_y, x, square, [to_input, True, self.bias])
        to_x, to_weight, to_bias = found
        assert to_weight is not None
        own = [to_weight.reshape(weight.shape), *([] if to_bias is None else [to_bias])]
        return [to_x, *(x.to(weight.dtype) for x in own)]

    def _gradients(
        self, kernels: Any, to_y: Tensor, x: Input | Tensor, weight: Tensor, *, to_input: bool
    ) -> _Gradients:
        rows, to_x = rows_of(to_y), None
        if to_input:
            to_x = frames_of(kernels.convolve(rows, to_y.shape, weight, to_input=True), x.shape)
        if isinstance(x, Input) and x.binary and kernels.takes(x.shape, weight):
            to_weight = kernels.gather(x.kept, x.shape, rows, weight.shape[2])
        else:
            to_weight = kernels.weigh(rows_of(_values(x)), x.shape, rows, weight.shape[2])
        return to_x, to_weight, rows.sum((0, 1)) if self.bias else None

    def _deep_gradients(
        self, kernels: Any, to_y: Tensor, x: Input | Tensor, weight: Tensor, *, to_input: bool
    ) -> _Gradients:
        rows, to_x, (pad, kernel) = rows_of(to_y), None, (self.padding[0], weight.shape[2])
        if to_input:
            to_x = frames_of(kernels.depth(rows, to_y.shape, weight.flip(2, 3), kernel - 1 - pad), x.shape)
        return to_x, kernels.depth_weights(_short(x), x.shape, rows, kernel, pad), None

    def _any_gradients(self, to_y: Tensor, x: Input | Tensor, weight: Tensor, wanted: list[bool]) -> _Gradients:
        flat = to_y.flatten(0, 1)
        given = (_values(x).flatten(0, 1).to(flat.dtype), weight.to(flat.dtype))
        rest = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups)
        sizes = [len(weight)] if self.bias else None
        to_x, *own = aten.convolution_backward(flat, *given, sizes, *rest, wanted)
        return to_x.unflatten(0, to_y.shape[:2]) if wanted[0] else None, own[0], own[1] if wanted[2] else None


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Convolutions of all frames, one after the other; none at all is the identity."""

    parts: tuple[Convolution, ...] = ()

    def run(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor | None, Any]:
        """The result of the one input, None unless it is asked for, and what `back` needs."""
        tape, rest = [], list(weights)
        x: Any = inputs[0] if self.parts else inputs[0].values
        for i, part in enumerate(self.parts):
            weight, bias = rest.pop(0), rest.pop(0) if part.bias else None
            tape.append((part, x, weight))
            if whole or i + 1 < len(self.parts):
                x = part(x, weight, bias)
        return (x if whole else None), tape

    first = run

    def back(self, tape: Any, to_y: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Gradients of the input and of the weights."""
        grads: list[Tensor | None] = []
        to_x: Tensor | None = to_y
        for i in range(len(tape) - 1, -1, -1):
            part, x, weight = tape[i]
            assert to_x is not None
            to_x, *own = part.gradients(to_x, x, weight, to_input=i > 0 or to_input)
            grads = [*own, *grads]
        return [to_x, *grads]


@dataclass(frozen=True, kw_only=True)
class Composed:
    """Any function of inputs, differentiated by autograd when it is computed again: `call(values)` gives the result."""

    call: Callable[[Sequence[Tensor]], Tensor]

    def run(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor, Any]:
        """As of `Maps`, but always whole."""
        values = [x.values.detach().requires_grad_() for x in inputs]
        with torch.enable_grad():
            y = self.call(values)
        return y.detach(), (y, values)

    def first(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor, Any]:
        """The first time."""
        return self.call([x.values for x in inputs]), None

    def back(self, tape: Any, to_y: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Gradients of inputs."""
        y, values = tape
        return list(torch.autograd.grad(y, values, to_y))


@runtime_checkable
class Body(Protocol):
    """What an operation does before its norm."""

    def first(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Any, Any]:
        """The result in the forward pass, and nothing else that counts."""
        ...

    def run(self, inputs: Sequence[Input], weights: Sequence[Tensor], *, whole: bool) -> tuple[Any, Any]:
        """The result again, which may be None unless it is meant as a whole, and what `back` needs."""
        ...

    def back(self, tape: Any, to_y: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Gradients of the inputs, then of the weights."""
        ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an operation is, besides its tensors."""

    body: Body
    shapes: tuple[torch.Size, ...]
    units: tuple[Unit | None, ...]
    """Of the spikes that come in, None for values."""
    dtype: torch.dtype
    norm: Norm | None
    unit: Unit | None
    """The neuron at the end, None for none."""
    keep: bool
    autocast: torch.dtype | None

    def inputs(self, kept: Sequence[Tensor]) -> list[Input]:
        """From what is kept of each."""
        every = zip(kept, self.shapes, self.units, strict=True)
        return [Input(kept=x, shape=shape, unit=unit, dtype=self.dtype) for x, shape, unit in every]


def block(
    body: Body,
    inputs: Sequence[Spikes],
    weights: Sequence[Tensor] = (),
    *,
    norm: Norm | None = None,
    affine: tuple[Tensor, Tensor] | tuple[None, None] = (None, None),
    unit: Unit | None = None,
    v: Tensor | None = None,
    decay: Tensor | None = None,
    keep: bool = False,
) -> tuple[Spikes, Tensor | None]:
    """neuron(norm(body(inputs))) and the membrane after it; norm and neuron where they are given.

    inputs: [T, B, C, H, W]. affine: weight and bias of the norm, [G, C]. v: the membrane at the start, shaped like a
    time step of the output, None for neurons at rest. decay: 1 / tau where it is learnt. keep: keep the norm's input in
    place of computing it again. Raises ConfigError when a second derivative is taken.
    """
    first = inputs[0].dense
    device = first.device.type
    plan = Plan(
        body=body,
        shapes=tuple(x.dense.shape for x in inputs),
        units=tuple(x.unit if x.kept is not None else None for x in inputs),
        dtype=first.dtype,
        norm=norm,
        unit=unit,
        keep=keep and body != Maps(),
        autocast=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None,
    )
    dense, kept = [x.dense for x in inputs], [x.kept for x in inputs]
    out, bits, after = _Block.apply(plan, v, decay, *affine, *dense, *kept, *weights)
    return Spikes(dense=out, kept=bits, unit=unit), after


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx, plan, v, decay, gamma, beta, *tensors):
        n = len(plan.shapes)
        dense, kept, weights = tensors[:n], tensors[n : 2 * n], tensors[2 * n :]
        given = [x if bits is None else bits for x, bits in zip(dense, kept, strict=True)]
        y, _ = plan.body.first(plan.inputs(given), weights, whole=True)
        rows = rows_of(y)
        kernels, norm, scale, bits, after = kernels_for(rows), None, None, None, None
        if plan.norm is not None:
            norm, scale = normalising(plan.norm, rows, gamma, beta, kernels)
        start = None if v is None else rows_of(v[None])[0]
        if plan.unit is not None:
            bits, end = kernels.fire(rows, norm, start, plan.unit)
            after = frames_of(end[None], y[:1].shape)[0]
            out = _place(rows, y.shape, plan.dtype)
            ctx.mark_non_differentiable(bits)
        else:
            if norm is not None:
                rows = kernels.affine(rows.view(len(norm.scale), -1, rows.shape[2]), norm.scale, norm.shift)
            out = frames_of(rows, y.shape).to(plan.dtype)
            out = out.clone() if out.untyped_storage()._cdata == given[0].untyped_storage()._cdata else out
        ctx.set_materialize_grads(False)
        ctx.plan = plan
        about = (y if plan.keep else None, start, decay, gamma, scale, *(norm or [None] * 3))
        ctx.save_for_backward(*given, *weights, *about)
        return out, bits, after

    @staticmethod
    def backward(ctx, to_out, _to_bits, to_after):  # ty: ignore[incompatible-method-override]
        if torch.is_grad_enabled():
            raise ConfigError("memory='fast' and 'lean' have no second derivatives; give memory='plain'")
        plan, n = ctx.plan, len(ctx.plan.shapes)
        saved = list(ctx.saved_tensors)
        y, start, decay, gamma, scale, *norm = saved[-8:]
        weights = saved[n:-8]
        inputs, device = plan.inputs(saved[:n]), saved[0].device.type
        with torch.autocast(device, plan.autocast, enabled=plan.autocast is not None):
            again, tape = plan.body.run(inputs, weights, whole=y is None)
        y = again if y is None else y
        del inputs, again
        rows = rows_of(y)
        kernels, affine = kernels_for(rows), None if norm[0] is None else Affine(*norm)
        to_start = to_decay = to_gamma = to_beta = sums = None
        grads = torch.zeros_like(rows) if to_out is None else rows_of(to_out).to(rows.dtype)
        if plan.unit is not None:
            to_v = None if to_after is None else rows_of(to_after[None])[0].to(rows.dtype)
            grads, to_start, sums, to_decay = kernels.unfire(
                rows, affine, start, plan.unit, grads, to_v, decay is not None
            )
        if affine is not None:
            grouped = (grads.view(len(scale), -1, rows.shape[2]), rows.view(len(scale), -1, rows.shape[2]))
            sums = kernels.sums(*grouped, affine.mean) if sums is None else sums
            grads, to_gamma, to_beta = kernels.through_norm(*grouped, affine, gamma, scale, sums)
        to_y = frames_of(grads, y.shape).to(y.dtype)
        del grads, rows
        to_inputs = plan.body.back(tape, to_y, to_input=any(ctx.needs_input_grad[5 : 5 + n]))
        to_start = None if start is None or to_start is None else frames_of(to_start[None], y[:1].shape)[0]
        to_decay = None if to_decay is None else to_decay.to(decay.dtype)
        own = (to_start, to_decay, to_gamma, to_beta)
        return None, *own, *to_inputs[:n], *[None] * n, *to_inputs[n:]


def normalising(
    norm: Norm, rows: Tensor, gamma: Tensor, beta: Tensor, kernels: Any, *, update: bool = True
) -> tuple[Affine, Tensor]:
    """What the norm does to these rows, and 1 / std [G, C]; running statistics are brought up to date."""
    grouped = rows.view(len(norm.mean), -1, rows.shape[2])
    running = (norm.mean, norm.var) if update else None
    found, inverse = kernels.normalise(grouped, gamma, beta, running, norm.momentum, norm.eps)
    return Affine(*found), inverse


def rows_of(x: Tensor) -> Tensor:
    """[T, B, C, ...] as rows of channels [T, R, C], in float32 or wider."""
    rows = x.movedim(2, -1).reshape(len(x), -1, x.shape[2])
    if rows.dtype not in (torch.float32, torch.float64):
        rows = rows.float()
    return rows.contiguous()


def frames_of(rows: Tensor, shape: torch.Size) -> Tensor:
    """Rows as [T, B, C, ...] of this shape, channels last in memory."""
    return rows.view(*shape[:2], *shape[3:], shape[2]).movedim(-1, 2)


def _place(like: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Nothing but a shape, for gradients to come back to."""
    return like.new_empty(1, dtype=dtype).expand(shape)


def _values(x: Input | Tensor) -> Tensor:
    return x.values if isinstance(x, Input) else x


def _short(x: Input | Tensor) -> Tensor:
    return x.short if isinstance(x, Input) else rows_of(x)


def _square(weight: Tensor) -> Tensor:
    return weight if weight.ndim == 4 else weight.reshape(*weight.shape[:2], 1, 1)
