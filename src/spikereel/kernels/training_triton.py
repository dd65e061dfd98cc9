"""Norm and neuron over a whole clip in Triton, forward and backward: twins of `spikereel.ops.training`.

Time is the inner loop, and the membrane stays in registers. Multiply and add are never fused where a spike is decided,
so that spikes are those of the reference to the last bit. `tests/kernels/test_triton.py` runs them without a GPU.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from spikereel.kernels import training_norm
from spikereel.kernels.training_norm import Running, Tables
from spikereel.kernels.training_unit import Affine, Unit

if find_spec("triton") is not None:
    import triton  # ty: ignore[import-not-found]
    import triton.language as tl  # ty: ignore[import-not-found]

BLOCK = 1024
"""Values of a time step that a program works on; a whole number of bytes of bits."""

ROWS, CHANNELS = 256, 32
"""Of a program that adds up over rows."""


def available() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def takes(x: Tensor) -> bool:
    """Whether these kernels are for tensors like x: float32 on a GPU."""
    return x.device.type == "cuda" and x.dtype == torch.float32 and available()


def fire(x: Tensor, norm: Affine | None, start: Tensor | None, unit: Unit) -> tuple[Tensor, Tensor]:
    """As `spikereel.ops.training.fire`."""
    values = x[0].numel()
    kept = x.new_empty(len(x), values if unit.integer else -(-values // 8), dtype=torch.uint8)
    return kept, _forward(x, norm, start, unit, unit.decay, kept=kept)


def spikes(x: Tensor, start: Tensor | None, unit: Unit, decay: float | Tensor) -> tuple[Tensor, Tensor]:
    """Spikes or counts [T, ...] as values, and the membrane at the end; decay is 1 / tau, or what is kept of it."""
    dense = torch.empty_like(x)
    return dense, _forward(x, None, start, unit, decay, dense=dense)


def unfire(
    x: Tensor,
    norm: Affine | None,
    start: Tensor | None,
    unit: Unit,
    to_spikes: Tensor,
    to_membrane: Tensor | None,
    learnt: bool,
    decay: float | Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """As `spikereel.ops.training.unfire`."""
    decay = unit.decay if decay is None else decay
    values, c = x[0].numel(), unit.constants
    to_z, to_start = torch.empty_like(x), torch.empty_like(x[0])
    programs = triton.cdiv(values, BLOCK)
    parts = x.new_empty(programs, dtype=torch.float64 if x.dtype == torch.float64 else torch.float32)
    _unfire[(programs,)](
        *_arguments(x, norm, start, decay),
        to_spikes.contiguous(),
        x if to_membrane is None else to_membrane.contiguous(),
        to_z,
        to_start,
        parts,
        *_sizes(x, norm),
        **_switches(norm, start, unit, decay),
        HAS_TO_MEMBRANE=to_membrane is not None,
        LEARNT=learnt,
        DETACH=c.detach_reset,
        ATAN=c.surrogate == "atan",
        alpha=c.alpha,
        per=unit.per,
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )
    total = None if norm is None else sums(_grouped(to_z, norm), _grouped(x, norm), norm.mean)
    return to_z, to_start, total, parts.sum(dtype=torch.float64) if learnt else None


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """As `spikereel.ops.training.moments`: about the first row, so that no digits are lost."""
    ones = torch.ones_like(x[:, 0])
    total = _added(x, x, x[:, 0].contiguous(), about=True) / x.shape[1]
    off, square = total.unbind(1)
    return x[:, 0].double() * ones.double() + off, square - off * off


def sums(x: Tensor, other: Tensor, mean: Tensor) -> Tensor:
    """As `spikereel.ops.training.sums`."""
    return _added(x, other, mean, about=False)


def affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """As `spikereel.ops.training.affine`."""
    return x * scale[:, None] + shift[:, None]


def finish(x: Tensor, other: Tensor, mean: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """As `spikereel.ops.training.finish`."""
    out = torch.empty_like(x)
    count = out.numel()
    tables = [t.contiguous() for t in (mean, a, b, c)]
    _finish[(triton.cdiv(count, BLOCK),)](
        x.contiguous(), other.contiguous(), *tables, out, count, x.shape[1] * x.shape[2], x.shape[2], BLOCK=BLOCK
    )
    return out


def normalise(
    x: Tensor, gamma: Tensor, beta: Tensor, running: Running, momentum: float, eps: float
) -> tuple[Tables, Tensor]:
    """As `spikereel.ops.training.normalise`."""
    return training_norm.tables(x, gamma, beta, running, momentum, eps, moments)


def through_norm(
    grads: Tensor, x: Tensor, norm: Affine, gamma: Tensor, inverse: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As `spikereel.ops.training.through_norm`."""
    return training_norm.through(grads, x, norm.mean, gamma, inverse, sums, finish)


