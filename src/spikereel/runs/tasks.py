"""The tasks: one row each, which says what is asked of a model and how it is judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from spikereel.models.base import VideoModel
from spikereel.runs.classification import ClassificationJudge, ClassificationObjective
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import Recipe
from spikereel.runs.data import DataSpec
from spikereel.runs.distill import Teacher
from spikereel.runs.objective import Judge, Objective
from spikereel.runs.pose import PoseJudge, PoseObjective, smpl_of, start_at_mean
from spikereel.runs.segmentation import SegmentationJudge, SegmentationObjective, class_weights


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """What a task asks of data and models."""

    unit: str
    """Of the figure that the best weights are chosen by."""
    model_fields: Callable[[Any], dict[str, Any]]
    """What the clips settle of a model, as `create_model` takes it."""
    objective: Callable[[Recipe, VideoModel, Any], Objective]
    """The loss on training clips; may set up the head first."""
    judge: Callable[[VideoModel, Any, DataSpec], Judge]
    """Raises DataError where the data does not fit the model."""
    blank: Callable[[Any, int, tuple[int, int]], Any]
    """A target of that many frames and that size, for data with those classes or that skeleton; of random numbers."""
    plain: Callable[[DataSpec], DataSpec] | None = None
    """The clips that the statistics of norms are taken of; None for those that are trained on."""
    views: bool = False
    """Whether a video may be judged in several views."""


def _class_objective(recipe: Recipe, model: VideoModel, clips: Any) -> Objective:
    classes, channels, teacher = tuple(clips.classes), model.config.in_channels, None
    if recipe.distill.weights:
        teacher = Teacher(recipe.distill, classes=classes, channels=channels)
    return ClassificationObjective(recipe.optim, classes=len(classes), teacher=teacher)


def _pose_objective(recipe: Recipe, model: VideoModel, clips: Any) -> Objective:
    start_at_mean(model, clips)
    smpl = smpl_of(model, recipe.data)
    return PoseObjective(recipe.optim, recipe.pose, skeleton=clips.skeleton, camera=clips.camera, smpl=smpl)


def _segmentation_objective(recipe: Recipe, model: VideoModel, clips: Any) -> Objective:
    weights = class_weights(clips, recipe.segmentation.balance)
    return SegmentationObjective(recipe.optim, recipe.segmentation, classes=tuple(clips.classes), weights=weights)


def _blank_pose(clips: Any, frames: int, size: tuple[int, int]) -> Any:
    joints = torch.rand(frames, len(clips.skeleton.joints), 3)
    return {"joints": joints, "translation": joints[:, 0] + 3.0, "points": joints[..., :2]}


def _unchanged(spec: DataSpec) -> DataSpec:
    """Frames whole, or in boxes like the windows they are judged in, and not changed: statistics after an attention go
    with the number of tokens, so that those of a crop do not serve a whole frame."""
    return replace(spec, crop=spec.window, scale=(1.0, 1.0), flip=False, jitter=0.0, gamma=0.0)


TASKS: dict[str, TaskRow] = {
    "classification": TaskRow(
        unit="%",
        model_fields=lambda clips: {"num_classes": len(clips.classes)},
        objective=_class_objective,
        judge=lambda model, clips, spec: ClassificationJudge(model, tuple(clips.classes), spec),
        blank=lambda clips, frames, size: 0,
        views=True,
    ),
    "pose": TaskRow(
        unit="mm",
        model_fields=lambda clips: {"task": "pose", "joints": len(clips.skeleton.joints)},
        objective=_pose_objective,
        judge=PoseJudge,
        blank=_blank_pose,
    ),
    "segmentation": TaskRow(
        unit="%",
        model_fields=lambda clips: {"task": "segmentation", "num_classes": len(clips.classes)},
        objective=_segmentation_objective,
        judge=SegmentationJudge,
        blank=lambda clips, frames, size: torch.randint(len(clips.classes), (frames, *size)),
        plain=_unchanged,
    ),
}
"""By `task`."""


def norm_clips(task: Any, spec: DataSpec, *, seed: int = 0, classes: tuple[str, ...] | None = None) -> Any:
    """Training clips of a task as statistics of norms are taken of them; arguments as of `build_dataset`."""
    plain = TASKS[task].plain
    return build_dataset(plain(spec) if plain else spec, "train", task=task, seed=seed, classes=classes)
