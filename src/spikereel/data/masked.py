"""A clip with its masks: they go where a crop, a zoom or a mirror takes the picture."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikereel.data.transforms import resize
from spikereel.errors import ConfigError


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedClip:
    """A clip, and the masks of its frames where it has them. Raises ConfigError for shapes that do not go together."""

    video: Tensor
    """[T, C, H, W], uint8 or float."""
    mask: Tensor | None = None
    """Integers [T, H, W]."""

    def __post_init__(self):
        if self.video.ndim != 4:
            raise ConfigError(f"video is {list(self.video.shape)}: make it [frames, channels, height, width]")
        frames, _, height, width = self.video.shape
        if self.mask is not None and self.mask.shape != (frames, height, width):
            raise ConfigError(f"mask is {list(self.mask.shape)}: make it {[frames, height, width]} as the video")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.video.shape[-2], self.video.shape[-1]

    def crop(self, top: int, left: int, height: int, width: int) -> "MaskedClip":
        """A box of every frame."""
        box = (..., slice(top, top + height), slice(left, left + width))
        return MaskedClip(video=self.video[box], mask=None if self.mask is None else self.mask[box])

    def resize(self, height: int, width: int) -> "MaskedClip":
        """Bilinear, with antialiasing; the mask takes the nearest pixel. uint8 clips are rounded to uint8."""
        mask, (old_height, old_width) = self.mask, self.size
        if mask is not None:
            mask = mask[:, _nearest(old_height, height)[:, None], _nearest(old_width, width)]
        return MaskedClip(video=resize(self.video, height, width), mask=mask)

    def flip(self) -> "MaskedClip":
        """Left and right change places."""
        return MaskedClip(video=self.video.flip(-1), mask=None if self.mask is None else self.mask.flip(-1))


LabelledClip = MaskedClip
"""The old name."""


def _nearest(old: int, size: int) -> Tensor:
    """The pixel of `old` under the centre of each of `size`."""
    return ((torch.arange(size) + 0.5) * old / size).long().clamp(max=old - 1)
