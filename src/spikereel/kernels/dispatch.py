"""Which twin works on a tensor: Triton for float32 on a GPU, PyTorch elsewhere. The one place that decides it."""

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from spikereel.kernels import hamming_triton, lif_torch, lif_triton, training_triton


def by_triton(x: Tensor) -> bool:
    """Whether Triton kernels are for tensors like x, and gave what PyTorch gives on this GPU."""
    return training_triton.takes(x) and not torch.compiler.is_compiling() and proven(x.device.index or 0)


@functools.cache
def proven(index: int, device: str = "cuda") -> bool:
    """A small neuron and a small attention by Triton and by PyTorch, once a process; a warning where they differ."""
    place = f"{device}:{index}" if device == "cuda" else device
    try:
        right = _small(place)
        problem = "they gave other numbers than PyTorch"
    except Exception as error:  # noqa: BLE001 - a compiler of another machine: whatever it raises is said
        right, problem = False, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    if not right:
        warnings.warn(f"Triton kernels are not used on {place}: {problem}; PyTorch's do the same", stacklevel=4)
    return right


class _Constants:
    threshold, reset, v_reset, decay_input, surrogate, alpha, detach_reset = (
        1.0,
        "hard",
        0.0,
        True,
        "sigmoid",
        4.0,
        True,
    )


def _small(place: str) -> bool:
    results: list[tuple[Any, Any, Any]] = []
    for kernels in (lif_triton, lif_torch):
        g = torch.Generator().manual_seed(0)
        x = (torch.randint(-4, 13, (5, 37), generator=g) / 4).to(place).requires_grad_()
        s, v = kernels.fused_lif(x, torch.zeros(37, device=place), 0.5, _Constants())
        (s.sum() + v.sum()).backward()
        results.append((s, v, x.grad))
    (s, v, grad), (spikes, membrane, wanted) = results
    q = (s[:, None] * torch.ones(1, 20, 1, device=place)).detach()
    found = hamming_triton.attention(q, q, q, similarity="hamming", scale=8.0)
    f = 2.0 * q.double() - 1.0
    exact = f @ (f.mT @ q.double()) / 8.0
    same = torch.equal(s, spikes) and torch.equal(v, membrane) and torch.equal(found.double(), exact)
    return same and torch.allclose(grad, wanted, rtol=1e-4, atol=1e-5)
