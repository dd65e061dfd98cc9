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

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from spikereel.data.video.matroska import matroska_break
from spikereel.data.video.orientation import Orientation, orientation
from spikereel.data.video.streams import opened, packets
from spikereel.data.video.timeline import Timeline
from spikereel.data.video.timeline import sample_indices as sample_indices
from spikereel.errors import ConfigError, DataError

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
"""ffmpeg's name of its reader of MP4 and MOV."""
_DOUBTFUL = 1
"""Bytes of a packet that may not become a frame: encoders mark frames that they left out so."""


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


def probe(path: str | PathLike) -> VideoInfo:
    """Decode the whole file and say what is in it. Raises DataError for anything that is not a good video."""
    path = Path(path)
    with opened(path) as stream:
        _require_whole(path)
        frames = _decoded(path, stream)
        first = next(frames)
        times, last = [first.pts], first
        for last in frames:
            times.append(last.pts)
        return _info(path, stream, first, _told(stream, times, last.duration))


def glance(path: str | PathLike, known: "Timeline | None" = None) -> tuple[VideoInfo, "Timeline"]:
    """What `probe` says, by the index and the first frame alone, and the timeline: for clips of files of any length.

    Damage after the first frame goes unseen. known: the timeline, for callers that have it. Raises as `timeline`.
    """
    path = Path(path)
    known = known or timeline(path)
    with opened(path) as stream:
        frame = next(_decoded(path, stream))
        return _info(path, stream, frame, known), known


def _info(path: Path, stream: VideoStream, first: VideoFrame, known: Timeline) -> VideoInfo:
    fps, seconds = known.rate(float(stream.average_rate or stream.guessed_rate or 0))
    upright = not orientation(path, first).transposed
    return VideoInfo(
        frames=len(known),
        fps=fps,
        width=first.width if upright else first.height,
        height=first.height if upright else first.width,
        # For AV1 this is the name of the format, not of one of its decoders.
        codec=stream.codec_context.codec.canonical_name,
        seconds=seconds,
    )


def timeline(path: str | PathLike) -> Timeline:
    """When the frames of a file are shown: MP4, MOV and AVI of constant rate have it in their index, which is all
    that is read; other files are read through once, without decoding. Only where a packet may not become a frame, one
    of a single byte or one before the first key frame, all are decoded. Raises DataError as `read_frames`.
    """
    path = Path(path)
    with opened(path) as stream:
        known = _indexed(stream) or _walked(path, stream)
    return known or _played(path)


