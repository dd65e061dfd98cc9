"""A clip with what is drawn on it: masks and joints go where a move, a crop, a zoom or a mirror takes the picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.data.augment import SIGNED, apply_operations, source_of
from spikereel.errors import ConfigError

VOID = 255
"""Class of mask pixels that come from outside the picture."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledClip:
    """Errors: ConfigError for shapes that do not belong together."""

    video: Tensor  # [T, C, H, W], uint8 or float
    mask: Tensor | None = None  # integers [T, H, W]
    joints: Tensor | None = None  # float [T, J, 2]: column and row in pixels, (0, 0) is the centre of the first pixel

    def __post_init__(self):
        if self.video.ndim != 4:
            raise ConfigError(f"video is {list(self.video.shape)}: make it [frames, channels, height, width]")
        frames, _, height, width = self.video.shape
        if self.mask is not None and self.mask.shape != (frames, height, width):
            raise ConfigError(f"mask is {list(self.mask.shape)}: make it {[frames, height, width]} as the video")
        if self.joints is not None and (self.joints.ndim != 3 or self.joints.shape[::2] != (frames, 2)):
            raise ConfigError(f"joints are {list(self.joints.shape)}: make them [{frames}, joints, 2]")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.video.shape[-2], self.video.shape[-1]

    def crop(self, top: int, left: int, height: int, width: int) -> "LabelledClip":
        """A box of every frame; joints outside it stay, with coordinates outside the frame."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        return self._moved(
            self.video[..., rows, columns],
            lambda mask: mask[..., rows, columns],
            lambda joints: joints - joints.new_tensor([left, top]),
        )

    def resize(self, height: int, width: int, *, antialias: bool = True) -> "LabelledClip":
        """Bilinear; the mask takes the nearest pixel. uint8 clips are rounded to uint8."""
        if self.size == (height, width):
            return self
        old_height, old_width = self.size
        # In uint8 interpolate is many times as fast, but only for RGB and with antialiasing.
        whole = self.video.dtype == torch.uint8
        own = whole and antialias and self.video.shape[1] == 3
        video = F.interpolate(
            self.video if own else self.video.float(),
            (height, width),
            mode="bilinear",
            align_corners=False,
            antialias=antialias,
        )
        return self._moved(
            video.round().clamp(0, 255).to(torch.uint8) if whole and not own else video,
            lambda mask: mask[:, _nearest(old_height, height)[:, None], _nearest(old_width, width)],
            lambda joints: (joints + 0.5) * joints.new_tensor([width / old_width, height / old_height]) - 0.5,
        )

    def flip(self, pairs: Sequence[tuple[int, int]] = ()) -> "LabelledClip":
        """Left and right change places; so do the joints of each pair, such as (left hand, right hand)."""

        def mirrored(joints: Tensor) -> Tensor:
            order = list(range(joints.shape[1]))
            for a, b in pairs:
                order[a], order[b] = b, a
            return torch.stack([self.size[1] - 1 - joints[..., 0], joints[..., 1]], dim=-1)[:, order]

        return self._moved(self.video.flip(-1), lambda mask: mask.flip(-1), mirrored)

    def augment(self, operations: list[tuple[str, float]]) -> "LabelledClip":
        """RandAugment's operations (name, argument), see `augment.apply_operations`; only uint8 [T, 3, H, W]."""
        clip = self._moved(apply_operations(self.video, operations))
        for name, argument in operations:
            if name in SIGNED:
                clip = clip._along(name, argument)
        return clip

    def _along(self, name: str, argument: float) -> "LabelledClip":
        """Mask and joints after one geometric operation of RandAugment, whose picture is there already."""
        height, width = self.size
        matrix = torch.tensor(source_of(name, argument, width, height), dtype=torch.float64).reshape(2, 3)

        def moved(mask: Tensor) -> Tensor:
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            grid = torch.stack([x + 0.5, y + 0.5, torch.ones(height, width)], dim=-1).double() @ matrix.T
            column, row = grid.floor().long().unbind(-1)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            taken = mask[:, row.clamp(0, height - 1), column.clamp(0, width - 1)]
            return torch.where(inside, taken, taken.new_tensor(VOID))

        def carried(joints: Tensor) -> Tensor:
            points = (joints.double() + 0.5 - matrix[:, 2]) @ torch.linalg.inv(matrix[:, :2]).T
            return (points - 0.5).to(joints.dtype)

        return self._moved(self.video, moved, carried)

    def _moved(self, video: Tensor, mask=lambda x: x, joints=lambda x: x) -> "LabelledClip":
        """Another picture, and what is done to the labels that are there."""
        return replace(
            self,
            video=video,
            mask=None if self.mask is None else mask(self.mask),
            joints=None if self.joints is None else joints(self.joints),
        )


def _nearest(old: int, size: int) -> Tensor:
    """The pixel of `old` under the centre of each of `size`."""
    return ((torch.arange(size) + 0.5) * old / size).long().clamp(max=old - 1)
