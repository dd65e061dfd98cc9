"""Batch-norm statistics from clips, for weights that have none of their own or a new clip length."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.layers.modes import mode


def calibrate(model: nn.Module, clips: Iterable[Tensor]) -> None:
    """Replace the running statistics of every batch norm by the mean over `clips` [T, B, C, H, W]; weights stay.

    Call it after loading weights without `attn_bn`, or to use a clip length or resolution other than the trained one:
    the attention is a sum over T H W tokens, and so is what the norm after it sees.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        with mode(model, training=True), torch.no_grad():
            for clip in clips:
                model(clip)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
