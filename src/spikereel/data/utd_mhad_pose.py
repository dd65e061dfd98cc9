"""UTD-MHAD for pose: windows of the depth videos, or of events simulated from them, with the joints of every frame."""

from collections.abc import Collection
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import KINECT20
from spikereel.data.events.files import fingerprint
from spikereel.data.pose import (
    Target,
    Warping,
    channels,
    check_joints,
    check_points,
    generator_of,
    target_of,
    window,
    windows,
    within,
)  # fmt: skip
from spikereel.data.utd_mhad import find_clips, picture, read_clip, square
from spikereel.errors import ConfigError, DataError

KINECT_DEPTH = Camera(fx=142.815, fy=142.815, cx=80.5, cy=60.5)
"""The depth camera at 160 x 120, pixels; the middle of the first pixel is at 0.5."""


@dataclass(frozen=True, kw_only=True)
class WindowReading:
    """How recordings become clips. Errors: ConfigError for numbers out of range."""

    frames: int  # T
    size: int  # side of the picture in pixels
    stride: int = 2  # frames of the recording from one to the next
    form: Literal["plain", "motion", "events"] = "motion"  # see `pose.channels`
    train: bool = False  # one random window of every recording an epoch, warped; else all windows, without overlap
    warping: Warping = field(default_factory=Warping)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames, self.stride, self.size) < 1 or self.seed < 0:
            raise ConfigError(f"{self}: frames, stride and size are at least 1, seed not below 0")


class UTDMHADPose(Dataset):
    """Windows of the depth videos of some subjects: items `(video float32 [T, C, S, S], Target)`.

    `root` as for `UTDMHAD`. A video is cut to the square around the person in all its frames. The target's translation
    is that in front of the camera STANDARD, which sees the cut square; "camera" is the Kinect, cut alike.
    Errors: DataError for a folder without clips of those subjects; for a clip with an empty frame, a joint that is NaN,
    or joints beside the person.
    """

    skeleton, camera = KINECT20, STANDARD

    def __init__(self, root: str | PathLike, reading: WindowReading, *, subjects: Collection[int] | None = None):
        self.root, self.reading = Path(root), reading
        found = [(p, label) for p, label, who in find_clips(self.root) if subjects is None or who in subjects]
        if not found:
            raise DataError(f"{root}: has no clips of subjects {sorted(subjects or ())}; give the folder that has them")
        self.samples = found
        self._clips: dict[int, tuple[Tensor, Tensor, Camera]] = {}
        self.windows = [(i, 0) for i in range(len(found))] if reading.train else [
            (i, start) for i in range(len(found))
            for start in windows(len(self._clip(i)[0]), reading.frames, reading.stride)
        ]  # fmt: skip
        # In shared memory, because persistent workers hold a copy of the dataset that no attribute of ours reaches.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the random windows and changes of the items that are read from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        index, how = within(index, len(self)), self.reading
        clip, start = self.windows[index]
        pictures, joints, camera = self._clip(clip)
        rng = generator_of(how.seed, int(self._epoch), index)
        if how.train:
            start = int(rng.integers(max(len(pictures) - (how.frames - 1) * how.stride, 1)))
        numbers = window(len(pictures), start, how.frames, how.stride)
        video, seen = pictures[numbers][:, None].float() / 255, joints[numbers[1:]]
        around, points = seen - seen[:, [KINECT20.root]], camera.project(seen)
        if how.train:
            warp = how.warping.draw(rng)
            video = warp.pictures(video)
            around, points = warp.joints(around, KINECT20), warp.points(points, KINECT20)
        return channels(video, how.form), target_of(around, points, camera=STANDARD, real=camera)

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all clips: the data hash of a run."""
        return fingerprint(self.root, self.samples)

    def _clip(self, number: int) -> tuple[Tensor, Tensor, Camera]:
        """Pictures uint8 [N, S, S], joints [N, 20, 3] with y down, and the camera of the pictures."""
        if number not in self._clips:
            path = self.samples[number][0]
            depth, joints = read_clip(path)
            check_joints(joints, path)
            placed, camera = torch.from_numpy(joints * np.array([1, -1, 1], np.float32)), camera_of(depth > 0)
            check_points(camera.project(placed), path)
            self._clips[number] = read_person(depth, self.reading.size, path), placed, camera
        return self._clips[number]


def read_person(depth: np.ndarray, size: int, where: object) -> Tensor:
    """Pictures uint8 [T, S, S] of the person in a depth video [T, H, W]; DataError for a frame that shows nobody."""
    empty = np.flatnonzero(~depth.any(axis=(1, 2)))
    if len(empty):
        raise DataError(f"{where}: frame {empty[0]} shows nobody, its depth is 0 everywhere; cut that frame off")
    return (picture(depth, size) * 255).round().to(torch.uint8)


def camera_of(person: np.ndarray, camera: Camera = KINECT_DEPTH) -> Camera:
    """The camera of the square around the person, in shares of its side; of a mask [T, H, W]."""
    top, left, side = square(person)
    return Camera(fx=camera.fx / side, fy=camera.fy / side, cx=(camera.cx - left) / side, cy=(camera.cy - top) / side)
