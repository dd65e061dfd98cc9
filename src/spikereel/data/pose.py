"""What clips with poses have in common: the target of a clip, and changes that keep picture and pose consistent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.body.camera import Camera
from spikereel.body.skeletons import Skeleton
from spikereel.data.made.scenes import events_from
from spikereel.errors import ConfigError, DataError

Target = dict[str, Tensor]
"""float32, one row a frame: "joints" [T, J, 3] around "translation" [T, 3], metres in the frame of the dataset's
camera (x right, y down, z away); "points" [T, J, 2], where that camera sees the joints, in shares of the picture;
"camera" [T, 4], the real camera of each picture (fx, fy, cx, cy in shares of it); with SMPL "rotations" [T, 24, 3, 3]
and "shape" [T, 10]."""

FULL_CHANGE = 0.2
"""Change of a picture that counts as 1 in the channels of motion."""
EVENT_CHANGE = 0.15
"""Change of the log of a picture that makes a simulated event."""


class PoseClips(Protocol):
    """What training and evaluation ask of a dataset of poses; items are `(video float32 [T, C, S, S], Target)`."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def camera(self) -> Camera: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Target]: ...

    def set_epoch(self, epoch: int) -> None: ...

    def fingerprint(self) -> str: ...


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
    """DataError where less than half of the joints are in or near the picture, as with wrong intrinsics."""
    near = ((points > -0.25) & (points < 1.25)).all(-1).float().mean()
    if not near > 0.5:
        raise DataError(f"{where}: {100 * (1 - near):.0f} % of the joints are outside the picture; wrong intrinsics?")


def check_joints(joints: np.ndarray, path: Path) -> None:
    """DataError for a joint that is NaN or infinite, with its frame."""
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


@dataclass(frozen=True, kw_only=True)
class Warping:
    """Random changes of a clip: ranges of what `draw` draws. Source of the distributions: spec section 8.1."""

    rotate: float = 0.0
    """Degrees at one standard deviation, and at most; of 60 % of the clips."""
    zoom: float = 0.0
    """The box grows by a factor between 1 - 2/3 zoom and 1 + zoom, so the person shrinks by it."""
    shift: float = 0.0
    """Share of the side at most, in both directions."""
    flip: float = 0.0
    """Share of clips that are mirrored."""
    metric: bool = False
    """Pictures show metres, whatever the distance: who shrinks in them is smaller, not farther away."""

    def __post_init__(self) -> None:
        if min(self.rotate, self.shift, self.flip) < 0 or not 0 <= self.zoom < 1.5:
            raise ConfigError(f"{self}: none may be below 0, and zoom must be below 1.5")

    def draw(self, rng: np.random.Generator) -> "Warp":
        """One change; always the same number of draws."""
        turned, normal, box, right, down, flipped = (*rng.random(1), rng.normal(), *rng.random(4))
        scale = 1.0 / (1.0 + self.zoom * (5.0 * float(box) - 2.0) / 3.0)
        return Warp(
            angle=float(np.radians(self.rotate * np.clip(normal, -1, 1))) if turned < 0.6 else 0.0,
            scale=scale,
            growth=scale if self.metric else 1.0,
            right=self.shift * (2.0 * float(right) - 1.0),
            down=self.shift * (2.0 * float(down) - 1.0),
            flip=bool(flipped < self.flip),
        )


@dataclass(frozen=True, kw_only=True)
class Warp:
    """A change of all frames of a clip: mirror, turn and scale about the middle, then move."""

    angle: float = 0.0
    """Radians, from x (right) to y (down)."""
    scale: float = 1.0
    growth: float = 1.0
    """Factor on the lengths of the person."""
    right: float = 0.0
    down: float = 0.0
    """Shares of the side."""
    flip: bool = False

    def pictures(self, video: Tensor, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
        """Of float [T, C, S, S]; 0 beyond the border."""
        # the grid goes the other way, from each new pixel to the one it is taken from, with the middle at 0
        back = torch.linalg.inv(self._linear())
        move = -2.0 * back @ torch.tensor([self.right, self.down])
        grid = F.affine_grid(
            torch.cat([back, move[:, None]], 1).expand(len(video), 2, 3), list(video.shape), align_corners=False
        )
        return F.grid_sample(video, grid, mode=mode, align_corners=False)

    def points(self, points: Tensor, skeleton: Skeleton) -> Tensor:
        """Of [T, J, 2] in shares of the picture."""
        middle = points.new_tensor([0.5, 0.5])
        moved = (points - middle) @ self._linear().to(points).mT + middle + points.new_tensor([self.right, self.down])
        return moved[:, skeleton.mirror] if self.flip else moved

    def joints(self, joints: Tensor, skeleton: Skeleton) -> Tensor:
        """Of [T, J, 3] metres: mirrored, and turned and grown about the root."""
        turn = self._turn().to(joints)
        root = joints[:, [skeleton.root]] * turn.new_tensor([-1.0 if self.flip else 1.0, 1.0, 1.0])
        joints = self._mirrored(joints, skeleton)
        return self.growth * (joints - root) @ turn.mT + root

    def rotations(self, rotations: Tensor, skeleton: Skeleton) -> Tensor:
        """Of each joint against its parent [T, J, 3, 3], as `joints` changes."""
        if self.flip:
            side = rotations.new_tensor([-1.0, 1.0, 1.0])
            rotations = (side[:, None] * rotations * side)[:, skeleton.mirror]
        root = torch.arange(len(skeleton.joints))[:, None, None] == skeleton.root
        return torch.where(root, self._turn().to(rotations) @ rotations, rotations)

    def _mirrored(self, joints: Tensor, skeleton: Skeleton) -> Tensor:
        return joints[:, skeleton.mirror] * joints.new_tensor([-1.0, 1.0, 1.0]) if self.flip else joints

    def _turn(self) -> Tensor:
        c, s = np.cos(self.angle), np.sin(self.angle)
        return torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)

    def _linear(self) -> Tensor:
        linear = self.scale * self._turn()[:2, :2]
        return (linear * linear.new_tensor([-1.0 if self.flip else 1.0, 1.0])).float()


def windows(total: int, frames: int, stride: int) -> list[int]:
    """First frames of clips that follow each other without overlap; at least one, which repeats the last frame."""
    return list(range(0, max(total - (frames - 1) * stride, 1), frames * stride)) or [0]


def window(total: int, start: int, frames: int, stride: int) -> Tensor:
    """Numbers [frames + 1] of the frames of a clip and of the one before it, kept within the recording."""
    return (start + stride * torch.arange(-1, frames)).clamp(0, total - 1)


def generator_of(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The randomness of one item, whatever the worker or the order."""
    return np.random.default_rng(np.random.SeedSequence([seed, epoch, index]))


def within(index: int, length: int) -> int:
    """`index` of a dataset of `length`, from the end if negative; IndexError beyond."""
    if not -length <= index < length:
        raise IndexError(f"clip {index} of {length}")
    return index % length
