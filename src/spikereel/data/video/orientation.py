"""Which way up pictures are: by the display matrix of a video (ISO/IEC 14496-12, 6.2.2), or by EXIF of a picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from torch import Tensor

from spikereel.data.exif import exif_orientation
from spikereel.errors import DataError


@dataclass(frozen=True)
class Orientation:
    """What puts a decoded picture upright: rows and columns change places, then either are reversed."""

    transposed: bool = False
    rows: bool = False
    columns: bool = False

    def upright(self, picture: Tensor) -> Tensor:
        """[H, W, ...] -> [H, W, ...], or [W, H, ...] where transposed."""
        picture = picture.transpose(0, 1) if self.transposed else picture
        reversed_axes = [axis for axis, reverse in enumerate((self.rows, self.columns)) if reverse]
        return picture.flip(reversed_axes) if reversed_axes else picture

    def __str__(self) -> str:
        if not self.transposed:
            return {
                (False, False): "none",
                (True, True): "180 degrees",
                (False, True): "mirrored, left and right",
                (True, False): "mirrored, up and down",
            }[self.rows, self.columns]
        return {
            (False, True): "90 degrees clockwise",
            (True, False): "90 degrees counterclockwise",
            (False, False): "mirrored, and turned by 90 degrees counterclockwise",
            (True, True): "mirrored, and turned by 90 degrees clockwise",
        }[self.rows, self.columns]


BY_EXIF = {
    1: Orientation(),
    2: Orientation(columns=True),
    3: Orientation(rows=True, columns=True),
    4: Orientation(rows=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, columns=True),
    7: Orientation(transposed=True, rows=True, columns=True),
    8: Orientation(transposed=True, rows=True),
}


def exif_of(frame: VideoFrame) -> int:
    """The orientation of a frame that carries the file of a picture which it was, `opaque`; 0 of others."""
    return exif_orientation(frame.opaque) if isinstance(frame.opaque, bytes) else 0


def orientation(path: Path, frame: VideoFrame) -> Orientation:
    """How a frame is to be shown: quarter turns and mirrors. Raises DataError for any other angle.

    PyAV cannot give the matrix of a frame that carries a kind of side data unknown to it, as EXIF is: then the file of
    the picture says the same, and of other frames the angle alone is known.
    """
    if frame.rotation % 90:
        raise DataError(f"{path}: is rotated by {frame.rotation} degrees; convert it to an upright video")
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        return BY_EXIF[exif_of(frame)] if exif_of(frame) else _turned(frame.rotation)
    if matrix is None:
        return Orientation()
    # A pixel of column x and row y is shown at column a x + c y and row b x + d y.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    transposed = abs(b) > abs(a)
    down, right = (b, c) if transposed else (d, a)
    return Orientation(transposed=transposed, rows=down < 0, columns=right < 0)


def _turned(degrees: int) -> Orientation:
    """By the angle alone, counterclockwise."""
    return {0: BY_EXIF[1], 90: BY_EXIF[8], 180: BY_EXIF[3], 270: BY_EXIF[6]}[degrees % 360]
