"""LIF with a hand-written backward pass: in-place steps, no graph per time step, memory of two tensors like x.

Works on every device PyTorch has. The reference is `spikereel.ops.lif`; `tests/ops/test_lif.py` proves them equal.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def fused_lif(
    x: Tensor,
    v: Tensor,
    decay: float | Tensor,
    threshold: float,
    reset_to: float | None,
    decay_input: bool,
    gradient: Callable[[Tensor], Tensor],
    v_rest: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Spikes [T, *d] and last membrane [*d] of x [T, *d] from membrane v [*d].

    reset_to: the membrane after a spike, or None for soft reset. gradient: derivative of a spike at distance
    h - threshold. The reset is a constant in the backward pass. decay may be a 0-dim tensor that wants a gradient.
    """
    learnt = isinstance(decay, Tensor)
    return _FusedLIF.apply(
        x, v, decay if learnt else None, 0.0 if learnt else decay, threshold, reset_to, decay_input, gradient, v_rest
    )


class _FusedLIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, v, learnt, fixed, threshold, reset_to, decay_input, gradient, v_rest):
        decay = fixed if learnt is None else learnt
        wanted = any(ctx.needs_input_grad)
        spikes = torch.empty_like(x)
        charged = torch.empty_like(x) if wanted else None
        first = v
        for t in range(x.shape[0]):
            h = _charge(x[t], v, decay, decay_input, v_rest)
            if charged is not None:
                charged[t] = h
            torch.ge(h, threshold, out=spikes[t])
            v = _reset(h, spikes[t], threshold, reset_to)
        ctx.constants = (fixed, threshold, reset_to, decay_input, gradient, v_rest)
        ctx.save_for_backward(charged, *((x, first, learnt) if learnt is not None and wanted else ()))
        return spikes, v

    @staticmethod
    def backward(ctx, grad_spikes, grad_v):  # ty: ignore[incompatible-method-override]
        charged, *saved = ctx.saved_tensors
        fixed, threshold, reset_to, decay_input, gradient, v_rest = ctx.constants
        decay = saved[-1] if saved else fixed
        scale = decay if decay_input else 1.0
        direct = gradient(charged - threshold).mul_(grad_spikes)
        # dv/dh is 1 where the neuron was silent or resets softly, 0 where it was set back
        keep = None if reset_to is None else charged < threshold
        grad_x = torch.empty_like(charged)
        grad_h, grad_decay = grad_v, None
        for t in range(charged.shape[0] - 1, -1, -1):
            back = grad_h if keep is None else grad_h * keep[t]
            grad_h = torch.add(direct[t], back, out=grad_x[t])
            grad_h = grad_h * (1.0 - decay)
        if saved:
            x, first, _ = saved
            before = _membranes_before(charged, first, threshold, reset_to) - v_rest
            # grad_x still holds dL/dh here
            grad_decay = (grad_x * ((x - before) if decay_input else -before)).sum()
        if decay_input:
            grad_x *= scale
        return grad_x, grad_h, grad_decay, None, None, None, None, None, None


def _charge(x: Tensor, v: Tensor, decay, decay_input: bool, v_rest: float) -> Tensor:
    leak = v - v_rest if v_rest else v
    if decay_input:
        return (x - leak).mul_(decay).add_(v)
    return (v - leak * decay).add_(x)


def _reset(h: Tensor, s: Tensor, threshold: float, reset_to: float | None) -> Tensor:
    if reset_to is None:
        return torch.sub(h, s, alpha=threshold)
    if reset_to == 0.0:
        return h * (1.0 - s)
    return torch.where(s > 0, reset_to, h)


def _membranes_before(charged: Tensor, first: Tensor, threshold: float, reset_to: float | None) -> Tensor:
    """v at the start of every step, from the charged membranes."""
    h = charged[:-1]
    after = _reset(h, (h >= threshold).to(h.dtype), threshold, reset_to)
    return torch.cat([first[None], after])
