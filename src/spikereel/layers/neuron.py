"""Neurons as modules: they hold constants and learnable time constants, never a membrane."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spikereel.errors import ConfigError
from spikereel.ops.lif import Backend, Fires, Reset, ilif, lif, plif
from spikereel.ops.surrogate import Surrogate

Kind = Literal["lif", "plif", "if", "ilif", "relu"]


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """Constants of one neuron; the defaults are those of the released code of SpikeVideoFormer."""

    kind: Kind = "lif"
    """lif, plif (learnable time constant), if (no leak), ilif (integer spikes); relu makes the network an ANN."""
    tau: float = 2.0
    """Time constant in time steps; the initial one for plif."""
    tau_spread: tuple[float, float] | None = None
    """A time constant for each channel instead of `tau`: from the first to the second of these, in equal ratios over
    the channels. Of lif they stay, of plif each is learnt from there on; (2, 2) is a PLIF of each channel. Not for
    others."""
    threshold: float = 1.0
    reset: Reset = "hard"
    v_reset: float = 0.0
    decay_input: bool = True
    surrogate: Surrogate = "sigmoid"
    alpha: float | None = None
    """Sharpness of the surrogate; None is 4 for sigmoid and 2 for atan."""
    detach_reset: bool = True
    fires: Fires = "at"
    """At the threshold (h >= threshold), or only above it, as in snnTorch and Norse. Not for ilif."""
    reset_delay: bool = False
    """Soft reset one step late, after decay and input, as in snnTorch. Not for ilif."""
    recheck: bool = False
    """Where the membrane that came in would fire by itself, two thresholds to fire, as in snnTorch without its delay.
    For soft resets without `reset_delay`; not for ilif."""
    levels: int = 4
    """Integer-LIF only: number of levels D."""
    ilif_decay: float = 0.25
    """Integer-LIF only: how much of the membrane is kept from step to step."""
    top: int | None = None
    """Integer-LIF only: the largest count, None for `levels`."""
    normalise: bool = False
    """Integer-LIF only: divide the output by `levels`."""
    replay: bool = False
    """Integer-LIF only: give each count as that many ones among `sub_steps` binary sub-steps, ones first."""
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"neuron {self.kind!r} does not exist; choose one of {', '.join(get_args(Kind))}")
        if not self.tau >= 1.0:
            raise ConfigError(f"tau must be at least 1 time step, got {self.tau}")
        if self.kind == "plif" and not self.tau > 1.0:
            raise ConfigError(f"tau of plif must be above 1 time step to begin with, got {self.tau}")
        if self.tau_spread is not None:
            self._check_spread(self.tau_spread)
        if not self.threshold > 0.0:
            raise ConfigError(f"threshold must be above 0, got {self.threshold}: the neuron would fire without input")
        if not self.v_reset < self.threshold:
            raise ConfigError(f"v_reset must be below the threshold {self.threshold}, got {self.v_reset}")
        if self.alpha is not None and not self.alpha > 0.0:
            raise ConfigError(f"alpha must be above 0, got {self.alpha}")
        if self.fires not in get_args(Fires):
            raise ConfigError(f"fires is {self.fires!r}; choose one of {', '.join(get_args(Fires))}")
        if self.kind == "ilif" and self.ported:
            raise ConfigError("fires='above', reset_delay and recheck are for neurons of one spike; ilif has none")
        if self.reset_delay and self.reset != "soft":
            raise ConfigError("reset_delay is for reset='soft': a hard reset that comes late gives the same spikes")
        if self.recheck and (self.reset != "soft" or self.reset_delay):
            raise ConfigError("recheck is for reset='soft' without reset_delay: with these there is nothing to check")
        if self.levels < 1 or (self.top is not None and self.top < 1):
            raise ConfigError(f"levels and top must be at least 1, got {self.levels} and {self.top}")
        if not 0.0 <= self.ilif_decay <= 1.0:
            raise ConfigError(f"ilif_decay must lie in [0, 1], got {self.ilif_decay}")

    def _check_spread(self, taus: tuple[float, float]) -> None:
        if self.kind not in ("lif", "plif"):
            raise ConfigError(f"tau_spread is for neuron lif and plif, this is {self.kind}; leave tau_spread out")
        if not all(1.0 <= tau < math.inf for tau in taus) or (self.kind == "plif" and 1.0 in taus):
            above = "above" if self.kind == "plif" else "at least"
            raise ConfigError(f"tau_spread of {self.kind} must be {above} 1 time step and finite, got {tuple(taus)}")

    @property
    def ported(self) -> bool:
        """Whether it fires or resets as only neurons of other libraries do."""
        return self.fires == "above" or self.reset_delay or self.recheck

    @property
    def replays(self) -> bool:
        """Whether integer counts are given as binary sub-steps."""
        return self.replay and self.kind == "ilif"

    @property
    def sub_steps(self) -> int:
        """Binary sub-steps of one time step: the largest count where counts are replayed, 1 otherwise."""
        if not self.replays:
            return 1
        return self.levels if self.top is None else self.top

    @property
    def unit(self) -> float:
        """What one spike is worth to the layers behind the neuron."""
        return 1.0 / self.levels if self.normalise and self.kind == "ilif" else 1.0


def replayed(counts: Float[Tensor, "T *d"], sub_steps: int) -> Float[Tensor, "DT *d"]:
    """Counts 0..D as binary spikes of D sub-steps [D T, ...]: first the first sub-step of all time steps.

    A sub-step d of 0..D-1 has a spike where the count is above d. The gradient is that of the count, shared out evenly.
    """
    share = (counts - counts.detach()) / sub_steps
    return torch.cat([(counts.detach() > d).to(counts.dtype) + share for d in range(sub_steps)])


def collected(x: Float[Tensor, "DT *d"], neuron: NeuronConfig) -> Float[Tensor, "T *d"]:
    """What spikes of `neuron`, or a linear map of them, add up to over the sub-steps of each time step.

    x itself where counts are not replayed. The first axis may hold the batch as well, [D T B, ...].
    """
    return x.unflatten(0, (neuron.sub_steps, -1)).sum(0) * neuron.unit if neuron.replays else x


def spread(first: float, last: float, channels: int) -> Float[Tensor, "C"]:
    """Time constants from the first to the last in equal ratios, one for each channel; of one channel the first."""
    share = torch.arange(channels) / max(channels - 1, 1)
    return first * (last / first) ** share


class Neuron(nn.Module):
    """`spikes, v = neuron(x, v)` for x [T, ...] and v [...] (None at the start).

    Spikes are [T, ...]; with `config.replay` they are binary, [D T, ...] with D = `config.sub_steps`, and the layers
    behind sum them up (`collected`).

    channels: of x, on its third axis [T, B, C, ...]; asked for by `tau_spread`, which gives each its time constant.

    Kind "relu" is the artificial neuron in the same place: its outputs are real and it remembers nothing (v is empty).
    """

    w: Tensor

    def __init__(self, config: NeuronConfig, channels: int | None = None):
        super().__init__()
        self.config = config
        if config.tau_spread is not None:
            if channels is None:
                raise ConfigError("a neuron with tau_spread has to know its channels; give Neuron(config, channels)")
            w = -torch.log(spread(*config.tau_spread, channels) - 1.0)
            # those that are not learnt are in the file too: a model on the meta device has no other numbers
            if config.kind == "plif":
                self.w = nn.Parameter(w)
            else:
                self.register_buffer("w", w)
        elif config.kind == "plif":
            self.w = nn.Parameter(-torch.log(torch.tensor(config.tau - 1.0)))

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        c = self.config
        if c.kind == "relu":
            return torch.relu(x), x.new_empty(0)
        if c.kind == "ilif":
            normalise = c.normalise and not c.replay
            s, v = ilif(x, v, levels=c.levels, decay=c.ilif_decay, top=c.top, normalise=normalise, backend=c.backend)
            return (replayed(s, c.sub_steps) if c.replay else s), v
        shared = {
            "threshold": c.threshold,
            "reset": c.reset,
            "v_reset": c.v_reset,
            "surrogate": c.surrogate,
            "alpha": c.alpha,
            "detach_reset": c.detach_reset,
            "fires": c.fires,
            "reset_delay": c.reset_delay,
            "recheck": c.recheck,
            "backend": c.backend,
        }
        if c.tau_spread is not None:
            w = self.w.view(-1, *[1] * max(x.ndim - 3, 0))
            return plif(x, v, w, decay_input=c.decay_input, **shared)
        if c.kind == "plif":
            return plif(x, v, self.w, decay_input=c.decay_input, **shared)
        if c.kind == "if":
            return lif(x, v, tau=math.inf, decay_input=False, **shared)
        return lif(x, v, tau=c.tau, decay_input=c.decay_input, **shared)

    @property
    def spiking(self) -> bool:
        """False for the artificial neuron."""
        return self.config.kind != "relu"

    def extra_repr(self) -> str:
        c = self.config
        if not self.spiking:
            return c.kind
        if c.kind == "ilif":
            return f"ilif, levels={c.levels}, decay={c.ilif_decay:g}, {c.sub_steps} sub-step(s)"
        how = f"{c.reset} reset{' one step late' if c.reset_delay else ', checked again' if c.recheck else ''}"
        above = "above " if c.fires == "above" else ""
        tau = f"{c.tau:g}" if c.tau_spread is None else "{:g} to {:g}".format(*c.tau_spread)
        return f"{c.kind}, tau={tau}, threshold={above}{c.threshold:g}, {how}, {c.surrogate}"