def read_frames(
    path: str | PathLike,
    indices: Sequence[int] | Tensor,
    known: Timeline | None = None,
    *,
    each: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Frames of a file by number, in the order asked for, repeats allowed: uint8 [T, 3, H, W], RGB, upright.

    Decodes from the key frame before a wanted frame and skips what lies between key frames, and frames that no other
    needs, so that a clip of a long file costs what a clip costs; damage elsewhere goes unseen, a cut file is refused
    whatever the indices. Files without an index or without true times (MPEG, TS, AVI with B-frames) are decoded from
    the start, the first time without leaving anything out.
    `known` is the `timeline` of the file, for callers that have it already, and learns from the reading. `each` is done
    to every frame alone, uint8 [1, 3, H, W], as it comes, so that large frames never lie in memory together:
    [1, C, h, w] -> [T, C, h, w].
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
    shown: dict[int, Orientation] = {}

    def take(path: Path, frame: VideoFrame) -> Tensor:
        picture = _upright(path, frame, shown)
        sizes.add(picture.shape)
        return picture if each is None else each(picture.permute(2, 0, 1)[None])

    # Where the index misleads or a seek lands on damage, decoding from the start finds the frames or the true error.
    marks = known.marks if len(known.marks) > wanted[-1] else None
    pictures = None
    if known.exact:
        pictures = _sought(path, wanted, marks or known.times, take)
    elif marks:
        pictures = _marked(path, wanted, marks, take)
    pictures = pictures or _counted(path, wanted, known, take)
    if len(sizes) > 1:
        raise DataError(f"{path}: the frame size changes on the way; convert it to one size")
    if each is None:
        return torch.stack([pictures[index] for index in order]).permute(0, 3, 1, 2)
    return torch.cat([pictures[index] for index in order])


def _indexed(stream: VideoStream) -> Timeline | None:
    """The timeline by the index alone; None if that may not hold every frame, or at unequal steps."""
    entries, count, form = stream.index_entries, stream.frames, stream.container.format.name
    if form not in ("avi", _MP4) or stream.start_time is None or not 2 <= len(entries) == count:
        return None
    if not entries[0].is_keyframe:
        return None
    first = entries[0].timestamp
    step = entries[1].timestamp - first
    # AVI marks gaps by empty entries anywhere; of MP4 a sample is enough, since frames are told by their times later.
    looked = range(count) if form == "avi" else sorted({i * (count - 1) // 255 for i in range(256)})
    if step < 1 or any(
        entry.timestamp != first + i * step or entry.size <= _DOUBTFUL or entry.is_discard
        for i, entry in ((i, entries[i]) for i in looked)
    ):
        return None
    start = stream.start_time
    return _timeline(stream, range(start, start + count * step, step))


def _walked(path: Path, stream: VideoStream) -> Timeline | None:
    """The timeline by the packets; None if some of them may not become frames."""
    times, last = [], None
    _require_whole(path)
    for packet in packets(path, stream):
        if packet.is_corrupt:
            raise DataError(f"{path}: is cut short or damaged at about frame {len(times)}; copy or download it again")
        if packet.size and not packet.is_discard:
            if packet.size <= _DOUBTFUL or not (times or packet.is_keyframe):
                return None
            times.append(packet.pts)
            if last is None or (packet.pts or 0) >= (last.pts or 0):
                last = packet
    if last is None:
        raise DataError(f"{path}: has no frames; convert it again from its source")
    if None in times:
        return Timeline(range(len(times)), exact=False)
    return _timeline(stream, np.sort(np.array(times, np.int64)), last.duration)


def _played(path: Path) -> Timeline:
    """The timeline by the frames."""
    with opened(path) as stream:
        times, last = [], None
        for last in _decoded(path, stream):
            times.append(last.pts)
        assert last is not None
        return _told(stream, times, last.duration)


def _told(stream: VideoStream, times: list[int | None], last: int | None) -> Timeline:
    """The timeline by the times of all frames, as they were decoded, and how long the last one is shown."""
    marks = _marks(times)
    if _times_are_guesses(stream) or not marks or any(a >= b for a, b in pairwise(marks)):
        return Timeline(range(len(times)), exact=False, marks=marks)
    return _timeline(stream, np.array(marks, np.int64), last, marks)


def _timeline(
    stream: VideoStream, times: range | np.ndarray, last: int | None = None, marks: Sequence[int] = ()
) -> Timeline:
    """The timeline of a stream by the times of its frames."""
    guesses = _times_are_guesses(stream)
    # In an MPEG program stream a pack of 2 KB may hold several frames, whose times are lost to a reader that begins
    # in the middle: it tells the wrong ones.
    exact = not guesses and stream.container.format.name != "mpeg"
    base = None if guesses else stream.time_base
    return Timeline(times, exact, list(marks), base, last or 0)


def _marks(times: list[int | None]) -> list[int]:
    """The times of frames if they tell one from another, else none."""
    known = [time for time in times if time is not None]
    return known if len(set(known)) == len(times) else []


def _times_are_guesses(stream: VideoStream) -> bool:
    """AVI counts frames in the order of decoding, and B-frames are shown in another."""
    return stream.container.format.name == "avi" and stream.codec_context.has_b_frames


def _sought(
    path: Path, wanted: list[int], shown_at: Sequence[int] | np.ndarray, take: Take
) -> dict[int, Tensor] | None:
    """What is taken of frames, by number, told by their times; jumps ahead to key frames and leaves out what no other
    frame needs. None where that does not succeed.
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
            frames = _decoded(path, stream, times)
            if not len(index):
                return None
            # MP4's index is in the order of decoding.
            delay = max(origin - index[0].timestamp, 0)
            for number in wanted:
                time = int(shown_at[number])
                key = index.search_timestamp(time - delay)
                if key > 0 and (shown is None or index[key].timestamp > shown):
                    container.seek(time, stream=stream)
                    frames = _decoded(path, stream, times)
                frame = next((x for x in frames if x.pts is None or x.pts >= time), None)
                if frame is None or frame.pts != time:
                    return None
                pictures[number], shown = take(path, frame), time
    except DataError:
        return None
    return pictures


def _marked(path: Path, wanted: list[int], marks: list[int], take: Take) -> dict[int, Tensor] | None:
    """What is taken of frames, by number, told by their marks; decodes from the start what these frames need. None
    where that does not succeed.
    """
    pictures: dict[int, Tensor] = {}
    numbers = {marks[number]: number for number in wanted}
    try:
        with opened(path) as stream:
            for frame in _decoded(path, stream, numbers):
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
        for number, last in enumerate(_decoded(path, stream)):
            times.append(last.pts)
            if number == wanted[len(pictures)]:
                pictures[number] = take(path, last)
                if len(pictures) == len(wanted):
                    break
        assert last is not None
        known.marks[:] = max(known.marks, _marks(times), key=len)
        return pictures | {number: take(path, last) for number in wanted[len(pictures) :]}


def _index_is_short(stream: VideoStream) -> bool:
    """Whether MP4 promises more frames than its index holds, and these do not fit the duration: ffmpeg drops what lies
    outside the file, or outside the times of an edit list.

    An edit list hides frames too, but takes them from the duration, which is known then.
    """
    index = stream.index_entries
    if not 1 <= len(index) < stream.frames:
        return False
    if not stream.duration:
        return True
    if len(index) == 1:
        assert stream.time_base is not None
        step = 1 / (stream.average_rate * stream.time_base) if stream.average_rate else 0
        return not stream.duration / 2 <= step <= 2 * stream.duration
    first, last = index[0].timestamp, index[-1].timestamp
    step = (last - first) / (len(index) - 1)
    # Frames that are decoded only for those behind them have times below 0.
    ends_early = stream.duration > 1.2 * (last - first) + 3 * step
    ends_late = last - max(first, 0) > 1.5 * stream.duration + 3 * step
    return ends_early or ends_late


def _require_whole(path: Path) -> None:
    if path.is_file() and (at := matroska_break(path)) is not None:
        raise DataError(f"{path}: is damaged at byte {at}; copy or download it again")


def _decoded(path: Path, stream: VideoStream, needed: Collection[int] | None = None) -> Iterator[VideoFrame]:
    """Every frame in order of display, each one checked; DataError at the first damaged one and if any are missing.

    needed: times of frames that are wanted; others come only where they are needed to decode these.
    """
    frames = promised = samples = 0
    container = stream.container
    # Where a packet holds two frames, as in AVI by XviD and DivX, one cannot be left out alone.
    packed = needed and stream.codec_context.name == "mpeg4"
    split = BitStreamFilterContext("mpeg4_unpack_bframes", stream) if packed else None
    for packet in packets(path, stream):
        if packet.is_corrupt:
            raise DataError(f"{path}: is cut short or damaged at about frame {frames}; copy or download it again")
        # Packets to discard are those that an edit list hides: clips trimmed on a phone have them.
        promised += packet.size > 0 and not packet.is_discard
        samples += packet.size > 0
        for part in split.filter(packet) if split and packet.size else [packet]:
            if needed:
                stream.codec_context.skip_frame = "DEFAULT" if part.pts in needed else "NONREF"
            for frame in stream.decode(part):
                if frame.is_corrupt:
                    raise DataError(f"{path}: frame {frames} is damaged; copy or download it again")
                yield frame
                frames += 1
    if not frames:
        raise DataError(f"{path}: no frame of it can be decoded; convert it again from its source")
    if container.format.name == _MP4 and (samples < len(stream.index_entries) or _index_is_short(stream)):
        raise DataError(f"{path}: its index is damaged at about frame {samples}; copy or download it again")
    if needed:
        return
    if container.format.name == "avi":
        # Over damage between frames ffmpeg goes on to the next one that it finds.
        promised = max(promised, sum(entry.size > 0 for entry in stream.index_entries))
    if promised - frames > 2 + promised // 10:
        raise DataError(f"{path}: only {frames} of {promised} frames can be decoded; convert it again from its source")


def _upright(path: Path, frame: VideoFrame, shown: dict[int, Orientation] | None = None) -> Tensor:
    """uint8 [H, W, 3], RGB. `shown` keeps orientations by rotation: to ask for a matrix takes longer than to resize."""
    shown = {} if shown is None else shown
    how = shown.get(frame.rotation)
    if how is None:
        how = shown[frame.rotation] = orientation(path, frame)
    return how.upright(torch.from_numpy(frame.to_ndarray(format="rgb24", threads=1)))
