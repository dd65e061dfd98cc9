"""The twin of ReLU neurons as one would deploy it: every norm folded into the convolution before it, no state."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spikereel.errors import ConfigError
from spikereel.layers.conv import NormAndPad
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer

PAIRS = (
    ("encode_conv", "encode_bn"),
    ("pwconv1", "bn1"),
    ("pwconv2", "bn2"),
    ("conv1", "bn1"),
    ("conv2", "bn2"),
    ("fc1_conv", "fc1_bn"),
    ("fc2_conv", "fc2_bn"),
)
"""Names of a convolution and of the norm that follows it, wherever a module has both."""


class FoldedTwin(nn.Module):
    """`logits = net(clip)`; only the norm behind the attention product stays, for no convolution precedes it."""

    def __init__(self, twin: VideoModel):
        super().__init__()
        if not isinstance(twin, SpikeVideoFormer) or twin.config.neuron.kind != "relu":
            raise ConfigError("only the .ann twin of a SpikeVideoFormer is folded here")
        if twin.config.task != "classification":
            raise ConfigError(f"only a classifier is folded here, got task={twin.config.task!r}")
        self.twin = copy.deepcopy(twin).eval()
        for module in list(self.twin.modules()):
            _fold(module)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits [B, classes] of a clip [T, B, C, H, W]."""
        features, _ = self.twin.features(clip)
        return self.twin.head(torch.relu(features.flatten(3).mean(3)).mean(0))


def _fold(module: Any) -> None:
    for conv, norm in PAIRS:
        if hasattr(module, conv) and hasattr(module, norm):
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
    if isinstance(module, nn.Sequential) and len(module) == 2 and hasattr(module[0], "body"):
        _fold_projection(module)


def _fold_projection(projection: Any) -> None:
    """RepConv and its outer norm become three convolutions.

    The border holds what the norm makes of zero, which is what comes out where the 1x1 itself is padded with zeros.
    """
    first, border, tail = projection[0].body
    assert isinstance(border, NormAndPad)
    first = copy.deepcopy(first)
    first.padding = (1, 1)
    last = fuse_conv_bn_eval(fuse_conv_bn_eval(tail[1], tail[2]), projection[1])
    projection[0].body = nn.Sequential(fuse_conv_bn_eval(first, border.bn), tail[0], last)
    projection[1] = nn.Identity()
