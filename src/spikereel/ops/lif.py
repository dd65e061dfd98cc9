"""Spiking neurons as pure functions of input and membrane: LIF, parametric LIF, Integer-LIF.

Time is the first axis of x. The membrane goes in and comes out, so any split of a clip gives the same spikes:

    s, v = lif(x, None)        equals        s1, v = lif(x[:3], None);  s2, v = lif(x[3:], v)
"""

import math
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from spikereel.errors import ConfigError, StateError
from spikereel.ops.surrogate import DEFAULT_ALPHA, Surrogate, integer_spike, spike

Reset = Literal["hard", "soft"]
Backend = Literal["auto", "reference", "fused"]
Fires = Literal["at", "above"]


class Constants(NamedTuple):
    """What a LIF neuron is besides its time constant, which may be learnt; see `lif`."""

    threshold: float
    reset: Reset
    v_reset: float
    decay_input: bool
    surrogate: Surrogate
    alpha: float
    """Sharpness of the surrogate."""
    detach_reset: bool
    fires: Fires = "at"
    reset_delay: bool = False
    recheck: bool = False


def lif(
    x: Float[Tensor, "T *d"],
    v: Float[Tensor, "*d"] | None = None,
    *,
    tau: float = 2.0,
    threshold: float = 1.0,
    reset: Reset = "hard",
    v_reset: float = 0.0,
    decay_input: bool = True,
    surrogate: Surrogate = "sigmoid",
    alpha: float | None = None,
    detach_reset: bool = True,
    fires: Fires = "at",
    reset_delay: bool = False,
    recheck: bool = False,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "T *d"], Float[Tensor, "*d"]]:
    """Leaky integrate-and-fire over the first axis of x.

    h = v + (x - (v - v_reset)) / tau          charged; without `decay_input`: h = v - (v - v_reset) / tau + x
    s = 1 if h >= threshold else 0             fires at equality
    v = (1 - s) h + s v_reset                  hard reset; soft: v = h - s threshold

    For neurons of other libraries (docs/porting.md): with `fires="above"` h has to be above the threshold. With
    `reset_delay` a soft reset comes in the next step, after decay and input: v = h, and the next h is less by the
    threshold where v fires. With `recheck` a soft reset comes at once, but where the v that came in would fire by
    itself, h has to reach two thresholds to fire. All three run in the reference alone.

    x: input current; v: membrane after the last step, None at the start (then v_reset, or 0 with soft reset).
    With `detach_reset`, s is a constant inside the reset during the backward pass. `tau=math.inf` without
    `decay_input` is the integrate-and-fire neuron. Half-precision inputs are integrated in float32.
    Defaults are those of SpikeVideoFormer's released model; SVFormer uses `surrogate="atan"`.

    Returns the spikes, shaped and typed like x, and the membrane after the last step.
    Raises StateError where v does not fit x, ConfigError for an impossible constant.
    """
    if not tau >= 1.0:
        raise ConfigError(f"tau must be at least 1 time step, got {tau}")
    decay = 0.0 if math.isinf(tau) else 1.0 / tau
    constants = constants_of(
        threshold, reset, v_reset, decay_input, surrogate, alpha, detach_reset, fires, reset_delay, recheck
    )
    return integrate(x, v, decay, constants, backend)


def plif(
    x: Float[Tensor, "T *d"],
    v: Float[Tensor, "*d"] | None,
    w: Float[Tensor, "*c"],
    *,
    threshold: float = 1.0,
    reset: Reset = "hard",
    v_reset: float = 0.0,
    decay_input: bool = True,
    surrogate: Surrogate = "atan",
    alpha: float | None = None,
    detach_reset: bool = True,
    fires: Fires = "at",
    reset_delay: bool = False,
    recheck: bool = False,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "T *d"], Float[Tensor, "*d"]]:
    """Parametric LIF: `lif` with 1 / tau = sigmoid(w), w one learnable scalar for the whole layer.

    w may also be a tensor that broadcasts with a time step x[t], such as [C, 1, 1] for channels with time constants of
    their own. Those have no kernel on a GPU: there the fused backward pass is that of PyTorch operations.

    w = 0 gives tau = 2. Source: Fang et al., Incorporating Learnable Membrane Time Constant to Enhance Learning of
    Spiking Neural Networks, ICCV 2021; the neuron of SVFormer.
    """
    constants = constants_of(
        threshold, reset, v_reset, decay_input, surrogate, alpha, detach_reset, fires, reset_delay, recheck
    )
    return integrate(x, v, torch.sigmoid(w), constants, backend)


