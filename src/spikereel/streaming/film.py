"""An overlay video that grows with a stream, and can be played whenever the process ends, killed or not."""

from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from spikereel.data.transforms import resize
from spikereel.data.video.write import CLOCK, coded_frame, prepare
from spikereel.errors import ConfigError, DataError

FORMATS = {
    # fragments while it grows, an ordinary file once it is closed
    ".mp4": ("mp4", {"movflags": "hybrid_fragmented+frag_keyframe+write_colr"}),
    ".mkv": ("matroska", {"cluster_time_limit": "200"}),
}
KEY_SECONDS = 1.0
"""Seconds between key frames, which are what a killed MP4 lacks at most."""
RATE = 30
"""Frames a second that the file states; each has its own time."""


class Film:
    """`film.add(picture, seconds)`, then `film.close()`: H.264, all written as it comes. Raises ConfigError for another
    name than .mp4 and .mkv, DataError where it cannot be written."""

    def __init__(self, path: str | PathLike):
        self.path = Path(path)
        if self.path.suffix.lower() not in FORMATS:
            raise ConfigError(f"{path}: an overlay is a .mp4 or a .mkv; name one of these")
        self.frames = 0
        self._container: av.container.OutputContainer | None = None
        self._size = (0, 0)
        self._last, self._key, self._first = -1, 0.0, 0.0

    def add(self, picture: Tensor, seconds: float) -> None:
        """One picture, uint8 [H, W, 3]; of another size than the first one it is stretched."""
        try:
            if self._container is None:
                self._open(picture.shape[0], picture.shape[1], seconds)
            self._write(picture, seconds - self._first)
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror}); check space and permissions") from None

    def close(self) -> None:
        """Write what is left; the file is then an ordinary one."""
        container, self._container = self._container, None
        if container is not None:
            container.mux(self._stream.encode(None))
            container.close()

    def _open(self, height: int, width: int, seconds: float) -> None:
        kind, options = FORMATS[self.path.suffix.lower()]
        # written at once: what ffmpeg holds back is lost with a process that is killed
        options = options | {"flush_packets": "1"}
        self._container = av.open(str(self.path.absolute()), "w", format=kind, options=options)
        own = {"preset": "veryfast", "tune": "zerolatency", "bf": "0"}
        self._stream = self._container.add_stream("libx264", rate=RATE, options=own)
        self._size = (height + height % 2, width + width % 2)
        prepare(self._stream, *self._size, Fraction(CLOCK))
        self._first = self._key = seconds

    def _write(self, picture: Tensor, seconds: float) -> None:
        assert self._container is not None
        height, width = picture.shape[:2]
        pixels = picture.numpy()
        if (height + height % 2, width + width % 2) != self._size:
            pixels = resize(picture.permute(2, 0, 1)[None], *self._size)[0].permute(1, 2, 0).numpy()
        elif (height, width) != self._size:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = coded_frame(pixels)
        self._last = max(round(seconds / CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, CLOCK
        if not self.frames or seconds - self._key >= KEY_SECONDS:
            frame.pict_type, self._key = av.video.frame.PictureType.I, seconds
        self._container.mux(self._stream.encode(frame))
        self.frames += 1


def side_by_side(pictures: list[Tensor], columns: int) -> Tensor:
    """Pictures of one size, uint8 [H, W, 3], in rows of so many."""
    blank = torch.zeros_like(pictures[0])
    padded = pictures + [blank] * (-len(pictures) % columns)
    rows = [torch.cat(padded[i : i + columns], dim=1) for i in range(0, len(padded), columns)]
    return torch.cat(rows)
