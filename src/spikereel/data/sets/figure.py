"""Clips of the articulated figure with exact joints: the default data of pose."""

import hashlib
import json
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikereel.body.camera import STANDARD
from spikereel.body.skeletons import KINECT20
from spikereel.data.clips import SeededClips
from spikereel.data.made.people import draw_look, draw_motion, read_motions, render, shade
from spikereel.data.pose import Target, channels, target_of
from spikereel.data.sets.utd_mhad import depth_values
from spikereel.errors import ConfigError

# Part of the fingerprint: raise it whenever the same (seed, index) gives other pixels.
_CONTENT_VERSION = 1
_SOLE = 0.05
"""Metres from the joint of a foot to the ground."""


@dataclass(frozen=True, kw_only=True)
class FigureReading:
    """How the figure becomes clips. Raises ConfigError for numbers out of range."""

    frames: int
    """Frames of a clip, T."""
    stride: int = 2
    """Thirtieths of a second from frame to frame."""
    size: int = 64
    """Side of the picture in pixels."""
    view: Literal["grey", "depth"] = "depth"
    form: Literal["plain", "motion", "events"] = "motion"
    """What a network sees, see `pose.channels`."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames, self.stride, self.size) < 1 or self.seed < 0:
            raise ConfigError(f"{self}: frames, stride and size are at least 1, seed not below 0")


class FigureClips(SeededClips[Target]):
    """`length` clips of a figure, every one of another person: items `(video float32 [T, C, S, S], Target)`.

    It walks, gestures or squats, or does what the motion files of the folder `motions` (BVH) say. Every item is random,
    see `SeededClips`; the skeleton is KINECT20.
    """

    skeleton, camera = KINECT20, STANDARD

    def __init__(self, length: int, reading: FigureReading, *, motions: str | PathLike | None = None):
        super().__init__(reading.seed)
        if length < 1:
            raise ConfigError(f"a data set of {length} clips has nothing in it; at least 1")
        self.length, self.reading, self.folder = length, reading, motions
        self.simulated = reading.form == "events"
        self._motions = None if motions is None else read_motions(Path(motions))

    def __len__(self) -> int:
        return self.length

    def item(self, index: int) -> tuple[Tensor, Target]:
        """A clip, made from nothing but numbers."""
        how, rng = self.reading, self.random(index)
        joints = self._draw(rng)
        # Everybody stands on the ground, before a camera that shows most of the person.
        feet = joints[:, [KINECT20.joints.index("left_foot"), KINECT20.joints.index("right_foot")], 1]
        where = np.array([rng.uniform(-0.25, 0.25), rng.uniform(0.75, 1.0), rng.uniform(2.9, 4.0)])
        steps = np.arange(len(joints))[:, None] * rng.normal(0, 0.01, 3) * (1.0, 0.0, 1.0)
        steps[:, 1] -= feet.max(1) + _SOLE
        joints = (joints + (where + steps)[:, None]).astype(np.float32)
        look = draw_look(rng, how.size)
        depth, normals = render(joints, STANDARD, how.size)
        pictures = depth_picture(depth) if how.view == "depth" else shade(depth, normals, look)
        video = channels(torch.from_numpy(pictures)[:, None], how.form)
        seen = torch.from_numpy(joints[1:])
        around = seen - seen[:, [KINECT20.root]]
        return video, target_of(around, STANDARD.project(seen), camera=STANDARD, real=STANDARD)

    def fingerprint(self) -> str:
        """sha256 (hex) of the options and of the names of motion files."""
        names = [] if self.folder is None else sorted(p.name for p in Path(self.folder).glob("*.bvh"))
        content = [_CONTENT_VERSION, self.length, asdict(self.reading), names]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        """Joints [T + 1, 20, 3] around the root."""
        how = self.reading
        total = how.frames * how.stride + 1
        if self._motions is None:
            return draw_motion(rng, total)[:: how.stride]
        motion = self._motions[rng.integers(len(self._motions))]
        start = rng.integers(max(len(motion) - total, 0) + 1)
        joints = motion[(start + np.arange(0, total, how.stride)).clip(0, len(motion) - 1)]
        angle = rng.uniform(-np.pi, np.pi)
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        return joints @ turn.T * rng.uniform(0.9, 1.1)


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Depth float32 [T, S, S] metres, infinite for background, to pictures in [0, 1] as of UTD-MHAD."""
    person = np.isfinite(depth)
    return depth_values(np.where(person, 1000.0 * depth, 0.0), person)
