"""Exact synaptic operations: one for every weight that a unit of a spike meets.

An operand x in {0, 1, 2, ...} meets, at each of its places, the weights of all outputs that look there; how many they
are depends on the place alone, so the count is a sum of x weighted by that number: what the layer would give with all
weights 1, at the price of one pass over x.
"""

from functools import cache
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd


@cache
def reach(length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int, mode: str) -> Tensor:
    """float64 [length]: how many outputs of a convolution look at each place of one axis.

    padding: places added before and after. mode: that of the convolution; places of zeros meet nobody.
    """
    before, after = padding
    padded = length + before + after
    outputs = (padded - dilation * (kernel - 1) - 1) // stride + 1
    taps = stride * torch.arange(outputs)[:, None] + dilation * torch.arange(kernel)
    seen = torch.bincount(taps.flatten(), minlength=padded).double()
    if mode == "zeros":
        return seen[before : before + length]
    places = torch.arange(length, dtype=torch.float64).view(1, 1, length)
    source = F.pad(places, padding, mode=mode).flatten().long()
    return torch.zeros(length, dtype=torch.float64).index_add_(0, source, seen)


def reaches(layer: _ConvNd, sizes: tuple[int, ...]) -> list[Tensor]:
    """`reach` of every axis of the input of a convolution; sizes: of its spatial axes."""
    pads = layer._reversed_padding_repeated_twice[::-1]
    pairs = [(pads[2 * i + 1], pads[2 * i]) for i in range(len(sizes))]
    return [
        reach(n, layer.kernel_size[i], layer.stride[i], pairs[i], layer.dilation[i], layer.padding_mode)
        for i, n in enumerate(sizes)
    ]


def fan_out(layer: _ConvNd | nn.Linear) -> int:
    """Outputs of one place that an input channel feeds."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels // layer.groups


def is_local(layer: _ConvNd) -> bool:
    """Whether the place of a spike matters to its count: not in 1x1 convolutions of stride 1."""
    return prod(layer.kernel_size) > 1 or prod(layer.stride) > 1 or any(layer._reversed_padding_repeated_twice)


def inner_macs(layer: _ConvNd, sizes: tuple[int, ...]) -> float:
    """Multiply-accumulates of a convolution for one input [channels, *sizes], none on padding zeros."""
    return layer.in_channels * fan_out(layer) * prod(float(r.sum()) for r in reaches(layer, sizes))
