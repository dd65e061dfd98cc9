"""What is traced, in the pieces in which the network sees it: a tensor, or the frames of a file."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.events.recording import Events
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import USUAL_FPS, notes_of, open_frames
from spikereel.inference.look import film, look
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import KINDS, recording_of, sees_recordings
from spikereel.streaming.reader import Frame
from spikereel.streaming.seen import seer_of

SLICE = 33_333
"""Microseconds of a slice of events, where frames of a recording are not those of a clip."""
AT_ONCE = 16
"""Frames of a file that go through the network together."""

Span = str | tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Frames that go through the network in one call."""

    video: Tensor
    """float [t, 1, C, H, W]."""
    frames: np.ndarray
    """int64 [t]: numbers in the source."""
    times: np.ndarray | None
    """float64 [t] seconds."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames of one source, read piece by piece."""

    name: str
    total: int
    """Frames that the network sees."""
    frame: tuple[int, int, int]
    """(C, H, W)."""
    pieces: Iterator[Piece]
    box: tuple[float, float, float, float] | None = None
    seen: dict[str, Any] = field(default_factory=dict)
    """How the frames were chosen and made."""
    notes: tuple[str, ...] = ()


def clip_of(model: VideoModel, source: str | PathLike | Tensor, frames: Span, piece: int | None) -> Clip:
    """What of a source a model sees, cut into pieces.

    frames, piece: see `spikereel.trace`. Raises DataError for a source that is not a good one of its kind, ConfigError
    for weights that do not say how clips were made.
    """
    if isinstance(source, Tensor) and source.ndim == 5:
        return _given(source, piece)
    if isinstance(source, Tensor) and frames is not None:
        raise ConfigError("clip: is a tensor; cut it yourself: clip[first:last]")
    if frames is None and model.task == "classification":
        return _as_predicted(model, source, piece)
    if isinstance(source, Tensor):
        raise ConfigError(
            f"clip: pictures of {model.task} are read from files; give float [T, 1, C, H, W] as the model takes it"
        )
    whole = None if model.can_stream else data_spec_of(model.metadata).frames
    return _of_file(model, source, frames, piece or whole or AT_ONCE)


def _given(video: Tensor, piece: int | None) -> Clip:
    if video.shape[1] != 1:
        raise DataError(f"a trace is of one clip, this is a batch of {video.shape[1]}; give video[:, i : i + 1]")
    numbers = np.arange(len(video))
    return Clip(
        name="clip", total=len(video), frame=_frame(video), pieces=_cut(video, numbers, None, piece or len(video))
    )


def _as_predicted(model: VideoModel, source: str | PathLike | Tensor, piece: int | None) -> Clip:
    """The one clip in time, through its central crop, that `predict` sees with views=1."""
    spec = data_spec_of(model.metadata)
    seen = look(source, spec, model.config.in_channels, views=1)
    video, numbers = seen.views[0], np.array(seen.indices)
    seconds = seen.frames.seconds()
    times = None if seconds is None else seconds[numbers]
    return Clip(
        name=seen.name,
        total=len(video),
        frame=_frame(video),
        pieces=_cut(video, numbers, times, piece or len(video)),
        box=box_of(spec, seen.frames.size),
        seen={"frames": "as predicted", **_spec(spec)},
        notes=seen.notes,
    )


def _of_file(model: VideoModel, source: str | PathLike, frames: Span, piece: int) -> Clip:
    """Every frame that a stream would see, between two numbers of the source."""
    seer, note = seer_of(model)
    spec, name = data_spec_of(model.metadata), fspath(source)
    film = _slices(name, spec) if sees_recordings(spec) else _pictures(name, spec)
    first, last = (0, len(film.times)) if frames in (None, "all") else _span(frames, len(film.times), name)
    numbers = np.arange(first, last, seer.stride)

    def cut() -> Iterator[Piece]:
        videos: list[Tensor] = []
        done = 0
        for i, content in zip(range(first, last), film.contents(first, last), strict=True):
            now = Frame(number=i, time=float(film.times[i]), arrival=0.0, content=content, gap=False)
            videos += seer(now)
            if len(videos) >= piece or (i == last - 1 and videos):
                own = numbers[done : done + len(videos)]
                yield Piece(video=torch.stack(videos)[:, None], frames=own, times=film.times[own])
                done, videos = done + len(videos), []

    pieces = cut()
    head = next(pieces)
    everything = frames in (None, "all")
    return Clip(
        name=name,
        total=len(numbers),
        frame=_frame(head.video),
        pieces=chain([head], pieces),
        box=box_of(spec, film.size) if model.task == "classification" else None,
        seen={"frames": "all" if everything else [first, last], "stride": seer.stride, **_spec(spec)},
        notes=(*film.notes, *(() if note is None else (note,))),
    )


