"""Gradient checkpointing: activations of a block are computed again in the backward pass instead of being kept."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, *args: Any) -> Any:
    """`block(*args)`, with the same outputs, gradients and running statistics, and less memory.

    Membranes come in and go out as arguments, so the second pass starts from the same state as the first. The norms'
    running statistics are held still in the second pass, which would otherwise count every batch twice.
    """
    return checkpoint(block, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(block)))


@contextmanager
def _frozen_statistics(module: nn.Module) -> Generator[None, None, None]:
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    before = [(m.momentum, m.get_buffer("num_batches_tracked").clone()) for m in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        with torch.no_grad():
            for norm, (momentum, count) in zip(norms, before, strict=True):
                norm.momentum = momentum
                norm.get_buffer("num_batches_tracked").copy_(count)
