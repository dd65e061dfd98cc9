"""What clips with label masks have in common: which frames make a clip, and changes that frames and masks share."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.data.augment import color_jitter, gamma_jitter
from spikereel.data.clips import Clips, SeededClips, fingerprint
from spikereel.data.masked import MaskedClip
from spikereel.data.pictures import read_mask, read_picture
from spikereel.data.transforms import Statistic, normalise, statistics_of
from spikereel.errors import ConfigError, DataError

IGNORE = 255
"""Label of pixels that are neither trained on nor judged."""

MOST_CACHED = 2**30
"""Bytes of decoded frames that a dataset keeps in memory; one that would need more keeps none."""

CROP_TRIES = 10
"""Random crops that are tried until one has a labelled pixel."""

Colour = tuple[int, int, int]


class SegmentationClips(Clips[Tensor], Protocol):
    """What training and evaluation ask of a data set of masks as well; items are `(clip float32 [T, C, H, W], masks
    int64 [T, H, W])`, and a frame without a label has IGNORE everywhere."""

    @property
    def palette(self) -> list[Colour]:
        """A colour for each class."""
        ...

    def video_of(self, index: int) -> str | None:
        """The video in which the labelled frames of clip `index` come right after those of the clip before it; None
        where labelled frames are too far apart to judge consistency."""
        ...


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Classes, their colours, and which class the values of a mask mean."""

    classes: tuple[str, ...]
    palette: list[Colour]
    values: Mapping[int, int]
    """{value in the file: class, or IGNORE}; all others are errors."""
    colours: Mapping[Colour, int] = field(default_factory=dict)
    """The same for masks in colours."""

    def read(self, path: Path) -> Tensor:
        """A mask as uint8 [H, W] of classes and IGNORE. Raises DataError for a value that means no class."""
        stored = read_mask(path)
        meanings = self.values
        if stored.ndim == 3:
            meanings = {_code(colour): label for colour, label in self.colours.items()}
            stored = (stored.astype(np.int64) * (65536, 256, 1)).sum(-1)
        found, where = np.unique(stored, return_inverse=True)
        if unknown := [value for value in found.tolist() if value not in meanings]:
            raise DataError(f"{path}: holds {self._named(unknown, meanings)}; correct the mask or the list of classes")
        table = np.array([meanings[value] for value in found.tolist()], np.uint8)
        return torch.from_numpy(table[where.reshape(stored.shape)])

    def _named(self, unknown: list[int], meanings: Mapping[int, int]) -> str:
        if meanings is self.values:
            known = f"{min(meanings)} to {max(set(meanings) - {IGNORE}, default=IGNORE)}, and {IGNORE} to ignore"
            return f"the label {unknown[0]}, which is no class (known: {known})"
        if not meanings:
            return "colours, and the values of classes were expected"
        colour = tuple(unknown[0] >> shift & 255 for shift in (16, 8, 0))
        return f"the colour {colour}, which is that of no class"


@dataclass(frozen=True, kw_only=True)
class MaskedVideo:
    """The frames of one recording that are there, in time, with the masks that some of them have."""

    name: str
    frames: tuple[Path, ...]
    masks: tuple[Path | None, ...]
    numbers: tuple[int, ...]
    """What the recording counts its frames by; ascending."""
    dense: bool = False
    """Every frame has a mask, and they are close enough in time to judge consistency."""


