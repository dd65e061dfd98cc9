"""Training and judging pose: losses of joints or of a body, and errors in millimetres."""

from typing import Any, cast

import torch
from torch import Tensor

from spikereel.body.camera import Camera
from spikereel.body.rotations import sixd_from_matrix
from spikereel.body.skeletons import Skeleton
from spikereel.body.smpl import OBTAIN, SMPL, load_smpl
from spikereel.data.pose import PoseClips, Target
from spikereel.errors import ConfigError
from spikereel.models.base import VideoModel
from spikereel.models.pose_head import Pose, PoseHead
from spikereel.runs.config import OptimSpec, PoseSpec
from spikereel.runs.data import DataSpec
from spikereel.runs.kinds import step_of
from spikereel.runs.objective import Objective
from spikereel.runs.windows import Window
from spikereel.tasks.pose import PoseScore, joints_of, pose_losses

MEAN_OF = 64
"""Training clips that the mean pose is taken of, spread over all."""


def smpl_of(model: VideoModel, spec: DataSpec) -> SMPL | None:
    """The body model that the output of `model` needs, None for joints; ConfigError where data.smpl names none."""
    if model.config.pose.body == "joints":
        return None
    if spec.smpl is None:
        raise ConfigError(f"model.body=smpl needs data.smpl=FILE, the body model: {OBTAIN}")
    return load_smpl(spec.smpl)


def start_at_mean(model: VideoModel, data: PoseClips) -> None:
    """Let the regressor begin at the mean pose of the data."""
    head = cast(PoseHead, model.head)
    chosen = torch.linspace(0, len(data) - 1, min(MEAN_OF, len(data))).round().long().tolist()
    targets = [_as_output(data[i][1]) for i in chosen]
    absent = head.config.parts.keys() - targets[0].keys()
    if absent:
        raise ConfigError(f"model.body={head.config.body} needs {', '.join(sorted(absent))}, which this data lacks")
    head.start_from(**{name: torch.cat([x[name] for x in targets]).mean(0) for name in head.config.parts})


class PoseObjective(Objective):
    """Batches are `(videos [B, T, C, H, W], Target with [B, T, ...])`."""

    higher_is_better = False

    def __init__(
        self, optim: OptimSpec, pose: PoseSpec, *, skeleton: Skeleton, camera: Camera, smpl: SMPL | None = None
    ):
        super().__init__("pose", optim)
        self.pose, self.skeleton, self.camera, self.monitor = pose, skeleton, camera, f"val_{pose.best}"
        # a part of the data and not of the network: it stays out of checkpoints
        self._smpl = [smpl]

    def prepare(self, batch: tuple[Tensor, Target]) -> tuple[Tensor, Target]:
        videos, target = batch
        return videos.transpose(0, 1), _time_first(target)

    def loss(self, output: Pose, target: Target) -> tuple[Tensor, dict[str, Tensor]]:
        smpl = self._body(target)
        parts = pose_losses(
            output, target, weights=self.pose.weights, skeleton=self.skeleton, camera=self.camera, smpl=smpl
        )
        with torch.no_grad():
            error = (joints_of(output, smpl) - target["joints"]).norm(dim=-1).mean()
        return torch.stack(list(parts.values())).sum(), {"error_mm": 1000.0 * error}

    def window_loss(self, output: Pose, target: Target, window: Window) -> tuple[Tensor, dict[str, Tensor]]:
        loss, figures = self.loss(output, {name: x[window.frames] for name, x in target.items()})
        return window.share * loss, figures

    def begin_score(self) -> None:
        self.score = PoseScore(self.skeleton)

    def judge(self, model: VideoModel, batch: tuple[Tensor, Target]) -> None:
        clip, target = self.prepare(batch)
        add_clips(self.score, model(clip)[0], target, camera=self.camera, smpl=self._body(target))

    def figures(self) -> dict[str, float]:
        return {f"val_{name}": value for name, value in self.score.means().items()}

    def _body(self, target: Target) -> SMPL | None:
        (smpl,) = self._smpl
        return smpl if smpl is None else smpl.to(target["joints"].device)


class PoseJudge:
    """Errors of joints; raises DataError where the skeleton of the data is not that of the model."""

    views = 1

    def __init__(self, model: VideoModel, dataset: PoseClips, spec: DataSpec):
        dataset.skeleton.check(model.config.pose.joints, f"the network {model.metadata.name}")
        self.model, self.smpl, self.camera = model, smpl_of(model, spec), dataset.camera
        self.score, self.step = PoseScore(dataset.skeleton), step_of(spec)

    def add(self, videos: Tensor, target: Target) -> None:
        """Count a batch."""
        output, _ = self.model(videos.transpose(0, 1))
        add_clips(self.score, output, _time_first(target), camera=self.camera, smpl=self.smpl)

    def figures(self) -> dict[str, Any]:
        """Millimetres, but where the name says otherwise.

        The acceleration is that from one frame of the clip to the next, `step_frames` of the video apart;
        `acceleration_per_frame` is its share for one frame of the video.
        """
        figures = self.score.to_json()
        each = figures["acceleration"] / self.step**2 if "acceleration" in figures else None
        return {**figures, "step_frames": self.step, "acceleration_per_frame": each}


def add_clips(score: PoseScore, output: Pose, target: Target, *, camera: Camera, smpl: SMPL | None) -> None:
    """Count poses [T, B, ...] where the real camera of each clip sees them, against the truth there."""
    joints, points = joints_of(output, smpl).float().cpu(), target["points"].cpu()
    seen = camera.project(joints + output.translation.float().cpu()[..., None, :])
    real = Camera.of_rows(target["camera"].cpu())
    placed = (x + real.locate(x, at)[..., None, :] for x, at in ((joints, seen), (target["joints"].cpu(), points)))
    judged = target["judged"].cpu() > 0 if "judged" in target else None
    score.add(*placed, judged)


def _time_first(target: Target) -> Target:
    """From [B, T, ...] to [T, B, ...]."""
    return {name: x.transpose(0, 1) for name, x in target.items()}


def _as_output(target: Target) -> dict[str, Tensor]:
    """A target in the numbers that a network gives; of rotations, whose axes are averaged, the mean is no rotation, but
    `matrix_from_6d` makes it one."""
    rotations = {"rotations": sixd_from_matrix(target["rotations"])} if "rotations" in target else {}
    return target | rotations
