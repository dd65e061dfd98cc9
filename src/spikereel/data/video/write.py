"""Writing H.264 video with PyAV."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from spikereel.errors import ConfigError, DataError
from spikereel.files import whole


def write_video(path: str | PathLike, frames: Tensor | Iterable[Tensor], fps: float | Fraction) -> None:
    """Write an mp4 file (H.264, yuv420p): frames uint8 [T, 3, H, W] or [T, H, W, 3], RGB; fps in frames a second.

    Of frames that are made one by one, uint8 [3, H, W] each, none is kept.
    yuv420p needs even sides: odd ones grow by one pixel that repeats the border. The file appears whole or not
    at all, and an old file of that name is replaced.
    Raises ConfigError for frames of another type or shape, fps not above 0, a name not ending in .mp4; DataError if
    the folder is missing or cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"{path}: the name must end in .mp4")
    if not fps > 0:
        raise ConfigError(f"fps is {fps}: it must be above 0")
    if not path.parent.is_dir():
        raise DataError(f"{path}: the folder {path.parent} does not exist; make it first")
    pictures = iter(_pictures(frames)) if isinstance(frames, Tensor) else (_pictures(x[None])[0] for x in frames)
    try:
        with whole(path) as part:
            _encode(part, pictures, Fraction(fps).limit_denominator(1001))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); check space and permissions") from error


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


def _encode(path: Path, pictures: Iterator[np.ndarray], rate: Fraction) -> None:
    # The index goes to the front, so that a browser can start to play before it has the whole file.
    with av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        first = next(pictures)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in chain([first], pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
