"""Which way up the frames of a video are: what its display matrix says (ISO/IEC 14496-12, 6.2.2)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from torch import Tensor

from spikereel.errors import DataError


@dataclass(frozen=True)
class Orientation:
    """What puts a decoded picture upright: rows and columns change places, then either are reversed."""

    transposed: bool = False
    rows: bool = False
    columns: bool = False

    def upright(self, picture: Tensor) -> Tensor:
        """[H, W, C] -> [H, W, C], or [W, H, C] where transposed."""
        picture = picture.transpose(0, 1) if self.transposed else picture
        reversed_axes = [axis for axis, reverse in enumerate((self.rows, self.columns)) if reverse]
        return picture.flip(reversed_axes) if reversed_axes else picture


def orientation(path: Path, frame: VideoFrame) -> Orientation:
    """How a frame is to be shown: quarter turns and mirrors. Raises DataError for any other angle."""
    if frame.rotation % 90:
        raise DataError(f"{path}: is rotated by {frame.rotation} degrees; convert it to an upright video")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    # A pixel of column x and row y is shown at column a x + c y and row b x + d y.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    transposed = abs(b) > abs(a)
    down, right = (b, c) if transposed else (d, a)
    return Orientation(transposed=transposed, rows=down < 0, columns=right < 0)
