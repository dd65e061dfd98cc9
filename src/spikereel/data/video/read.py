"""Reading video files with PyAV: what is in them, when their frames are shown, and chosen frames.

A file is good or it is a DataError of one line; nothing in between. Refused are files that are missing, empty, not
video, cut short, or damaged:
- cut short: the file ends before its own outermost box does (see `containers`), or ends inside a frame. Formats made
  to be cut anywhere (TS, MPEG, FLV, live WebM) declare no size: there a clean cut is just a shorter video;
- damaged: the decoder fails, or conceals errors in a frame, or stays silent for more than 2 frames and a tenth of the
  packets. Up to that is no damage: the UT-Interaction AVI files, for one, hold 2 or 3 empty packets each. An index
  that does not fit the duration (MP4), or holds more than is there (AVI), is damage too.
Frame counts in headers are never trusted and never a reason to refuse: a frame is what decodes. Decoding runs without
frame threads, which would swallow errors at the end of a stream; colours are converted by one thread, because starting
others takes longer than a frame.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from spikereel.data.video.decode import decoded, require_whole
from spikereel.data.video.index import marks_of, stated_rate, told
from spikereel.data.video.index import timeline as timeline
from spikereel.data.video.orientation import Orientation, exif_of, orientation
from spikereel.data.video.rendering import AS_STORED, Assumed, Rendering, assumed_of, stated_aspect, upright_aspect
from spikereel.data.video.streams import opened
from spikereel.data.video.timeline import Timeline
from spikereel.data.video.timeline import sample_indices as sample_indices
from spikereel.errors import ConfigError, DataError

Take = Callable[[Path, VideoFrame], Tensor]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a good video file holds."""

    frames: int
    """Frames that were decoded, never the header's claim; 1 is legal, and sampling then repeats it."""
    fps: float
    """Average frame rate: the stated one, or that of the frames' times where it differs; 0.0 if unknown."""
    width: int
    """Pixels, upright (after the file's rotation and mirroring)."""
    height: int
    """Pixels, upright."""
    codec: str
    """ffmpeg's name of the format, such as "h264" or "av1"."""
    seconds: float
    """Time to the end of the last frame, frames / fps; 0.0 where fps is."""
    aspect: Fraction = Fraction(1)
    """Width to height of a pixel, upright."""
    assumed: Assumed | None = None
    """How the pixels of a video file are taken."""
    notes: tuple[str, ...] = ()
    """What is unusual about the file."""


def probe(path: str | PathLike) -> VideoInfo:
    """Decode the whole file and say what is in it. Raises DataError for anything that is not a good video."""
    path = Path(path)
    with opened(path) as stream:
        require_whole(path)
        frames = decoded(path, stream)
        first = next(frames)
        times, last = [first.pts], first
        for last in frames:
            times.append(last.pts)
        return _info(path, stream, first, told(stream, times, last.duration))


def glance(path: str | PathLike, known: Timeline | None = None) -> tuple[VideoInfo, Timeline]:
    """What `probe` says, by the index and the first frame alone, and the timeline: for clips of files of any length.

    Damage after the first frame goes unseen. known: the timeline, for callers that have it. Raises as `timeline`.
    """
    path = Path(path)
    known = known or timeline(path)
    with opened(path) as stream:
        frame = next(decoded(path, stream))
        return _info(path, stream, frame, known), known


def _info(path: Path, stream: VideoStream, first: VideoFrame, known: Timeline) -> VideoInfo:
    fps, seconds = known.rate(stated_rate(stream))
    how = orientation(path, first)
    return VideoInfo(
        frames=len(known),
        fps=fps,
        width=first.height if how.transposed else first.width,
        height=first.width if how.transposed else first.height,
        # For AV1 this is the name of the format, not of one of its decoders.
        codec=stream.codec_context.codec.canonical_name,
        seconds=seconds,
        aspect=upright_aspect(stated_aspect(stream), how),
        assumed=assumed_of(stream, first, how),
        notes=known.notes,
    )


