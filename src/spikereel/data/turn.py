"""Random turns, scales and moves of clips: one for all frames, about the middle."""

from dataclasses import dataclass

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
        turn, wide, high, right, down = (2 * torch.rand(5, generator=generator) - 1).unbind()
        angle, x, y = torch.deg2rad(turn * self.rotate), (1 + self.zoom) ** -wide, (1 + self.zoom) ** -high
        cos, sin, move = angle.cos(), angle.sin(), 2 * self.shift / size
        return Turned(torch.stack([x * cos, -x * sin, move * right, y * sin, y * cos, move * down]).view(2, 3))


@dataclass(frozen=True)
class Turned:
    """A change of all frames alike."""

    affine: Tensor
    """float32 [2, 3]: from a place of the new picture to that of the old one it is taken from."""

    def __call__(self, video: Tensor) -> Tensor:
        """Of [T, C, S, S]; beyond the border is what lies at the border. uint8 clips are rounded to uint8."""
        grid = F.affine_grid(self.affine.expand(len(video), 2, 3), list(video.shape), align_corners=False)
        turned = F.grid_sample(video.float(), grid, padding_mode="border", align_corners=False)
        return turned.round().to(torch.uint8) if video.dtype == torch.uint8 else turned
