"""Procedural motion clips with the mask of what moves: the default data of segmentation."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikereel.data.made.scenes import CLASSES as MOTIONS
from spikereel.data.made.scenes import MotionClips
from spikereel.data.mask_clips import Colour
from spikereel.data.pose import within
from spikereel.data.transforms import normalise

_MOVING = [label for label, name in enumerate(MOTIONS) if name != "still"]


class MotionMasks(Dataset):
    """`length` clips an epoch of a shape that moves among shapes at rest that look like it: items `(clip float32
    [T, C, H, W], masks int64 [T, H, W])`, 1 where it is.

    clips: a generator of MotionClips with `targets=True`, of as many clips as all epochs need; "still" ones, in which
    no eye can tell the shape, are left out. Every epoch has clips of its own if that is asked for by `set_epoch`.
    """

    classes = ("background", "moving")
    palette: list[Colour] = [(40, 44, 52), (255, 196, 0)]  # noqa: RUF012

    def __init__(self, clips: MotionClips, length: int, *, mean: tuple[float, ...], std: tuple[float, ...]):
        self.clips, self.length, self.mean, self.std = clips, length, mean, std
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = int(self._epoch) * self.length + within(index, self.length)
        times, motion = divmod(number, len(_MOVING))
        video, _, targets = self.clips[len(MOTIONS) * times + _MOVING[motion]]
        return normalise(video, self.mean, self.std), targets["mask"].long()

    def video_of(self, index: int) -> str:
        return str(index)

    def set_epoch(self, epoch: int) -> None:
        """Choose the clips that are made from now on."""
        self._epoch.fill_(epoch)

    def fingerprint(self) -> str:
        """Hash of the generator's options."""
        return self.clips.fingerprint()
