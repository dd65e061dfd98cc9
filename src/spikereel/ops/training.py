"""Norm and neuron over a whole clip with their gradients by hand, for training that keeps little: the references.

Values are rows of channels, [T, R, C] with R = batch times pixels; a norm has numbers per channel [G, C], G of them one
for all time steps or one for each. The neurons are those of `spikereel.ops.lif`, in the same order of operations.
Native twins: `spikereel.kernels.training_native`; `kernels_for` chooses.
"""

import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikereel.ops.lif import Constants, ilif_reference, integrate


class Unit(NamedTuple):
    """One neuron: LIF with `constants`, or Integer-LIF with `top`."""

    constants: Constants
    decay: float
    """1 / tau; of an Integer-LIF, what is kept of the membrane."""
    integer: bool = False
    top: int = 1
    per: float = 1.0
    """How many counts of an Integer-LIF make one."""


class Affine(NamedTuple):
    """z = scale x + shift, and the mean that was taken off; each [G, C]."""

    scale: Tensor
    shift: Tensor
    mean: Tensor


def kernels_for(x: Tensor) -> Any:
    """The module whose functions work on tensors like x: native for float32 on a CPU, Triton on a GPU, or this one.

    The one place where that is decided.
    """
    from spikereel.kernels import dispatch, training_native, training_triton

    if x.device.type == "cpu" and x.dtype == torch.float32 and training_native.available():
        return training_native
    return training_triton if dispatch.by_triton(x) else sys.modules[__name__]


def describe() -> str:
    """Which functions train in `run.memory` = fast and lean on a CPU."""
    from spikereel.kernels import training_native

    if training_native.available():
        return f"native, {training_native.describe()}; reference: ops.training"
    return f"reference (PyTorch): {training_native.missing()}"


def fire(x: Tensor, norm: Affine | None, start: Tensor | None, unit: Unit) -> tuple[Tensor, Tensor]:
    """What is kept of the spikes of norm and neuron, and the membrane at the end [R, C].

    Kept are bits, eight values of a time step in a byte, the first one lowest; of an Integer-LIF counts in bytes.
    start: the membrane at the beginning; None for neurons at rest.
    """
    with torch.no_grad():
        spikes, v = _run(_current(x, norm), start, unit.decay, unit)
    return pack(spikes, unit), v


