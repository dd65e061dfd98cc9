"""The fused neurons as single operations for `torch.compile`, which would write out every time step of every neuron.

A compiled model calls them as they are: its graph stays small, and spikes are those of the model that is not compiled.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikereel.kernels.lif_torch import Constants, fused_ilif, fused_lif


class Plain(NamedTuple):
    """`Constants`, from the arguments of an operation."""

    threshold: float
    reset: str
    v_reset: float
    decay_input: bool
    surrogate: str
    alpha: float


def compiled_lif(x: Tensor, v: Tensor, decay: float | Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
    """As `fused_lif`, in a graph."""
    c = constants
    learnt, fixed = (decay, 0.0) if isinstance(decay, Tensor) else (None, decay)
    return _lif(x, v, learnt, fixed, c.threshold, c.reset, c.v_reset, c.decay_input, c.surrogate, c.alpha)


def compiled_ilif(x: Tensor, v: Tensor, decay: float, top: int) -> tuple[Tensor, Tensor]:
    """As `fused_ilif`, in a graph."""
    return _ilif(x, v, decay, top)


@torch.library.custom_op("spikereel::rest", mutates_args=())
def compiled_rest(x: Tensor, rest: float, dtype: torch.dtype) -> Tensor:
    """The membrane [*d] of neurons at rest that see x [T, *d]; as loops it would be C++ for each of its sizes."""
    return x.new_full(x.shape[1:], rest, dtype=dtype)


@compiled_rest.register_fake
def _(x, rest, dtype):
    return x.new_empty(x.shape[1:], dtype=dtype)


@torch.library.custom_op("spikereel::lif", mutates_args=())
def _lif(
    x: Tensor,
    v: Tensor,
    learnt: Tensor | None,
    fixed: float,
    threshold: float,
    reset: str,
    v_reset: float,
    decay_input: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor]:
    constants = Plain(threshold, reset, v_reset, decay_input, surrogate, alpha)
    return fused_lif(x, v, fixed if learnt is None else learnt, constants)


@torch.library.custom_op("spikereel::lif_backward", mutates_args=())
def _lif_backward(
    to_spikes: Tensor,
    to_v: Tensor,
    x: Tensor,
    v: Tensor,
    learnt: Tensor | None,
    fixed: float,
    threshold: float,
    reset: str,
    v_reset: float,
    decay_input: bool,
    surrogate: str,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    constants = Plain(threshold, reset, v_reset, decay_input, surrogate, alpha)
    inputs = [x.detach().requires_grad_(), v.detach().requires_grad_()]
    decay = fixed if learnt is None else learnt.detach().requires_grad_()
    wanted = [*inputs, decay] if isinstance(decay, Tensor) else inputs
    with torch.enable_grad():
        outputs = fused_lif(inputs[0], inputs[1], decay, constants)
        grads = torch.autograd.grad(outputs, wanted, (to_spikes, to_v))
    return grads[0], grads[1].clone(), grads[2] if len(grads) > 2 else x.new_zeros(())


@torch.library.custom_op("spikereel::ilif", mutates_args=())
def _ilif(x: Tensor, v: Tensor, decay: float, top: int) -> tuple[Tensor, Tensor]:
    return fused_ilif(x, v, decay, top)


@torch.library.custom_op("spikereel::ilif_backward", mutates_args=())
def _ilif_backward(
    to_counts: Tensor, to_v: Tensor, x: Tensor, v: Tensor, decay: float, top: int
) -> tuple[Tensor, Tensor]:
    inputs = [x.detach().requires_grad_(), v.detach().requires_grad_()]
    with torch.enable_grad():
        grads = torch.autograd.grad(fused_ilif(inputs[0], inputs[1], decay, top), inputs, (to_counts, to_v))
    return grads[0], grads[1].clone()


@_lif.register_fake
def _(x, v, *_):
    return torch.empty_like(x), torch.empty_like(v)


@_ilif.register_fake
def _(x, v, *_):
    return torch.empty_like(x), torch.empty_like(v)


@_lif_backward.register_fake
def _(to_spikes, to_v, x, v, learnt, *_):
    return torch.empty_like(x), torch.empty_like(v), x.new_empty(() if learnt is None else learnt.shape)


@_ilif_backward.register_fake
def _(to_counts, to_v, x, v, *_):
    return torch.empty_like(x), torch.empty_like(v)


def _keep(ctx, inputs, output):
    x, v, *rest = inputs
    tensors = [r for r in rest if isinstance(r, Tensor)]
    ctx.save_for_backward(x, v, *tensors)
    ctx.rest = [None if isinstance(r, Tensor) else r for r in rest]
    ctx.learnt = bool(tensors)


def _through_lif(ctx, to_spikes, to_v):
    x, v, *learnt = ctx.saved_tensors
    decay = learnt[0] if learnt else None
    to_x, to_start, to_decay = _lif_backward(to_spikes.contiguous(), to_v.contiguous(), x, v, decay, *ctx.rest[1:])
    return to_x, to_start, to_decay if learnt else None, *[None] * (len(ctx.rest) - 1)


def _through_ilif(ctx, to_counts, to_v):
    x, v = ctx.saved_tensors
    to_x, to_start = _ilif_backward(to_counts.contiguous(), to_v.contiguous(), x, v, *ctx.rest)
    return to_x, to_start, None, None


_lif.register_autograd(_through_lif, setup_context=_keep)
_ilif.register_autograd(_through_ilif, setup_context=_keep)