def unpack(kept: Tensor, shape: torch.Size) -> Tensor:
    """Ones and zeros float32 of a shape [T, R, C] from their bits."""
    out = torch.empty(shape, device=kept.device)
    values = shape[1] * shape[2]
    _unpack[(triton.cdiv(values, BLOCK), shape[0])](kept, out, values, kept.shape[1], BLOCK=BLOCK)
    return out


def _forward(
    x: Tensor,
    norm: Affine | None,
    start: Tensor | None,
    unit: Unit,
    decay: float | Tensor,
    *,
    kept: Tensor | None = None,
    dense: Tensor | None = None,
) -> Tensor:
    end = torch.empty_like(x[0])
    out = kept if kept is not None else dense
    assert out is not None
    _fire[(triton.cdiv(x[0].numel(), BLOCK),)](
        *_arguments(x, norm, start, decay),
        out,
        end,
        *_sizes(x, norm),
        out.shape[1] if kept is not None else 0,
        **_switches(norm, start, unit, decay),
        DENSE=kept is None,
        per=unit.per,
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )
    return end


def _arguments(x: Tensor, norm: Affine | None, start: Tensor | None, decay: float | Tensor) -> tuple[Tensor, ...]:
    """What a switch turns off is x, which is never read there."""
    scale, shift = (x, x) if norm is None else (norm.scale.contiguous(), norm.shift.contiguous())
    given = x if start is None else start.to(x.dtype).contiguous()
    learnt = decay if isinstance(decay, Tensor) else x
    return x, scale, shift, given, learnt


def _sizes(x: Tensor, norm: Affine | None) -> tuple[int, int, int, int]:
    """Time steps, values of one, channels, and numbers of a norm from one time step to the next."""
    channels = x.shape[-1]
    return len(x), x[0].numel(), channels, 0 if norm is None or len(norm.scale) == 1 else channels


def _switches(norm: Affine | None, start: Tensor | None, unit: Unit, decay: float | Tensor) -> dict[str, Any]:
    c = unit.constants
    return {
        "fixed": 0.0 if isinstance(decay, Tensor) else decay,
        "threshold": c.threshold,
        "v_reset": 0.0 if unit.integer or c.reset == "soft" else c.v_reset,
        "top": float(unit.top),
        "NORM": norm is not None,
        "START": start is not None,
        "GIVEN": isinstance(decay, Tensor),
        "INTEGER": unit.integer,
        "SOFT": c.reset == "soft",
        "DECAY_INPUT": c.decay_input,
    }


def _grouped(x: Tensor, norm: Affine) -> Tensor:
    return x.view(len(norm.scale), -1, x.shape[2])


def _added(x: Tensor, other: Tensor, mean: Tensor, *, about: bool) -> Tensor:
    """Sums [G, 2, C] over rows in float64: of x and x (other - mean), or about the mean of x and of its square."""
    groups, rows, channels = x.shape
    chunks = triton.cdiv(rows, ROWS)
    parts = x.new_empty(groups, chunks, 2, channels, dtype=torch.float64)
    _add[(groups, chunks, triton.cdiv(channels, CHANNELS))](
        x.contiguous(),
        other.contiguous(),
        mean.contiguous(),
        parts,
        rows,
        channels,
        chunks,
        ABOUT=about,
        ROWS=ROWS,
        CHANNELS=CHANNELS,
    )
    return parts.sum(1)


