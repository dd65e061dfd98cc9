"""Neurons as modules: they hold constants and learnable time constants, never a membrane."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from spikereel.errors import ConfigError
from spikereel.ops.lif import Backend, Reset, ilif, lif, plif
from spikereel.ops.surrogate import Surrogate

Kind = Literal["lif", "plif", "if", "ilif", "relu"]


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """Constants of one neuron; the defaults are those of SpikeVideoFormer's released model (spec section 1.1)."""

    kind: Kind = "lif"
    """lif, plif (learnable time constant), if (no leak), ilif (integer spikes); relu makes the network an ANN."""
    tau: float = 2.0
    """Time constant in time steps; the initial one for plif."""
    threshold: float = 1.0
    reset: Reset = "hard"
    v_reset: float = 0.0
    decay_input: bool = True
    surrogate: Surrogate = "sigmoid"
    alpha: float | None = None
    """Sharpness of the surrogate; None is 4 for sigmoid and 2 for atan."""
    detach_reset: bool = True
    levels: int = 4
    """Integer-LIF only: number of levels D."""
    ilif_decay: float = 0.25
    """Integer-LIF only: how much of the membrane is kept from step to step."""
    top: int | None = None
    """Integer-LIF only: the largest count, None for `levels`."""
    normalise: bool = False
    """Integer-LIF only: divide the output by `levels`."""
    backend: Backend = "auto"


class Neuron(nn.Module):
    """`spikes, v = neuron(x, v)` for x [T, ...] and v [...] (None at the start).

    Kind "relu" is the artificial neuron in the same place: its outputs are real and it remembers nothing (v is empty).
    """

    def __init__(self, config: NeuronConfig):
        super().__init__()
        if config.kind not in get_args(Kind):
            raise ConfigError(f"neuron {config.kind!r} does not exist; choose one of {', '.join(get_args(Kind))}")
        self.config = config
        if config.kind == "plif":
            if not config.tau > 1.0:
                raise ConfigError(f"tau of plif must be above 1 time step to begin with, got {config.tau}")
            self.w = nn.Parameter(-torch.log(torch.tensor(config.tau - 1.0)))

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        c = self.config
        if c.kind == "relu":
            return torch.relu(x), x.new_empty(0)
        if c.kind == "ilif":
            return ilif(x, v, levels=c.levels, decay=c.ilif_decay, top=c.top, normalise=c.normalise)
        shared = {
            "threshold": c.threshold, "reset": c.reset, "v_reset": c.v_reset, "surrogate": c.surrogate,
            "alpha": c.alpha, "detach_reset": c.detach_reset, "backend": c.backend,
        }  # fmt: skip
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
        return f"{c.kind}, tau={c.tau:g}, threshold={c.threshold:g}, {c.reset} reset, {c.surrogate}"
