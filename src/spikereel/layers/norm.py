"""Batch norm for clips: one for all time steps, or one for each."""

from torch import Tensor
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
        return F.batch_norm(
            x,
            mean[features],
            var[features],
            self.weight[features],
            self.bias[features],
            self.training,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return f"{self.channels}, steps={self.steps}"
