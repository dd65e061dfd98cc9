"""The spike: a step function going forward, a smooth bump going backward."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from spikereel.errors import ConfigError

Surrogate = Literal["sigmoid", "atan"]

DEFAULT_ALPHA: dict[str, float] = {"sigmoid": 4.0, "atan": 2.0}


def surrogate_gradient(u: Float[Tensor, "*d"], kind: Surrogate = "sigmoid", alpha: float | None = None) -> Tensor:
    """Derivative used in place of that of the step at distance u = h - threshold.

    - sigmoid: alpha s (1 - s) with s = sigmoid(alpha u); alpha = 4 peaks at 1 (SpikeVideoFormer)
    - atan: (alpha / 2) / (1 + (pi alpha u / 2)^2); alpha = 2 peaks at 1 (SVFormer)
    """
    alpha = DEFAULT_ALPHA[kind] if alpha is None else alpha
    if kind == "sigmoid":
        s = torch.sigmoid(alpha * u)
        return alpha * s * (1.0 - s)
    return (alpha / 2.0) / (1.0 + (math.pi / 2.0 * alpha * u) ** 2)


class _Step(torch.autograd.Function):
    """Heaviside step, 1 or 0 at equality, with a surrogate gradient."""

    @staticmethod
    def forward(ctx, u: Tensor, kind: Surrogate, alpha: float | None, strict: bool) -> Tensor:
        ctx.save_for_backward(u)
        ctx.kind, ctx.alpha = kind, alpha
        return (u > 0 if strict else u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (u,) = ctx.saved_tensors
        return grads[0] * surrogate_gradient(u, ctx.kind, ctx.alpha), None, None, None


def spike(
    u: Float[Tensor, "*d"], kind: Surrogate = "sigmoid", alpha: float | None = None, *, strict: bool = False
) -> Float[Tensor, "*d"]:
    """1 where u >= 0 (strict: u > 0), else 0; its gradient is `surrogate_gradient(u, kind, alpha)`."""
    if kind not in get_args(Surrogate):
        raise ConfigError(f"surrogate {kind!r} does not exist; choose one of {', '.join(get_args(Surrogate))}")
    return _Step.apply(u, kind, alpha, strict)


class _RoundClamp(torch.autograd.Function):
    """Nearest integer in 0..top; the gradient is 1 inside [0, top] and 0 outside (straight-through window)."""

    @staticmethod
    def forward(ctx, u: Tensor, top: int) -> Tensor:
        ctx.save_for_backward(u)
        ctx.top = top
        return u.clamp(0, top).round()

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return grads[0] * ((u >= 0) & (u <= ctx.top)), None


def integer_spike(u: Float[Tensor, "*d"], top: int) -> Float[Tensor, "*d"]:
    """round(clamp(u, 0, top)) with a straight-through gradient on [0, top]; halves round to even, as torch does."""
    return _RoundClamp.apply(u, top)