if find_spec("triton") is not None:

    @triton.jit
    def _charged(v, z, decay, v_reset, INTEGER: tl.constexpr, DECAY_INPUT: tl.constexpr):
        """h of `spikereel.ops.lif`, in its order of operations."""
        if INTEGER:
            h = decay * v + z
        else:
            leak = v - v_reset
            h = v + (z - leak) * decay if DECAY_INPUT else v - leak * decay + z
        return h

    @triton.jit
    def _fired(h, threshold, v_reset, top, INTEGER: tl.constexpr, SOFT: tl.constexpr):
        """Spikes or counts, and the membrane after them."""
        if INTEGER:
            u = tl.minimum(tl.maximum(h, 0.0), top)
            low = tl.floor(u)
            part = u - low
            odd = low - 2.0 * tl.floor(low * 0.5)
            # halves go to the even neighbour, as in PyTorch
            s = low + tl.where((part > 0.5) | ((part == 0.5) & (odd == 1.0)), 1.0, 0.0)
            v = h - s
        else:
            s = tl.where(h >= threshold, 1.0, 0.0)
            v = h - s * threshold if SOFT else tl.where(h >= threshold, v_reset, h)
        return s, v

    @triton.jit
    def _current(x, scale, shift, place, channel, t, per_step, here, NORM: tl.constexpr):
        """x of a time step, through the norm where there is one."""
        z = tl.load(x + place, mask=here, other=0.0)
        if NORM:
            number = t * per_step + channel
            z = z * tl.load(scale + number, mask=here, other=0.0) + tl.load(shift + number, mask=here, other=0.0)
        return z

    @triton.jit
    def _fire(
        x,
        scale,
        shift,
        start,
        learnt,
        out,
        end,
        steps,
        values,
        channels,
        per_step,
        width,
        fixed,
        threshold,
        v_reset,
        top,
        per,
        NORM: tl.constexpr,
        START: tl.constexpr,
        GIVEN: tl.constexpr,
        INTEGER: tl.constexpr,
        SOFT: tl.constexpr,
        DECAY_INPUT: tl.constexpr,
        DENSE: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        # a count of a loop is no tensor everywhere: with this it is one of 64 bits
        zero = tl.program_id(0).to(tl.int64) * 0
        first = tl.program_id(0).to(tl.int64) * BLOCK
        i = first + tl.arange(0, BLOCK)
        here = i < values
        channel = i % channels
        decay = tl.load(learnt) if GIVEN else fixed
        v = tl.load(start + i, mask=here, other=0.0) if START else tl.zeros([BLOCK], tl.float32) + v_reset
        byte = first // 8 + tl.arange(0, BLOCK // 8)
        places = tl.arange(0, 8)[None, :]
        for t in range(steps):
            z = _current(x, scale, shift, (zero + t) * values + i, channel, t, per_step, here, NORM)
            s, v = _fired(_charged(v, z, decay, v_reset, INTEGER, DECAY_INPUT), threshold, v_reset, top, INTEGER, SOFT)
            if DENSE:
                tl.store(out + (zero + t) * values + i, s / per, mask=here)
            elif INTEGER:
                tl.store(out + (zero + t) * width + i, s.to(tl.uint8), mask=here)
            else:
                bits = tl.reshape(tl.where(here, s, 0.0).to(tl.int32), [BLOCK // 8, 8]) << places
                tl.store(out + (zero + t) * width + byte, tl.sum(bits, 1).to(tl.uint8), mask=byte < width)
        tl.store(end + i, v, mask=here)

    @triton.jit
    def _unfire(
        x,
        scale,
        shift,
        start,
        learnt,
        to_spikes,
        to_membrane,
        to_z,
        to_start,
        parts,
        steps,
        values,
        channels,
        per_step,
        fixed,
        threshold,
        v_reset,
        top,
        alpha,
        per,
        NORM: tl.constexpr,
        START: tl.constexpr,
        GIVEN: tl.constexpr,
        INTEGER: tl.constexpr,
        SOFT: tl.constexpr,
        DECAY_INPUT: tl.constexpr,
        HAS_TO_MEMBRANE: tl.constexpr,
        LEARNT: tl.constexpr,
        DETACH: tl.constexpr,
        ATAN: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        zero = tl.program_id(0).to(tl.int64) * 0
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        here = i < values
        channel = i % channels
        decay = tl.load(learnt) if GIVEN else fixed
        first = tl.load(start + i, mask=here, other=0.0) if START else tl.zeros([BLOCK], tl.float32) + v_reset
        v = first
        # charged membranes stand where gradients will, until the way back
        for t in range(steps):
            place = (zero + t) * values + i
            h = _charged(
                v,
                _current(x, scale, shift, place, channel, t, per_step, here, NORM),
                decay,
                v_reset,
                INTEGER,
                DECAY_INPUT,
            )
            tl.store(to_z + place, h, mask=here)
            _, v = _fired(h, threshold, v_reset, top, INTEGER, SOFT)
        tl.debug_barrier()
        grad = tl.load(to_membrane + i, mask=here, other=0.0) if HAS_TO_MEMBRANE else tl.zeros([BLOCK], tl.float32)
        of_decay = tl.zeros([BLOCK], tl.float32)
        for back in range(steps):
            t = steps - 1 - back
            place = (zero + t) * values + i
            h = tl.load(to_z + place, mask=here, other=0.0)
            given = tl.load(to_spikes + place, mask=here, other=0.0)
            if INTEGER:
                inside = (h >= 0.0) & (h <= top)
                grad = grad + tl.where(inside, given / per, 0.0)
                own = grad
                grad = grad * decay
            else:
                u = h - threshold
                if ATAN:
                    scaled = 1.5707963267948966 * alpha * u
                    through = (alpha * 0.5) / (1.0 + scaled * scaled)
                else:
                    sigmoid = 1.0 / (1.0 + tl.exp(-alpha * u))
                    through = alpha * sigmoid * (1.0 - sigmoid)
                fired = h >= threshold
                if not DETACH:
                    given = given + grad * (-threshold if SOFT else v_reset - h)
                if not SOFT:
                    grad = tl.where(fired, 0.0, grad)
                grad = grad + through * given
                if LEARNT:
                    before = first
                    if t > 0:
                        held = tl.load(to_z + (zero + t - 1) * values + i, mask=here, other=0.0)
                        _, before = _fired(held, threshold, v_reset, top, INTEGER, SOFT)
                    leak = before - v_reset
                    if DECAY_INPUT:
                        z = _current(x, scale, shift, place, channel, t, per_step, here, NORM)
                        of_decay += tl.where(here, grad * (z - leak), 0.0)
                    else:
                        of_decay -= tl.where(here, grad * leak, 0.0)
                own = grad * decay if DECAY_INPUT else grad
                grad = grad * (1.0 - decay)
            tl.store(to_z + place, own, mask=here)
        tl.store(to_start + i, grad, mask=here)
        if LEARNT:
            tl.store(parts + tl.program_id(0), tl.sum(of_decay, 0))

    @triton.jit
    def _add(
        x, other, mean, parts, rows, channels, chunks, ABOUT: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
    ):
        group, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
        r = chunk * ROWS + tl.arange(0, ROWS)[:, None]
        c = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
        here = (r < rows) & (c < channels)
        place = (group * rows + r) * channels + c
        off = tl.load(mean + group * channels + c, mask=c < channels, other=0.0).to(tl.float64)
        one = tl.load(x + place, mask=here, other=0.0).to(tl.float64)
        if ABOUT:
            one = tl.where(here, one - off, 0.0)
            two = one * one
        else:
            two = one * tl.where(here, tl.load(other + place, mask=here, other=0.0).to(tl.float64) - off, 0.0)
        out = parts + ((group * chunks + chunk) * 2) * channels + tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
        inside = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS) < channels
        tl.store(out, tl.sum(one, 0), mask=inside)
        tl.store(out + channels, tl.sum(two, 0), mask=inside)

    @triton.jit
    def _finish(x, other, mean, a, b, c, out, count, per_group, channels, BLOCK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        here = i < count
        n = (i // per_group) * channels + i % channels
        off = tl.load(other + i, mask=here, other=0.0) - tl.load(mean + n, mask=here, other=0.0)
        y = tl.load(a + n, mask=here, other=0.0) * tl.load(x + i, mask=here, other=0.0)
        y = y + tl.load(b + n, mask=here, other=0.0) * off + tl.load(c + n, mask=here, other=0.0)
        tl.store(out + i, y, mask=here)

    @triton.jit
    def _unpack(kept, out, values, width, BLOCK: tl.constexpr):
        t = tl.program_id(1).to(tl.int64)
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        here = i < values
        byte = tl.load(kept + t * width + i // 8, mask=here, other=0).to(tl.int32)
        tl.store(out + t * values + i, ((byte >> (i % 8).to(tl.int32)) & 1).to(tl.float32), mask=here)
