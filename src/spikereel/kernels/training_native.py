"""Norm and neuron for training in native code: the twin of `spikereel.ops.training`, for float32 on a CPU."""

from typing import Any

import torch
from torch import Tensor

from spikereel.kernels import training_norm
from spikereel.kernels.training_norm import Running, Tables
from spikereel.kernels.training_unit import Affine, Unit

_training: Any
try:
    from spikereel.kernels import _training  # ty: ignore
except ImportError:
    _training = None


ABI = 3
"""What this version calls; a module that was built for another one is not used."""


def available() -> bool:
    """Whether this installation holds these kernels, of this version."""
    return _training is not None and getattr(_training, "ABI", None) == ABI


def missing() -> str:
    """Why they are not `available`."""
    if _training is None:
        return "this installation has no native kernels"
    return f"{_training.__file__} was built for another version of spikereel: install anew"


def describe() -> str:
    """The instruction set in use, and those there are."""
    return f"{_training.instruction_set()} (of {', '.join(_training.instruction_sets())})"


def fire(x: Tensor, norm: Affine | None, start: Tensor | None, unit: Unit) -> tuple[Tensor, Tensor]:
    """As `spikereel.ops.training.fire`."""
    _threads()
    values, membrane = x[0].numel(), torch.empty_like(x[0])
    kept = x.new_empty(len(x), values if unit.integer else (values + 7) // 8, dtype=torch.uint8)
    _training.fire(x, *_numbers(norm), start, _rest(unit), _unit(unit), kept, membrane)
    return kept, membrane


def unfire(
    x: Tensor,
    norm: Affine | None,
    start: Tensor | None,
    unit: Unit,
    to_spikes: Tensor,
    to_membrane: Tensor | None,
    learnt: bool,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """As `spikereel.ops.training.unfire`."""
    _threads()
    to_z, to_start = torch.empty_like(x), torch.empty_like(x[0])
    runs = -(-x[0].numel() // _training.RUN)
    sums = None if norm is None else x.new_empty(runs, len(norm.scale), 2, x.shape[2])
    to_decay = x.new_empty(runs, dtype=torch.float64) if learnt else None
    given = (x, *_numbers(norm), start, _rest(unit), _unit(unit), to_spikes, to_membrane)
    _training.unfire(*given, to_z, to_start, sums, to_decay)
    total = None if sums is None else sums.sum(0, dtype=torch.float64)
    return to_z, to_start, total, None if to_decay is None else to_decay.sum()


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """As `spikereel.ops.training.moments`."""
    _threads()
    sums = x.new_empty(len(x), 2, x.shape[2], dtype=torch.float64)
    _training.moments(x, sums)
    off, square = (sums / x.shape[1]).unbind(1)
    return x[:, 0].double() + off, square - off * off


def normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, running: Running, momentum: float, eps: float
) -> tuple[Tables, Tensor]:
    """As `spikereel.ops.training.normalise`."""
    if gamma.dtype != x.dtype or (running is not None and running[0].dtype != x.dtype) or x.shape[1] < 2:
        return training_norm.tables(x, gamma, beta, running, momentum, eps, moments)
    _threads()
    found = x.new_empty(3, len(x), x.shape[2])
    inverse = x.new_empty(len(x), x.shape[2], dtype=torch.float64)
    mean, var = (None, None) if running is None else running
    _training.normalise(x, gamma.detach(), beta.detach(), mean, var, momentum, eps, found, inverse)
    return (found[0], found[1], found[2]), inverse


def through_norm(
    grads: Tensor, x: Tensor, norm: Affine, gamma: Tensor, inverse: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `spikereel.ops.training.through_norm`."""
    if gamma.dtype != x.dtype:
        return training_norm.through(grads, x, norm.mean, gamma, inverse, sums, finish)
    _threads()
    to_x, to_own = torch.empty_like(x), x.new_empty(2, len(x), x.shape[2])
    _training.through_norm(grads, x, norm.mean, inverse, gamma.detach(), sums, to_x, *to_own)
    return to_x, to_own[0], to_own[1]


def sums(x: Tensor, other: Tensor, mean: Tensor) -> Tensor:
    """As `spikereel.ops.training.sums`."""
    _threads()
    out = x.new_empty(len(x), 2, x.shape[2], dtype=torch.float64)
    _training.sums(x, other, mean, out)
    return out


def affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """As `spikereel.ops.training.affine`."""
    _threads()
    out = torch.empty_like(x)
    _training.affine(x, scale, shift, out)
    return out


def finish(x: Tensor, other: Tensor, mean: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """As `spikereel.ops.training.finish`."""
    _threads()
    out = torch.empty_like(x)
    _training.finish(x, other, mean, a, b, c, out)
    return out


def unpack(bits: Tensor, shape: torch.Size) -> Tensor:
    """Ones and zeros float32 of a shape [T, R, C] from their bits."""
    _threads()
    out = torch.empty(shape)
    _training.unpack(bits, out)
    return out


def uncount(kept: Tensor, shape: torch.Size, per: float) -> Tensor:
    """Counts, a byte each, over `per`: float32 of a shape [T, R, C]."""
    _threads()
    out = torch.empty(shape)
    _training.uncount(kept, per, out)
    return out


def rate(kept: Tensor, values: int) -> float:
    """How many of so many values are set."""
    return _training.count(kept) / values


def takes(shape: torch.Size, weight: Tensor) -> bool:
    """Whether there are `events` and `gather` for spikes [T, B, C, H, W] and these weights of a convolution."""
    _, inputs, height, width = weight.shape
    return inputs == shape[2] and inputs % 8 == 0 and height == width and height in (1, 3)


def events(kept: Tensor, shape: torch.Size, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution of spikes, rows [T, B H W, C'], stride 1 and the size of the pictures unchanged."""
    _threads()
    y = torch.empty(shape[0], shape[1] * shape[3] * shape[4], len(weight))
    _training.events(kept, *_sizes(shape)[:3], _taps_in_a_row(weight), bias, y)
    return y


def gather(kept: Tensor, shape: torch.Size, to_y: Tensor, kernel: int) -> Tensor:
    """The gradient of the weights of `events` from that of its result; the same numbers with any number of threads."""
    _threads()
    inputs, out = shape[2], to_y.shape[2]
    lanes = -(-out // _training.LANES) * _training.LANES
    parts = torch.empty(_training.SLICES, kernel * kernel * inputs, lanes)
    _training.gather(kept, *_sizes(shape), kernel, to_y, parts)
    return parts.sum(0)[:, :out].view(kernel, kernel, inputs, out).permute(3, 2, 0, 1)


def convolve(
    x: Tensor, shape: torch.Size, weight: Tensor, bias: Tensor | None = None, *, to_input: bool = False
) -> Tensor:
    """A convolution of values, stride 1 and the size of the pictures unchanged; or the gradient of its input.

    x: rows [T, B H W, C] of frames [T, B, C, H, W]; of the gradient those of its result. Returns such rows.
    """
    _threads()
    y = torch.empty(*x.shape[:2], weight.shape[1 if to_input else 0])
    _training.convolve(x, *shape[3:], _taps_in_a_row(weight), to_input, bias, y)
    return y


def weigh(x: Tensor, shape: torch.Size, to_y: Tensor, kernel: int) -> Tensor:
    """The gradient of the weights [C', C, k, k] of `convolve` of x from that of its result, both rows."""
    _threads()
    inputs, out = x.shape[2], to_y.shape[2]
    parts = torch.empty(_training.SLICES, kernel * kernel * inputs, out)
    _training.weigh(x, *shape[3:], kernel, to_y, parts)
    return parts.sum(0).view(kernel, kernel, inputs, out).permute(3, 2, 0, 1)


def deep(shape: torch.Size, weight: Tensor, padding: int) -> bool:
    """Whether there are `depth` and `depth_weights` for frames [T, B, C, H, W] and weights [C, 1, k, k]."""
    kernel, (channels, height, width) = weight.shape[2], shape[2:]
    small = min(height, width) + 2 * padding < kernel
    return kernel in (3, 5, 7) and channels >= _training.LANES and padding < kernel and not small


def depth(x: Tensor, shape: torch.Size, weight: Tensor, padding: int) -> Tensor:
    """A depthwise convolution with weights [C, 1, k, k], as rows.

    x: rows [T, B H W, C] of frames of this shape, or what is kept of spikes.
    """
    _threads()
    kernel = weight.shape[2]
    y = torch.empty(shape[0], shape[1] * _after(shape, kernel, padding), shape[2])
    _training.depth(*_deep(x, shape), kernel, padding, weight.reshape(len(weight), -1).t().contiguous(), y)
    return y


def depth_weights(x: Tensor, shape: torch.Size, to_y: Tensor, kernel: int, padding: int) -> Tensor:
    """The gradient of the weights of `depth` from that of its result, rows."""
    _threads()
    parts = torch.empty(_training.SLICES, kernel * kernel, shape[2])
    _training.depth_weights(*_deep(x, shape), kernel, padding, to_y, parts)
    return parts.sum(0).t().reshape(shape[2], 1, kernel, kernel)


def _deep(x: Tensor, shape: torch.Size) -> tuple[Any, ...]:
    return (*((None, x) if x.dtype == torch.uint8 else (x, None)), *_sizes(shape))


def _after(shape: torch.Size, kernel: int, padding: int) -> int:
    height, width = (x + 2 * padding - kernel + 1 for x in shape[3:])
    return height * width


def _taps_in_a_row(weight: Tensor) -> Tensor:
    kernel = weight.shape[2]
    return weight if weight.stride(2) == kernel * weight.stride(3) else weight.contiguous()


def _sizes(shape: torch.Size) -> tuple[int, int, int, int]:
    _, pictures, channels, height, width = shape
    return pictures, height, width, channels


def _threads() -> None:
    # as many as PyTorch uses, whoever changed that
    _training.set_threads(torch.get_num_threads())


def _unit(unit: Unit) -> Any:
    c = unit.constants
    return _training.Unit(
        integer=unit.integer,
        soft_reset=c.reset == "soft",
        decay_input=c.decay_input,
        detach_reset=c.detach_reset,
        atan=c.surrogate == "atan",
        top=unit.top,
        decay=unit.decay,
        threshold=c.threshold,
        v_reset=c.v_reset,
        alpha=c.alpha,
        per=unit.per,
    )


def _rest(unit: Unit) -> float:
    c = unit.constants
    return 0.0 if unit.integer or c.reset == "soft" else c.v_reset


def _numbers(norm: Affine | None) -> tuple[Tensor | None, ...]:
    return (None, None, None) if norm is None else (norm.scale, norm.shift, norm.mean)
