"""A part of a network as one operation with a backward pass by hand: linear maps of spikes, norm, neuron over all T.

Kept for the backward pass are the spikes that came in, as bits, the statistics of the norm, and where `keep` says so the
norm's input; everything else is computed again, membranes inside the kernels of `spikereel.ops.training`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.errors import ConfigError
from spikereel.ops.training import Affine, Unit, kernels_for, unpack

aten = torch.ops.aten


@dataclass(frozen=True, kw_only=True)
class Spikes:
    """Spikes [T, B, C, ...] between two operations, and what is kept of them; None for values that are no spikes."""

    dense: Tensor
    kept: Tensor | None = None
    unit: Unit | None = None


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

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, _square(weight), bias, self.stride, self.padding, self.dilation, self.groups)

    def gradients(self, to_y: Tensor, x: Tensor, weight: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Those of x (None where it is not asked for), of the weight and, where there is one, of the bias."""
        sizes = [len(weight)] if self.bias else None
        wanted = [to_input, True, self.bias]
        rest = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups)
        x, square = x.to(to_y.dtype), _square(weight).to(to_y.dtype)
        to_x, to_weight, *to_bias = aten.convolution_backward(to_y, x, square, sizes, *rest, wanted)
        own = [to_weight.reshape(weight.shape), *to_bias[: self.bias]]
        return [to_x, *(x.to(weight.dtype) for x in own)]


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Convolutions of all frames, one after the other; none at all is the identity."""

    parts: tuple[Convolution, ...] = ()

    def run(self, inputs: Sequence[Tensor], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor | None, Any]:
        """The result of the one input, None unless it is asked for, and what `back` needs."""
        x, tape, rest = inputs[0], [], list(weights)
        for i, part in enumerate(self.parts):
            weight, bias = rest.pop(0), rest.pop(0) if part.bias else None
            tape.append((part, x, weight))
            if whole or i + 1 < len(self.parts):
                x = part(x.flatten(0, 1), weight, bias).unflatten(0, x.shape[:2])
        return (x if whole else None), tape

    def back(self, tape: Any, to_y: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Gradients of the input and of the weights."""
        grads: list[Tensor | None] = []
        for i in range(len(tape) - 1, -1, -1):
            part, x, weight = tape[i]
            flat = (to_y.flatten(0, 1), x.flatten(0, 1))
            to_x, *own = part.gradients(*flat, weight, to_input=i > 0 or to_input)
            grads = [*own, *grads]
            to_y = None if to_x is None else to_x.unflatten(0, x.shape[:2])
        return [to_y, *grads]


