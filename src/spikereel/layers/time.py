"""Layers that know nothing of time, applied to every frame."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def per_frame(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a layer for [B, ...] to [T, B, ...], all frames in one batch.

    A layer that sums up sub-steps (`spikereel.layers.conv`) makes [T, B, ...] of their [D T, B, ...].
    """
    return layer(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))


class DropPath(nn.Module):
    """Stochastic depth: in training a residual branch [T, B, ...] is dropped for whole clips, never for single steps.

    A clip that keeps its branch has it scaled by 1 / (1 - rate). Source: Huang et al. 2016.
    `over_time` drops time steps of the whole batch instead: a fault of SVFormer's code, for comparison only.
    """

    def __init__(self, rate: float, *, over_time: bool = False):
        super().__init__()
        self.rate, self.over_time = rate, over_time

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        t, b = (len(x), 1) if self.over_time else (1, x.shape[1])
        keep = torch.rand(t, b, *[1] * (x.ndim - 2), device=x.device) >= self.rate
        return x * (keep / (1.0 - self.rate)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"
