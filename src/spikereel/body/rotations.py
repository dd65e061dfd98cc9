"""Rotations as matrices, as 6 numbers and as axis and angle; and what they do along a kinematic tree."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_SMALLEST_COSINE_GAP = 1e-6
"""Keeps the gradient of arccos finite at equal and at opposite rotations."""


def matrix_from_6d(x: Tensor) -> Tensor:
    """[..., 6] -> rotation matrices [..., 3, 3].

    The first three numbers are the x axis, the next three a raw y: z = x cross y, y = z cross x, all of unit length, as
    columns (Zhou et al. 2019).
    """
    first = F.normalize(x[..., :3], dim=-1)
    third = F.normalize(torch.linalg.cross(first, x[..., 3:]), dim=-1)
    return torch.stack([first, torch.linalg.cross(third, first), third], dim=-1)


def sixd_from_matrix(matrix: Tensor) -> Tensor:
    """[..., 3, 3] -> [..., 6]: the first two columns, which `matrix_from_6d` takes back."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], dim=-1)


def matrix_from_axis_angle(vector: Tensor) -> Tensor:
    """Axis times angle in radians, [..., 3] -> [..., 3, 3]."""
    x, y, z = vector.unbind(-1)
    o = torch.zeros_like(x)
    return torch.linalg.matrix_exp(torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3)))


def geodesic(a: Tensor, b: Tensor) -> Tensor:
    """Angle in radians between rotations [..., 3, 3]: arccos((tr(a^T b) - 1) / 2), at least 0.0014."""
    cosine = ((a * b).sum((-2, -1)) - 1.0) / 2.0
    return torch.arccos(cosine.clamp(_SMALLEST_COSINE_GAP - 1.0, 1.0 - _SMALLEST_COSINE_GAP))


def from_the_root(parents: Sequence[int]) -> list[int]:
    """All joints, parents before children; -1 is the parent of a root."""
    done: list[int] = []
    while len(done) < len(parents):
        done += [j for j, parent in enumerate(parents) if j not in done and parent in (-1, *done)]
    return done


def forward_kinematics(rotations: Tensor, offsets: Tensor, parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Orientations [..., J, 3, 3] and positions [..., J, 3] of all joints in the frame of the root's parent.

    rotations [..., J, 3, 3]: of each joint against its parent. offsets [..., J, 3]: of each joint from its parent, in
    the parent's frame; that of a root (parent -1) is where it is.
    """
    turned: dict[int, Tensor] = {}
    placed: dict[int, Tensor] = {}
    for j in from_the_root(parents):
        own, offset, parent = rotations[..., j, :, :], offsets[..., j, :], parents[j]
        if parent < 0:
            turned[j], placed[j] = own, offset.expand(own.shape[:-1])
        else:
            turned[j] = turned[parent] @ own
            placed[j] = placed[parent] + (turned[parent] @ offset[..., None])[..., 0]
    joints = range(len(parents))
    return torch.stack([turned[j] for j in joints], dim=-3), torch.stack([placed[j] for j in joints], dim=-2)
