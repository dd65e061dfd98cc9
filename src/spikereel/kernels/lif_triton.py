"""LIF, parametric LIF and Integer-LIF in Triton with their gradients: twins of `lif_torch` on a GPU.

One kernel a direction for all time steps; kept for the backward pass is the input alone, and membranes are computed
again in registers.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from spikereel.kernels import training_triton
from spikereel.kernels.lif_torch import Constants


class _Hard(NamedTuple):
    """Constants that an Integer-LIF does not look at."""

    threshold: float = 1.0
    reset: str = "soft"
    v_reset: float = 0.0
    decay_input: bool = False
    surrogate: str = "sigmoid"
    alpha: float = 4.0
    detach_reset: bool = True


class _Unit(NamedTuple):
    constants: Constants
    decay: float = 0.0
    integer: bool = False
    top: int = 1
    per: float = 1.0


def fused_lif(x: Tensor, v: Tensor, decay: float | Tensor, constants: Constants) -> tuple[Tensor, Tensor]:
    """As `spikereel.kernels.lif_torch.fused_lif`."""
    learnt, fixed = (decay, 0.0) if isinstance(decay, Tensor) else (None, decay)
    return _Neuron.apply(x, v, learnt, _Unit(constants, fixed))


def fused_ilif(x: Tensor, v: Tensor, decay: float, top: int) -> tuple[Tensor, Tensor]:
    """As `spikereel.kernels.lif_torch.fused_ilif`."""
    return _Neuron.apply(x, v, None, _Unit(_Hard(), decay, integer=True, top=top))


class _Neuron(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, v, learnt, unit):
        x, v = x.contiguous(), v.contiguous()
        ctx.unit, ctx.learnt = unit, learnt is not None
        ctx.save_for_backward(x, v, *(() if learnt is None else (learnt,)))
        return training_triton.spikes(x, v, unit, unit.decay if learnt is None else learnt)

    @staticmethod
    def backward(ctx, to_spikes, to_v):  # ty: ignore[incompatible-method-override]
        x, v, *learnt = ctx.saved_tensors
        decay = learnt[0] if learnt else None
        found = training_triton.unfire(x, None, v, ctx.unit, to_spikes, to_v, ctx.learnt, decay)
        to_decay = None if found[3] is None else found[3].to(x.dtype)
        return found[0], found[1], to_decay, None