def read_frames(
    path: str | PathLike,
    indices: Sequence[int] | Tensor,
    known: Timeline | None = None,
    *,
    each: Callable[[Tensor], Tensor] | None = None,
    rendering: Rendering = AS_STORED,
) -> Tensor:
    """Frames of a file by number, in the order asked for, repeats allowed: uint8 [T, 3, H, W], RGB, upright.

    Frame i is the i-th that comes when all are decoded, bit for bit. Decodes from the key frame before a wanted frame
    and skips what lies between key frames, and frames that no other
    needs, so that a clip of a long file costs what a clip costs; damage elsewhere goes unseen, a cut file is refused
    whatever the indices. Files without an index or without true times (MPEG, TS, AVI with B-frames) are decoded from
    the start, the first time without leaving anything out. So are files whose key frames by the index are none, such as
    those of periodic intra refresh.
    `known` is the `timeline` of the file, for callers that have it already, and learns from the reading. `each` is done
    to every frame alone, uint8 [1, 3, H, W], as it comes, so that large frames never lie in memory together:
    [1, C, h, w] -> [T, C, h, w]. `rendering`: colours and shape of the pixels.
    Raises DataError as `probe`, or for an index past the last frame; ConfigError for none or a negative one.
    """
    path = Path(path)
    order = [int(index) for index in indices]
    if not order or min(order) < 0:
        raise ConfigError(f"indices are {order}: give at least one, none below 0")
    known = known or timeline(path)
    if max(order) >= len(known):
        raise DataError(f"{path}: has {len(known)} frames, frame {max(order)} was asked for; sample below {len(known)}")
    wanted, sizes = sorted(set(order)), set()
    shown = _Shown(rendering, known.aspect)

    def take(path: Path, frame: VideoFrame) -> Tensor:
        picture = shown.upright(path, frame)
        sizes.add(picture.shape)
        return picture if each is None else each(picture.permute(2, 0, 1)[None])

    pictures = _found(path, wanted, known, take)
    if len(sizes) > 1:
        raise DataError(f"{path}: the frame size changes on the way; convert it to one size")
    if each is None:
        return torch.stack([pictures[index] for index in order]).permute(0, 3, 1, 2)
    return torch.cat([pictures[index] for index in order])


def _found(path: Path, wanted: list[int], known: Timeline, take: Take) -> dict[int, Tensor]:
    """What is taken of frames, by number, by the shortest way that finds them."""
    # Where the index misleads or a seek lands on damage, decoding from the start finds the frames or the true error.
    marks = known.marks if len(known.marks) > wanted[-1] else None
    pictures = None
    if known.exact and not known.torn:
        pictures = _sought(path, wanted, marks or known.times, take, known.torn)
    if pictures is None and marks and (known.torn or not known.exact):
        pictures = _marked(path, wanted, marks, take)
    return pictures or _counted(path, wanted, known, take)


def _sought(
    path: Path, wanted: list[int], shown_at: Sequence[int] | np.ndarray, take: Take, torn: list[int] | None = None
) -> dict[int, Tensor] | None:
    """What is taken of frames, by number, told by their times, and by their order where times are equal; jumps ahead to
    key frames and leaves out what no other frame needs. None where that does not succeed.

    torn: gets the time of a key frame by the index that is none, since frames after it need some before it, or that has
    another time.
    """
    pictures: dict[int, Tensor] = {}
    times = {int(shown_at[number]) for number in wanted}
    try:
        with opened(path) as stream:
            container, origin = stream.container, int(shown_at[0])
            assert isinstance(container, av.container.InputContainer)
            # Only now Matroska reads its index.
            container.seek(origin, stream=stream)
            index, shown = stream.index_entries, None
            frames = _Ordered(decoded(path, stream, times))
            if not len(index):
                return None
            # AVI has no times of display: a decoder that may reorder can be a frame off.
            numbered = container.format.name == "avi"
            # MP4's index is in the order of decoding.
            delay = max(origin - index[0].timestamp, 0)
            for number in wanted:
                time, order, group = _place(shown_at, number)
                # of equal times the first may lie before a key frame
                target = time - (group > 1)
                key = index.search_timestamp(target - delay)
                landing = None
                if key > 0 and (shown is None or index[key].timestamp > shown):
                    landing = index[key].timestamp
                    container.seek(target, stream=stream)
                    frames = _Ordered(decoded(path, stream, times))
                elif shown is None and numbered:
                    landing = origin
                if landing is not None and not frames.begin(landing if numbered else None):
                    if torn is not None:
                        torn.append(landing)
                    return None
                frame = frames.at(time, order)
                if frame is None:
                    return None
                pictures[number], shown = take(path, frame), time
    except DataError:
        return None
    return pictures


