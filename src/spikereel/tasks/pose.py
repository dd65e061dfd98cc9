"""Human pose: losses on rotations, joints and their projections; errors in millimetres. See docs/pose.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spikereel.body.camera import Camera
from spikereel.body.rotations import geodesic, matrix_from_6d
from spikereel.body.skeletons import Skeleton
from spikereel.body.smpl import OBTAIN, SMPL
from spikereel.errors import ConfigError, DataError
from spikereel.models.pose_head import BodyPose, JointPose, Pose

PCK_MM = 100.0
"""A joint nearer than this to where it should be, pelvis on pelvis, is correct."""

_APART = 1e-6
"""Metres, so that the distance of a joint that is right has a gradient."""


@dataclass(frozen=True, kw_only=True)
class PoseWeights:
    """Weights of the parts of the loss; those of the paper's predecessor. 0 leaves a part out."""

    joints: float = 1.0
    """Squared error of the joints around the root, metres."""
    distance: float = 0.0
    """Distance of the joints around the root from where they should be, metres: what mpjpe is the mean of."""
    translation: float = 50.0
    """Squared error of the root, metres."""
    points: float = 10.0
    """Squared error of the joints in the picture, in shares of it, kept within it."""
    rotation: float = 10.0
    """SMPL: angle between rotations, radians."""
    shape: float = 1.0
    """SMPL: squared error of the shape."""
    bone: float = 0.0
    """Squared error of the lengths of the bones, metres."""
    velocity: float = 0.0
    """Squared error of the way that joints go from frame to frame, metres."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0.0:
                raise ConfigError(f"weight of {name} must not be below 0, got {value}")


def joints_of(output: Pose, smpl: SMPL | None = None) -> Float[Tensor, "T B J 3"]:
    """Joints of a pose around its translation. Raises ConfigError for parameters of SMPL without the body model."""
    if isinstance(output, JointPose):
        return output.joints
    if smpl is None:
        raise ConfigError(f"this pose is in parameters of SMPL, whose model file gives its joints: {OBTAIN}")
    return smpl(matrix_from_6d(output.rotations), output.shape, torch.zeros_like(output.translation))


def pose_losses(
    output: Pose,
    target: Mapping[str, Tensor],
    *,
    weights: PoseWeights,
    skeleton: Skeleton,
    camera: Camera,
    smpl: SMPL | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """The weighted parts of the loss in float32, by name; their sum is what is trained on.

    target, all [T, B, ...]: "joints" [J, 3] around the translation and "translation" [3], metres; "points" [J, 2],
    where `camera` sees the joints; for SMPL "rotations" [J, 3, 3] and "shape" [S] as well.
    """
    output = type(output)(*(part.float() for part in output))
    joints, where = joints_of(output, smpl), output.translation
    parts = {
        "joints": lambda: F.mse_loss(joints, target["joints"]),
        "distance": lambda: (joints - target["joints"] + _APART).norm(dim=-1).mean(),
        "translation": lambda: F.mse_loss(where, target["translation"]),
        "points": lambda: F.mse_loss(
            camera.project(joints + where[..., None, :]).clamp(0, 1), target["points"].clamp(0, 1)
        ),
        "bone": lambda: F.mse_loss(_lengths(joints, skeleton), _lengths(target["joints"], skeleton)),
        "velocity": lambda: _velocity_loss(joints, target["joints"]),
    }
    if isinstance(output, BodyPose):
        parts["rotation"] = lambda: geodesic(matrix_from_6d(output.rotations), target["rotations"]).mean()
        parts["shape"] = lambda: F.mse_loss(output.shape, target["shape"])
    return {name: getattr(weights, name) * loss() for name, loss in parts.items() if getattr(weights, name)}


def procrustes(joints: Float[Tensor, "*n J 3"], target: Float[Tensor, "*n J 3"]) -> Float[Tensor, "*n J 3"]:
    """Joints after the similarity (scale, rotation without mirroring, translation) that brings them nearest to target.

    Umeyama 1991: with the SVD U S V^T of target^T joints, both around their means, R = U D V^T, D = diag(1, 1, det),
    scale = tr(S D) / |joints|^2.
    """
    x, y = joints - joints.mean(-2, keepdim=True), target - target.mean(-2, keepdim=True)
    u, s, vt = torch.linalg.svd(y.mT @ x)
    sign = torch.ones_like(s)
    sign[..., 2] = torch.linalg.det(u @ vt).sign()
    rotation = (u * sign[..., None, :]) @ vt
    size = x.square().sum((-2, -1)).clamp_min(torch.finfo(x.dtype).tiny)
    scale = ((s * sign).sum(-1) / size)[..., None, None]
    return scale * (x @ rotation.mT) + target.mean(-2, keepdim=True)


@dataclass
class PoseScore:
    """Errors over a test set, millimetres; clips are counted frame by frame."""

    skeleton: Skeleton
    frames: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    """float64 [J] by name of the error."""
    steps: int = 0
    """Frames with two before them in their clip, for the acceleration."""

    def add(
        self,
        joints: Float[Tensor, "T B J 3"],
        target: Float[Tensor, "T B J 3"],
        judged: Bool[Tensor, "T B"] | None = None,
    ) -> None:
        """Count a batch of clips: where the joints are in front of the camera, metres.

        judged: the frames that count, all unless given. An acceleration, of three frames of a clip, counts with the
        last of them.
        """
        x, y = (1000.0 * z.detach().cpu().double() for z in (joints, target))
        judged = torch.ones(x.shape[:2], dtype=torch.bool) if judged is None else judged.cpu()
        self.skeleton.check(y.shape[2], "the target")
        if x.shape != y.shape:
            raise DataError(
                f"the network gives joints {list(x.shape)}, the data has {list(y.shape)}; name the skeleton"
            )
        if not torch.isfinite(y).all():
            raise DataError("a joint of the target is NaN or infinite; leave that clip out")
        if not torch.isfinite(x).all():
            raise DataError("a joint that the network gives is not finite: such a network predicts nothing")
        around_pelvis = x - self._pelvis(x), y - self._pelvis(y)
        root = self.skeleton.root
        self._count("mpjpe", _distance(x, y)[judged])
        self._count("root_mpjpe", _distance(x - x[..., [root], :], y - y[..., [root], :])[judged])
        self._count("pel_mpjpe", _distance(*around_pelvis)[judged])
        self._count("pa_mpjpe", _distance(procrustes(x, y), y)[judged])
        self._count("pck", 100.0 * (_distance(*around_pelvis) <= PCK_MM).double()[judged])
        self.frames += int(judged.sum())
        if steps := int(judged[2:].sum()):
            self._count("acceleration", _distance(*(z.diff(n=2, dim=0) for z in around_pelvis))[judged[2:]])
            self.steps += steps

    def per_joint(self) -> dict[str, dict[str, float]]:
        """{error: {joint: mean}}: millimetres, "pck" per cent, "acceleration" millimetres a step squared."""
        counts = {name: self.steps if name == "acceleration" else self.frames for name in self.sums}
        return {
            name: dict(zip(self.skeleton.joints, (sums / counts[name]).tolist(), strict=True))
            for name, sums in self.sums.items()
        }

    def means(self) -> dict[str, float]:
        """{error: mean over joints}, in the units of `per_joint`."""
        return {name: sum(row.values()) / len(row) for name, row in self.per_joint().items()}

    def to_json(self) -> dict[str, Any]:
        """Plain types: the means, frames counted, once each, and the table of joints."""
        return {
            **self.means(),
            "unit": "mm",
            "acceleration_unit": "mm a step of the clip squared",
            "pck_threshold_mm": PCK_MM,
            "frames": self.frames,
            "acceleration_frames": self.steps,
            "skeleton": self.skeleton.name,
            "per_joint": self.per_joint(),
        }

    def _pelvis(self, x: Tensor) -> Tensor:
        return x[..., list(self.skeleton.hips), :].mean(-2, keepdim=True)

    def _count(self, name: str, errors: Tensor) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + errors.sum(0)


def _distance(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).norm(dim=-1)


def _lengths(joints: Tensor, skeleton: Skeleton) -> Tensor:
    parents, children = zip(*skeleton.bones, strict=True)
    return (joints[..., list(children), :] - joints[..., list(parents), :]).norm(dim=-1)


def _velocity_loss(joints: Tensor, target: Tensor) -> Tensor:
    if len(joints) < 2:
        return joints.new_zeros(())
    return F.mse_loss(joints.diff(dim=0), target.diff(dim=0))