@dataclass(frozen=True, kw_only=True)
class MaskReading:
    """How recordings become clips. Raises ConfigError for numbers out of range."""

    offsets: tuple[int, ...]
    """Of each frame from the labelled one, which is 0; ascending, repeats allowed."""
    unit: Literal["frames", "numbers"] = "frames"
    """Whether offsets count the frames that are there, or the numbers in their names."""
    size: int = 0
    """Short side of the frames in pixels; 0 leaves them as they are."""
    train: bool = False
    """With the masks of all frames, changed at random; else whole frames, and the mask of the frame at 0 alone, so that
    every labelled frame is judged once."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Training: frames grow by a factor in this range."""
    crop: tuple[int, ...] = ()
    """Training: height and width of the box that is cut out, padded where it is larger than the frame; none is the
    whole frame's size."""
    flip: float = 0.0
    """Training: share of clips that are mirrored."""
    jitter: float = 0.0
    """Training: strength of `augment.color_jitter`."""
    gamma: float = 0.0
    """Training: strength of `augment.gamma_jitter`."""
    mean: float | tuple[float, ...] = 0.5
    std: float | tuple[float, ...] = 0.5
    """Normalisation of pixel values in [0, 1]; of neither, `()`, every channel of every whole frame by its own."""
    seed: int = 0

    def __post_init__(self) -> None:
        if 0 not in self.offsets or list(self.offsets) != sorted(self.offsets):
            raise ConfigError(f"offsets are {list(self.offsets)}: make them ascend, and have the labelled frame, 0")
        if self.size < 0 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"size {self.size}, scale {self.scale}: size from 0 on, scale above 0 and ascending")
        if self.crop and (len(self.crop) != 2 or min(self.crop) < 1):
            raise ConfigError(f"crop is {list(self.crop)}: give height and width, both at least 1")
        if not (0 <= self.flip <= 1 and 0 <= self.jitter <= 1 and self.gamma >= 0):
            raise ConfigError(
                f"flip {self.flip}, jitter {self.jitter}, gamma {self.gamma}: from 0 on, flip and jitter to 1"
            )