def _place(shown_at: Sequence[int] | np.ndarray, number: int) -> tuple[int, int, int]:
    """The time of a frame, how many before it have the same, and how many have it in all."""
    time = int(shown_at[number])
    first, end = number, number + 1
    while first and shown_at[first - 1] == time:
        first -= 1
    while end < len(shown_at) and shown_at[end] == time:
        end += 1
    return time, number - first, end - first


class _Ordered:
    """Frames in the order of display, told by their time, and by their order where times are equal."""

    def __init__(self, frames: Iterator[VideoFrame]):
        self.frames = frames
        self.first: VideoFrame | None = None
        self.time: int | None = None
        self.seen = 0

    def begin(self, time: int | None) -> bool:
        """Whether the first one is a key frame, not one that frames before it have a part in, and of this time."""
        self.first = next(self.frames, None)
        return self.first is not None and bool(self.first.key_frame) and time in (None, self.first.pts)

    def at(self, time: int, order: int) -> VideoFrame | None:
        """The frame of a time that comes after `order` others of the same; None where there is no such."""
        while (frame := self._next()) is not None:
            if frame.pts is None or frame.pts > time:
                return None
            self.seen = self.seen + 1 if frame.pts == self.time else 0
            self.time = frame.pts
            if frame.pts == time and self.seen == order:
                return frame
        return None

    def _next(self) -> VideoFrame | None:
        frame, self.first = self.first, None
        return next(self.frames, None) if frame is None else frame


def _marked(path: Path, wanted: list[int], marks: list[int], take: Take) -> dict[int, Tensor] | None:
    """What is taken of frames, by number, told by their marks; decodes from the start what these frames need. None
    where that does not succeed.
    """
    pictures: dict[int, Tensor] = {}
    numbers = {marks[number]: number for number in wanted}
    try:
        with opened(path) as stream:
            for frame in decoded(path, stream, numbers):
                if frame.pts in numbers:
                    pictures[numbers[frame.pts]] = take(path, frame)
                    if len(pictures) == len(wanted):
                        return pictures
    except DataError:
        pass
    return None


def _counted(path: Path, wanted: list[int], known: Timeline, take: Take) -> dict[int, Tensor]:
    """What is taken of frames, by number, decoded from the start; the last stands for those that fail to come. The
    marks of all that were decoded go into `known`.
    """
    pictures: dict[int, Tensor] = {}
    times: list[int | None] = []
    last = None
    with opened(path) as stream:
        for number, last in enumerate(decoded(path, stream)):
            times.append(last.pts)
            if number == wanted[len(pictures)]:
                pictures[number] = take(path, last)
                if len(pictures) == len(wanted):
                    break
        assert last is not None
        known.marks[:] = max(known.marks, marks_of(times), key=len)
        return pictures | {number: take(path, last) for number in wanted[len(pictures) :]}


def _upright(path: Path, frame: VideoFrame) -> Tensor:
    """uint8 [H, W, 3], RGB."""
    return _Shown(AS_STORED, Fraction(1)).upright(path, frame)


class _Shown:
    """Frames as they are shown: upright, in the colours and the shape that are asked for.

    Orientations are kept by rotation: to ask for a matrix takes longer than to resize.
    """

    def __init__(self, rendering: Rendering, aspect: Fraction):
        self.rendering, self.aspect = rendering, aspect
        self._known: dict[tuple[int, int], Orientation] = {}

    def upright(self, path: Path, frame: VideoFrame) -> Tensor:
        """uint8 [H, W, 3]."""
        key = frame.rotation, exif_of(frame)
        how = self._known.get(key)
        if how is None:
            how = self._known[key] = orientation(path, frame)
        picture = how.upright(self.rendering.picture(frame))
        return self.rendering.shaped(picture, upright_aspect(self.aspect, how))
