"""Batch norm for clips: one for all time steps, or one for each; and over the batches of several processes."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.errors import StateError


class ClipNorm(_BatchNorm):
    """Batch norm of [T, B, C, ...] over batch and space, with statistics and affine of its own for each time step.

    Feature t C + c belongs to channel c at step t, so weights and statistics are vectors of length `steps` C and fit
    clips of `steps` frames only. `steps=None` is the ordinary norm: C features, statistics over time as well.
    Source: the time-dependent batch norm of SVFormer (arXiv 2406.15034), as in its released code.
    """

    def __init__(self, channels: int, steps: int | None):
        super().__init__(channels * (steps or 1))
        self.channels, self.steps = channels, steps

    def forward(self, x: Tensor, first: int = 0) -> Tensor:  # ty: ignore[lost-keyword-for-regular-parameter]
        """x: steps `first` to `first + T` of the clip. Raises StateError past the last step."""
        t, b, c = x.shape[:3]
        if self.steps is None:
            return self._normalise(x.flatten(0, 1), slice(None)).unflatten(0, (t, b))
        if first + t > self.steps:
            raise StateError(f"these norms know {self.steps} time steps, got steps {first} to {first + t - 1}")
        features = slice(first * c, (first + t) * c)
        y = self._normalise(x.transpose(0, 1).flatten(1, 2), features)
        return y.unflatten(1, (t, c)).transpose(0, 1)

    def _normalise(self, x: Tensor, features: slice) -> Tensor:
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        assert mean is not None
        assert var is not None
        assert count is not None
        if self.training:
            count.add_(1)
        momentum = 1.0 / float(count) if self.momentum is None and self.training else self.momentum or 0.0
        return self._norm(
            x,
            mean[features],
            var[features],
            self.weight[features],
            self.bias[features],
            self.training,
            momentum,
            self.eps,
        )

    def _norm(self, *inputs: Any) -> Tensor:
        return F.batch_norm(*inputs)

    def extra_repr(self) -> str:
        return f"{self.channels}, steps={self.steps}"


class SyncedNorm(_BatchNorm):
    """Batch norm over the batches of all processes; a `torch.nn.BatchNorm` becomes one by `synced`."""

    def forward(self, x: Tensor) -> Tensor:  # ty: ignore[lost-keyword-for-regular-parameter]
        """As without other processes, for the batches of all of them put together."""
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        assert mean is not None
        assert var is not None
        assert count is not None
        if self.training:
            count.add_(1)
        momentum = 1.0 / float(count) if self.momentum is None and self.training else self.momentum or 0.0
        return normalise(x, mean, var, self.weight, self.bias, self.training, momentum, self.eps)


class SyncedClipNorm(ClipNorm):
    """`ClipNorm` over the batches of all processes."""

    def _norm(self, *inputs: Any) -> Tensor:
        return normalise(*inputs)


def synced(model: nn.Module, on: bool = True) -> nn.Module:
    """Every batch norm of a model, in place, as one over all processes, or back as it was; weights stay what they are.

    torch.nn.SyncBatchNorm takes GPUs alone, and knows nothing of `ClipNorm`.
    """
    for norm in model.modules():
        if isinstance(norm, ClipNorm):
            norm.__class__ = SyncedClipNorm if on else ClipNorm
        elif on and isinstance(norm, _BatchNorm) and not isinstance(norm, SyncedNorm):
            # modules lay out no memory of their own by class
            norm.__dict__["alone"], norm.__class__ = type(norm), SyncedNorm
        elif not on and isinstance(norm, SyncedNorm):
            norm.__class__ = norm.__dict__.pop("alone")
    return model


@contextmanager
def unsynced(model: nn.Module) -> Generator[None, None, None]:
    """Norms that look at this process alone inside the block, for clips that all processes have: those counted twice
    would be another number of clips."""
    was = any(isinstance(norm, SyncedNorm | SyncedClipNorm) for norm in model.modules())
    if was:
        synced(model, on=False)
    try:
        yield
    finally:
        if was:
            synced(model)


def normalise(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """`torch.nn.functional.batch_norm` of x [N, C, ...] over the N of all processes; running statistics in place.

    Means first and variances about them, in two sums over processes, since the difference of large numbers would cost
    digits. Gradients are those of one process with all of the batch.
    """
    if not (training and dist.is_initialized() and dist.get_world_size() > 1):
        return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps)
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *(1 for _ in x.shape[2:]))
    count = _Sum.apply(torch.tensor([x.numel() / x.shape[1]], dtype=torch.float64, device=x.device)).to(x.dtype)
    own_mean = _Sum.apply(x.sum(axes)) / count
    centred = x - own_mean.view(shape)
    own_var = _Sum.apply(centred.square().sum(axes)) / count
    with torch.no_grad():
        mean.lerp_(own_mean.to(mean.dtype), momentum)
        var.lerp_((own_var * (count / (count - 1))).to(var.dtype), momentum)
    y = centred * (own_var + eps).rsqrt().view(shape)
    return y if weight is None or bias is None else y * weight.view(shape) + bias.view(shape)


class _Sum(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total
