"""How video files become clips."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from spikereel.data.trails import bent, trail_frames, with_trails
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.video.cache import FrameCache
from spikereel.data.video.read import Timeline, read_frames, sample_indices, timeline
from spikereel.data.video.rendering import AS_STORED, Rendering
from spikereel.errors import ConfigError

SUFFIXES = frozenset(
    {
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4"),
        *(".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    }
)
"""Endings of video files, in small letters."""

USUAL_FPS = 25.0
"""Of videos that do not say."""

TRIM = 0.1
"""Of a clip, what `time_warp` leaves out at either end at most."""

Transform = Callable[[Tensor, torch.Generator | None], Tensor]
Progress = Callable[[int, int], None]
"""Takes the files done, and the files in all."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How video files become clips. Raises ConfigError for values that do not exist or do not go together."""

    frames: int
    """Frames of a clip, T."""
    transform: Transform
    """Makes float32 of uint8 [T, C, H, W] and a generator or None: a TrainTransform or EvalTransform."""
    stride: float | None = None
    """Frames of the video from one to the next, see `sample_indices`; None spreads the clip over the whole video."""
    trails: float = 0.0
    """Seconds; of the frames their grey, and where it is above and below the mean of their past: of all frames of
    the video, see `with_trails`."""
    time_warp: float = 0.0
    """In training, a clip runs up to so much faster at one end, and up to a tenth is left out at either."""
    clips: int = 1
    """Views in time of a video, for evaluation."""
    copies: int = 1
    """Copies of a training clip, which is decoded once and transformed this many times."""
    train: bool = False
    """Whether clips are for training: drawn at random, and changed at random by the transform."""
    seed: int = 0
    """Seed of everything random."""
    on_error: Literal["raise", "skip"] = "raise"
    """What happens to a bad file, see `VideoFiles`."""
    rendering: Rendering = AS_STORED
    """Colours and shape of the pixels."""
    cache: FrameCache | None = None
    """Where decoded frames are kept; whole clips then go through the transform at their size."""
    progress: Progress | None = None
    """Called while on_error="skip" looks at all files."""

    def __post_init__(self):
        if self.on_error not in ("raise", "skip"):
            raise ConfigError(f"on_error is {self.on_error!r}: choose 'raise' or 'skip'")
        if self.train and self.clips > 1:
            raise ConfigError(f"clips is {self.clips}: training takes one clip of a video at a time")
        if self.copies < 1:
            raise ConfigError(f"copies is {self.copies}: it must be at least 1")
        if self.copies > 1 and not self.train:
            raise ConfigError(f"copies is {self.copies}: only training draws several copies of a clip, give train=True")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}: it must be at least 0")
        if self.trails < 0 or not 0 <= self.time_warp < 1:
            raise ConfigError(f"trails is {self.trails}, at least 0; time_warp {self.time_warp}, from 0 to below 1")
        if self.trails and _by_frame(self.transform) is None:
            raise ConfigError("trails go with boxes and mirrors alone: no randaugment, jitter or erasing; antialias")
        # Other wrong combinations show here and not in a worker.
        sample_indices(1, self.frames, stride=self.stride, clip=self.clips - 1, clips=self.clips)

    @property
    def views(self) -> int:
        """Clips times the views of the transform."""
        return self.clips * getattr(self.transform, "views", 1)


def read_clip(
    path: Path, reading: Reading, generator: torch.Generator | None = None, known: Timeline | None = None
) -> Tensor:
    """One file as an item of `VideoFiles`; `generator` is for training, `known` the file's timeline if it is there."""
    if reading.trails:
        return _joined(
            [view for clip in range(reading.clips) for view in _moving(path, known, reading, clip, generator)]
        )
    if reading.cache:
        return _joined([view for clip in range(reading.clips) for view in _kept(path, reading, clip, generator)])
    known = known or timeline(path)
    return _joined([view for clip in range(reading.clips) for view in _views(path, known, reading, clip, generator)])


def _joined(views: list[Tensor]) -> Tensor:
    return views[0] if len(views) == 1 else torch.stack(views).flatten(0, views[0].ndim - 4)


def _kept(path: Path, how: Reading, clip: int, generator: torch.Generator | None) -> list[Tensor]:
    """As `_views`, of frames in the cache."""
    assert how.cache is not None
    spread = how.stride is None and not how.time_warp
    frames = how.cache.frames(path, how.frames if spread else None)
    if not spread:
        frames = frames[_chosen(len(frames), how, clip, generator)]
    return [how.transform(frames, generator) for _ in range(how.copies)]


def _views(path: Path, known: Timeline, how: Reading, clip: int, generator: torch.Generator | None) -> list[Tensor]:
    """The copies of one clip, which is decoded once."""
    numbers, transform = known.at_equal_times(_chosen(len(known), how, clip, generator)), how.transform
    steps = _by_frame(transform, generator) if how.copies == 1 else None
    if steps:
        each, finish = steps
        return [finish(read_frames(path, numbers, known, each=each, rendering=how.rendering))]
    frames = read_frames(path, numbers, known, rendering=how.rendering)
    return [transform(frames, generator) for _ in range(how.copies)]


def _moving(
    path: Path, known: Timeline | None, how: Reading, clip: int, generator: torch.Generator | None
) -> list[Tensor]:
    """The copies of one clip with trails, for which all frames up to its last are decoded, once."""
    known = known or timeline(path)
    chosen = _chosen(len(known), how, clip, generator)
    constant = how.trails * (known.pace(known.stated) or USUAL_FPS)
    numbers = trail_frames(chosen, constant)
    steps = [_by_frame(how.transform, generator) for _ in range(how.copies)]
    copies = [step for step in steps if step]

    def cut(frames: Tensor) -> Tensor:
        return torch.cat([each(frames) for each, _ in copies], dim=1)

    if how.cache:
        small = cut(how.cache.frames(path, None)[numbers.start : numbers.stop])
    else:
        small = read_frames(path, known.at_equal_times(numbers), known, each=cut, rendering=how.rendering)
    picked = [number - numbers.start for number in chosen]
    parts = small.chunk(how.copies, dim=1)
    return [finish(with_trails(part, picked, constant)) for part, (_, finish) in zip(parts, copies, strict=True)]


def _by_frame(
    transform: Transform, generator: torch.Generator | None = None
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None:
    """What a transform does to every frame, and to the whole clip then; None where it needs the whole clip at once."""
    if not isinstance(transform, TrainTransform | EvalTransform):
        return None
    each = transform.by_frame(generator)
    return (each, transform.finish) if each else None


def _chosen(total: int, how: Reading, clip: int, generator: torch.Generator | None) -> list[int]:
    """Numbers of the frames of a clip, of a video of `total`."""
    indices = sample_indices(total, how.frames, stride=how.stride, clip=clip, clips=how.clips, generator=generator)
    if not how.time_warp or generator is None:
        return indices
    start, stop, bend = torch.rand(3, generator=generator).tolist()
    instants = bent(how.frames, TRIM * start, TRIM * stop, how.time_warp * (2 * bend - 1))
    return (indices[0] + instants * (indices[-1] - indices[0])).round().long().tolist()
