"""A camera of the browser: frames at equal steps that are kept in memory, up to a limit."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from spikereel.errors import DataError
from spikereel.inference.frames import Each, Frames, info_of, to_pictures
from spikereel.studio.opened import Opened

MOST = 192 << 20
"""Bytes of frames of a camera; it stops there."""

LARGEST = 640
"""Pixels of a side."""

MOST_REPEATS = 600
"""Steps that one frame may stand for, where the browser was late."""


@dataclass
class Camera:
    """Frames as they come; the source is `opened`, whose number of frames grows."""

    height: int
    width: int
    fps: float
    opened: Opened = field(init=False)
    pictures: list[np.ndarray] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    """Which picture each frame shows."""

    def __post_init__(self) -> None:
        if not (16 <= self.height <= LARGEST and 16 <= self.width <= LARGEST and 1 <= self.fps <= 60):
            raise DataError(f"a camera has 16 to {LARGEST} pixels a side and 1 to 60 frames a second")
        key = secrets.token_hex(8)
        self.opened = Opened(id=key, name="camera", place="", path=None, frames=self._frames(), live=True)

    @property
    def frame_bytes(self) -> int:
        """Of a frame."""
        return self.height * self.width * 3

    def add(self, content: bytes, repeats: int) -> None:
        """One frame, RGB bytes, that was shown for so many steps. Raises DataError for a frame that is none, and where
        no more are taken."""
        if len(content) != self.frame_bytes or not 1 <= repeats <= MOST_REPEATS:
            raise DataError(f"a frame is {self.frame_bytes} bytes and 1 to {MOST_REPEATS} steps long")
        if not self.opened.live:
            raise DataError("this camera was stopped")
        if (len(self.pictures) + 1) * self.frame_bytes > MOST:
            self.stop()
            raise DataError(f"the camera is stopped: {len(self.pictures)} pictures are as many as are kept")
        self.pictures.append(np.frombuffer(content, np.uint8).reshape(self.height, self.width, 3))
        self.steps += [len(self.pictures) - 1] * repeats
        self.opened.frames = self._frames()

    def stop(self) -> None:
        """No more frames come; those that came stay."""
        self.opened.live = False

    def _frames(self) -> Frames:
        count = len(self.steps)
        return Frames(
            name="camera",
            info=info_of((count, 3, self.height, self.width), "camera", self.fps),
            channels=3,
            numbers=range(count),
            reader=self._read,
            paint=to_pictures,
        )

    def _read(self, indices: Sequence[int], each: Each | None) -> Tensor:
        found = np.stack([self.pictures[self.steps[i]] for i in indices])
        frames = torch.from_numpy(found).permute(0, 3, 1, 2)
        return frames if each is None else each(frames)
