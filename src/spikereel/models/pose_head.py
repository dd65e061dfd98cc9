"""What a backbone's features are turned into, by task."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from spikereel.errors import ConfigError

Body = Literal["joints", "smpl"]
Regressor = Literal["iterative", "linear"]

SMPL_JOINTS, SMPL_SHAPES = 24, 10
START_DISTANCE = 3.0
"""Metres from the camera that an untrained network guesses."""


@dataclass(frozen=True, kw_only=True)
class PoseConfig:
    """task="pose" only: what is regressed at every time step, and how."""

    body: Body = "joints"
    """joints: 3D joints around the root, and where the root is; smpl: rotations, shape and translation of SMPL."""
    joints: int = SMPL_JOINTS
    """Joints of the skeleton; smpl has 24."""
    regressor: Regressor = "iterative"
    """iterative: three linear layers that see the estimate and correct it; linear: one layer for each part."""
    iterations: int = 3
    hidden: int | None = None
    """Width of the iterative regressor; None takes that of the features."""
    dropout: float = 0.5
    """In the iterative regressor."""

    def __post_init__(self) -> None:
        if self.body == "smpl" and self.joints != SMPL_JOINTS:
            raise ConfigError(
                f"joints is {self.joints}: SMPL has {SMPL_JOINTS} joints; use body='joints' for another skeleton"
            )
        if self.joints < 2:
            raise ConfigError(f"joints must be at least 2, got {self.joints}")
        if self.iterations < 1 or (self.hidden is not None and self.hidden < 1):
            raise ConfigError(f"iterations and hidden must be at least 1, got {self.iterations} and {self.hidden}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must lie in [0, 1), got {self.dropout}")

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """Shape of each output at one time step."""
        if self.body == "smpl":
            return {"rotations": (SMPL_JOINTS, 6), "shape": (SMPL_SHAPES,), "translation": (3,)}
        return {"joints": (self.joints, 3), "translation": (3,)}


class JointPose(NamedTuple):
    """Output of body="joints", metres in the frame of the camera (x right, y down, z away)."""

    joints: Float[Tensor, "T B J 3"]
    """Around the root."""
    translation: Float[Tensor, "T B 3"]
    """Where the root is."""


class BodyPose(NamedTuple):
    """Output of body="smpl": the parameters of SMPL (`spikereel.body.smpl`)."""

    rotations: Float[Tensor, "T B J 6"]
    """Of each joint against its parent, the first two axes of a rotation (`matrix_from_6d`)."""
    shape: Float[Tensor, "T B S"]
    translation: Float[Tensor, "T B 3"]
    """Metres in the frame of the camera (x right, y down, z away)."""


Pose = JointPose | BodyPose

# torch.export.save writes what an output is made of
pytree._register_namedtuple(JointPose, serialized_type_name="spikereel.JointPose")
pytree._register_namedtuple(BodyPose, serialized_type_name="spikereel.BodyPose")


class PoseHead(nn.Module):
    """Regressor from the features of every time step to a pose: `pose = head(features)`.

    Iterative: h = W2 (W1 [x, estimate]), estimate += W3 h, as in HMR (Kanazawa et al. 2018), VIBE and GLoT; there is
    no non-linearity in it. Linear: estimate = W3 x, as in the paper's predecessor.
    Both begin at `start`, an ordinary buffer: training puts the mean pose there.
    """

    start: Tensor

    def __init__(self, dim: int, config: PoseConfig):
        super().__init__()
        self.config = config
        sizes = {name: torch.Size(shape).numel() for name, shape in config.parts.items()}
        self.register_buffer("start", _start(config))
        width = dim
        if config.regressor == "iterative":
            width = config.hidden or dim
            self.fc1 = nn.Linear(dim + sum(sizes.values()), width)
            self.fc2 = nn.Linear(width, width)
            self.drop = nn.Dropout(config.dropout)
        self.out = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})
        for layer in self.out.values():
            nn.init.xavier_uniform_(layer.get_parameter("weight"), gain=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, x: Float[Tensor, "T B D"]) -> Pose:
        """The pose at every time step."""
        estimate = self.start.expand(*x.shape[:2], -1)
        if self.config.regressor == "linear":
            estimate = estimate + self._change(x)
        else:
            for _ in range(self.config.iterations):
                h = self.drop(self.fc1(torch.cat([x, estimate], dim=-1)))
                estimate = estimate + self._change(self.drop(self.fc2(h)))
        shapes = self.config.parts
        parts = estimate.split([torch.Size(shape).numel() for shape in shapes.values()], dim=-1)
        fields = {name: part.unflatten(-1, shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        return BodyPose(**fields) if self.config.body == "smpl" else JointPose(**fields)

    def start_from(self, **parts: Tensor) -> None:
        """Put a mean pose, one tensor for each part of the output, where the regressor begins."""
        values = [parts[name].reshape(torch.Size(shape).numel()) for name, shape in self.config.parts.items()]
        self.start.copy_(torch.cat(values))

    def _change(self, h: Tensor) -> Tensor:
        return torch.cat([layer(h) for layer in self.out.values()], dim=-1)


def _start(config: PoseConfig) -> Tensor:
    """No rotation, mean shape, all joints in one point, in front of the camera."""
    far = torch.tensor([0.0, 0.0, START_DISTANCE])
    if config.body == "smpl":
        identity = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).repeat(SMPL_JOINTS)
        return torch.cat([identity, torch.zeros(SMPL_SHAPES), far])
    return torch.cat([torch.zeros(3 * config.joints), far])
