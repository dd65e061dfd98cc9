"""Procedural motion clips: the default data of classification, and with the mask of what moves, of segmentation."""

from collections.abc import Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from torch import Tensor

from spikereel.config import unknown_key
from spikereel.data.clips import SeededClips, T_co
from spikereel.data.made.scenes import CLASSES, MotionClips
from spikereel.data.mask_clips import Colour
from spikereel.data.transforms import normalise

_MOVING = [label for label, name in enumerate(CLASSES) if name != "still"]


class Generator(Protocol):
    """Clips that are made from a seed."""

    seed: int

    def fingerprint(self) -> str:
        """Hash of all that the clips depend on."""
        ...


G = TypeVar("G", bound=Generator)


class Generated(SeededClips[T_co], Generic[G, T_co]):
    """`length` clips an epoch of a generator that has enough for all epochs; every epoch has clips of its own."""

    def __init__(self, clips: G, length: int, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__(clips.seed)
        self.clips, self.length, self.mean, self.std = clips, length, mean, std

    def __len__(self) -> int:
        return self.length

    def number(self, index: int) -> int:
        """The number of an item among those of all epochs."""
        return self.epoch * self.length + index

    def normal(self, video: Tensor) -> Tensor:
        """A clip of the generator with this normalisation."""
        return normalise(video, self.mean, self.std)

    def fingerprint(self) -> str:
        """Hash of the generator's options."""
        return self.clips.fingerprint()


class MotionVideos(Generated[MotionClips, int]):
    """`length` normalised clips an epoch: items `(video float32 [T, C, H, W], label)`.

    clips: a generator of MotionClips, of as many clips as all epochs need. focus: classes that every second clip is of.
    simulated: whether they are events. Raises ConfigError for a focus on an unknown class.
    """

    # The old name of the class, which is part of the fingerprint of events that are simulated from its clips.
    name = "Normalised"

    def __init__(
        self,
        clips: MotionClips,
        length: int,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        focus: Sequence[str] = (),
        simulated: bool = False,
    ):
        super().__init__(clips, length, mean, std)
        self.classes, self.simulated = clips.classes, simulated
        if unknown := [name for name in focus if name not in clips.classes]:
            raise unknown_key(unknown[0], clips.classes, "class in data.focus")
        self.focus = [clips.classes.index(name) for name in focus]

    def item(self, index: int) -> tuple[Tensor, int]:
        """A clip and its label."""
        video, label = self.clips[self._clip(self.number(index))]
        return self.normal(video), label

    def _clip(self, number: int) -> int:
        """Which clip of the generator, whose clip i is of class i modulo their number, is the one of this number."""
        if not self.focus:
            return number
        half, odd = divmod(number, 2)
        label = self.focus[half % len(self.focus)] if odd else half % len(self.classes)
        return number * len(self.classes) + label


class MotionMasks(Generated[MotionClips, Tensor]):
    """`length` clips an epoch of a shape that moves among shapes at rest that look like it: items `(clip float32
    [T, C, H, W], masks int64 [T, H, W])`, 1 where it is.

    clips: a generator of MotionClips with `targets=True`, of as many clips as all epochs need; "still" ones, in which
    no eye can tell the shape, are left out.
    """

    classes = ("background", "moving")
    palette: ClassVar[list[Colour]] = [(40, 44, 52), (255, 196, 0)]

    def __init__(self, clips: MotionClips, length: int, *, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__(clips, length, mean, std)

    def item(self, index: int) -> tuple[Tensor, Tensor]:
        """A clip and its masks."""
        times, motion = divmod(self.number(index), len(_MOVING))
        video, _, targets = self.clips[len(CLASSES) * times + _MOVING[motion]]
        return self.normal(video), targets["mask"].long()

    def video_of(self, index: int) -> str:
        """A video of its own for every clip."""
        return str(index)
