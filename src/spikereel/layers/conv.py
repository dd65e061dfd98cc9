"""Convolutional parts: down-sampling, ConvBlock, and the re-parameterisable RepConv, under their published names.

Source: the released code of SpikeVideoFormer (Zou et al., "SpikeVideoFormer: An Efficient Spike-Driven Video
Transformer with Hamming Attention and O(T) Complexity", ICML 2025).

`Conv1d` and `Conv2d` are those of PyTorch behind a neuron that may give binary sub-steps.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from spikereel.layers import plain
from spikereel.layers.neuron import Neuron, NeuronConfig, collected
from spikereel.layers.time import per_frame


class OnSpikes(_ConvNd):
    """A convolution of spikes: each binary sub-step by itself, summed up before the bias is added once."""

    neuron: NeuronConfig

    def forward(self, input: Tensor) -> Tensor:
        """[B, ...] as that of PyTorch; [D B, ...] with D sub-steps to [B, ...]."""
        if not self.neuron.replays:
            return super().forward(input)
        y = collected(self._conv_forward(input, self.weight, None), self.neuron)
        return y if self.bias is None else y + self.bias.view(-1, *[1] * (y.ndim - 2))


class Conv1d(OnSpikes, plain.Conv1d):
    """`nn.Conv1d` behind a neuron."""

    def __init__(self, *args: Any, neuron: NeuronConfig, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.neuron = neuron


class Conv2d(OnSpikes, plain.Conv2d):
    """`nn.Conv2d` behind a neuron."""

    def __init__(self, *args: Any, neuron: NeuronConfig, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.neuron = neuron


class Downsample(nn.Module):
    """Neuron (unless the input is analog), convolution with bias, batch norm."""

    def __init__(self, channels_in: int, channels: int, *, kernel: int, stride: int, neuron: NeuronConfig | None):
        super().__init__()
        shape = (channels_in, channels, kernel, stride, kernel // 2)
        self.encode_conv = plain.Conv2d(*shape) if neuron is None else Conv2d(*shape, neuron=neuron)
        self.encode_bn = plain.BatchNorm2d(channels)
        self.encode_lif = None if neuron is None else Neuron(neuron, channels_in)

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to [T, B, C', ceil(H / stride), ceil(W / stride)]."""
        state, after = state or {}, {}
        if self.encode_lif is not None:
            x, after["encode_lif"] = self.encode_lif(x, state.get("encode_lif"))
        return per_frame(lambda y: self.encode_bn(self.encode_conv(y)), x), after


