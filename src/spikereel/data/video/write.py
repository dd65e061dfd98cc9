"""Writing H.264 video with PyAV."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from torch import Tensor

from spikereel.errors import ConfigError, DataError
from spikereel.files import whole

_BT601 = 6
"""Of ITU-T H.273, table 4: the matrix of 525 and 625 lines."""
CLOCK = Fraction(1, 90_000)
"""Seconds of a unit of time in files whose frames have times of their own."""


def write_video(
    path: str | PathLike,
    frames: Tensor | Iterable[Tensor],
    fps: float | Fraction,
    *,
    times: Sequence[float] | np.ndarray | None = None,
    aspect: Fraction = Fraction(1),
) -> None:
    """Write an mp4 file (H.264, yuv420p): frames uint8 [T, 3, H, W] or [T, H, W, 3], RGB; fps in frames a second.

    Of frames that are made one by one, uint8 [3, H, W] each, none is kept. times: seconds at which each frame begins to
    be shown, and one more at which the last one ends, ascending; fps then stands for nothing. aspect: width to height
    of a pixel.
    The file states how its colours are to be decoded: BT.601, which readers that look at no tag take too, with the
    primaries and the curve of sRGB.
    yuv420p needs even sides: odd ones grow by one pixel that repeats the border. The file appears whole or not
    at all, and an old file of that name is replaced.
    Raises ConfigError for frames of another type or shape, fps not above 0, times that do not ascend, a name not ending
    in .mp4; DataError if the folder is missing or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"{path}: the name must end in .mp4")
    if not fps > 0:
        raise ConfigError(f"fps is {fps}: it must be above 0")
    if not path.parent.is_dir():
        raise DataError(f"{path}: the folder {path.parent} does not exist; make it first")
    rate = Fraction(fps).limit_denominator(1001) or Fraction(fps).limit_denominator(1_000_000)
    ticks = None if times is None else _ticks(times)
    pictures = iter(_pictures(frames)) if isinstance(frames, Tensor) else (_pictures(x[None])[0] for x in frames)
    try:
        with whole(path) as part:
            _encode(part, pictures, rate, ticks, aspect)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); check space and permissions") from error


def _ticks(times: Sequence[float] | np.ndarray) -> list[int]:
    ticks = [round(Fraction(float(time) - float(times[0])) / CLOCK) for time in times]
    # frames of one unit of a file's clock, such as a millisecond, are one unit of ours apart
    for number in range(1, len(ticks)):
        if float(times[number]) < float(times[number - 1]):
            raise ConfigError(f"times are {times[number - 1]} and then {times[number]}: make them ascend")
        ticks[number] = max(ticks[number], ticks[number - 1] + 1)
    return ticks


def _pictures(frames: Tensor) -> np.ndarray:
    """uint8 [T, H, W, 3] with even H and W."""
    if (
        frames.dtype != torch.uint8
        or frames.ndim != 4
        or not frames.numel()
        or 3 not in (frames.shape[1], frames.shape[3])
    ):
        raise ConfigError(f"frames are {frames.dtype} {list(frames.shape)}: give uint8 [T, 3, H, W] or [T, H, W, 3]")
    if frames.shape[1] == 3:
        frames = frames.permute(0, 2, 3, 1)
    pictures = frames.cpu().numpy()
    height, width = pictures.shape[1:3]
    return np.pad(pictures, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _encode(
    path: Path, pictures: Iterator[np.ndarray], rate: Fraction, ticks: list[int] | None, aspect: Fraction
) -> None:
    # The index goes to the front, so that a browser can start to play before it has the whole file.
    options = {"movflags": "+faststart+write_colr"}
    with av.open(str(path.absolute()), "w", format="mp4", options=options) as container:
        # where steps differ, MP4 could not say how long the last frame lasts if frames were sent in another order
        own = {} if ticks is None else {"bf": "0"}
        stream = container.add_stream("libx264", rate=rate, options=own)
        first = next(pictures)
        clock = 1 / rate if ticks is None else CLOCK
        prepare(stream, *first.shape[:2], clock, aspect)
        ends: dict[int, int] = {}
        for number, picture in enumerate(chain([first], pictures)):
            begin, end = (number, number + 1) if ticks is None else ticks[number : number + 2]
            ends[begin] = end
            frame = coded_frame(picture)
            frame.pts, frame.time_base = begin, clock
            _mux(container, stream.encode(frame), ends, clock)
        _mux(container, stream.encode(None), ends, clock)


def prepare(stream: VideoStream, height: int, width: int, clock: Fraction, aspect: Fraction = Fraction(1)) -> None:
    """Even sides, the unit of time, and what the file is to say of its colours; for `coded_frame`."""
    stream.height, stream.width = height, width
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.sample_aspect_ratio = aspect
    context.colorspace, context.color_range = _BT601, int(ColorRange.MPEG)
    context.color_primaries, context.color_trc = int(ColorPrimaries.BT709), int(ColorTrc.IEC61966_2_1)
    context.time_base = clock


def coded_frame(picture: np.ndarray) -> av.VideoFrame:
    """yuv420p, limited range, by the matrix that the file states."""
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG)
    frame.colorspace, frame.color_range = _BT601, int(ColorRange.MPEG)
    frame.color_primaries, frame.color_trc = int(ColorPrimaries.BT709), int(ColorTrc.IEC61966_2_1)
    return frame


def _mux(
    container: av.container.OutputContainer, packets: Iterable[av.Packet], ends: dict[int, int], clock: Fraction
) -> None:
    for packet in packets:
        assert packet.pts is not None
        assert packet.time_base is not None
        begin = round(packet.pts * packet.time_base / clock)
        # the last frame lasts as long as the others, or as is said
        packet.duration = round((ends[begin] - begin) * clock / packet.time_base)
        container.mux(packet)
