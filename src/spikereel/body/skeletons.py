"""Skeletons: names of joints, who hangs on whom, and where the pelvis is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from spikereel.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A table of joints. Names of pairs begin with left_ and right_."""

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the one root."""
    hips: tuple[int, int]
    """The two joints whose middle is the pelvis."""

    def __post_init__(self) -> None:
        if len(self.joints) != len(self.parents) or list(self.parents).count(-1) != 1:
            raise ConfigError(f"skeleton {self.name!r}: needs one parent a joint, -1 for the root alone")

    @property
    def root(self) -> int:
        """The joint that has no parent."""
        return self.parents.index(-1)

    @property
    def bones(self) -> list[tuple[int, int]]:
        """(parent, child) of every joint but the root."""
        return [(parent, child) for child, parent in enumerate(self.parents) if parent >= 0]

    @cached_property
    def mirror(self) -> list[int]:
        """For each joint that of the other side, itself in the middle."""
        swap = {"left_": "right_", "right_": "left_"}
        other = [
            next((new + n.removeprefix(old) for old, new in swap.items() if n.startswith(old)), n) for n in self.joints
        ]
        return [self.joints.index(name) for name in other]

    def check(self, joints: int, where: str) -> None:
        """DataError unless there are as many joints as here."""
        if joints != len(self.joints):
            raise DataError(
                f"{where}: has {joints} joints, the skeleton {self.name!r} {len(self.joints)}; name the one that fits: "
                f"{', '.join(f'{s.name} ({len(s.joints)})' for s in SKELETONS.values())}"
            )


def _sides(middle: Sequence[str], paired: Sequence[str], together: bool) -> tuple[str, ...]:
    """Names with both sides of each pair, side by side or one side after the other."""
    if together:
        return (*middle, *(f"{side}_{name}" for name in paired for side in ("left", "right")))
    return (*middle, *(f"{side}_{name}" for side in ("left", "right") for name in paired))


SMPL24 = Skeleton(
    name="smpl24",
    joints=(
        "pelvis",
        "left_hip",
        "right_hip",
        "spine1",
        "left_knee",
        "right_knee",
        "spine2",
        "left_ankle",
        "right_ankle",
        "spine3",
        "left_foot",
        "right_foot",
        "neck",
        "left_collar",
        "right_collar",
        "head",
        *_sides((), ("shoulder", "elbow", "wrist", "hand"), together=True),
    ),
    parents=(-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
    hips=(1, 2),
)
"""The joints of SMPL (Loper et al. 2015), in its order."""

KINECT20 = Skeleton(
    name="kinect20",
    joints=(
        *_sides(("head", "shoulder_center", "spine", "hip_center"), ("shoulder", "elbow", "wrist", "hand"), False),
        *_sides((), ("hip", "knee", "ankle", "foot"), False),
    ),
    parents=(1, 2, 3, -1, 1, 4, 5, 6, 1, 8, 9, 10, 3, 12, 13, 14, 3, 16, 17, 18),
    hips=(12, 16),
)
"""The joints of the first Kinect, in the order of UTD-MHAD."""

SKELETONS = {skeleton.name: skeleton for skeleton in (SMPL24, KINECT20)}