@dataclass(frozen=True, kw_only=True)
class Composed:
    """Any function of inputs and weights, differentiated by autograd when it is computed again.

    It is called with `first=True` once, when it may bring running statistics up to date.
    """

    call: Callable[..., Tensor]

    def run(self, inputs: Sequence[Tensor], weights: Sequence[Tensor], *, whole: bool) -> tuple[Tensor, Any]:
        """As of `Maps`, but always whole."""
        given = [x.detach().requires_grad_() for x in (*inputs, *weights)]
        with torch.enable_grad():
            y = self.call(*given, first=False)
        return y.detach(), (y, given)

    def back(self, tape: Any, to_y: Tensor, *, to_input: bool) -> list[Tensor | None]:
        """Gradients of inputs and weights."""
        y, given = tape
        return list(torch.autograd.grad(y, given, to_y))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an operation is, besides its tensors."""

    body: Maps | Composed
    shapes: tuple[torch.Size, ...]
    units: tuple[Unit | None, ...]
    """Of the spikes that come in, None for values."""
    dtype: torch.dtype
    norm: Norm | None
    unit: Unit | None
    """The neuron at the end, None for none."""
    keep: bool
    autocast: torch.dtype | None


def block(
    body: Maps | Composed,
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
        body = plan.body
        y = body.run(dense, weights, whole=True)[0] if isinstance(body, Maps) else body.call(*dense, *weights, first=True)
        rows = _rows(y)
        kernels, norm, scale, bits, after = kernels_for(rows), None, None, None, None
        if plan.norm is not None:
            norm, scale = _normalising(plan.norm, rows, gamma, beta, kernels)
        start = None if v is None else _rows(v[None])[0]
        if plan.unit is not None:
            rows, bits, end = kernels.fire(rows, norm, start, plan.unit, True)
            after = _frames(end[None], y[:1].shape)[0]
            ctx.mark_non_differentiable(bits)
        elif norm is not None:
            rows = kernels.affine(rows.view(len(scale), -1, rows.shape[2]), norm.scale, norm.shift)
        ctx.set_materialize_grads(False)
        ctx.plan = plan
        saved = [x if b is None else b for x, b in zip(dense, kept, strict=True)]
        ctx.save_for_backward(*saved, *weights, y if plan.keep else None, start, decay, gamma, scale, *(norm or [None] * 3))
        return _frames(rows, y.shape).to(plan.dtype), bits, after

    @staticmethod
    def backward(ctx, to_out, _to_bits, to_after):  # ty: ignore[invalid-method-override]
        if torch.is_grad_enabled():
            raise ConfigError("memory='fast' and 'lean' have no second derivatives; give memory='plain'")
        plan, n = ctx.plan, len(ctx.plan.shapes)
        saved = list(ctx.saved_tensors)
        y, start, decay, gamma, scale, *norm = saved[-8:]
        weights = saved[n:-8]
        inputs = [_unpacked(*x, plan.dtype) for x in zip(saved[:n], plan.shapes, plan.units, strict=True)]
        device = inputs[0].device.type
        with torch.autocast(device, plan.autocast, enabled=plan.autocast is not None):
            again, tape = plan.body.run(inputs, weights, whole=y is None)
        y = again if y is None else y
        del inputs, again
        rows = _rows(y)
        kernels, affine = kernels_for(rows), None if norm[0] is None else Affine(*norm)
        to_start = to_decay = to_gamma = to_beta = sums = None
        grads = torch.zeros_like(rows) if to_out is None else _rows(to_out).to(rows.dtype)
        if plan.unit is not None:
            to_v = None if to_after is None else _rows(to_after[None])[0].to(rows.dtype)
            grads, to_start, sums, to_decay = kernels.unfire(
                rows, affine, start, plan.unit, grads, to_v, decay is not None
            )
        if affine is not None:
            grouped = (grads.view(len(scale), -1, rows.shape[2]), rows.view(len(scale), -1, rows.shape[2]))
            sums = kernels.sums(*grouped, affine.mean) if sums is None else sums
            grads, to_gamma, to_beta = _through_norm(*grouped, affine, gamma, scale, sums, kernels)
        to_y = _frames(grads, y.shape).to(y.dtype)
        del grads, rows
        to_inputs = plan.body.back(tape, to_y, to_input=any(ctx.needs_input_grad[5 : 5 + n]))
        if start is None or to_start is None:
            to_start = None
        else:
            to_start = _frames(to_start[None], y[:1].shape)[0]
        to_decay = None if to_decay is None else to_decay.to(decay.dtype)
        own = (to_start, to_decay, to_gamma, to_beta)
        return None, *own, *to_inputs[:n], *[None] * n, *to_inputs[n:]


def _normalising(norm: Norm, rows: Tensor, gamma: Tensor, beta: Tensor, kernels: Any) -> tuple[Affine, Tensor]:
    """What the norm does to these rows, and 1 / std [G, C]; running statistics are brought up to date."""
    grouped = rows.view(len(norm.mean), -1, rows.shape[2])
    count = grouped.shape[1]
    if count < 2:
        raise ValueError(f"a norm in training needs more than 1 value per channel, got {list(grouped.shape)}")
    mean, var = kernels.moments(grouped)
    norm.mean.lerp_(mean.to(norm.mean.dtype), norm.momentum)
    norm.var.lerp_((var * (count / (count - 1))).to(norm.var.dtype), norm.momentum)
    inverse = (var + norm.eps).rsqrt()
    scale = gamma.double() * inverse
    shift = beta.double() - mean * scale
    return Affine(*(x.to(rows.dtype) for x in (scale, shift, mean))), inverse


def _through_norm(
    grads: Tensor, rows: Tensor, affine: Affine, gamma: Tensor, inverse: Tensor, sums: Tensor, kernels: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the norm's input, weight and bias from that of its output, over the statistics of the batch."""
    total, along = sums.unbind(1)
    count = grads.shape[1]
    a = gamma.double() * inverse
    b, c = -a * inverse.square() * along / count, -a * total / count
    to_rows = kernels.finish(grads, rows, affine.mean, *(x.to(rows.dtype) for x in (a, b, c)))
    return to_rows, (along * inverse).to(gamma.dtype), total.to(gamma.dtype)


def _rows(x: Tensor) -> Tensor:
    """[T, B, C, ...] as rows of channels [T, R, C], in float32 or wider."""
    rows = x.movedim(2, -1).reshape(len(x), -1, x.shape[2])
    return rows.to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def _frames(rows: Tensor, shape: torch.Size) -> Tensor:
    """Rows as [T, B, C, ...] of this shape, channels last in memory."""
    return rows.view(*shape[:2], *shape[3:], shape[2]).movedim(-1, 2)


def _unpacked(saved: Tensor, shape: torch.Size, unit: Unit | None, dtype: torch.dtype) -> Tensor:
    if unit is None:
        return saved
    rows = torch.Size((shape[0], shape.numel() // (shape[0] * shape[2]), shape[2]))
    return _frames(unpack(saved, rows, unit, dtype), shape)


def _square(weight: Tensor) -> Tensor:
    return weight if weight.ndim == 4 else weight.reshape(*weight.shape[:2], 1, 1)
