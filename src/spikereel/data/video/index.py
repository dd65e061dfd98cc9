"""When the frames of a file are shown, by its index, by its packets, or by decoding it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from av.video.stream import VideoStream

from spikereel.data.video.decode import MP4, decoded, require_whole
from spikereel.data.video.rendering import stated_aspect
from spikereel.data.video.streams import opened, packets
from spikereel.data.video.timeline import Timeline
from spikereel.errors import DataError

_DOUBTFUL = 1
"""Bytes of a packet that may not become a frame: encoders mark frames that they left out so."""
_JOINED = frozenset({"mpegts", "mpeg"})
"""Formats whose files may be joined of parts, each with a clock of its own."""
_PAUSE = 10
"""Seconds between two frames of such a file that are another clock, as ffmpeg has it (its dts_delta_threshold)."""


def timeline(path: str | PathLike) -> Timeline:
    """When the frames of a file are shown: MP4, MOV and AVI of constant rate have it in their index, which is all
    that is read; other files are read through once, without decoding. Only where a packet may not become a frame, one
    of a single byte or one before the first key frame, all are decoded. Raises DataError as `read_frames`.
    """
    path = Path(path)
    with opened(path) as stream:
        known = _indexed(stream) or _walked(path, stream)
    return known or _played(path)


def _indexed(stream: VideoStream) -> Timeline | None:
    """The timeline by the index alone; None if that may not hold every frame, or at unequal steps."""
    entries, count, form = stream.index_entries, stream.frames, stream.container.format.name
    if form not in ("avi", MP4) or stream.start_time is None or not 2 <= len(entries) == count:
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
    # a last frame that is shown on and on, as at the end of a talk
    last = (stream.duration or 0) - (count - 1) * step if form == MP4 else 0
    return _timeline(stream, range(start, start + count * step, step), last if last > 2 * step else 0)


def _walked(path: Path, stream: VideoStream) -> Timeline | None:
    """The timeline by the packets; None if some of them may not become frames."""
    times, sent, last = [], [], None
    require_whole(path)
    for packet in packets(path, stream):
        if packet.size and not packet.is_discard:
            if packet.size <= _DOUBTFUL or not (times or packet.is_keyframe):
                return None
            times.append(packet.pts)
            sent.append(packet.pts if packet.dts is None else packet.dts)
            if last is None or (packet.pts or 0) >= (last.pts or 0):
                last = packet
    if last is None:
        raise DataError(f"{path}: has no frames; convert it again from its source")
    if None in times:
        return Timeline(range(len(times)), exact=False, **_said(stream))
    seams = _seams(stream, sent)
    parts = np.split(np.array(times, np.int64), seams)
    return _timeline(stream, _one_clock([np.sort(part) for part in parts]), last.duration, seams=seams)


def _played(path: Path) -> Timeline:
    """The timeline by the frames."""
    with opened(path) as stream:
        times, last = [], None
        for last in decoded(path, stream):
            times.append(last.pts)
        assert last is not None
        return told(stream, times, last.duration)


def told(stream: VideoStream, times: list[int | None], last: int | None) -> Timeline:
    """The timeline by the times of all frames, as they were decoded, and how long the last one is shown."""
    marks = marks_of(times)
    known = [time for time in times if time is not None]
    seams = _seams(stream, known) if len(known) == len(times) else []
    parts = np.split(np.array(known, np.int64), seams)
    backwards = any(np.any(np.diff(part) < 0) for part in parts)
    if _times_are_guesses(stream) or len(known) < len(times) or backwards:
        return Timeline(range(len(times)), exact=False, marks=marks, **_said(stream))
    return _timeline(stream, _one_clock(parts), last, [] if seams else marks, seams)


def marks_of(times: Iterable[int | None]) -> list[int]:
    """The times of frames if they tell one from another, else none."""
    times = list(times)
    known = [time for time in times if time is not None]
    return known if len(set(known)) == len(times) else []


def _timeline(
    stream: VideoStream,
    times: range | np.ndarray,
    last: int | None = None,
    marks: Sequence[int] = (),
    seams: Sequence[int] = (),
) -> Timeline:
    """The timeline of a stream by the times of its frames."""
    guesses = _times_are_guesses(stream)
    # In an MPEG program stream a pack of 2 KB may hold several frames, whose times are lost to a reader that begins
    # in the middle: it tells the wrong ones. Of joined parts the same time may be in each.
    exact = not guesses and stream.container.format.name != "mpeg" and not seams
    base = None if guesses else stream.time_base
    return Timeline(times, exact, list(marks), base, last or 0, notes=_notes(seams), **_said(stream))


def _said(stream: VideoStream) -> dict[str, Any]:
    """What the file says of all frames: the shape of their pixels, and how many come in a second."""
    return {"aspect": stated_aspect(stream), "stated": stated_rate(stream)}


def stated_rate(stream: VideoStream) -> float:
    """Frames a second that a file states; 0.0 where it states none."""
    return float(stream.average_rate or stream.guessed_rate or 0)


def _seams(stream: VideoStream, times: Sequence[int]) -> list[int]:
    """The numbers where another part with another clock begins: times go back there, or leap."""
    if stream.container.format.name not in _JOINED or stream.time_base is None:
        return []
    leap = _PAUSE / stream.time_base
    return [number for number, (a, b) in enumerate(pairwise(times), 1) if b < a or b - a > leap]


def _one_clock(parts: list[np.ndarray]) -> np.ndarray:
    """The times of the frames of parts, each part right after the one before."""
    now, clock = parts[0], [parts[0]]
    for part in parts[1:]:
        step = int(np.median(np.diff(now))) if len(now) > 1 else 0
        now = part - part[0] + clock[-1][-1] + step
        clock.append(now)
    return np.concatenate(clock)


def _notes(seams: Sequence[int]) -> tuple[str, ...]:
    if not seams:
        return ()
    return (f"is joined of {len(seams) + 1} parts, the second from frame {seams[0]} on; they are read as one",)


def _times_are_guesses(stream: VideoStream) -> bool:
    """AVI counts frames in the order of decoding, and B-frames are shown in another."""
    return stream.container.format.name == "avi" and stream.codec_context.has_b_frames
