"""Random turns, scales and moves of clips: one for all frames, about the middle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Ranges of random changes; false where nothing changes. Raises ConfigError for values below 0."""

    rotate: float = 0.0
    """Degrees at most, either way."""
    zoom: float = 0.0
    """The factors of width and height are log-uniform from 1 / (1 + zoom) to 1 + zoom, each its own."""
    shift: int = 0
    """Pixels at most, either way."""

    def __post_init__(self) -> None:
        if min(self.rotate, self.zoom, self.shift) < 0:
            raise ConfigError(f"rotate {self.rotate}, zoom {self.zoom}, shift {self.shift}: none may be below 0")

    def __bool__(self) -> bool:
        return bool(self.rotate or self.zoom or self.shift)

    def draw(self, size: int, generator: torch.Generator | None = None) -> "Turned":
        """One change, of pictures of so many pixels a side."""
        return self.at((2 * torch.rand(5, generator=generator) - 1).tolist(), size)

    def at(self, where: Sequence[float], size: int, *, beyond: Literal["border", "zeros"] = "border") -> "Turned":
        """The change at five places of the ranges, each from -1 to 1: angle, width, height, right, down."""
        turn, wide, high, right, down = where
        angle, x, y = np.radians(turn * self.rotate), (1 + self.zoom) ** -wide, (1 + self.zoom) ** -high
        cos, sin, move = np.cos(angle), np.sin(angle), 2 * self.shift / size
        affine = torch.tensor([[x * cos, -x * sin, move * right], [y * sin, y * cos, move * down]], dtype=torch.float32)
        return Turned(affine, beyond)


@dataclass(frozen=True)
class Turned:
    """A change of all frames alike."""

    affine: Tensor
    """float32 [2, 3]: from a place of the new picture to that of the old one it is taken from."""
    beyond: Literal["border", "zeros"] = "border"
    """What lies beyond the border: what lies at it, or 0."""

    def __call__(self, video: Tensor) -> Tensor:
        """Of [T, C, S, S]. uint8 clips are rounded to uint8."""
        grid = F.affine_grid(self.affine.expand(len(video), 2, 3), list(video.shape), align_corners=False)
        turned = F.grid_sample(video.float(), grid, padding_mode=self.beyond, align_corners=False)
        return turned.round().to(torch.uint8) if video.dtype == torch.uint8 else turned
