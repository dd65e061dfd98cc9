"""UTD-MHAD for pose: windows of the depth videos, or of events simulated from them, with the joints of every frame."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import KINECT20
from spikereel.data.clips import SeededClips, fingerprint
from spikereel.data.pose import Target, channels, check_points, target_of, window, windows
from spikereel.data.sets.utd_mhad import depth_values, find_clips, read_depth_and_joints
from spikereel.data.warp import Warping
from spikereel.errors import ConfigError, DataError

KINECT_DEPTH = Camera(fx=142.815, fy=142.815, cx=80.5, cy=60.5)
"""The depth camera at 160 x 120, pixels; the middle of the first pixel is at 0.5."""

EXTENT = 2.2
"""Metres that a picture shows, at the distance of the person."""


@dataclass(frozen=True, kw_only=True)
class WindowReading:
    """How recordings become clips. Raises ConfigError for numbers out of range."""

    frames: int
    """Frames of a clip, T."""
    size: int
    """Side of the picture in pixels."""
    stride: int = 2
    """Frames of the recording from one to the next."""
    form: Literal["plain", "motion", "events"] = "motion"
    """What a network sees, see `pose.channels`."""
    train: bool = False
    """One random window of every recording an epoch, warped; else windows in which every frame is judged once."""
    warping: Warping = field(default_factory=Warping)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames, self.stride, self.size) < 1 or self.seed < 0:
            raise ConfigError(f"{self}: frames, stride and size are at least 1, seed not below 0")


class UTDMHADPose(SeededClips[Target]):
    """Windows of the depth videos of some subjects: items `(video float32 [T, C, S, S], Target)`.

    `root` as for `UTDMHAD`. Every frame is cut to the person (`read_person`). The target's translation is that in front
    of the camera STANDARD, which sees the cut square; "camera" is the Kinect, cut alike.
    Raises DataError for a folder without clips of those subjects; for a clip with an empty frame, a joint that is NaN,
    or joints beside the person.
    """

    skeleton, camera = KINECT20, STANDARD

    def __init__(
        self,
        root: str | PathLike,
        reading: WindowReading,
        *,
        subjects: Collection[int] | None = None,
        keep: Callable[[int], bool] = lambda number: True,
    ):
        super().__init__(reading.seed)
        self.root, self.reading, self.simulated = Path(root), reading, reading.form == "events"
        found = [(p, label) for p, label, who in find_clips(self.root) if subjects is None or who in subjects]
        found = [recording for number, recording in enumerate(found) if keep(number)]
        if not found:
            raise DataError(f"{root}: has no clips of subjects {sorted(subjects or ())}; give the folder that has them")
        self.samples = found
        self._clips: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self.windows = (
            [(i, 0, 0, reading.frames) for i in range(len(found))]
            if reading.train
            else [
                (i, *own)
                for i in range(len(found))
                for own in windows(len(self._clip(i)[0]), reading.frames, reading.stride)
            ]
        )

    def __len__(self) -> int:
        return len(self.windows)

    def item(self, index: int) -> tuple[Tensor, Target]:
        """A window and its target."""
        how, rng = self.reading, self.random(index)
        clip, start, judged, stop = self.windows[index]
        pictures, joints, squares = self._clip(clip)
        if how.train:
            start = int(rng.integers(max(len(pictures) - (how.frames - 1) * how.stride, 1)))
        numbers = window(len(pictures), start, how.frames, how.stride)
        video, seen = pictures[numbers][:, None].float() / 255, joints[numbers[1:]]
        camera = KINECT_DEPTH.seen_in(squares[numbers[1:]])
        around, points = seen - seen[:, [KINECT20.root]], camera.project(seen)
        if how.train:
            warp = how.warping.draw(rng)
            video = warp.pictures(video)
            around, points = warp.joints(around, KINECT20), warp.points(points, KINECT20)
        target = target_of(around, points, camera=STANDARD, real=camera)
        if not how.train:
            target["judged"] = torch.zeros(how.frames)
            target["judged"][judged:stop] = 1
        return channels(video, how.form), target

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all clips: the data hash of a run."""
        return fingerprint(self.root, self.samples)

    def _clip(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures uint8 [N, S, S], joints [N, 20, 3] with y down, and the squares [N, 3] that the pictures show."""
        if number not in self._clips:
            path = self.samples[number][0]
            depth, joints = read_depth_and_joints(path)
            placed = torch.from_numpy(joints * np.array([1, -1, 1], np.float32))
            pictures, squares = read_person(depth, self.reading.size, KINECT_DEPTH, path)
            check_points(KINECT_DEPTH.seen_in(squares).project(placed), path)
            self._clips[number] = (pictures * 255).round().to(torch.uint8), placed, squares
        return self._clips[number]


def read_person(depth: np.ndarray, size: int, camera: Camera, where: object) -> tuple[Tensor, Tensor]:
    """The person in every frame of a depth video uint16 [N, H, W] mm, 0 where nobody is, always at the same scale.

    Pictures float32 [N, S, S] in [0, 1] and the squares that they show, float32 [N, 3] left, top and side in pixels. A
    square is EXTENT wide at the median distance of that frame's person, around the median of its pixels; the values are
    those of `depth_values` around that distance. `camera` is that of the frames, pixels.
    Raises DataError for a frame that shows nobody.
    """
    empty = np.flatnonzero(~depth.any(axis=(1, 2)))
    if len(empty):
        raise DataError(f"{where}: frame {empty[0]} shows nobody, its depth is 0 everywhere; cut that frame off")
    squares = torch.tensor([_square_of(frame, float(camera.fx)) for frame in depth])
    values = torch.from_numpy(np.stack([depth_values(frame, frame > 0) for frame in depth]))
    height, width = depth.shape[1:]
    # There are two samples a pixel either way, for a square has about twice as many pixels as the picture.
    steps = (torch.arange(2 * size) + 0.5) / (2 * size)
    left, top, side = squares[..., None].unbind(1)
    across, down = 2 * (left + steps * side) / width - 1, 2 * (top + steps * side) / height - 1
    grid = torch.stack(torch.broadcast_tensors(across[:, None], down[:, :, None]), dim=-1)
    fine = F.grid_sample(values[:, None], grid, align_corners=False)
    return F.avg_pool2d(fine, 2)[:, 0], squares


def _square_of(frame: np.ndarray, focal: float) -> tuple[float, float, float]:
    rows, columns = np.nonzero(frame)
    side = focal * EXTENT / (float(np.median(frame[rows, columns])) / 1000)
    return float(np.median(columns)) + 0.5 - side / 2, float(np.median(rows)) + 0.5 - side / 2, side