class SpikeConv(nn.Module):
    """Neuron, convolution, batch norm; the convolution has a bias where there is no norm."""

    def __init__(self, channels_in: int, channels: int, neuron: NeuronConfig, *, kernel: int = 1, norm: bool = True):
        super().__init__()
        self.lif = Neuron(neuron, channels_in)
        self.conv = Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=not norm, neuron=neuron)
        self.norm = plain.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to [T, B, C', H, W]."""
        spikes, v = self.lif(x, (state or {}).get("lif"))
        return per_frame(lambda y: self.norm(self.conv(y)), spikes), {"lif": v}


class SepConv(nn.Module):
    """Neuron, 1x1, norm, neuron, depthwise 7x7, 1x1, norm."""

    def __init__(self, channels: int, neuron: NeuronConfig):
        super().__init__()
        wide = 2 * channels
        self.lif1 = Neuron(neuron, channels)
        self.pwconv1 = Conv2d(channels, wide, 1, bias=False, neuron=neuron)
        self.bn1 = plain.BatchNorm2d(wide)
        self.lif2 = Neuron(neuron, wide)
        self.dwconv = Conv2d(wide, wide, 7, padding=3, groups=wide, bias=False, neuron=neuron)
        self.pwconv2 = plain.Conv2d(wide, channels, 1, bias=False)
        self.bn2 = plain.BatchNorm2d(channels)

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        state, after = state or {}, {}
        x, after["lif1"] = self.lif1(x, state.get("lif1"))
        x = per_frame(lambda y: self.bn1(self.pwconv1(y)), x)
        x, after["lif2"] = self.lif2(x, state.get("lif2"))
        return per_frame(lambda y: self.bn2(self.pwconv2(self.dwconv(y))), x), after


class ConvBlock(nn.Module):
    """x + Sep(x), then x + Chan(x) with Chan two 3x3 convolutions of ratio 4."""

    def __init__(self, channels: int, neuron: NeuronConfig):
        super().__init__()
        wide = 4 * channels
        self.Conv = SepConv(channels, neuron)
        self.lif1 = Neuron(neuron, channels)
        self.conv1 = Conv2d(channels, wide, 3, padding=1, bias=False, neuron=neuron)
        self.bn1 = plain.BatchNorm2d(wide)
        self.lif2 = Neuron(neuron, wide)
        self.conv2 = Conv2d(wide, channels, 3, padding=1, bias=False, neuron=neuron)
        self.bn2 = plain.BatchNorm2d(channels)

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        state, after = state or {}, {}
        y, after["Conv"] = self.Conv(x, state.get("Conv"))
        x = x + y
        y, after["lif1"] = self.lif1(x, state.get("lif1"))
        y = per_frame(lambda z: self.bn1(self.conv1(z)), y)
        y, after["lif2"] = self.lif2(y, state.get("lif2"))
        return x + per_frame(lambda z: self.bn2(self.conv2(z)), y), after


class _Bordered(torch.autograd.Function):
    """x [B, C, H, W] in a border of one pixel with the values [C], a constant; the order in memory stays that of x.

    The gradient too is handed on in that order: a batch norm whose input and gradient differ takes ten times as long.
    """

    @staticmethod
    def forward(ctx, x, border):
        ctx.order = (
            torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        )
        out = F.pad(x, (1, 1, 1, 1))
        values = border[:, None]
        for edge in (out[:, :, 0], out[:, :, -1], out[..., 0], out[..., -1]):
            edge[:] = values
        return out

    @staticmethod
    def backward(ctx, grad):  # ty: ignore[incompatible-method-override]
        return grad[:, :, 1:-1, 1:-1].contiguous(memory_format=ctx.order), None


def _joined_border(x: Tensor, border: Tensor) -> Tensor:
    """The same as `_Bordered`, joined from parts: in an exported graph, writes into a part become tables of indices."""
    edge = border[:, None, None].expand(len(x), -1, x.shape[2], 1)
    x = torch.cat([edge, x, edge], dim=3)
    edge = border[:, None, None].expand(len(x), -1, 1, x.shape[3])
    return torch.cat([edge, x, edge], dim=2)


class NormAndPad(nn.Module):
    """Batch norm, then a border of one pixel holding what the norm makes of an input of zero.

    The border is beta - mean gamma / sqrt(var + eps) with the running statistics, in training after their update, and
    with gamma and beta as constants in the backward pass: as published, so that training agrees too.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.bn = plain.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(x)
        border = self.border().to(x.dtype)
        return _joined_border(x, border) if torch.compiler.is_exporting() else _Bordered.apply(x, border)

    def border(self) -> Tensor:
        """[C]: the norm of zero."""
        bn = self.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        return bn.bias.detach() - bn.running_mean * bn.weight.detach() / torch.sqrt(bn.running_var + bn.eps)


class RepConv(nn.Module):
    """1x1, norm with border, depthwise 3x3, 1x1, norm: linear, so it folds to one dense 3x3 when not training.

    Only the first 1x1 sees spikes when run as it stands.
    """

    def __init__(self, dim: int, neuron: NeuronConfig):
        super().__init__()
        tail = nn.Sequential(
            plain.Conv2d(dim, dim, 3, groups=dim, bias=False),
            plain.Conv2d(dim, dim, 1, bias=False),
            plain.BatchNorm2d(dim),
        )
        self.body = nn.Sequential(Conv2d(dim, dim, 1, bias=False, neuron=neuron), NormAndPad(dim), tail)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D, H, W] to the same shape."""
        return self.body(x)


def projection(dim: int, neuron: NeuronConfig) -> nn.Sequential:
    """RepConv and the outer norm around it: what makes q, k, v and the output of an attention; `neuron` is before."""
    return nn.Sequential(RepConv(dim, neuron), plain.BatchNorm2d(dim))
