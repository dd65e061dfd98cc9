"""LIF and Integer-LIF with hand-written backward passes: no graph per time step, memory of two tensors like x.

One time step is worked on at a time, in buffers that are used again: they stay in the processor's cache.
Works on every device PyTorch has. The references are in `spikereel.ops.lif`; `tests/ops/test_lif.py` proves them equal.
"""

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_where_above_zero = torch.ops.aten.threshold_backward.grad_input


class Constants(Protocol):
    """`spikereel.ops.lif.Constants`, as far as it is needed here: the reset is a constant in the backward pass."""

    @property
    def threshold(self) -> float: ...
    @property
    def reset(self) -> str: ...
    @property
    def v_reset(self) -> float: ...
    @property
    def decay_input(self) -> bool: ...
    @property
    def surrogate(self) -> str: ...
    @property
    def alpha(self) -> float: ...


def fused_lif(x: Tensor, v: Tensor, decay: float | Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
    """Spikes [T, *d] and last membrane [*d] of x [T, *d] from membrane v [*d].

    decay: 1 / tau; it may be a tensor that broadcasts with [*d] and wants a gradient. The surrogate is a row of
    SURROGATES.
    """
    learnt, fixed = (decay, 0.0) if isinstance(decay, Tensor) else (None, decay)
    return _FusedLIF.apply(x, v, learnt, fixed, constants)


def fused_ilif(x: Tensor, v: Tensor, decay: float, top: int) -> tuple[Tensor, Tensor]:
    """Counts [T, *d] and last membrane [*d] of x [T, *d] from membrane v [*d]; the counts are constants in it."""
    return _FusedILIF.apply(x, v, decay, top)


class _FusedLIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, v, learnt, fixed, constants):
        decay = fixed if learnt is None else learnt
        wanted = any(ctx.needs_input_grad)
        spikes = torch.empty_like(x)
        charged = torch.empty_like(x) if wanted else None
        first, buffer = v, torch.empty_like(x[0])
        for t in range(x.shape[0]):
            h = _charge(x[t], v, decay, constants, out=buffer if charged is None else charged[t])
            torch.ge(h, constants.threshold, out=spikes[t])
            v = _reset(h, spikes[t], constants)
        ctx.fixed, ctx.constants = fixed, constants
        # what is not learnt needs no input again
        learns = learnt is not None and ctx.needs_input_grad[2]
        ctx.save_for_backward(charged, learnt, *((x, first) if learns else ()))
        return spikes, v

    @staticmethod
    def backward(ctx, grad_spikes, grad_v):  # ty: ignore[incompatible-method-override]
        charged, learnt, *saved = ctx.saved_tensors
        c, decay = ctx.constants, ctx.fixed if learnt is None else learnt
        through_spike = SURROGATES[c.surrogate]
        # where the time constant is learnt, dL/dh is needed once more before it becomes dL/dx
        scale = decay if c.decay_input and not saved else 1.0
        grad_x = torch.empty_like(charged)
        below, direct = torch.empty_like(charged[0]), torch.empty_like(charged[0])
        # dL/dv at the end of a step, which becomes dL/dh of that step
        grad = grad_v.clone()
        for t in range(charged.shape[0] - 1, -1, -1):
            torch.sub(c.threshold, charged[t], out=below)
            if c.reset == "hard":
                # dv/dh is 1 where the neuron was silent or resets softly, 0 where it was set back
                _where_above_zero(grad, below, 0, grad_input=grad)
            grad.add_(through_spike(below, c.alpha, grad_spikes[t], direct))
            torch.mul(grad, scale, out=grad_x[t])
            grad.mul_(1.0 - decay)
        grad_decay = None
        if saved:
            x, start = saved
            before = _membranes_before(charged, start, c) - c.v_reset
            through = grad_x * ((x - before) if c.decay_input else -before)
            grad_decay = through.sum() if decay.ndim == 0 else through.sum_to_size(decay.shape)
            if c.decay_input:
                grad_x *= decay
        return grad_x, grad, grad_decay, None, None


class _FusedILIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, v, decay, top):
        counts = torch.empty_like(x)
        charged = torch.empty_like(x) if any(ctx.needs_input_grad) else None
        buffer = torch.empty_like(x[0])
        for t in range(x.shape[0]):
            u = torch.mul(v, decay, out=buffer if charged is None else charged[t]).add_(x[t])
            torch.clamp(u, 0, top, out=counts[t]).round_()
            v = u - counts[t]
        ctx.decay, ctx.top = decay, top
        ctx.save_for_backward(charged)
        return counts, v

    @staticmethod
    def backward(ctx, grad_counts, grad_v):  # ty: ignore[incompatible-method-override]
        (charged,) = ctx.saved_tensors
        grad_x = torch.empty_like(charged)
        inside, below_top = torch.empty_like(charged[0]), torch.empty_like(charged[0])
        grad = grad_v
        for t in range(charged.shape[0] - 1, -1, -1):
            # the straight-through window, as numbers: a choice by booleans is ten times as slow on a CPU
            torch.ge(charged[t], 0, out=inside).mul_(torch.le(charged[t], ctx.top, out=below_top))
            grad = torch.mul(inside, grad_counts[t], out=grad_x[t]).add_(grad) * ctx.decay
        return grad_x, grad, None, None


def _through_sigmoid(distance: Tensor, alpha: float, grad: Tensor, out: Tensor) -> Tensor:
    return _sigmoid_backward(grad, distance.mul_(alpha).sigmoid_(), grad_input=out).mul_(alpha)


def _through_atan(distance: Tensor, alpha: float, grad: Tensor, out: Tensor) -> Tensor:
    scaled = distance.mul_(math.pi / 2.0 * alpha)
    return torch.div(grad, scaled.mul_(scaled).add_(1.0), out=out).mul_(alpha / 2.0)


SURROGATES: dict[str, Callable[[Tensor, float, Tensor, Tensor], Tensor]] = {
    "sigmoid": _through_sigmoid,
    "atan": _through_atan,
}
"""The gradient of a spike times `grad`, into `out`, from the distance to the threshold, which is overwritten. Both are
even functions, so that distances from above and below are alike."""


def _charge(x: Tensor, v: Tensor, decay: float | Tensor, constants: Constants, out: Tensor) -> Tensor:
    leak = v - constants.v_reset if constants.v_reset else v
    if constants.decay_input:
        return torch.sub(x, leak, out=out).mul_(decay).add_(v)
    return torch.sub(v, leak * decay, out=out).add_(x)


def _reset(h: Tensor, s: Tensor, constants: Constants) -> Tensor:
    if constants.reset == "soft":
        return torch.sub(h, s, alpha=constants.threshold)
    if constants.v_reset == 0.0:
        return torch.addcmul(h, h, s, value=-1.0)
    return torch.where(s > 0, constants.v_reset, h)


def _membranes_before(charged: Tensor, first: Tensor, constants: Constants) -> Tensor:
    """v at the start of every step, from the charged membranes."""
    h = charged[:-1]
    after = _reset(h, (h >= constants.threshold).to(h.dtype), constants)
    return torch.cat([first[None], after])