def ilif(
    x: Float[Tensor, "T *d"],
    v: Float[Tensor, "*d"] | None = None,
    *,
    levels: int = 4,
    decay: float = 0.25,
    top: int | None = None,
    normalise: bool = False,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "T *d"], Float[Tensor, "*d"]]:
    """Integer-LIF: a neuron that emits 0..top spikes at once, each worth one binary sub-step at inference.

    u = decay v + x          s = round(clamp(u, 0, top))          v = u - s  (s a constant in the backward pass)

    top: the largest count, `levels` by default ({0..4}); `top=levels - 1` gives {0..3}. `normalise` divides the output
    by `levels`, as in Spike-driven Transformer V3; `decay=0` removes the memory. The gradient ds/du is 1 on [0, top].
    Source: SpikeYOLO (Luo et al. 2024); SpikeVideoFormer uses levels = 4 for segmentation.
    """
    if levels < 1:
        raise ConfigError(f"levels must be at least 1, got {levels}")
    top = levels if top is None else top
    _check_choice("backend", backend, Backend)
    charge = _start(x, v, 0.0)
    if x.is_meta:
        return torch.empty_like(x), torch.empty_like(charge)
    current = x.to(charge.dtype)
    if backend == "reference" or (backend == "auto" and torch.compiler.is_exporting()):
        counts, charge = ilif_reference(current, charge, decay, top)
    else:
        if torch.compiler.is_compiling():
            from spikereel.kernels.lif_compiled import compiled_ilif as fused
        else:
            fused = _kernels(current).fused_ilif

        counts, charge = fused(current, charge, decay, top)
    counts = counts.to(x.dtype)
    return (counts / levels if normalise else counts), charge


def lif_reference(
    x: Float[Tensor, "T *d"], v: Float[Tensor, "*d"], decay: float | Tensor, constants: Constants
) -> tuple[Float[Tensor, "T *d"], Float[Tensor, "*d"]]:
    """The equations of `lif`, step by step, differentiated by autograd; decay is 1 / tau."""
    c, spikes, strict = constants, [], constants.fires == "above"
    # a delayed reset is that of the membrane that came in
    owed = spike(v - c.threshold, c.surrogate, c.alpha, strict=strict) if c.reset_delay else None
    for current in x.unbind(0):
        leak = v - c.v_reset
        h = v + (current - leak) * decay if c.decay_input else v - leak * decay + current
        if owed is not None:
            h = _reset(h, owed, c)
        held = _reset(h, spike(v - c.threshold, c.surrogate, c.alpha, strict=strict), c) if c.recheck else h
        s = spike(held - c.threshold, c.surrogate, c.alpha, strict=strict)
        v, owed = (_reset(h, s, c), None) if owed is None else (h, s)
        spikes.append(s)
    return torch.stack(spikes), v


def _reset(h: Tensor, s: Tensor, c: Constants) -> Tensor:
    gate = s.detach() if c.detach_reset else s
    return (1.0 - gate) * h + gate * c.v_reset if c.reset == "hard" else h - gate * c.threshold


def ilif_reference(
    x: Float[Tensor, "T *d"], v: Float[Tensor, "*d"], decay: float, top: int
) -> tuple[Float[Tensor, "T *d"], Float[Tensor, "*d"]]:
    """The equations of `ilif`, step by step, differentiated by autograd."""
    counts = []
    for current in x.unbind(0):
        u = decay * v + current
        s = integer_spike(u, top)
        v = u - s.detach()
        counts.append(s)
    return torch.stack(counts), v


