"""A model with the norms that follow a linear layer folded into it: what leaves the library has no more to compute.

In evaluation mode a batch norm is a scale and a shift of each channel, so it goes into the weights of the layer before
it, in float64. RepConv's inner norm goes into its depthwise taps: the border that it pads with is its norm of zero,
hence zero before the norm, and its shift is a constant that goes through the rest. Norms of attended sums, and those
that tell time steps apart (`ClipNorm` with steps), stay.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.layers.attention import SpikeAttention
from spikereel.layers.conv import ConvBlock, Downsample, RepConv, SepConv, SpikeConv
from spikereel.layers.mlp import MLP
from spikereel.layers.norm import ClipNorm
from spikereel.models.base import VideoModel
from spikereel.models.svformer import ClipMLP, LocalBlock, PatchEmbed, SelfAttention, SVFormer

PAIRS: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    Downsample: (("encode_conv", "encode_bn"),),
    SpikeConv: (("conv", "norm"),),
    SepConv: (("pwconv1", "bn1"), ("pwconv2", "bn2")),
    ConvBlock: (("conv1", "bn1"), ("conv2", "bn2")),
    MLP: (("fc1_conv", "fc1_bn"), ("fc2_conv", "fc2_bn")),
    PatchEmbed: (("proj", "norm"),),
    ClipMLP: (("fc1", "norm1"), ("fc2", "norm2")),
    LocalBlock: (("conv2", "norm2"),),
    SelfAttention: (("qkv", "norm1"), ("proj", "norm2")),
    SVFormer: (("lpPWConv", "lpBN"),),
}
"""Module: its linear layers, and the norm behind each."""


class Unnormed(nn.Module):
    """In the place of a norm that is folded: x as it is, whatever else a norm is told."""

    def forward(self, x: Tensor, first: int = 0) -> Tensor:
        return x


class FoldedRepConv(nn.Module):
    """1x1, depthwise 3x3 on zeros around, 1x1 with bias: a RepConv and all of its norms."""

    def __init__(self, first: nn.Module, depthwise: nn.Module, last: nn.Module):
        super().__init__()
        self.first, self.depthwise, self.last = first, depthwise, last

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, H, W] to the same shape."""
        return self.last(self.depthwise(self.first(x)))


def folded(model: VideoModel) -> VideoModel:
    """A copy in evaluation mode, its norms folded into the layers before them.

    It computes what the model does up to rounding, and can neither be trained nor saved as weights.
    """
    model = copy.deepcopy(model).eval()
    for module in list(model.modules()):
        for layer, norm in next((pairs for kind, pairs in PAIRS.items() if isinstance(module, kind)), ()):
            # a model without a local path has no norm for it
            if hasattr(module, norm) and _folds(module.get_submodule(norm)):
                _fold(module.get_submodule(layer), *affine(module.get_submodule(norm)))
                module.set_submodule(norm, Unnormed())
        if isinstance(module, SpikeAttention):
            for name, part in module.named_children():
                if isinstance(part, nn.Sequential) and isinstance(part[0], RepConv):
                    module.set_submodule(name, _folded_projection(part[0], part[1]))
    return model


def affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift [C] of a norm with its running statistics, in float64."""
    mean, var, weight, bias = (
        x.detach().double() for x in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    scale = weight / torch.sqrt(var + norm.eps)
    return scale, bias - mean * scale


def _folds(norm: nn.Module) -> bool:
    return not isinstance(norm, nn.Identity | Unnormed) and not (isinstance(norm, ClipNorm) and norm.steps is not None)


def _fold(layer: Any, scale: Tensor, shift: Tensor) -> None:
    weight = layer.weight.detach().double()
    bias = scale.new_zeros(()) if layer.bias is None else layer.bias.detach().double()
    kind = layer.weight.dtype
    layer.weight = nn.Parameter((weight * scale.view(-1, *[1] * (weight.ndim - 1))).to(kind), requires_grad=False)
    layer.bias = nn.Parameter((bias * scale + shift).to(kind), requires_grad=False)


def _folded_projection(rep: RepConv, outer: nn.Module) -> FoldedRepConv:
    first, inner, tail = rep.body
    depthwise, last, second = (copy.deepcopy(part) for part in tail.children())
    assert isinstance(depthwise, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    kind = depthwise.weight.dtype
    scale, shift = affine(inner.bn)
    taps = depthwise.weight.detach().double()
    constant = last.weight.detach().double()[..., 0, 0] @ (shift * taps.sum((1, 2, 3)))
    depthwise.weight = nn.Parameter((taps * scale.view(-1, 1, 1, 1)).to(kind), requires_grad=False)
    depthwise.padding = (1, 1)
    a, b = affine(second)
    c, d = affine(outer)
    # c (a (W y + constant) + b) + d
    _fold(last, c * a, c * (a * constant + b) + d)
    return FoldedRepConv(first, depthwise, last)
