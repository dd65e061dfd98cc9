"""Frames as they come from one connection to a source, and in what way it ended."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from spikereel.data.events.readers import read_events
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.data.video.orientation import orientation
from spikereel.data.video.rendering import AS_STORED, Rendering
from spikereel.data.walk import find
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import open_frames
from spikereel.streaming.places import Place, options_of
from spikereel.streaming.wire import read_socket

Trouble = Literal["ended", "lost", "stalled", "refused", "unreachable", "missing", "garbage", "unsupported"]
"""Why a connection is over. What is refused, missing or unsupported may come back, and is tried again like the rest."""


SLACK = 1.0
"""Seconds by which the length that a recording states may be off."""


class Lost(Exception):
    """A connection that broke, with its trouble; the text names no secret."""

    def __init__(self, trouble: Trouble, text: str):
        super().__init__(text)
        self.trouble = trouble


class Over(Exception):
    """A source of the network that said how long it is, and came to its end: nothing more will come."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One frame, or the events of one slice of time."""

    content: Tensor | Events
    """uint8 [H, W, 3]; or events."""
    time: float | None
    """Seconds by the clock of the source; None where it says nothing."""
    key: bool = True
    """Whether the picture needs none before it."""
    recorded: bool = False
    """Whether the source waits for whoever is slow, though it is on the network."""


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How sources are read."""

    patience: float = 2.0
    """Seconds that a live source may be silent."""
    slice_us: int = 33_333
    """Microseconds of a slice of events."""
    sensor: Sensor | None = None
    rendering: Rendering = AS_STORED
    after_end: bool = False
    """Whether the connection before came to an orderly end: a recording that is there now is what was seen live."""


def feed(place: Place, options: FeedOptions) -> Iterator[Shot]:
    """Frames of one connection; returns at an orderly end, raises Over where the source is finished, Lost otherwise.

    Files raise DataError as ever.
    """
    if place.what == "events":
        yield from _recording(read_events(place.text, sensor=options.sensor), options.slice_us)
    elif place.what == "sensor":
        yield from _sensor(place, options)
    elif place.what == "folder":
        yield from _folder(place, options)
    elif Path(place.text).suffix.lower() == ".npy":
        yield from _stored(place.text)
    else:
        yield from _video(place, options)


def _video(place: Place, options: FeedOptions) -> Iterator[Shot]:
    if place.what == "file" and not Path(place.text).is_file():
        raise DataError(f"{place.name}: no such file; check the path")
    patience = (2 * options.patience, options.patience) if place.live else None
    kind = "v4l2" if place.what == "camera" else None
    target = str(Path(place.text).absolute()) if place.what == "file" else place.text
    stream: VideoStream | None = None
    try:
        own = options_of(place, options.patience)
        with av.open(target, format=kind, options=own, timeout=patience, metadata_errors="ignore") as container:
            stream = _pictures_of(container, place)
            times, end = _times(container, stream, place), _end(container, place)
            if end is not None and options.after_end:
                raise Over
            last = 0.0
            try:
                for packet in container.demux(stream):
                    for frame in stream.decode(packet):
                        last = max(last, frame.time or 0.0)
                        yield replace(_shot(frame, place, options, times(frame)), recorded=end is not None)
            except (av.error.FFmpegError, OSError, IndexError) as error:
                # what the decoder still holds was received
                with suppress(av.error.FFmpegError, EOFError):
                    held = stream.codec_context.decode(None)
                    yield from [_shot(frame, place, options, times(frame)) for frame in held]
                raise _lost(error, place) from None
            if end is not None and last >= end - SLACK:
                raise Over
    except (av.error.FFmpegError, OSError, IndexError) as error:
        raise _lost(error, place) from None


def _end(container: InputContainer, place: Place) -> float | None:
    """When the last frames of a recording on a web server are shown, such as of an HLS list with its end mark; None for
    what goes on, and where an end may be a cut connection."""
    if place.scheme not in ("http", "https") or not container.duration:
        return None
    return ((container.start_time or 0) + container.duration) / av.time_base


def _times(container: InputContainer, stream: VideoStream, place: Place) -> Callable[[VideoFrame], float | None]:
    """Seconds of each frame, asked for in the order in which they are shown."""
    if container.format.name == "mpjpeg":
        # it counts 25 frames a second whatever the camera does
        return lambda _frame: None
    rate = stream.average_rate
    if container.format.name != "avi" or not rate:
        return lambda frame: frame.time
    # AVI has no times: its frames carry the places of their packets, which are out of order behind B-frames
    order, known = count(), _known(place)
    return lambda _frame: known[i] if (i := next(order)) < len(known) else float(i / rate)


def _known(place: Place) -> Sequence[float]:
    """When the frames of a file are shown, by its index; empty where that does not say."""
    if place.what != "file":
        return ()
    with suppress(DataError):
        seconds = open_frames(place.text).seconds()
        return () if seconds is None else seconds.tolist()
    return ()


def _pictures_of(container: InputContainer, place: Place) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise Lost("garbage", f"{place.name}: has no video stream")
    stream.thread_type = "SLICE"
    return stream


def _shot(frame: VideoFrame, place: Place, options: FeedOptions, time: float | None) -> Shot:
    picture = options.rendering.picture(frame)
    if place.what in ("file", "folder"):
        picture = orientation(Path(place.text), frame).upright(picture)
    return Shot(content=picture, time=time, key=bool(frame.key_frame))


def _lost(error: Exception, place: Place) -> Lost:
    """The trouble that an error of ffmpeg stands for, in words without secrets."""
    kinds: list[tuple[Any, Trouble]] = [
        ((av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError), "refused"),
        ((av.error.ExitError, av.error.TimeoutError, TimeoutError), "stalled"),
        ((av.error.HTTPNotFoundError, av.error.FileNotFoundError), "missing"),
        ((av.error.ProtocolNotFoundError, av.error.DemuxerNotFoundError, av.error.DecoderNotFoundError), "unsupported"),
        (av.error.InvalidDataError, "garbage"),
        ((av.error.ConnectionRefusedError, ConnectionRefusedError), "unreachable"),
    ]
    trouble: Trouble = next((name for kind, name in kinds if isinstance(error, kind)), "lost")
    if getattr(error, "errno", None) in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED):
        trouble = "unreachable"
    words = getattr(error, "strerror", None) or type(error).__name__
    return Lost(trouble, f"{place.name}: {trouble} ({place.clean(str(words))})")


def _folder(place: Place, options: FeedOptions) -> Iterator[Shot]:
    """Videos of a folder one after the other, as one stream; or its pictures."""
    below = find(Path(place.text), VIDEOS)
    if not below.files:
        yield from _stored(place.text)
        return
    offset = 0.0
    for path in below.files:
        last = step = 0.0
        for shot in _video(Place(text=str(path), name=str(path), what="file"), options):
            now = shot.time if shot.time is not None else last + step
            step, last = max(now - last, 0.0) or step, now
            yield Shot(content=shot.content, time=offset + now, key=shot.key)
        offset += last + step


def _stored(name: str) -> Iterator[Shot]:
    frames = open_frames(name)
    times = frames.seconds()
    for i, picture in enumerate(frames.pictures()):
        yield Shot(content=picture.permute(1, 2, 0).contiguous(), time=None if times is None else float(times[i]))


def _recording(events: Events, slice_us: int) -> Iterator[Shot]:
    first, last = int(events.t[0]), int(events.t[-1])
    for start in range(first, last + 1, slice_us):
        yield Shot(content=events.between(start, start + slice_us), time=(start - first) / 1e6)


def _sensor(place: Place, options: FeedOptions) -> Iterator[Shot]:
    try:
        yield from _slices(read_socket(place.text, options.patience, place.name), options.slice_us)
    except ConfigError:
        raise
    except DataError as error:
        raise Lost("garbage", str(error)) from None
    except OSError as error:
        raise _lost(error, place) from None


def _slices(packets: Iterator[tuple[Events, int]], slice_us: int) -> Iterator[Shot]:
    """Events by slices of time, counted from the first one; a slice comes when the clock has passed its end."""
    start: int | None = None
    waiting: list[Events] = []
    for events, clock in packets:
        if start is None:
            start = int(events.t[0]) if len(events) else clock
            origin = start
        waiting.append(events)
        while clock >= start + slice_us:
            joined = _joined(waiting)
            yield Shot(content=joined.between(start, start + slice_us), time=(start - origin) / 1e6)
            start += slice_us
            waiting = [joined.take(joined.t >= start)]


def _joined(parts: list[Events]) -> Events:
    if len(parts) == 1:
        return parts[0]
    t, x, y, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
    return replace(parts[-1], t=t, x=x, y=y, p=p)


def as_picture(content: Tensor | Events) -> Tensor:
    """uint8 [H, W, 3] to look at; of events light where ON fell, dark where OFF did."""
    if isinstance(content, Tensor):
        return content
    level = torch.full((content.height, content.width), 90, dtype=torch.uint8)
    y, x = (torch.from_numpy(column.astype(np.int64)) for column in (content.y, content.x))
    level[y, x] = torch.where(torch.from_numpy(content.p), 240, 0).to(torch.uint8)
    return level[..., None].expand(-1, -1, 3)