def constants_of(
    threshold: float,
    reset: Reset,
    v_reset: float,
    decay_input: bool,
    surrogate: Surrogate,
    alpha: float | None,
    detach_reset: bool,
    fires: Fires = "at",
    reset_delay: bool = False,
    recheck: bool = False,
) -> Constants:
    """What `lif` is given, checked, with the surrogate's own sharpness where none is given. Raises ConfigError."""
    _check_choice("fires", fires, Fires)
    _check_choice("reset", reset, Reset)
    if reset_delay and reset != "soft":
        raise ConfigError("reset_delay is for reset='soft': a hard reset that comes late gives the same spikes")
    if recheck and (reset != "soft" or reset_delay):
        raise ConfigError("recheck is for reset='soft' without reset_delay: with these nothing is left to check again")
    _check_choice("surrogate", surrogate, Surrogate)
    alpha = DEFAULT_ALPHA[surrogate] if alpha is None else alpha
    return Constants(
        threshold, reset, v_reset, decay_input, surrogate, alpha, detach_reset, fires, reset_delay, recheck
    )


def integrate(
    x: Float[Tensor, "T *d"],
    v: Float[Tensor, "*d"] | None,
    decay: float | Tensor,
    constants: Constants,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "T *d"], Float[Tensor, "*d"]]:
    """`lif` with the constants given as one, and 1 / tau as it is used."""
    _check_choice("backend", backend, Backend)
    start = _start(x, v, constants.v_reset if constants.reset == "hard" else 0.0)
    if x.is_meta:
        return torch.empty_like(x), torch.empty_like(start)
    current = x.to(start.dtype)
    ported = constants.fires == "above" or constants.reset_delay or constants.recheck
    plain = not constants.detach_reset or ported or torch.compiler.is_exporting()
    if backend == "reference" or (backend == "auto" and plain):
        spikes, v = lif_reference(current, start, decay, constants)
        return spikes.to(x.dtype), v
    if not constants.detach_reset:
        raise ConfigError("backend='fused' needs detach_reset=True; use backend='reference'")
    if ported:
        raise ConfigError("backend='fused' needs fires='at', no reset_delay and no recheck; use backend='reference'")
    if torch.compiler.is_compiling():
        from spikereel.kernels.lif_compiled import compiled_lif as fused
    else:
        fused = _kernels(current, decay).fused_lif

    spikes, v = fused(current, start, decay, constants)
    return spikes.to(x.dtype), v


def _kernels(x: Tensor, decay: float | Tensor = 0.0) -> Any:
    """The module with the fused neurons for tensors like x; those of Triton have one time constant a layer."""
    from spikereel.kernels import dispatch, lif_torch, lif_triton

    one = not isinstance(decay, Tensor) or decay.ndim == 0
    return lif_triton if one and dispatch.by_triton(x) else lif_torch


def _start(x: Tensor, v: Tensor | None, rest: float) -> Tensor:
    """The membrane to begin with, in float32 or wider."""
    if x.ndim == 0 or x.shape[0] == 0:
        raise StateError(
            f"a neuron needs at least one time step on the first axis, got input of shape {tuple(x.shape)}"
        )
    dtype = torch.promote_types(x.dtype, torch.float32)
    if v is None:
        if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
            from spikereel.kernels.lif_compiled import compiled_rest

            return compiled_rest(x.detach(), rest, dtype)
        return torch.full(x.shape[1:], rest, dtype=dtype, device=x.device)
    if v.shape != x.shape[1:]:
        raise StateError(
            f"membrane of shape {tuple(v.shape)} does not continue an input of shape {tuple(x.shape)}; "
            "batch size and resolution must stay the same while a state is carried: start again with state=None"
        )
    return v.to(dtype)


def _check_choice(what: str, value: str, kind: Any) -> None:
    if value not in get_args(kind):
        raise ConfigError(f"{what} {value!r} does not exist; choose one of {', '.join(get_args(kind))}")
