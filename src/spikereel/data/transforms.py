"""Transforms of clips: every random choice is made once and holds for all frames of the clip.

The functions take float or uint8 clips [T, C, H, W] and keep the type; `TrainTransform` and `EvalTransform` put them
together and give float32. Interpolation is bilinear, with antialiasing unless that is switched off.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.data.augment import (
    apply_operations,
    color_jitter,
    random_erasing,
    read_policy,
    require_pillow,
    sample_operations,
)
from spikereel.data.turn import Turn, Turned
from spikereel.errors import ConfigError

MEAN, STD = 0.45, 0.225
"""The papers normalise every channel alike."""

LEAST_SPREAD = 0.01
"""Where a frame's own standard deviation is below, as that of a black one is, this stands for it."""


def to_float(video: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1; floating-point clips only become float32."""
    return video.float().div_(255) if video.dtype == torch.uint8 else video.float()


def resize(video: Tensor, height: int, width: int, *, antialias: bool = True) -> Tensor:
    """Every frame at another size: [T, C, H, W] -> [T, C, height, width]; uint8 clips are rounded to uint8."""
    if video.shape[-2:] == (height, width):
        return video
    # In uint8 interpolate is many times as fast, but only for RGB and with antialiasing.
    whole = video.dtype == torch.uint8
    own = whole and antialias and video.shape[1] == 3
    resized = F.interpolate(
        video if own else video.float(), (height, width), mode="bilinear", align_corners=False, antialias=antialias
    )
    return resized.round().clamp(0, 255).to(torch.uint8) if whole and not own else resized


def resize_short_side(video: Tensor, size: int, *, antialias: bool = True) -> Tensor:
    """The short side becomes `size`, the long one floor(long / short * size): [T, C, H, W] -> [T, C, H', W']."""
    height, width = video.shape[-2:]
    short = min(height, width)
    return resize(video, height * size // short, width * size // short, antialias=antialias)


def three_crops(video: Tensor, size: int) -> Tensor:
    """Start, middle and end of the long side, the middle of the short one: [T, C, H, W] -> [3, T, C, size, size].

    Offsets 0, ceil((L - size) / 2) and L - size along the long side L. Raises ConfigError if the clip is smaller.
    """
    height, width = _at_least(video, size)
    rows, columns = height - size, width - size
    middle_row, middle_column = math.ceil(rows / 2), math.ceil(columns / 2)
    if height > width:
        corners = [(0, middle_column), (middle_row, middle_column), (rows, middle_column)]
    else:
        corners = [(middle_row, 0), (middle_row, middle_column), (middle_row, columns)]
    return torch.stack([video[..., top : top + size, left : left + size] for top, left in corners])


def random_resized_crop(
    video: Tensor,
    size: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    antialias: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One random box of all frames, resized: [T, C, H, W] -> [T, C, size, size].

    The box has a share of the area uniform in `scale` and a width-to-height ratio log-uniform in `ratio`; if ten such
    boxes do not fit, it is the largest central one with a ratio in range.
    """
    box = _random_box(video.shape[-2], video.shape[-1], scale, ratio, generator)
    return resize(_cut(video, box), size, size, antialias=antialias)


def horizontal_flip(video: Tensor) -> Tensor:
    """Mirror every frame: left and right, clockwise and counter-clockwise change places."""
    return video.flip(-1)


Statistic = float | Sequence[float] | Tensor
Box = tuple[int, int, int, int]
"""Top, left, height, width."""


def normalise(video: Tensor, mean: Statistic, std: Statistic) -> Tensor:
    """(video - mean) / std, for all channels alike, per channel C or per frame [T, C, 1, 1]: float32 [T, C, H, W].

    With neither, `()` and `()`, by `statistics_of` the video. Raises ConfigError for one of them alone, and where
    there are neither one value nor as many as channels.
    """
    for name, value in (("mean", mean), ("std", std)):
        if isinstance(value, Sequence) and len(value) not in (0, 1, video.shape[-3]):
            raise ConfigError(f"{name} is {value}: give 1 value, or {video.shape[-3]} as there are channels")
    mean, std = statistics_of(video, mean, std)
    centre, spread = (
        x if isinstance(x, Tensor) else torch.tensor(x, dtype=torch.float32, device=video.device).reshape(-1, 1, 1)
        for x in (mean, std)
    )
    scaled = to_float(video)
    # Fresh memory costs more than the arithmetic.
    return (scaled - centre if scaled is video else scaled.sub_(centre)).div_(spread)


def statistics_of(video: Tensor, mean: Statistic = (), std: Statistic = ()) -> tuple[Statistic, Statistic]:
    """Mean and standard deviation [T, C, 1, 1] of every channel of every frame, for which light and white balance go;
    or those that are given. Raises ConfigError where one is given."""
    own = [not isinstance(value, float | int | Tensor) and not value for value in (mean, std)]
    if not any(own):
        return mean, std
    if not all(own):
        raise ConfigError(f"mean is {mean}, std {std}: give both, or neither for those of every frame")
    spread, centre = torch.std_mean(to_float(video), dim=(2, 3), correction=0, keepdim=True)
    return centre, spread.clamp_(min=LEAST_SPREAD)


def _require_sizes(size: int, std: float | Sequence[float]) -> None:
    """Raises ConfigError for a size without pixels, or a standard deviation that cannot divide."""
    if size < 1:
        raise ConfigError(f"size is {size}: it must be at least 1")
    if not all(0 < value < math.inf for value in ([std] if isinstance(std, float | int) else std)):
        raise ConfigError(f"std is {std}: values must be above 0")


@dataclass(frozen=True, kw_only=True)
class TrainTransform:
    """Random box, perhaps mirrored, normalised: `(video, generator) -> float32 [T, C, size, size]`.

    With any of `randaugment`, `erasing` and `antialias=False` the order is that of the published SVFormer: RandAugment
    of the uint8 clip [T, 3, H, W] at its own size, normalising, box, mirror, erasing. Without them the box of a uint8
    clip is rounded to uint8, and normalised last. Raises ConfigError for values out of range, a malformed policy,
    RandAugment without Pillow or of clips that are not uint8, and clips of other shapes than [T, C, H, W].
    """

    size: int = 224
    scale: tuple[float, float] = (0.08, 1.0)
    """Smallest and largest share of the area that a box has."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest ratio of a box's width to its height."""
    flip: bool = False
    """Whether half of the clips are mirrored; wrong for classes that differ by left and right."""
    mean: float | tuple[float, ...] = MEAN
    std: float | tuple[float, ...] = STD
    randaugment: str | None = None
    """A policy such as "m5-n2-mstd0.25", see `augment.read_policy`."""
    erasing: float = 0.0
    """Probability that a rectangle becomes noise, see `augment.random_erasing`."""
    antialias: bool = True
    """Whether frames are smoothed before they are made smaller; the published SVFormer does not."""
    jitter: float = 0.0
    """Strength of `augment.color_jitter`."""
    whole: bool = False
    """Whether `ratio` is that of the box to the frame's own, for evaluation that squeezes the whole frame."""
    turn: Turn | None = None
    """How much the box is turned, scaled and moved besides."""

    def __post_init__(self):
        _require_sizes(self.size, self.std)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ConfigError(f"scale is {self.scale}: give the smallest and the largest share, above 0 and up to 1")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ConfigError(f"ratio is {self.ratio}: give the smallest and the largest, above 0")
        if not 0 <= self.erasing <= 1:
            raise ConfigError(f"erasing is {self.erasing}: a probability goes from 0 to 1")
        if not 0 <= self.jitter <= 1:
            raise ConfigError(f"jitter is {self.jitter}: it goes from 0 to 1")
        if self.randaugment is not None:
            read_policy(self.randaugment)
            require_pillow()

    def __call__(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        _require_clip(video)
        if self.randaugment is not None:
            video = apply_operations(video, sample_operations(read_policy(self.randaugment), generator))
        if self.jitter:
            video = color_jitter(video, self.jitter, generator=generator)
        normalised = self._normalised_first
        if normalised:
            video = normalise(video, self.mean, self.std)
        video = resize(_cut(video, self._box(video, generator)), self.size, self.size, antialias=self.antialias)
        if self.turn:
            video = self.turn.draw(self.size, generator)(video)
        if self._mirrored(generator):
            video = horizontal_flip(video)
        if self.erasing:
            video = random_erasing(video, probability=self.erasing, generator=generator)
        return video if normalised else normalise(video, self.mean, self.std)

    def by_frame(self, generator: torch.Generator | None = None) -> Callable[[Tensor], Tensor] | None:
        """The same but for `normalise`, frame after frame of one clip: uint8 [1, 3, H, W] -> [1, 3, size, size].

        None where a step needs the whole clip, or numbers that are not rounded.
        """
        if self._normalised_first or self.jitter:
            return None
        drawn: list[tuple[Box, Turned | None, bool]] = []

        def cut(frame: Tensor) -> Tensor:
            if not drawn:
                # in the order of a clip at once
                box, turned = self._box(frame, generator), self.turn.draw(self.size, generator) if self.turn else None
                drawn.append((box, turned, self._mirrored(generator)))
            box, turned, mirrored = drawn[0]
            small = resize(_cut(frame, box), self.size, self.size)
            small = turned(small) if turned else small
            return horizontal_flip(small) if mirrored else small

        return cut

    def finish(self, video: Tensor) -> Tensor:
        """What is left after `by_frame`: uint8 [T, 3, size, size] -> float32."""
        return normalise(video, self.mean, self.std)

    def _box(self, video: Tensor, generator: torch.Generator | None) -> Box:
        height, width = video.shape[-2:]
        shape = width / height if self.whole else 1.0
        return _random_box(height, width, self.scale, (self.ratio[0] * shape, self.ratio[1] * shape), generator)

    @property
    def _normalised_first(self) -> bool:
        return self.randaugment is not None or self.erasing > 0 or not self.antialias

    def _mirrored(self, generator: torch.Generator | None) -> bool:
        return self.flip and bool(torch.rand((), generator=generator) < 0.5)


@dataclass(frozen=True, kw_only=True)
class EvalTransform:
    """Short side to `size`, one central crop or three, normalised; or with `whole` all of the frame, squeezed.

    `(video, generator) -> float32 [T, C, size, size]`, or [views, T, C, size, size] where these are several; the
    generator is not used, it is there so that both transforms are called alike. With `antialias=False`, as the
    published SVFormer, the clip is normalised before it is resized; else a uint8 clip is rounded to uint8 between the
    two.
    Raises ConfigError for other numbers of crops, values out of range, and clips of other shapes than [T, C, H, W].
    """

    size: int = 224
    crops: int = 1
    mean: float | tuple[float, ...] = MEAN
    std: float | tuple[float, ...] = STD
    antialias: bool = True
    """Whether frames are smoothed before they are made smaller."""
    whole: bool = False
    """Whether the frame is squeezed into the square, and nothing of it is cut off."""
    mirrored: bool = False
    """Whether the mirror image of every crop comes after all of them."""

    @property
    def views(self) -> int:
        """Crops and their mirror images."""
        return 2 * self.crops if self.mirrored else self.crops

    def __post_init__(self):
        _require_sizes(self.size, self.std)
        if self.crops not in (1, 3):
            raise ConfigError(f"crops is {self.crops}: choose 1 or 3")
        if self.whole and self.crops > 1:
            raise ConfigError(f"crops is {self.crops}: of the whole frame there is one, give crops=1 or whole=False")

    def __call__(self, video: Tensor, generator: torch.Generator | None = None) -> Tensor:
        _require_clip(video)
        if not self.antialias:
            video = normalise(video, self.mean, self.std)
        if self.whole:
            video = resize(video, self.size, self.size, antialias=self.antialias)
        else:
            video = resize_short_side(video, self.size, antialias=self.antialias)
            video = three_crops(video, self.size) if self.crops == 3 else _middle(video, self.size)
        video = normalise(video, self.mean, self.std) if self.antialias else video
        if not self.mirrored:
            return video
        crops = video if self.crops > 1 else video[None]
        return torch.cat([crops, horizontal_flip(crops)])

    def by_frame(self, generator: torch.Generator | None = None) -> Callable[[Tensor], Tensor] | None:
        """The short side of every frame made `size`, with `whole` both: uint8 [1, 3, H, W] -> [1, 3, H', W'].

        None with antialias=False, which normalises before that.
        """
        if not self.antialias:
            return None
        if self.whole:
            return lambda frame: resize(frame, self.size, self.size)
        return lambda frame: resize_short_side(frame, self.size)

    def finish(self, video: Tensor) -> Tensor:
        """What is left after `by_frame`: crops, and normalising to float32."""
        return self(video)


def mixup_cutmix(
    videos: Tensor,
    labels: Tensor,
    *,
    classes: int,
    mixup: float = 0.8,
    cutmix: float = 1.0,
    smoothing: float = 0.1,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Blend a batch with its own reverse: float [B, T, C, H, W], int64 [B] -> (videos, float32 targets [B, classes]).

    One of the two, by a fair coin, with lambda ~ Beta(alpha, alpha), one for the batch (timm's batch mode):
    mixup     lambda * videos + (1 - lambda) * reverse
    cutmix    a box with a share 1 - lambda of the area comes from the reverse, in all frames; lambda becomes the share
              that is left after the box is clipped at the borders.
    Targets are lambda * one_hot(labels) + (1 - lambda) * one_hot(reverse), with 1 - smoothing on the class and
    smoothing / classes on all. An alpha of 0 switches that kind off; both 0 leaves the smoothing.
    Raises ConfigError for a negative alpha, a smoothing outside [0, 1), an empty batch, a label outside the classes.
    """
    if not len(videos) == len(labels) > 0:
        raise ConfigError(f"{len(videos)} videos and {len(labels)} labels: give a batch of at least 1, a label each")
    if min(mixup, cutmix) < 0 or not 0 <= smoothing < 1:
        raise ConfigError(f"mixup {mixup}, cutmix {cutmix}: at least 0; smoothing {smoothing}: from 0 to below 1")
    if labels.min() < 0 or labels.max() >= classes:
        raise ConfigError(f"labels go from {labels.min()} to {labels.max()}: only 0 to {classes - 1} are classes")
    targets = F.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes
    if not mixup and not cutmix:
        return videos, targets
    rng = _numpy_rng(generator)
    use_cutmix = bool(cutmix) and (not mixup or rng.random() < 0.5)
    if use_cutmix:
        rows, columns = _pasted_box(videos.shape[-2:], rng.beta(cutmix, cutmix), rng)
        videos, keep = _with_box(videos, rows, columns), 1 - len(rows) * len(columns) / math.prod(videos.shape[-2:])
    else:
        keep = rng.beta(mixup, mixup)
        videos = torch.lerp(videos.flip(0), videos, keep)
    return videos, torch.lerp(targets.flip(0), targets, keep)


def cutmix_masks(
    videos: Tensor, masks: Tensor, *, alpha: float = 1.0, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The boxes of `mixup_cutmix` for label maps: float [B, T, C, H, W] and int64 [B, T, H, W] -> the same.

    Source: Yun et al. 2019; for segmentation French et al. 2020. Raises ConfigError for an alpha that is not positive.
    """
    if alpha <= 0:
        raise ConfigError(f"cutmix is {alpha}: must be above 0")
    rng = _numpy_rng(generator)
    rows, columns = _pasted_box(videos.shape[-2:], rng.beta(alpha, alpha), rng)
    return _with_box(videos, rows, columns), _with_box(masks, rows, columns)


def _numpy_rng(generator: torch.Generator | None) -> np.random.Generator:
    """torch offers no Beta distribution that takes a generator, so one draw of it seeds numpy's."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))


def _pasted_box(size: Sequence[int], keep: float, rng: np.random.Generator) -> tuple[range, range]:
    """Rows and columns of a box with a share 1 - keep of the area, clipped at the borders."""
    row, column = rng.integers(size[0]), rng.integers(size[1])
    half_height, half_width = (round(side * (1 - keep) ** 0.5 / 2) for side in size)
    rows = range(max(row - half_height, 0), min(row + half_height, size[0]))
    return rows, range(max(column - half_width, 0), min(column + half_width, size[1]))


def _with_box(batch: Tensor, rows: range, columns: range) -> Tensor:
    """A batch [B, ..., H, W] with a box of its own reverse in it."""
    box = (..., slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    mixed = batch.clone()
    mixed[box] = batch.flip(0)[box]
    return mixed


def _random_box(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator | None
) -> Box:
    """See `random_resized_crop`."""
    for _ in range(10):
        share, shape, down, right = torch.rand(4, generator=generator).tolist()
        area = height * width * (scale[0] + share * (scale[1] - scale[0]))
        aspect = ratio[0] * (ratio[1] / ratio[0]) ** shape
        box_width, box_height = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < box_width <= width and 0 < box_height <= height:
            return int(down * (height - box_height + 1)), int(right * (width - box_width + 1)), box_height, box_width
    box_width = min(width, round(height * ratio[1]))
    box_height = min(height, round(width / ratio[0]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _cut(video: Tensor, box: Box) -> Tensor:
    top, left, height, width = box
    return video[..., top : top + height, left : left + width]


def _middle(video: Tensor, size: int) -> Tensor:
    """The middle square: [T, C, H, W] -> [T, C, size, size]."""
    height, width = _at_least(video, size)
    return _cut(video, ((height - size) // 2, (width - size) // 2, size, size))


def _at_least(video: Tensor, size: int) -> tuple[int, int]:
    height, width = video.shape[-2:]
    if min(height, width) < size:
        raise ConfigError(f"cannot cut {size}x{size} out of {height}x{width}: resize the clip first")
    return height, width


def _require_clip(video: Tensor) -> None:
    if video.ndim != 4:
        raise ConfigError(f"video is {list(video.shape)}: make it [frames, channels, height, width]")


def shown_frames(video: Tensor, most: int) -> Tensor:
    """Up to so many frames of a clip [T, C, H, W], to look at: float [N, 3, H, W], stretched to 0 to 1.

    Of one channel they are grey, of two red and blue, of more the first three.
    """
    frames = video[torch.linspace(0, len(video) - 1, min(most, len(video))).long()].float()
    low, high = frames.amin(), frames.amax()
    frames = (frames - low) / (high - low).clamp(min=1e-6)
    if frames.shape[1] == 2:
        frames = torch.stack([frames[:, 0], torch.zeros_like(frames[:, 0]), frames[:, 1]], dim=1)
    return frames[:, :3].expand(-1, 3, -1, -1)