class MaskClips(SeededClips[Tensor]):
    """Clips of recordings, one for every frame with a mask: items as of `SegmentationClips`.

    The frames of a clip lie before (or after) the labelled one by `reading.offsets`; where the recording has begun
    later, its first frame is repeated, and in numbers the latest frame that is not after the wanted one is taken.
    Training items are random, see `SeededClips`. Decoded frames stay in memory, at the largest size they are needed at,
    where that takes less than MOST_CACHED.
    Raises DataError for a mask of another size than its frame, with an unknown label or missing, and for a clip in
    which nothing is labelled.
    """

    def __init__(self, root: Path, videos: Sequence[MaskedVideo], labels: LabelSet, reading: MaskReading):
        super().__init__(reading.seed)
        self.root, self.videos, self.labels, self.reading = root, list(videos), labels, reading
        self.classes, self.palette = labels.classes, labels.palette
        self.anchors = [
            (number, position)
            for number, video in enumerate(self.videos)
            for position, mask in enumerate(video.masks)
            if mask is not None
        ]
        if not self.anchors:
            raise DataError(f"{root}: no frame has a mask; check the folder")
        self._kept: dict[Path, Tensor] = {}
        self._sizes: dict[Path, tuple[int, ...]] = {}
        self._caching: bool | None = None

    @staticmethod
    def collate(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """How a loader makes a batch."""
        return pad_batch(items)

    def part(self, keep: Callable[[int], bool]) -> "MaskClips":
        """The clips of some recordings, by their number. Raises ConfigError where that leaves none."""
        kept = [video for number, video in enumerate(self.videos) if keep(number)]
        if not kept:
            raise ConfigError(f"{self.root}: of {len(self.videos)} videos none is left for this split; add some")
        return MaskClips(self.root, kept, self.labels, self.reading)

    def __len__(self) -> int:
        return len(self.anchors)

    def item(self, index: int) -> tuple[Tensor, Tensor]:
        """A clip and its masks."""
        how = self.reading
        video, positions = self.frames_of(index)
        seed = int(self.random(index).integers(2**62)) if how.train else 0
        judged = len(positions) - 1 - how.offsets[::-1].index(0)
        clip = self._clip(video, positions, range(len(positions)) if how.train else [judged])
        return prepared(clip, how, torch.Generator().manual_seed(seed), video.frames[positions[judged]])

    def frames_of(self, index: int) -> tuple[MaskedVideo, list[int]]:
        """The recording of a clip, and the positions of its frames there."""
        number, position = self.anchors[index]
        video = self.videos[number]
        return video, chosen(video.numbers, position, self.reading.offsets, self.reading.unit)

    def video_of(self, index: int) -> str | None:
        video = self.videos[self.anchors[index][0]]
        return video.name if video.dense else None

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, role) of all frames and masks."""
        items = [(x, "frame") for video in self.videos for x in video.frames]
        items += [(x, "mask") for video in self.videos for x in video.masks if x is not None]
        return fingerprint(self.root, items)

    def _clip(self, video: MaskedVideo, positions: list[int], labelled: Iterable[int]) -> MaskedClip:
        pairs = [self._frame(video, p, i in labelled) for i, p in enumerate(positions)]
        if len({frame.shape for frame, _ in pairs}) > 1:
            raise DataError(f"{video.frames[positions[0]]}: has another size than the next frames of {video.name}")
        frames, masks = zip(*pairs, strict=True)
        return MaskedClip(video=torch.stack(frames), mask=torch.stack(masks))

    def _frame(self, video: MaskedVideo, position: int, labelled: bool) -> tuple[Tensor, Tensor]:
        """uint8 [3, H, W] and [H, W] at the size that is kept."""
        path, mask_path = video.frames[position], video.masks[position]
        frame = self._kept.get(path)
        if frame is None:
            whole = read_picture(path)
            self._sizes[path] = whole.shape[1:]
            frame = self._shrunk(MaskedClip(video=whole[None])).video[0]
            self._keep(path, frame)
        if not labelled or mask_path is None:
            return frame, frame.new_full(frame.shape[1:], IGNORE)
        mask = self._kept.get(mask_path)
        if mask is None:
            whole, size = self.labels.read(mask_path), self._sizes[path]
            if whole.shape != size:
                raise DataError(
                    f"{mask_path}: is {whole.shape[1]} x {whole.shape[0]}, its frame {path.name} "
                    f"{size[1]} x {size[0]}; make the mask of the frame's size"
                )
            mask = cast(Tensor, self._shrunk(MaskedClip(video=whole[None, None], mask=whole[None])).mask)[0]
            self._keep(mask_path, mask)
        return frame, mask

    def _shrunk(self, clip: MaskedClip) -> MaskedClip:
        """At the largest size that a clip is made from, never enlarged."""
        how, short = self.reading, min(clip.size)
        largest = round(how.size * max(how.scale[1], 1.0)) if how.train else how.size
        return clip.resize(*short_side(clip.size, largest)) if how.size and largest < short else clip

    def _keep(self, path: Path, pixels: Tensor) -> None:
        if self._caching is None:
            frames = sum(len(video.frames) for video in self.videos)
            self._caching = 4 * pixels[0].numel() * frames <= MOST_CACHED
        if self._caching:
            self._kept[path] = pixels


def prepared(clip: MaskedClip, how: MaskReading, generator: torch.Generator, path: Path | str) -> tuple[Tensor, Tensor]:
    """A uint8 clip [T, 3, H, W] with its mask, as the network gets it; at random where that is for training.

    Raises DataError where no frame has a labelled pixel, with the name `path`.
    """
    assert clip.mask is not None
    if not bool(torch.any(clip.mask != IGNORE)):
        raise DataError(f"{path}: no pixel of this clip has a label; leave it out, or give its mask")
    base = short_side(clip.size, how.size) if how.size else clip.size
    if how.train and how.gamma:
        clip = replace(clip, video=gamma_jitter(clip.video, how.gamma, generator=generator))
    # These are of the whole frames, before colours are changed.
    statistics = statistics_of(clip.video, how.mean, how.std)
    if not how.train:
        clip = clip.resize(*base)
        return _arrays(clip, statistics)
    clip = random_box(clip, base, how.scale, how.crop or base, generator)
    if how.flip and torch.rand((), generator=generator) < how.flip:
        clip = clip.flip()
    if how.jitter:
        clip = replace(clip, video=color_jitter(clip.video, how.jitter, generator=generator))
    video, masks = _arrays(clip, statistics)
    below, right = ((how.crop or base)[axis] - clip.size[axis] for axis in (0, 1))
    return F.pad(video, (0, right, 0, below)), F.pad(masks, (0, right, 0, below), value=IGNORE)


def pad_batch(items: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A batch of clips of unequal height and width: clips [B, T, C, H, W] with 0 and masks [B, T, H, W] with IGNORE to
    the right and below, where a clip has ended."""
    height, width = (max(masks.shape[axis] for _, masks in items) for axis in (1, 2))
    clips, masks = [], []
    for clip, mask in items:
        room = (0, width - mask.shape[2], 0, height - mask.shape[1])
        clips.append(F.pad(clip, room))
        masks.append(F.pad(mask, room, value=IGNORE))
    return torch.stack(clips), torch.stack(masks)


