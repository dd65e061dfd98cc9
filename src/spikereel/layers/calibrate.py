"""Batch-norm statistics from clips, for weights that have none of their own or a new clip length."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.layers.modes import mode
from spikereel.layers.observe import firing_rates

SHIFT, MOST_SHIFTS = 0.25, 8
"""Standard deviations by which `wake` lowers means at a time, and how often at most."""
ROUNDING = 1e-6
"""Of a value: what a channel that is the same everywhere may spread by."""


def calibrate(model: nn.Module, clips: Iterable[Tensor], *, run: Callable[[Tensor], object] | None = None) -> None:
    """Replace the running statistics of every batch norm by the mean over `clips` [T, B, C, H, W]; weights stay.

    Call it after loading weights without `attn_bn`, or to use a clip length or resolution other than the trained one:
    the attention is a sum over T H W tokens, and so is what the norm after it sees (with `attention_clip` it is not
    larger for more tokens). Where a channel is the same
    everywhere, such as behind neurons that are silent, nothing says how far it would spread: its variance is 1, as in a
    fresh norm. run: a part of the model, instead of all of it.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        with mode(model, training=True), torch.no_grad():
            for clip in clips:
                (run or model)(clip)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            _spread(norm)


def _spread(norm: _BatchNorm) -> None:
    """A variance of 0 would be divided by as soon as a spike comes: 316-fold, and again in the norm behind it."""
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_var[norm.running_var <= (ROUNDING * norm.running_mean) ** 2] = 1.0


def wake(model: nn.Module, clip: Tensor, *, run: Callable[[Tensor], object] | None = None) -> None:
    """Statistics of a clip for every batch norm of a fresh model, and means lowered until all its neurons fire.

    Fresh norms have mean 0 and variance 1, with which the neurons behind them stay silent in evaluation mode. All
    means are lowered alike, by no more than is needed. No random number of PyTorch's generator is used up.
    """
    with torch.random.fork_rng(devices=[]):
        calibrate(model, [clip], run=run)
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    with mode(model, training=False), torch.no_grad():
        for _ in range(MOST_SHIFTS):
            with firing_rates(model) as rates:
                (run or model)(clip)
            if not rates.silent():
                return
            for norm in norms:
                if norm.running_mean is not None and norm.running_var is not None:
                    norm.running_mean -= SHIFT * norm.running_var.sqrt()
