"""Convolutions and batch norms of PyTorch, each a single operation where `torch.compile` sees it on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd


class Convolution(_ConvNd):
    """What the convolutions here are besides those of PyTorch."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if torch.compiler.is_compiling() and self.padding_mode == "zeros" and not isinstance(self.padding, str):
            from spikereel.layers.compiled import whole, whole_conv

            if whole(input, weight) and input.ndim == weight.ndim:
                how: Any = (list(self.stride), list(self.padding), list(self.dilation), self.groups)
                return whole_conv(input, weight, bias, *how)
        # the convolution of PyTorch that comes next among the bases
        return super()._conv_forward(input, weight, bias)


class Norm(_BatchNorm):
    """What the batch norms here are besides those of PyTorch."""

    def forward(self, input: Tensor) -> Tensor:
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        known = not (mean is None or var is None or count is None or self.momentum is None)
        if not torch.compiler.is_compiling() or not known:
            return super().forward(input)
        from spikereel.layers.compiled import whole, whole_norm

        if not whole(input, self.weight):
            return super().forward(input)
        how = (self.training, self.momentum, self.eps)
        y, _, _, mean_after, var_after = whole_norm(input, self.weight, self.bias, mean, var, *how)
        if self.training:
            count.add_(1)
            mean.copy_(mean_after.detach())
            var.copy_(var_after.detach())
        return y


class PlainConv2d(Convolution, nn.Conv2d):
    """`nn.Conv2d`, for values of any kind."""


class BatchNorm1d(Norm, nn.BatchNorm1d):
    """`nn.BatchNorm1d`."""


class BatchNorm2d(Norm, nn.BatchNorm2d):
    """`nn.BatchNorm2d`."""
