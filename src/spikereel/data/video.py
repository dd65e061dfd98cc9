"""Reading video files with PyAV: what is in them, when their frames are shown, and chosen frames.

A file is good or it is a DataError of one line; nothing in between. Refused are files that are missing, empty, not
video, cut short, or damaged:
- cut short: the file ends before its own outermost box does (see `containers`), or ends inside a frame. Formats made
  to be cut anywhere (TS, MPEG, live WebM) declare no size: there a clean cut is just a shorter video;
- damaged: the decoder fails, or conceals errors in a frame, or stays silent for more than 2 frames and a tenth of the
  packets. Up to that is no damage: the UT-Interaction AVI files, for one, hold 2 or 3 empty packets each.
Frame counts in headers are never trusted and never a reason to refuse. Decoding runs without frame threads, which
would swallow errors at the end of a stream.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from spikereel.data.containers import matroska_break, missing_bytes
from spikereel.errors import ConfigError, DataError

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"  # and MOV: the name of ffmpeg's reader
_NO_VIDEO = frozenset({"adf", "bin", "idf", "image2", "tty", "xbin"})  # ffmpeg would draw any text


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a good video file holds."""

    frames: int  # decoded, never the header's claim; 1 is legal, and sampling then repeats it
    fps: float  # average frame rate; 0.0 where the file does not say
    width: int  # pixels, upright (after the file's rotation)
    height: int  # pixels, upright
    codec: str  # ffmpeg's name, such as "h264"
    seconds: float  # frames / fps; 0.0 where fps is


def probe(path: str | PathLike) -> VideoInfo:
    """Decode the whole file and say what is in it. Errors: DataError for anything that is not a good video."""
    path = Path(path)
    with _opened(path) as stream:
        _require_whole(path)
        frames, shape = 0, (0, 0)
        for frame in _decoded(path, stream):
            if not frames:
                quarter = _quarter_turns(path, frame)
                shape = (frame.width, frame.height) if quarter % 2 == 0 else (frame.height, frame.width)
            frames += 1
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        return VideoInfo(
            frames=frames,
            fps=fps,
            width=shape[0],
            height=shape[1],
            codec=stream.codec_context.name,
            seconds=frames / fps if fps else 0.0,
        )


@dataclass(frozen=True)
class Timeline:
    """When the frames of a file are shown, found without decoding."""

    times: range | np.ndarray  # ascending, in units of the stream's time base
    exact: bool  # decoded frames can be told by these times

    def __len__(self) -> int:
        """Frames; decoding may yield a few less, see the top of this file."""
        return len(self.times)

    def at_equal_times(self, indices: Sequence[int]) -> list[int]:
        """The same frames where the rate is constant; where it varies, those shown at steps of equal time.

        Frame i of n stands for the instant that is i / (n - 1) of the way from the first to the last frame.
        """
        times = self.times
        if isinstance(times, range):
            return list(indices)
        even = np.linspace(times[0], times[-1], len(times))
        step = (times[-1] - times[0]) / max(len(times) - 1, 1)
        # Half a step and less is the rounding of Matroska's milliseconds.
        if np.abs(times - even).max() <= step / 2:
            return list(indices)
        return (np.searchsorted(times, even[list(indices)] + 1e-6 * step, side="right") - 1).tolist()


def timeline(path: str | PathLike) -> Timeline:
    """When the frames of a file are shown: MP4, MOV and AVI of constant rate have it in their index, which is all
    that is read; other files are read through once, without decoding. Errors: DataError as `read_frames`.
    """
    path = Path(path)
    with _opened(path) as stream:
        return _indexed(stream) or _walked(path, stream)


def read_frames(path: str | PathLike, indices: Sequence[int] | Tensor, known: Timeline | None = None) -> Tensor:
    """Frames of a file by number, in the order asked for, repeats allowed: uint8 [T, 3, H, W], RGB, upright.

    Decodes from the key frame before a wanted frame and skips what lies between key frames, so that a clip of a long
    file costs what a clip costs; damage elsewhere goes unseen, a cut file is refused whatever the indices. Files
    without an index or without true times (MPEG, TS, AVI with B-frames) are decoded from the start.
    `known` is the `timeline` of the file, for callers that have it already.
    Errors: DataError as `probe`, or for an index past the last frame; ConfigError for none or a negative one.
    """
    path = Path(path)
    order = [int(index) for index in indices]
    if not order or min(order) < 0:
        raise ConfigError(f"indices are {order}: give at least one, none below 0")
    known = known or timeline(path)
    if max(order) >= len(known):
        raise DataError(f"{path}: has {len(known)} frames, frame {max(order)} was asked for; sample below {len(known)}")
    wanted = sorted(set(order))
    # Where the index misleads or a seek lands on damage, decoding from the start finds the frames or the true error.
    pictures = (_sought(path, wanted, known) if known.exact else None) or _counted(path, wanted)
    if len({picture.shape for picture in pictures.values()}) > 1:
        raise DataError(f"{path}: the frame size changes on the way; convert it to one size")
    return torch.from_numpy(np.stack([pictures[index] for index in order])).permute(0, 3, 1, 2)


