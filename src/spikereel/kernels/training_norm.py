"""A norm in training and its gradients from sums over rows: what is left to do for each channel, in float64."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Running = tuple[Tensor, Tensor] | None
"""Mean and variance [G, C] that a norm brings up to date in place."""
Tables = tuple[Tensor, Tensor, Tensor]
"""Scale, shift and mean [G, C]."""


def tables(
    x: Tensor, gamma: Tensor, beta: Tensor, running: Running, momentum: float, eps: float, moments: Callable[..., Any]
) -> tuple[Tables, Tensor]:
    """What a norm does to x [G, N, C], and 1 / std [G, C] in float64; gamma, beta [G, C].

    Raises ValueError for less than two values a channel.
    """
    count = counted(x)
    mean, var = moments(x)
    if running is not None:
        running[0].lerp_(mean.to(running[0].dtype), momentum)
        running[1].lerp_((var * (count / (count - 1))).to(running[1].dtype), momentum)
    inverse = (var + eps).rsqrt()
    scale = gamma.double() * inverse
    shift = beta.double() - mean * scale
    return (scale.to(x.dtype), shift.to(x.dtype), mean.to(x.dtype)), inverse


def counted(x: Tensor) -> int:
    """Values of a channel of x [G, N, C]."""
    if x.shape[1] < 2:
        raise ValueError(f"a norm in training needs more than 1 value per channel, got {list(x.shape)}")
    return x.shape[1]


def through(
    grads: Tensor, x: Tensor, mean: Tensor, gamma: Tensor, inverse: Tensor, sums: Tensor, finish: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, gamma and beta from those of what the norm made, and their sums [G, 2, C]."""
    total, along = sums.unbind(1)
    a = gamma.double() * inverse
    b, c = -a * inverse.square() * along / x.shape[1], -a * total / x.shape[1]
    to_x = finish(grads, x, mean, *(factor.to(x.dtype) for factor in (a, b, c)))
    return to_x, (along * inverse).to(gamma.dtype), total.to(gamma.dtype)
