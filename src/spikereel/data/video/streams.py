"""Opening a video file or a folder of pictures: its first video stream, or one error that says what the file is."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.stream import Disposition
from av.video.stream import VideoStream

from spikereel.data.video.containers import missing_bytes
from spikereel.data.video.jpegs import require_pictures
from spikereel.errors import DataError

_NO_VIDEO = frozenset({"adf", "bin", "idf", "image2", "tty", "xbin"})
"""Readers that draw any text as pictures."""


@contextmanager
def opened(path: Path) -> Generator[VideoStream, None, None]:
    """The first real video stream of a file, ready to decode; errors of ffmpeg in the body become DataError too."""
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
        # An absolute path cannot be taken for a protocol such as "concat:"; broken titles are not our concern.
        with av.open(str(path.absolute()), metadata_errors="ignore") as container:
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
    """The packets of a stream, from where its file stands. Raises DataError where more streams begin on the way, which
    TS may do and PyAV cannot follow."""
    assert isinstance(stream.container, av.container.InputContainer)
    try:
        yield from stream.container.demux(stream)
    except IndexError:
        raise DataError(
            f"{path}: is damaged, or another stream begins in the middle of it; copy it again or convert it"
        ) from None


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


def _video_stream(path: Path, container: av.container.InputContainer) -> VideoStream:
    # The cover picture of a sound file is a video stream to ffmpeg.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise DataError(f"{path}: has no video stream; give a file with pictures")
    if streams[0].codec_context is None:
        raise DataError(f"{path}: no decoder for its video; convert it, for example to H.264")
    streams[0].thread_type = "SLICE"
    return streams[0]
