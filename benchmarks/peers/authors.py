"""The structure of the authors' implementation of SpikeVideoFormer: their graph and op granularity, in our own words.

Multi-step neurons of SpikingJelly's `clock_driven` package on its torch backend, norms unfolded, Hamming attention on
permuted copies of q, k and v. The names of the parameters are the published ones, so weights load as they are.
Source: Zou et al., "SpikeVideoFormer", ICML 2025.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peers.contract import Built, Peer, without_gradients
from spikereel.errors import ConfigError
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormerConfig


def neuron() -> nn.Module:
    """tau = 2 with decayed input, threshold 1, hard reset to 0, all steps of a clip in one call."""
    from spikingjelly.clock_driven.neuron import MultiStepLIFNode

    return MultiStepLIFNode(tau=2.0, detach_reset=True, backend="torch")


def over_frames(x: Tensor, *layers: nn.Module) -> Tensor:
    """Layers that know nothing of time, one after the other, on [T, B, ...] as one batch."""
    t, b = x.shape[:2]
    y = x.flatten(0, 1)
    for layer in layers:
        y = layer(y)
    return y.reshape(t, b, *y.shape[1:]).contiguous()


class Stem(nn.Module):
    """Neuron (not before the first), strided convolution with bias, norm."""

    def __init__(self, narrow: int, wide: int, kernel: int, stride: int, *, analog: bool = False):
        super().__init__()
        self.encode_conv = nn.Conv2d(narrow, wide, kernel, stride, kernel // 2)
        self.encode_bn = nn.BatchNorm2d(wide)
        self.encode_lif = None if analog else neuron()

    def forward(self, x: Tensor) -> Tensor:
        if self.encode_lif is not None:
            x = self.encode_lif(x)
        return over_frames(x, self.encode_conv, self.encode_bn)


class Separable(nn.Module):
    """Neuron, 1x1, norm, neuron, depthwise 7x7, 1x1, norm."""

    def __init__(self, dim: int):
        super().__init__()
        self.lif1, self.lif2 = neuron(), neuron()
        self.pwconv1 = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * dim)
        self.dwconv = nn.Conv2d(2 * dim, 2 * dim, 7, padding=3, groups=2 * dim, bias=False)
        self.pwconv2 = nn.Conv2d(2 * dim, dim, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = over_frames(self.lif1(x), self.pwconv1, self.bn1)
        return over_frames(self.lif2(x), self.dwconv, self.pwconv2, self.bn2)


class Convolutions(nn.Module):
    """x + separable convolution, then x + two 3x3 convolutions by way of four times the channels."""

    def __init__(self, dim: int):
        super().__init__()
        self.Conv = Separable(dim)
        self.lif1, self.lif2 = neuron(), neuron()
        self.conv1 = nn.Conv2d(dim, 4 * dim, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4 * dim)
        self.conv2 = nn.Conv2d(4 * dim, dim, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.Conv(x) + x
        y = over_frames(self.lif1(x), self.conv1, self.bn1)
        return over_frames(self.lif2(y), self.conv2, self.bn2) + x


class Border(nn.Module):
    """Norm, then one pixel of padding with what the norm makes of an input of zero."""

    def __init__(self, dim: int):
        super().__init__()
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        bn = self.bn
        y = F.pad(bn(x), (1, 1, 1, 1))
        # in training with the running statistics after their update
        edge = bn.bias.detach() - bn.running_mean * bn.weight.detach() / torch.sqrt(bn.running_var + bn.eps)
        edge = edge.view(1, -1, 1, 1)
        y[:, :, :1] = edge
        y[:, :, -1:] = edge
        y[:, :, :, :1] = edge
        y[:, :, :, -1:] = edge
        return y


class Reparameterisable(nn.Module):
    """1x1, norm with border, depthwise 3x3, 1x1, norm."""

    def __init__(self, dim: int):
        super().__init__()
        depthwise = nn.Conv2d(dim, dim, 3, groups=dim, bias=False)
        tail = nn.Sequential(depthwise, nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 1, bias=False), Border(dim), tail)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class HammingAttention(nn.Module):
    """(2q - 1) [(2k - 1)^T v] / (2 D) over all tokens of the clip, a norm, a neuron, a projection."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads, self.scale = heads, 1.0 / (2 * dim)
        self.head_lif, self.attn_lif = neuron(), neuron()
        for part in ("q", "k", "v"):
            self.add_module(f"{part}_conv", nn.Sequential(Reparameterisable(dim), nn.BatchNorm2d(dim)))
            self.add_module(f"{part}_lif", neuron())
        self.attn_bn = nn.BatchNorm2d(dim)
        self.proj_conv = nn.Sequential(Reparameterisable(dim), nn.BatchNorm2d(dim))

    def tokens(self, part: str, x: Tensor) -> Tensor:
        """Spikes of q, k or v, [B, heads, T H W, D / heads]."""
        t, b, dim, h, w = x.shape
        spikes = self.get_submodule(f"{part}_lif")(over_frames(x, self.get_submodule(f"{part}_conv"))).flatten(3)
        by_head = spikes.transpose(-1, -2).reshape(t, b, h * w, self.heads, dim // self.heads)
        return by_head.permute(1, 3, 0, 2, 4).contiguous().flatten(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        t, b, dim, h, w = x.shape
        x = self.head_lif(x)
        q, k, v = (self.tokens(part, x) for part in ("q", "k", "v"))
        q, k = 2.0 * q - 1.0, 2.0 * k - 1.0
        a = (q @ (k.transpose(-2, -1) @ v)) * self.scale
        a = a.view(b, self.heads, t, h * w, dim // self.heads).permute(2, 0, 1, 4, 3)
        a = over_frames(a.reshape(t, b, dim, h, w).contiguous(), self.attn_bn)
        return over_frames(self.attn_lif(a), self.proj_conv)


class Mixer(nn.Module):
    """Neuron, D to 4 D, norm, neuron, 4 D to D, norm, on tokens."""

    def __init__(self, dim: int, ratio: float):
        super().__init__()
        wide = int(ratio * dim)
        self.fc1_lif, self.fc2_lif = neuron(), neuron()
        self.fc1_conv, self.fc1_bn = nn.Conv1d(dim, wide, 1), nn.BatchNorm1d(wide)
        self.fc2_conv, self.fc2_bn = nn.Conv1d(wide, dim, 1), nn.BatchNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        y = over_frames(self.fc1_lif(x.flatten(3)), self.fc1_conv, self.fc1_bn)
        return over_frames(self.fc2_lif(y), self.fc2_conv, self.fc2_bn).reshape(x.shape).contiguous()


class Block(nn.Module):
    """x + attention, then x + mixer."""

    def __init__(self, dim: int, heads: int, ratio: float):
        super().__init__()
        self.attn, self.mlp = HammingAttention(dim, heads), Mixer(dim, ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.mlp(x)


class Network(nn.Module):
    """The published classifier of clips with joint Hamming attention."""

    def __init__(self, config: SpikeVideoFormerConfig):
        super().__init__()
        c0, c1, c2, c3 = config.widths
        self.downsample1_1 = Stem(config.in_channels, c0 // 2, 7, 2, analog=True)
        self.ConvBlock1_1 = nn.ModuleList([Convolutions(c0 // 2)])
        self.downsample1_2 = Stem(c0 // 2, c0, 3, 2)
        self.ConvBlock1_2 = nn.ModuleList([Convolutions(c0)])
        self.downsample2 = Stem(c0, c1, 3, 2)
        self.ConvBlock2_1 = nn.ModuleList([Convolutions(c1)])
        self.ConvBlock2_2 = nn.ModuleList([Convolutions(c1)])
        self.downsample3 = Stem(c1, c2, 3, 2)
        self.block3 = nn.ModuleList(Block(c2, config.heads, config.mlp_ratio) for _ in range(config.depths[0]))
        self.downsample4 = Stem(c2, c3, 3, 1)
        self.block4 = nn.ModuleList(Block(c3, config.heads, config.mlp_ratio) for _ in range(config.depths[1]))
        self.lif = neuron()
        self.head = nn.Linear(c3, config.num_classes)

    def forward(self, video: Tensor) -> Tensor:
        """Logits [B, classes] of a clip [T, B, C, H, W]; membranes stay until they are reset."""
        x = video
        for name, stage in self.named_children():
            if name in ("lif", "head"):
                break
            for part in stage if isinstance(stage, nn.ModuleList) else [stage]:
                x = part(x)
        return self.head(self.lif(x.flatten(3).mean(3))).mean(0)


def network(model: VideoModel) -> Network:
    """The authors' structure with the weights and the type of numbers of a model of ours."""
    config: Any = model.config
    if not isinstance(config, SpikeVideoFormerConfig) or (config.attention, config.similarity) != ("joint", "hamming"):
        raise ConfigError("the authors' structure is a SpikeVideoFormer with attention='joint', similarity='hamming'")
    if config.task != "classification" or config.neuron != SpikeVideoFormerConfig().neuron:
        raise ConfigError("the authors' structure classifies, and its neurons have the published constants")
    built = Network(config).to(next(model.parameters()).dtype)
    built.load_state_dict(model.state_dict())
    return built.eval()


def build(model: VideoModel, clip: Tensor) -> Built:
    from spikingjelly.clock_driven.functional import reset_net

    built = network(model)

    def run(video: Tensor) -> Tensor:
        reset_net(built)
        return built(video)

    return Built(run=without_gradients(run), settings={"backend": "torch"})


PEER = Peer(
    name="authors",
    what="structure of the authors' implementation on SpikingJelly 0.0.0.0.12, clock_driven neurons, torch backend",
    build=build,
    tolerance=1e-4,
    exact=True,
    environment="spikingjelly012",
)