def unfire(
    x: Tensor,
    norm: Affine | None,
    start: Tensor | None,
    unit: Unit,
    to_spikes: Tensor,
    to_membrane: Tensor | None,
    learnt: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Gradients of `fire` from those of its spikes and of its last membrane.

    Returns those of z (what the norm makes) [T, R, C] and of the first membrane [R, C]; the sums [G, 2, C] of dz and of
    dz (x - mean), None without a norm; and that of 1 / tau where it is `learnt`.
    """
    z = _current(x, norm).detach().requires_grad_()
    rest = 0.0 if unit.integer or unit.constants.reset == "soft" else unit.constants.v_reset
    v = (torch.full_like(z[0], rest) if start is None else start.to(z.dtype)).detach().requires_grad_()
    decay = torch.tensor(unit.decay, dtype=z.dtype, device=z.device, requires_grad=True) if learnt else unit.decay
    with torch.enable_grad():
        outputs = _run(z, v, decay, unit)
    wanted = [z, v, decay] if isinstance(decay, Tensor) else [z, v]
    to_v = torch.zeros_like(outputs[1]) if to_membrane is None else to_membrane
    grads = torch.autograd.grad(outputs, wanted, (to_spikes, to_v))
    total = None if norm is None else sums(_grouped(grads[0], norm), _grouped(x, norm), norm.mean)
    return grads[0], grads[1], total, grads[2] if learnt else None


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances [G, C] over the rows of x [G, N, C], in float64."""
    var, mean = torch.var_mean(x.double(), 1, correction=0)
    return mean, var


def sums(x: Tensor, other: Tensor, mean: Tensor) -> Tensor:
    """Sums [G, 2, C] over rows of x and of x (other - mean), in float64."""
    x = x.double()
    return torch.stack([x.sum(1), (x * (other.double() - mean[:, None])).sum(1)], 1)


def affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale x + shift for x [G, N, C]."""
    return x * scale[:, None] + shift[:, None]


def finish(x: Tensor, other: Tensor, mean: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a x + b (other - mean) + c for x [G, N, C]: the gradient through the statistics of a norm."""
    return a[:, None] * x + b[:, None] * (other - mean[:, None]) + c[:, None]


def normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, running: tuple[Tensor, Tensor] | None, momentum: float, eps: float
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """What a norm in training does to x [G, N, C], as numbers of an `Affine`, and 1 / std [G, C] in float64.

    gamma, beta [G, C]; running: mean and variance [G, C] that are brought up to date in place. Raises ValueError for
    less than two values a channel.
    """
    from spikereel.kernels import training_norm

    return training_norm.tables(x, gamma, beta, running, momentum, eps, moments)


def through_norm(
    grads: Tensor, x: Tensor, norm: Affine, gamma: Tensor, inverse: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, gamma and beta from those of what `normalise` makes of x, and their `sums`."""
    from spikereel.kernels import training_norm

    return training_norm.through(grads, x, norm.mean, gamma, inverse, sums, finish)


EVENTS = 0.45
"""Firing rate up to which convolutions of spikes by lists of what fired are quicker than dense ones."""


def dense_for(weight: Tensor) -> Any:
    """The module with `convolve`, `weigh` and those of depthwise convolutions for such weights; None for PyTorch."""
    from spikereel.kernels import training_native

    there = weight.device.type == "cpu" and weight.dtype == torch.float32 and training_native.available()
    return training_native if there and not torch.is_autocast_enabled("cpu") else None


def events_for(kept: Tensor, shape: torch.Size, weight: Tensor) -> Any:
    """The module with `events` and `gather` where these spikes and weights are for them, else None: a dense one."""
    kernels = dense_for(weight)
    if kernels is None or not kernels.takes(shape, weight):
        return None
    return kernels if kernels.rate(kept, shape.numel()) <= EVENTS else None


def pack(spikes: Tensor, unit: Unit) -> Tensor:
    """What is kept of spikes [T, R, C], uint8 [T, bytes]."""
    flat = spikes.flatten(1)
    if unit.integer:
        return (flat * unit.per).round().to(torch.uint8)
    rest = -flat.shape[1] % 8
    bits = torch.nn.functional.pad((flat != 0).to(torch.uint8), (0, rest)).unflatten(1, (-1, 8))
    return (bits << _places(flat)).sum(2, dtype=torch.uint8)


def unpack(kept: Tensor, shape: torch.Size, unit: Unit, dtype: torch.dtype) -> Tensor:
    """The spikes [T, R, C] that `pack` was given."""
    values = shape[1] * shape[2]
    if dtype == torch.float32 and kept.device.type == "cpu":
        from spikereel.kernels import training_native

        if training_native.available():
            whole = unit.integer
            return training_native.uncount(kept, shape, unit.per) if whole else training_native.unpack(kept, shape)
    if unit.integer:
        return (kept.to(dtype) / unit.per).view(shape)
    if dtype == torch.float32 and kept.device.type == "cuda":
        from spikereel.kernels import dispatch, training_triton

        if dispatch.by_triton(torch.empty(0, device=kept.device)):
            return training_triton.unpack(kept, shape)
    bits = (kept[..., None] >> _places(kept)) & 1
    return bits.flatten(1)[:, :values].to(dtype).view(shape)


def _places(like: Tensor) -> Tensor:
    return torch.arange(8, dtype=torch.uint8, device=like.device)


def _current(x: Tensor, norm: Affine | None) -> Tensor:
    return x if norm is None else affine(_grouped(x, norm), norm.scale, norm.shift).view(x.shape)


def _grouped(x: Tensor, norm: Affine) -> Tensor:
    return x.view(len(norm.scale), -1, x.shape[2])


def _run(z: Tensor, v: Tensor | None, decay: float | Tensor, unit: Unit) -> tuple[Tensor, Tensor]:
    if not unit.integer:
        return integrate(z, v, decay, unit.constants)
    counts, v = ilif_reference(z, torch.zeros_like(z[0]) if v is None else v, unit.decay, unit.top)
    return counts / unit.per, v