def random_box(
    clip: MaskedClip, base: tuple[int, int], scale: tuple[float, float], crop: Sequence[int], generator: torch.Generator
) -> MaskedClip:
    """One random box of all frames, at most `crop` (height, width) large, of frames that are `base` large times a
    factor uniform in `scale`; a box without labelled pixels is drawn again, CROP_TRIES times at most.
    """
    assert clip.mask is not None
    low, high = scale
    for _ in range(CROP_TRIES):
        growth, down, right = torch.rand(3, generator=generator).tolist()
        factor = low + (high - low) * growth
        full = [max(round(side * factor), 1) for side in base]
        out = [min(a, b) for a, b in zip(full, crop, strict=True)]
        rows, columns = (
            max(round(part * own / whole), 1) for part, own, whole in zip(out, clip.size, full, strict=True)
        )
        top, left = int(down * (clip.size[0] - rows + 1)), int(right * (clip.size[1] - columns + 1))
        box = clip.crop(top, left, rows, columns)
        if bool(torch.any(cast(Tensor, box.mask) != IGNORE)):
            break
    return box.resize(*out)


def chosen(
    numbers: Sequence[int], position: int, offsets: Sequence[int], unit: Literal["frames", "numbers"]
) -> list[int]:
    """Positions of the frames of a clip, whose frame at offset 0 is at `position`; see `MaskClips`."""
    last = len(numbers) - 1
    if unit == "frames":
        return [min(max(position + offset, 0), last) for offset in offsets]
    wanted = [numbers[position] + offset for offset in offsets]
    return [max(int(np.searchsorted(numbers, n, side="right")) - 1, 0) for n in wanted]


def short_side(size: tuple[int, int], short: int) -> tuple[int, int]:
    """Height and width with a short side of `short`, in the proportions of `size`."""
    height, width = size
    least = min(size)
    return round(height * short / least), round(width * short / least)


def split_at_gaps(numbers: Sequence[int], most: int) -> list[range]:
    """Positions of the stretches whose numbers are at most `most` apart."""
    breaks = [i for i, (a, b) in enumerate(pairwise(numbers), start=1) if b - a > most]
    return [range(a, b) for a, b in pairwise([0, *breaks, len(numbers)])]


def number_of(path: Path) -> int:
    """The last number in a file's name. Raises DataError for a name without one."""
    digits = re.findall(r"\d+", path.stem)
    if not digits:
        raise DataError(f"{path}: has no number in its name; number the frames in the order of time")
    return int(digits[-1])


def bit_palette(count: int) -> list[Colour]:
    """Colours of `count` classes that differ well: those of PASCAL VOC, the bits of a number dealt out in turn."""

    def level(number: int, channel: int) -> int:
        return sum((number >> 3 * bit + channel & 1) << 7 - bit for bit in range(8))

    return [(level(i, 0), level(i, 1), level(i, 2)) for i in range(1, count + 1)]


def _arrays(clip: MaskedClip, statistics: tuple[Statistic, Statistic]) -> tuple[Tensor, Tensor]:
    return normalise(clip.video, *statistics), cast(Tensor, clip.mask).long()


def _code(colour: Colour) -> int:
    red, green, blue = colour
    return red * 65536 + green * 256 + blue
