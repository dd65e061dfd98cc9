"""Decoding a stream, and whether what comes is whole."""

from collections.abc import Collection, Iterator
from pathlib import Path

from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from spikereel.data.video.matroska import matroska_break
from spikereel.data.video.streams import packets
from spikereel.errors import DataError

MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
"""ffmpeg's name of its reader of MP4 and MOV."""
_ALONE = frozenset({"mjpeg", "png", "apng"})
"""Codecs whose packets are pictures in a file of their own, which may say which way up they are."""


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


def require_whole(path: Path) -> None:
    if path.is_file() and (at := matroska_break(path)) is not None:
        raise DataError(f"{path}: is damaged at byte {at}; copy or download it again")


def decoded(path: Path, stream: VideoStream, needed: Collection[int] | None = None) -> Iterator[VideoFrame]:
    """Every frame in order of display, each one checked; DataError at the first damaged one and if any are missing.
    Frames that were pictures in a file of their own carry that, `opaque`.

    needed: times of frames that are wanted; others come only where they are needed to decode these.
    """
    frames = promised = samples = 0
    container = stream.container
    # Where a packet holds two frames, as in AVI by XviD and DivX, one cannot be left out alone.
    packed = needed and stream.codec_context.name == "mpeg4"
    split = BitStreamFilterContext("mpeg4_unpack_bframes", stream) if packed else None
    alone = stream.codec_context.name in _ALONE
    for packet in packets(path, stream):
        # Packets to discard are those that an edit list hides: clips trimmed on a phone have them.
        promised += packet.size > 0 and not packet.is_discard
        samples += packet.size > 0
        for part in split.filter(packet) if split and packet.size else [packet]:
            if needed:
                stream.codec_context.skip_frame = "DEFAULT" if part.pts in needed else "NONREF"
            for frame in stream.decode(part):
                if frame.is_corrupt:
                    raise DataError(f"{path}: frame {frames} is damaged; copy or download it again")
                if alone:
                    frame.opaque = bytes(part)
                yield frame
                frames += 1
    if not frames:
        raise DataError(f"{path}: no frame of it can be decoded; convert it again from its source")
    if container.format.name == MP4 and (samples < len(stream.index_entries) or _index_is_short(stream)):
        raise DataError(f"{path}: its index is damaged at about frame {samples}; copy or download it again")
    if needed:
        return
    if container.format.name == "avi":
        # Over damage between frames ffmpeg goes on to the next one that it finds.
        promised = max(promised, sum(entry.size > 0 for entry in stream.index_entries))
    if promised - frames > 2 + promised // 10:
        raise DataError(f"{path}: only {frames} of {promised} frames can be decoded; convert it again from its source")
