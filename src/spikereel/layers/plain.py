"""Convolutions and batch norms of PyTorch under their own names, which are single operations in a compiled model.

Outside of `torch.compile` they are PyTorch's own; so are names, weights and what is printed.
"""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikereel.ops.plain import batch_norm, convolution, is_single


class SingleConv(_ConvNd):
    """A convolution that is a single operation in a graph."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros" or isinstance(self.padding, str) or not is_single(input, weight):
            return super()._conv_forward(input, weight, bias)
        return convolution(
            input, weight, bias, stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups
        )


class Conv1d(SingleConv, nn.Conv1d):
    """`nn.Conv1d`."""


class Conv2d(SingleConv, nn.Conv2d):
    """`nn.Conv2d`."""


class SingleNorm(_BatchNorm):
    """A batch norm that is a single operation in a graph."""

    def forward(self, input: Tensor) -> Tensor:
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        if mean is None or var is None or self.momentum is None or not is_single(input, self.weight):
            return super().forward(input)
        if self.training and count is not None:
            count.add_(1)
        return batch_norm(
            input, mean, var, self.weight, self.bias, training=self.training, momentum=self.momentum, eps=self.eps
        )


class BatchNorm1d(SingleNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d`."""


class BatchNorm2d(SingleNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d`."""
