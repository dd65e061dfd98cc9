"""Class maps of every frame from features at several scales: the heads of task="segmentation"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.errors import ConfigError
from spikereel.layers.conv import SpikeConv
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.time import per_frame

SegmentationHead = Literal["mlp", "fpn"]

FPN_UNITS = (1, 1, 2, 3)
"""Convolutions of each level of the FPN head, all but the first level enlarged by 2 after each."""


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig:
    """task="segmentation" only: how features become class maps."""

    head: SegmentationHead = "mlp"
    """mlp: all levels brought to one width and size, and mixed, after SegFormer; fpn: a feature pyramid from coarse to
    fine, after the Spike-driven Transformer V2."""
    width: int | None = None
    """Channels of the head; None is 768 for mlp and 128 for fpn."""
    neck: int | None = None
    """fpn: channels of the pyramid before the head; None is 128."""

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ConfigError(f"head {self.head!r} does not exist for segmentation; choose one of {', '.join(HEADS)}")
        for name in ("width", "neck"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} of the segmentation head must be at least 1, got {value}")
        if self.head != "fpn" and self.neck is not None:
            raise ConfigError(f"neck is {self.neck}: only head='fpn' has one; leave it out")


class MLPHead(nn.Module):
    """Each level to one width (neuron, 1x1, norm), enlarged to the finest, joined, mixed (neuron, 1x1, norm), classes.

    Source: the all-MLP head of SegFormer (Xie et al. 2021) with a neuron before every weight.
    """

    taps = ("ConvBlock1_2", "ConvBlock2_2", "block3", "block4")
    """Parts of the backbone that it sees the output of; class maps come at the scale of the first."""

    def __init__(self, channels: list[int], config: SegmentationConfig, classes: int, neuron: NeuronConfig):
        super().__init__()
        width = config.width or 768
        self.levels = nn.ModuleList(SpikeConv(c, width, neuron) for c in channels)
        self.fuse = SpikeConv(width * len(channels), width, neuron)
        self.classify = SpikeConv(width, classes, neuron, norm=False)

    def forward(self, features: list[Tensor], state: dict | None = None) -> tuple[Tensor, dict]:
        """Features [T, B, C, h, w], finest first, to class maps [T, B, K, h, w] of the finest, and the membranes."""
        state, after = state or {}, {}
        maps, after["levels"] = _each(self.levels, features, state.get("levels"))
        if maps[0].requires_grad:
            # of the joined maps' gradient comes a part with gaps, which the backward pass of a norm is slow on
            strides = maps[0].stride()
            maps[0].register_hook(lambda grad: grad.new_empty_strided(grad.shape, strides).copy_(grad))
        # joined frame by frame: [B, C, h, w] keeps the order in memory that convolutions are fast in
        joined = torch.cat([_resized(x, maps[0]).flatten(0, 1) for x in maps], dim=1).unflatten(0, maps[0].shape[:2])
        x, after["fuse"] = self.fuse(joined, state.get("fuse"))
        x, after["classify"] = self.classify(x, state.get("classify"))
        return x, after


class FPNHead(nn.Module):
    """A pyramid (neuron, 1x1, norm; plus what is coarser; neuron, 3x3, norm), levels enlarged step by step, summed.

    Source: the segmentation network of Spike-driven Transformer V2, which sees the stem at half resolution too, after
    Panoptic FPN (Kirillov et al. 2019). Its pyramid has biases in place of norms, from which fresh
    weights leave the neurons silent.
    """

    taps = ("ConvBlock1_1", "ConvBlock1_2", "ConvBlock2_2", "block4")
    """Parts of the backbone that it sees the output of, each half the size of the one before."""

    def __init__(self, channels: list[int], config: SegmentationConfig, classes: int, neuron: NeuronConfig):
        super().__init__()
        width, neck = config.width or 128, config.neck or 128
        self.lateral = nn.ModuleList(SpikeConv(c, neck, neuron) for c in channels)
        self.smooth = nn.ModuleList(SpikeConv(neck, neck, neuron, kernel=3) for _ in channels)
        self.units = nn.ModuleList(
            nn.ModuleList(SpikeConv(neck if i == 0 else width, width, neuron, kernel=3) for i in range(n))
            for n in FPN_UNITS
        )
        self.classify = SpikeConv(width, classes, neuron, norm=False)

    def forward(self, features: list[Tensor], state: dict | None = None) -> tuple[Tensor, dict]:
        """Features [T, B, C, h, w], finest first, to class maps [T, B, K, h, w] of the finest, and the membranes."""
        state, after = state or {}, {}
        levels, after["lateral"] = _each(self.lateral, features, state.get("lateral"))
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + _resized(levels[i], levels[i - 1], "nearest")
        levels, after["smooth"] = _each(self.smooth, levels, state.get("smooth"))
        before, after["units"] = state.get("units", {}), {}
        total = None
        for i, (units, x) in enumerate(zip(self.units.children(), levels, strict=True)):
            known, after["units"][str(i)] = before.get(str(i), {}), {}
            for j, unit in enumerate(units.children()):
                x, after["units"][str(i)][str(j)] = unit(x, known.get(str(j)))
                x = _resized(x, levels[i - 1 - j]) if i else x
            total = x if total is None else total + x
        x, after["classify"] = self.classify(total, state.get("classify"))
        return x, after


HEADS: dict[str, type[MLPHead] | type[FPNHead]] = {"mlp": MLPHead, "fpn": FPNHead}


def segmentation_head(
    config: SegmentationConfig, channels: Mapping[str, int], classes: int, neuron: NeuronConfig
) -> MLPHead | FPNHead:
    """The head of a backbone whose parts have so many channels."""
    head = HEADS[config.head]
    return head([channels[name] for name in head.taps], config, classes, neuron)


def _each(layers: nn.ModuleList, xs: list[Tensor], state: dict | None) -> tuple[list[Tensor], dict]:
    """Layer i on x i; their states by number."""
    state, after, ys = state or {}, {}, []
    for i, (layer, x) in enumerate(zip(layers, xs, strict=True)):
        y, after[str(i)] = layer(x, state.get(str(i)))
        ys.append(y)
    return ys, after


def _resized(x: Tensor, like: Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """x [T, B, C, h, w] at the size of another."""
    return enlarged(x, like.shape[3:], mode)


def enlarged(x: Tensor, size: Sequence[int], mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """Every frame of x [T, B, C, h, w] at another size, corners not aligned."""
    if tuple(x.shape[3:]) == tuple(size):
        return x
    align = False if mode == "bilinear" else None
    return per_frame(lambda y: F.interpolate(y, size=list(size), mode=mode, align_corners=align), x)