def sample_indices(
    total: int,
    frames: int,
    *,
    stride: float | None = None,
    start: float | None = None,
    clip: int = 0,
    clips: int = 1,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Which `frames` of a video of `total` frames make a clip (SVFormer, as its code samples: PySlowFast's rule).

    With span cs = stride * frames and delta = max(total - cs, 0), the start is `start` if given, else uniform in
    [0, delta] if a generator is given (training), else that of view `clip` of `clips`, which is
    clip * floor(delta / (clips - 1)), or floor(delta / 2) for a single one. The indices are
    trunc(clamp(linspace(start, start + cs - 1, frames), 0, total - 1)): a short video repeats its last frame, and the
    true step is a little above the stride.
    With `stride=None` the clip spans the whole video, linspace(0, total - 1, frames), and nothing is random.
    Errors: ConfigError for a number out of range, and for several clips or a start without a stride.
    """
    if total < 1 or frames < 1:
        raise ConfigError(f"total is {total} and frames is {frames}: both must be at least 1")
    if not 0 <= clip < clips:
        raise ConfigError(f"clip is {clip} of {clips} clips: choose 0 to {clips - 1}")
    if stride is None:
        if clips > 1 or start is not None:
            raise ConfigError("clips and start need a stride: without one the clip spans the whole video")
        start, span = 0.0, total
    elif stride <= 0:
        raise ConfigError(f"stride is {stride}: it must be above 0, or None for the whole video")
    else:
        span = stride * frames
        start = _start(max(total - span, 0), clip, clips, generator) if start is None else start
    return torch.linspace(start, start + span - 1, frames).clamp(0, total - 1).long().tolist()


def _start(delta: float, clip: int, clips: int, generator: torch.Generator | None) -> float:
    if generator is not None:
        return delta * torch.rand((), generator=generator).item()
    return clip * (delta // (clips - 1)) if clips > 1 else delta // 2


def _indexed(stream: VideoStream) -> Timeline | None:
    """The timeline by the index alone; None if that may not hold every frame, or at unequal steps."""
    entries, count, form = stream.index_entries, stream.frames, stream.container.format.name
    if form not in ("avi", _MP4) or stream.start_time is None or not 2 <= len(entries) == count:
        return None
    first = entries[0].timestamp
    step = entries[1].timestamp - first
    # AVI marks gaps by empty entries anywhere; of MP4 a sample is enough, since frames are told by their times later.
    looked = range(count) if form == "avi" else sorted({i * (count - 1) // 255 for i in range(256)})
    if step < 1 or any(
        entry.timestamp != first + i * step or not entry.size or entry.is_discard
        for i, entry in ((i, entries[i]) for i in looked)
    ):
        return None
    start = stream.start_time
    return Timeline(range(start, start + count * step, step), exact=not _times_are_guesses(stream))


def _walked(path: Path, stream: VideoStream) -> Timeline:
    """The timeline by the packets."""
    times = []
    _require_whole(path)
    assert isinstance(stream.container, av.container.InputContainer)
    for packet in stream.container.demux(stream):
        if packet.is_corrupt:
            raise DataError(f"{path}: is cut short or damaged at about frame {len(times)}; copy or download it again")
        if packet.size and not packet.is_discard:
            times.append(packet.pts)
    if not times:
        raise DataError(f"{path}: has no frames; convert it again from its source")
    if None in times:
        return Timeline(range(len(times)), exact=False)
    ascending = np.sort(np.array(times, np.int64))
    return Timeline(ascending, exact=not _times_are_guesses(stream))


def _times_are_guesses(stream: VideoStream) -> bool:
    """AVI counts frames in the order of decoding, and B-frames are shown in another."""
    return stream.container.format.name == "avi" and stream.codec_context.has_b_frames


def _sought(path: Path, wanted: list[int], known: Timeline) -> dict[int, np.ndarray] | None:
    """uint8 [H, W, 3] by number, told by their times, jumping ahead to key frames; None where that does not succeed."""
    pictures: dict[int, np.ndarray] = {}
    try:
        with _opened(path) as stream:
            container, origin = stream.container, int(known.times[0])
            assert isinstance(container, av.container.InputContainer)
            container.seek(origin, stream=stream)  # only now Matroska reads its index
            index, frames, shown = stream.index_entries, _decoded(path, stream), None
            if not len(index):
                return None
            delay = max(origin - index[0].timestamp, 0)  # MP4's index is in the order of decoding
            for number in wanted:
                time = int(known.times[number])
                key = index.search_timestamp(time - delay)
                if key > 0 and (shown is None or index[key].timestamp > shown):
                    container.seek(time, stream=stream)
                    frames = _decoded(path, stream)
                frame = next((x for x in frames if x.pts is None or x.pts >= time), None)
                if frame is None or frame.pts != time:
                    return None
                pictures[number], shown = _upright(path, frame), time
    except DataError:
        return None
    return pictures


def _counted(path: Path, wanted: list[int]) -> dict[int, np.ndarray]:
    """uint8 [H, W, 3] by number, decoded from the start; the last frame stands for the few that may fail to come."""
    pictures: dict[int, np.ndarray] = {}
    last = None
    with _opened(path) as stream:
        for number, frame in enumerate(_decoded(path, stream)):
            last = frame
            if number in wanted:
                pictures[number] = _upright(path, frame)
                if len(pictures) == len(wanted):
                    return pictures
        assert last is not None
        return {number: pictures[number] if number in pictures else _upright(path, last) for number in wanted}


@contextmanager
def _opened(path: Path) -> Generator[VideoStream, None, None]:
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


@contextmanager
def _pictures(path: Path) -> Generator[VideoStream, None, None]:
    """A folder of JPEG files with consecutive numbers, such as 00001.jpg, is a video without a frame rate."""
    numbered = sorted(x.stem for x in path.glob("*.jpg") if x.stem.isascii() and x.stem.isdecimal())
    if not numbered:
        raise DataError(f"{path}: is a folder without pictures 00001.jpg, or a device; name a video file in it")
    first, digits = int(numbered[0]), len(numbered[0])
    for number, stem in enumerate(numbered, start=first):
        # ffmpeg would end at a gap without a word.
        if stem != f"{number:0{digits}}":
            raise DataError(
                f"{path / f'{number:0{digits}}.jpg'}: no such picture, but {stem}.jpg; copy the folder again"
            )
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


def _index_ends_early(stream: VideoStream) -> bool:
    """Whether MP4 promises more frames and more time than its index holds: ffmpeg drops what lies outside the file.

    An edit list hides frames too, and takes them from the duration.
    """
    index = stream.index_entries
    if not 2 <= len(index) < stream.frames or not stream.duration:
        return False
    span = index[-1].timestamp - index[0].timestamp
    return stream.duration > 1.2 * span + 3 * span / (len(index) - 1)


def _require_whole(path: Path) -> None:
    if path.is_file() and (at := matroska_break(path)) is not None:
        raise DataError(f"{path}: is damaged at byte {at}; copy or download it again")


def _decoded(path: Path, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every frame in order of display, each one checked; DataError at the first damaged one and if any are missing."""
    frames = packets = samples = 0
    container = stream.container
    assert isinstance(container, av.container.InputContainer)
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise DataError(f"{path}: is cut short or damaged at about frame {frames}; copy or download it again")
        # Packets to discard are those that an edit list hides: clips trimmed on a phone have them.
        packets += packet.size > 0 and not packet.is_discard
        samples += packet.size > 0
        for frame in packet.decode():
            if frame.is_corrupt:
                raise DataError(f"{path}: frame {frames} is damaged; copy or download it again")
            yield frame
            frames += 1
    if not frames:
        raise DataError(f"{path}: no frame of it can be decoded; convert it again from its source")
    if container.format.name == _MP4 and (samples < len(stream.index_entries) or _index_ends_early(stream)):
        raise DataError(f"{path}: its index is damaged at about frame {samples}; copy or download it again")
    if packets - frames > 2 + packets // 10:
        raise DataError(f"{path}: only {frames} of {packets} frames can be decoded; convert it again from its source")


def _quarter_turns(path: Path, frame: VideoFrame) -> int:
    """Quarter turns counter-clockwise that put the frame upright."""
    if frame.rotation % 90:
        raise DataError(f"{path}: is rotated by {frame.rotation} degrees; convert it to an upright video")
    return frame.rotation // 90 % 4


def _upright(path: Path, frame: VideoFrame) -> np.ndarray:
    """uint8 [H, W, 3], RGB."""
    return np.rot90(frame.to_ndarray(format="rgb24"), _quarter_turns(path, frame))