@dataclass(frozen=True, kw_only=True)
class _Film:
    """Frames of a file as a stream has them."""

    times: np.ndarray
    contents: Callable[[int, int], Iterator[Tensor | Events]]
    """Of the frames from one number to another: uint8 [H, W, 3], or the events of a slice."""
    size: tuple[int, int]
    """Height and width."""
    notes: tuple[str, ...] = ()


def _pictures(name: str, spec: DataSpec) -> _Film:
    video = Path(name).suffix.lower() in VIDEOS
    # of videos the colours and the shape that training saw
    frames = film(name, spec) if video else open_frames(name)
    if frames.holds != "pictures":
        raise DataError(f"{name}: holds {frames.holds}; these weights see pictures")
    seconds = frames.seconds()
    times = np.arange(len(frames)) / USUAL_FPS if seconds is None else seconds
    said = () if seconds is not None else (f"the source does not say how fast it is: {USUAL_FPS:g} frames a second",)

    def contents(first: int, last: int) -> Iterator[Tensor]:
        read = frames.shown if not video else lambda indices: (frames.seer or frames.reader)(indices, None)
        for chunk in frames.chunks(range(first, last)):
            # few frames first, or an hour of video would wait; then more, since each reading begins at a key frame
            start, size = 0, AT_ONCE
            while start < len(chunk):
                yield from read(chunk[start : start + size]).permute(0, 2, 3, 1)
                start, size = start + size, 2 * size

    return _Film(times=times, contents=contents, size=frames.size, notes=(*notes_of(frames.info), *said))


def _slices(name: str, spec: DataSpec) -> _Film:
    events = recording_of(spec, Path(name))
    start, last = int(events.t[0]), int(events.t[-1])
    begins = np.arange(start, last + 1, SLICE)

    def contents(first: int, stop: int) -> Iterator[Events]:
        return (events.between(int(t), int(t) + SLICE) for t in begins[first:stop])

    return _Film(
        times=(begins - start) / 1e6,
        contents=contents,
        size=(events.height, events.width),
        notes=(f"a frame is a slice of {SLICE} microseconds",),
    )


def _span(frames: Span, total: int, name: str) -> tuple[int, int]:
    if not isinstance(frames, tuple | list) or len(frames) != 2:
        raise ConfigError(f'frames is {frames!r}: give None, "all", or the first number and one behind the last')
    first, last = (int(x) for x in frames)
    if not 0 <= first < last <= total:
        raise ConfigError(f"frames is {first} to {last}: {name} has frames 0 to {total}")
    return first, last


def _cut(video: Tensor, numbers: np.ndarray, times: np.ndarray | None, piece: int) -> Iterator[Piece]:
    for i in range(0, len(video), piece):
        at = slice(i, i + piece)
        yield Piece(video=video[at], frames=numbers[at], times=None if times is None else times[at])


def _frame(video: Tensor) -> tuple[int, int, int]:
    return video.shape[2], video.shape[3], video.shape[4]


def _spec(spec: DataSpec) -> dict[str, Any]:
    return {name: value for name, value in asdict(spec).items() if value not in (None, (), "")}


def box_of(spec: DataSpec, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """What the central crop shows, of pictures of a height and width; None of recordings and depth."""
    height, width = size
    if sees_recordings(spec) or KINDS[spec.kind].films_depth:
        return None
    if spec.whole:
        return 0.0, 0.0, float(width), float(height)
    side = float(min(height, width))
    return (width - side) / 2, (height - side) / 2, side, side
