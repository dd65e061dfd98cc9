"""Training and judging pose: which clips a DataSpec means, one step, and errors in millimetres."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor

from spikereel.body.camera import Camera
from spikereel.body.rotations import sixd_from_matrix
from spikereel.body.skeletons import Skeleton
from spikereel.body.smpl import OBTAIN, SMPL, load_smpl
from spikereel.data.pose import PoseClips, Target
from spikereel.data.sets.figure import FigureClips, FigureReading
from spikereel.data.sets.mmhpsd import MMHPSD, TEST_SUBJECTS, StreamReading, find_streams
from spikereel.data.sets.utd_mhad import OFFICIAL
from spikereel.data.sets.utd_mhad_pose import UTDMHADPose, WindowReading
from spikereel.data.warp import Warping
from spikereel.errors import ConfigError
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.models.base import VideoModel
from spikereel.models.pose_head import Pose, PoseHead
from spikereel.runs.clips import build_loader, leave_one_out
from spikereel.runs.config import DataSpec, OptimSpec, PoseSpec
from spikereel.runs.splits import CHOSEN_BY, root_of
from spikereel.tasks.pose import PoseScore, joints_of, pose_losses
from spikereel.train.module import TrainingModule

Split = Literal["train", "val", "test"]

MEAN_OF = 64
"""Training clips that the mean pose is taken of, spread over all."""

STRIDE = 2
"""data.stride where none is given."""


def build_pose_dataset(spec: DataSpec, split: Split, *, seed: int = 0) -> PoseClips:
    """The clips of a split, items `(video float32 [T, C, S, S], Target)`.

    figure: fresh people for each split. utd_mhad: val is the subject `data.fold`, train the other ones, test all that
    are there; with protocol=official train and test are those of the paper, and val every tenth recording for training
    (the test's with `data.select_on_test`). mmhpsd: val and test are subjects 1, 2, 7.
    Raises ConfigError for data without poses, and options that such data do not have.
    """
    build = {"figure": _figure, "utd_mhad": _utd_mhad, "mmhpsd": _mmhpsd}.get(spec.kind)
    if build is None:
        raise ConfigError(f"data.kind={spec.kind} has no poses; choose figure, utd_mhad or mmhpsd")
    if spec.trails or spec.time_warp:
        raise ConfigError("data.trails and data.time_warp are for actions; a pose sees the frames that it stands in")
    return build(spec, split, seed)


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


class PoseModule(TrainingModule):
    """Batches are `(videos [B, T, C, H, W], Target with [B, T, ...])`."""

    higher_is_better = False

    def __init__(
        self,
        model: VideoModel,
        optim: OptimSpec,
        pose: PoseSpec,
        *,
        skeleton: Skeleton,
        camera: Camera,
        smpl: SMPL | None = None,
        silent_epochs: int = 2,
    ):
        super().__init__(model, optim, silent_epochs=silent_epochs)
        self.pose, self.skeleton, self.camera, self.monitor = pose, skeleton, camera, f"val_{pose.best}"
        # a part of the data and not of the network: it stays out of checkpoints
        self._smpl = [smpl]

    def prepare(self, batch: tuple[Tensor, Target]) -> tuple[Tensor, Target]:
        videos, target = batch
        return videos.transpose(0, 1), _time_first(target)

    def loss(self, output: Pose, target: Target) -> tuple[Tensor, dict[str, Tensor]]:
        parts = pose_losses(
            output, target, weights=self.pose.weights, skeleton=self.skeleton, camera=self.camera, smpl=self._body()
        )
        with torch.no_grad():
            error = (joints_of(output, self._body()) - target["joints"]).norm(dim=-1).mean()
        return torch.stack(list(parts.values())).sum(), {"error_mm": 1000.0 * error}

    def begin_score(self) -> None:
        self.score = PoseScore(self.skeleton)

    def judge(self, batch: tuple[Tensor, Target]) -> None:
        clip, target = self.prepare(batch)
        add_clips(self.score, self.model(clip)[0], target, camera=self.camera, smpl=self._body())

    def figures(self) -> dict[str, float]:
        return {f"val_{name}": value for name, value in self.score.means().items()}

    def _body(self) -> SMPL | None:
        (smpl,) = self._smpl
        return smpl if smpl is None else smpl.to(self.device)


def add_clips(score: PoseScore, output: Pose, target: Target, *, camera: Camera, smpl: SMPL | None) -> None:
    """Count poses [T, B, ...] where the real camera of each clip sees them, against the truth there."""
    joints, points = joints_of(output, smpl).float().cpu(), target["points"].cpu()
    seen = camera.project(joints + output.translation.float().cpu()[..., None, :])
    real = Camera.of_rows(target["camera"].cpu())
    score.add(*(x + real.locate(x, at)[..., None, :] for x, at in ((joints, seen), (target["joints"].cpu(), points))))


@dataclass(frozen=True, kw_only=True)
class PoseEvaluation:
    """Outcome of `evaluate_pose`."""

    score: PoseScore
    clips: int
    rates: FiringRates
    data_hash: str

    def to_json(self) -> dict[str, Any]:
        """Plain types; errors in millimetres."""
        return {**self.score.to_json(), "clips": self.clips, "data_hash": self.data_hash, "firing": self.rates.means()}


def evaluate_pose(
    model: VideoModel,
    dataset: PoseClips,
    spec: DataSpec,
    *,
    batch: int = 16,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> PoseEvaluation:
    """Errors of a model on a dataset of `build_pose_dataset`.

    Raises DataError where the skeleton of the data is not that of the model.
    """
    dataset.skeleton.check(model.config.pose.joints, f"the network {model.metadata.name}")
    smpl = smpl_of(model, spec)
    model = model.to(device).eval()
    score, done = PoseScore(dataset.skeleton), 0
    with torch.inference_mode(), firing_rates(model) as rates:
        for videos, target in build_loader(cast(Any, dataset), spec, batch=batch, shuffle=False):
            output, _ = model(videos.to(device).transpose(0, 1))
            add_clips(score, output, _time_first(target), camera=dataset.camera, smpl=smpl)
            done += len(videos)
            if progress is not None:
                progress(done, len(dataset))
    return PoseEvaluation(score=score, clips=done, rates=rates, data_hash=dataset.fingerprint())


def form_of(spec: DataSpec) -> Literal["plain", "motion", "events"]:
    """What the network sees of the pictures; see `data.pose.channels`."""
    if spec.modality == "events":
        return "events"
    return "motion" if spec.depth_motion else "plain"


def _time_first(target: Target) -> Target:
    """From [B, T, ...] to [T, B, ...]."""
    return {name: x.transpose(0, 1) for name, x in target.items()}


def _as_output(target: Target) -> dict[str, Tensor]:
    """A target in the numbers that a network gives; of rotations, whose axes are averaged, the mean is no rotation, but
    `matrix_from_6d` makes it one."""
    rotations = {"rotations": sixd_from_matrix(target["rotations"])} if "rotations" in target else {}
    return target | rotations


def _figure(spec: DataSpec, split: Split, seed: int) -> PoseClips:
    if spec.modality not in ("depth", "grey", "events"):
        raise ConfigError(f"data.modality is {spec.modality}: the figure is seen in depth, grey or events")
    reading = FigureReading(
        frames=spec.frames,
        stride=spec.stride or STRIDE,
        size=spec.size,
        view="depth" if spec.modality == "depth" else "grey",
        form=form_of(spec),
        seed=spec.seed + 3 * seed + ("train", "val", "test").index(split),
    )
    return FigureClips(spec.train_length if split == "train" else spec.test_length, reading, motions=spec.root)


def _utd_mhad(spec: DataSpec, split: Split, seed: int) -> PoseClips:
    root = root_of(spec)
    if spec.modality not in ("depth", "events"):
        raise ConfigError(f"data.modality is {spec.modality}: utd_mhad has depth, and events simulated from it")
    reading = WindowReading(
        frames=spec.frames,
        size=spec.size,
        stride=spec.stride or STRIDE,
        form=form_of(spec),
        train=split == "train",
        warping=replace(_warping(spec), metric=True),
        seed=seed,
    )
    if spec.protocol == "official":
        if split == "test" or (split == "val" and spec.select_on_test):
            return UTDMHADPose(root, reading, subjects=OFFICIAL["test"])

        def keep(number: int) -> bool:
            to_choose_by = number % CHOSEN_BY == 0 and not spec.select_on_test
            return to_choose_by == (split == "val")

        return UTDMHADPose(root, reading, subjects=OFFICIAL["train"], keep=keep)
    if split == "test":
        return UTDMHADPose(root, reading)
    return UTDMHADPose(root, reading, subjects=leave_one_out(spec, split))


def _mmhpsd(spec: DataSpec, split: Split, seed: int) -> PoseClips:
    root = root_of(spec)
    if spec.modality not in ("events", "grey"):
        raise ConfigError(f"data.modality is {spec.modality}: mmhpsd has events and grey")
    if spec.depth_motion:
        raise ConfigError("data.depth_motion is for utd_mhad and the figure; of mmhpsd leave it false")
    reading = StreamReading(
        frames=spec.frames,
        size=spec.size,
        form=spec.modality,
        train=split == "train",
        warping=_warping(spec),
        seed=seed,
    )
    subjects = {subject for _, subject in find_streams(root)}
    return MMHPSD(root, reading, subjects=subjects - set(TEST_SUBJECTS) if split == "train" else TEST_SUBJECTS)


def _warping(spec: DataSpec) -> Warping:
    return Warping(rotate=spec.rotate, zoom=spec.zoom, shift=spec.shift / spec.size, flip=0.5 if spec.flip else 0.0)
