"""Positions in time: which frame of its clip a token is of."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

WAVES, SHORTEST, LONGEST = 8, 2.0, 1000.0
"""Sines and cosines, and their wavelengths in frames, in equal ratios that are no whole number: they never come round
together."""


def waves(frames: int) -> Float[Tensor, "T F"]:
    """cos and sin of each wavelength at frames 0 to T - 1, float64; F = 2 WAVES."""
    lengths = SHORTEST * (LONGEST / SHORTEST) ** (torch.arange(WAVES, dtype=torch.float64) / (WAVES - 1))
    phase = 2 * math.pi * torch.arange(frames, dtype=torch.float64)[:, None] / lengths
    return torch.cat([phase.cos(), phase.sin()], dim=1)


class TimePositions(nn.Module):
    """Adds to every token of frame t a learnt mixture of sines of t, one row of weights for each channel.

    It begins at 0, so that a fresh network is the one without. Defined for clips of any length; frames are counted
    from the beginning of the clip, so there is no state. Source: sinusoidal positions of Vaswani et al. 2017, as the
    input of a learnt map.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.map = nn.Linear(2 * WAVES, channels, bias=False)
        nn.init.zeros_(self.map.weight)

    def forward(
        self, x: Float[Tensor, "T B C H W"], state: dict | None = None
    ) -> tuple[Float[Tensor, "T B C H W"], dict]:
        """x with the positions of its frames, and an empty state."""
        del state
        terms = self.map(waves(len(x)).to(x))
        return x + terms[:, None, :, None, None], {}
