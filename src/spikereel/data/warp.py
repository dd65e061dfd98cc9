"""Random changes of clips with poses that keep picture and pose consistent."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.body.skeletons import Skeleton
from spikereel.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Warping:
    """Random changes of a clip: ranges of what `draw` draws, by the distributions of HumanPoseTracking_SNN, the
    predecessor of SpikeVideoFormer."""

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
        # The grid goes the other way, from each new pixel to the one it is taken from, with the middle at 0.
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
