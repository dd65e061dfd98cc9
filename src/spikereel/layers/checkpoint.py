"""Gradient checkpointing: activations of a block are computed again in the backward pass instead of being kept."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, *args: Any) -> Any:
    """`block(*args)`, with the same outputs, gradients and running statistics, and less memory.

    Membranes come in and go out as arguments, so the second pass starts from the same state as the first. It also sees
    the running statistics as the first one left them, and leaves them as they are by then: other passes may have come
    in between, and no batch is counted twice.
    """
    kept: list[Tensor] = []
    return checkpoint(
        block, *args, use_reentrant=False, context_fn=lambda: (_remembered(block, kept), _seen_again(block, kept))
    )


def _norms(module: nn.Module) -> list[_BatchNorm]:
    return [m for m in module.modules() if isinstance(m, _BatchNorm)]


def _statistics(module: nn.Module) -> list[Tensor]:
    return [buffer for norm in _norms(module) for buffer in norm.buffers()]


@contextmanager
def _remembered(module: nn.Module, kept: list[Tensor]) -> Generator[None, None, None]:
    yield
    kept[:] = [x.clone() for x in _statistics(module)]


@contextmanager
def _seen_again(module: nn.Module, kept: list[Tensor]) -> Generator[None, None, None]:
    now, momenta = [x.clone() for x in _statistics(module)], [norm.momentum for norm in _norms(module)]
    _load(module, kept)
    for norm in _norms(module):
        norm.momentum = 0.0
    try:
        yield
    finally:
        _load(module, now)
        for norm, momentum in zip(_norms(module), momenta, strict=True):
            norm.momentum = momentum


def _load(module: nn.Module, values: list[Tensor]) -> None:
    with torch.no_grad():
        for buffer, value in zip(_statistics(module), values, strict=True):
            buffer.copy_(value)
