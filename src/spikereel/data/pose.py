"""What clips with poses have in common: windows of recordings, the pictures a network sees, and the target."""

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from spikereel.body.camera import Camera
from spikereel.body.skeletons import Skeleton
from spikereel.data.clips import Clips
from spikereel.data.made.scenes import events_from
from spikereel.data.warp import Warp as Warp
from spikereel.data.warp import Warping as Warping
from spikereel.errors import DataError

Target = dict[str, Tensor]
"""float32, one row a frame: "joints" [T, J, 3] around "translation" [T, 3], metres in the frame of the dataset's
camera (x right, y down, z away); "points" [T, J, 2], where that camera sees the joints, in shares of the picture;
"camera" [T, 4], the real camera of each picture (fx, fy, cx, cy in shares of it); with SMPL "rotations" [T, 24, 3, 3]
and "shape" [T, 10]; where clips overlap, "judged" [T], 1 for the frames that this clip is judged by, else 0."""

FULL_CHANGE = 0.2
"""Change of a picture that counts as 1 in the channels of motion."""
EVENT_CHANGE = 0.15
"""Change of the log of a picture that makes a simulated event."""


class PoseClips(Clips[Target], Protocol):
    """What training and evaluation ask of a data set of poses as well; items are `(video float32 [T, C, S, S],
    Target)`."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def camera(self) -> Camera: ...


def target_of(joints: Tensor, points: Tensor, *, camera: Camera, real: Camera) -> Target:
    """The target of a clip: joints [T, J, 3] metres around their translation, seen at points [T, J, 2].

    The translation is the one that makes `camera` see the joints where they are in the picture.
    """
    return {
        "joints": joints,
        "translation": camera.locate(joints, points),
        "points": points,
        "camera": real.rows(len(joints)),
    }


def check_points(points: Tensor, where: object) -> None:
    """Raises DataError where less than half of the joints are in or near the picture, as with wrong intrinsics."""
    near = ((points > -0.25) & (points < 1.25)).all(-1).float().mean()
    if not near > 0.5:
        raise DataError(f"{where}: {100 * (1 - near):.0f} % of the joints are outside the picture; wrong intrinsics?")


def check_joints(joints: np.ndarray, path: Path) -> None:
    """Raises DataError for a joint that is NaN or infinite, with its frame."""
    wrong = np.argwhere(~np.isfinite(joints).all(axis=-1))
    if len(wrong):
        frame, joint = wrong[0]
        raise DataError(f"{path}: joint {joint} of frame {frame} is NaN or infinite; repair or leave out that file")


def channels(pictures: Tensor, form: Literal["plain", "motion", "events"]) -> Tensor:
    """Pictures [T + 1, 1, S, S] in [0, 1] to the video [T, C, S, S] that a network sees.

    plain: the pictures themselves, C = 1; motion: beside them what became brighter and darker, C = 3; events: ON and
    OFF where the logarithm rose or fell, C = 2. The first picture serves for comparison alone.
    """
    if form == "plain":
        return pictures[1:]
    if form == "events":
        return torch.from_numpy(events_from(pictures.expand(-1, 3, -1, -1).numpy(), threshold=EVENT_CHANGE))
    change = pictures.diff(dim=0) / FULL_CHANGE
    return torch.cat([pictures[1:], change.clamp(0, 1), (-change).clamp(0, 1)], dim=1)


def windows(total: int, frames: int, stride: int) -> list[tuple[int, int, int]]:
    """Clips in which every frame of a recording is judged once: (first frame, and from which to before which of the
    clip's own frames it is judged).

    Of the frames that begin at 0, then of those at 1 and so on to the stride, clips follow each other; the last one
    overlaps the one before, whose frames it does not judge again, and a recording that is too short repeats its end.
    """
    found = []
    for first in range(min(stride, total)):
        count = len(range(first, total, stride))
        for done in range(0, count, frames):
            fresh = min(frames, count - done)
            start = max(done + fresh - frames, 0)
            found.append((first + start * stride, done - start, done - start + fresh))
    return found


def window(total: int, start: int, frames: int, stride: int) -> Tensor:
    """Numbers [frames + 1] of the frames of a clip and of the one before it, kept within the recording."""
    return (start + stride * torch.arange(-1, frames)).clamp(0, total - 1)
