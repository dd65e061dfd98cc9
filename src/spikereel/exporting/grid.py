"""A network of many ties: weights on a grid, so that sums meet the threshold exactly.

On trained weights next to no charge lies at the threshold, and a runtime that rounds otherwise is not found out. Here
weights are whole numbers times a power of two and biases multiples of 1/16, so sums are exact in float32 whatever their
order, and a sum that another method rounds (Winograd, float16, a reciprocal) flips spikes.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.exporting.fold import folded
from spikereel.models.base import VideoModel

LINEAR = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def grid_model(model: VideoModel, clip: Tensor) -> VideoModel:
    """A model of the same shape, norms folded, whose neurons fire on the clip [T, B, C, H, W]."""
    twin = folded(model)
    hooks = [m.register_forward_hook(_on_grid) for m in twin.modules() if isinstance(m, LINEAR)]
    for module in twin.modules():
        if isinstance(module, _BatchNorm):
            _identity(module)
            hooks.append(module.register_forward_hook(_on_grid))
    with torch.no_grad():
        twin(clip)
    for hook in hooks:
        hook.remove()
    return twin


def _on_grid(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Rewrite a layer, or a norm that is none any more, as it is met: outputs of about the size of a threshold."""
    if isinstance(layer, LINEAR):
        weight = layer.weight.detach()
        layer.weight.data = (weight / weight.std().clamp_min(1e-12)).round().clamp(-4, 4)
    if layer.bias is not None:
        layer.bias.data.zero_()
    y = layer.forward(*inputs)
    # where nothing came in, nothing says how large it would be
    power = 2.0 ** -round(math.log2(float(y.std()))) if float(y.std()) > 1e-6 else 1.0
    layer.weight.data *= power
    if layer.bias is not None:
        layer.bias.data.fill_(round(16 * (0.5 - power * float(y.mean()))) / 16)
    return layer.forward(*inputs)


def _identity(norm: Any) -> None:
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
    norm.weight.data.fill_(1.0)
    norm.bias.data.zero_()
