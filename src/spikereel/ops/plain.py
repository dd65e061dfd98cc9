"""Convolution and batch norm of PyTorch, and where a graph of `torch.compile` holds them as single operations."""

from collections.abc import Sequence

import torch
from torch import Tensor


def is_single(x: Tensor, weight: Tensor | None) -> bool:
    """Whether `convolution` and `batch_norm` are meant in the place of PyTorch's own: on a CPU inside `torch.compile`,
    which then has little to write in C++. Never in an export, and not where autocast or another type would cast.
    """
    return (
        torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and weight is not None
        and weight.dtype == x.dtype
    )


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """`torch.nn.functional.conv1d` and `conv2d`, as a single operation."""
    from spikereel.kernels.plain_compiled import compiled_convolution

    return compiled_convolution(x, weight, bias, list(stride), list(padding), list(dilation), groups)


def batch_norm(
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, *, training: bool, momentum: float, eps: float
) -> Tensor:
    """`torch.nn.functional.batch_norm` as a single operation; in training it brings mean and var up to date."""
    from spikereel.kernels.plain_compiled import compiled_norm

    return compiled_norm(x, mean, var, weight, bias, training=training, momentum=momentum, eps=eps)
