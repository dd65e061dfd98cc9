"""The one-euro filter, sample by sample: a low pass whose cutoff grows with speed."""

import torch
from torch import Tensor


def one_euro_step(
    x: Tensor,
    state: tuple[Tensor, Tensor] | None,
    rate: float,
    *,
    cutoff: float = 1.0,
    beta: float = 0.7,
    speed_cutoff: float = 1.0,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One sample through the filter: what comes out, and the state, which is that and the speed (None at the start).

    rate: samples a second, one over the time since the sample before. cutoff and speed_cutoff in Hz; beta in Hz for a
    speed of one unit of x a second. Source: Casiez et al. 2012.
    """
    if state is None:
        return x, (x, torch.zeros_like(x))
    before, speed = state
    speed = speed + _share(speed_cutoff, rate) * ((x - before) * rate - speed)
    out = before + _share(cutoff + beta * speed.abs(), rate) * (x - before)
    return out, (out, speed)


def _share(frequency: Tensor | float, rate: float) -> Tensor | float:
    return 1.0 / (1.0 + rate / (2 * torch.pi * frequency))
