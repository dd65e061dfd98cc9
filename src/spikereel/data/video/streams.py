"""Opening a video file or a folder of pictures: its video stream, or one error that says what the file is."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from spikereel.data.video.containers import missing_bytes
from spikereel.data.video.jpegs import require_pictures
from spikereel.data.video.transport import OnePid, joined_cleanly, transport_parts
from spikereel.errors import DataError

_NO_VIDEO = frozenset({"adf", "bin", "idf", "image2", "tty", "xbin"})
"""Readers that draw any text as pictures."""
SMALL = 1280 * 720
"""Pixels of pictures that one thread decodes: to hand their slices to others takes longer, most of all where those have
other work."""


@contextmanager
def opened(path: Path) -> Generator[VideoStream, None, None]:
    """The video stream of a file that players show, ready to decode; errors of ffmpeg in the body become DataError too.

    Of several video streams that is the one marked as default, else the best by ffmpeg's rules; never a cover picture.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    if not path.is_file():
        with _pictures(path) as stream:
            yield stream
        return
    try:
        if not path.stat().st_size:
            raise DataError(f"{path}: is empty (0 bytes); copy or download it again")
        if missing := missing_bytes(path):
            raise DataError(f"{path}: is cut short, {missing} bytes are missing; copy or download it again")
        with _container(path) as container:
            if container.format.name.endswith("_pipe") or container.format.name in _NO_VIDEO:
                raise DataError(
                    f"{path}: is a picture or text ({container.format.name}), not a video; give a video file"
                )
            yield _video_stream(path, container)
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: cannot be read as video ({error.strerror}); copy it again or convert it") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def packets(path: Path, stream: VideoStream) -> Iterator[av.Packet]:
    """The packets of a stream, from where its file stands, each of them whole.

    A transport stream may be joined of parts. There ffmpeg calls a packet at the seam corrupt, because counters begin
    anew; where no other packets are missing it is whole. Raises DataError for others that are corrupt, and where more
    streams begin on the way, which TS may do and PyAV cannot follow.
    """
    assert isinstance(stream.container, InputContainer)
    number, sound = 0, False
    try:
        for packet in stream.container.demux(stream):
            if packet.is_corrupt and not sound:
                sound = stream.container.format.name == "mpegts" and joined_cleanly(path)
                if not sound:
                    raise DataError(
                        f"{path}: is cut short or damaged at about frame {number}; copy or download it again"
                    )
            yield packet
            number += packet.size > 0
    except IndexError:
        raise DataError(
            f"{path}: is damaged, or another stream begins in the middle of it; copy it again or convert it"
        ) from None


@contextmanager
def _container(path: Path) -> Generator[InputContainer, None, None]:
    parts = transport_parts(path)
    # broken titles are not our concern
    if parts is None or not parts.pids:
        # an absolute path cannot be taken for a protocol such as "concat:"
        with av.open(str(path.absolute()), metadata_errors="ignore") as container:
            yield container
        return
    with OnePid(path, parts) as file, av.open(cast(Any, file), format="mpegts", metadata_errors="ignore") as container:
        yield container


@contextmanager
def _pictures(path: Path) -> Generator[VideoStream, None, None]:
    """A folder of JPEG files with consecutive numbers from 00001.jpg on is a video without a frame rate."""
    first, digits = require_pictures(path)
    pattern = str(path.absolute()).replace("%", "%%") + f"/%0{digits}d.jpg"
    try:
        with av.open(pattern, format="image2", options={"start_number": str(first)}) as container:
            yield _video_stream(path, container)
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: its pictures cannot be read ({error.strerror}); copy the folder again") from error


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    # The cover picture of a sound file is a video stream to ffmpeg.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise DataError(f"{path}: has no video stream; give a file with pictures")
    best = container.streams.best("video") if len(streams) > 1 else None
    # an animated AVIF has its first picture as a stream before the one that moves
    stream = next((s for s in streams if best is not None and s.index == best.index), streams[0])
    if stream.codec_context is None:
        raise DataError(f"{path}: no decoder for its video; convert it, for example to H.264")
    stream.thread_type = "SLICE"
    if stream.width * stream.height <= SMALL:
        stream.codec_context.thread_count = 1
    return stream
