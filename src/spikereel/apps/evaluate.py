"""`spikereel evaluate`: trained weights on clips they never saw, in several views and in a single one."""

import dataclasses
from typing import Any

from rich.console import Console
from rich.progress import Progress

from spikereel.hub import weights_hash
from spikereel.models.base import VideoModel
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.evaluate import Evaluation, evaluate, protocols
from spikereel.runs.segmentation_data import build_segmentation_dataset
from spikereel.show.tables import evaluation_table, pose_table, segmentation_table
from spikereel.train.pose import PoseEvaluation, build_pose_dataset, evaluate_pose
from spikereel.train.segmentation import SegmentationEvaluation, evaluate_segmentation
from spikereel.versions import provenance


def evaluate_all(model: VideoModel, spec: DataSpec, *, batch: int, console: Console) -> list[Evaluation]:
    """The outcome with the views of the spec and, where they are several, that of the single middle view."""
    outcomes = []
    for view in protocols(spec):
        with Progress(console=console, transient=True) as bar:
            scanning = bar.add_task("looking at files", total=None, visible=spec.on_error == "skip")
            dataset = build_dataset(
                view,
                view.split,
                classes=tuple(model.metadata.classes) or None,
                views=True,
                progress=lambda done, total, bar=bar, task=scanning: bar.update(task, completed=done, total=total),
            )
            judging = bar.add_task(f"judging clips, {view.clips} x {view.crops} views", total=len(dataset))
            outcomes.append(
                evaluate(
                    model,
                    dataset,
                    view,
                    batch=batch,
                    progress=lambda done, total, bar=bar, task=judging: bar.update(task, completed=done, total=total),
                )
            )
    return outcomes


def evaluation_json(model: VideoModel, name: str, spec: DataSpec, outcomes: list[Evaluation]) -> dict[str, Any]:
    """Plain types: the first outcome, and each protocol's accuracy side by side."""
    figures = [
        {
            "clips": view.clips,
            "crops": view.crops,
            "views": x.views,
            "averaged": x.average,
            "top1": x.score.top1,
            "top5": x.score.top5,
        }
        for view, x in zip(protocols(spec), outcomes, strict=True)
    ]
    return {
        "model": name,
        "weights_hash": weights_hash(model),
        "split": spec.split,
        "data": dataclasses.asdict(spec),
        **outcomes[0].to_json(),
        "multi_view": figures[0] if len(figures) > 1 else None,
        "single_view": figures[-1],
        **provenance(),
    }


def evaluate_poses(model: VideoModel, spec: DataSpec, *, batch: int, console: Console) -> PoseEvaluation:
    """Errors of a pose model on the split of the spec."""
    with Progress(console=console, transient=True) as bar:
        dataset = build_pose_dataset(spec, spec.split)
        judging = bar.add_task("judging clips", total=len(dataset))
        return evaluate_pose(
            model,
            dataset,
            spec,
            batch=batch,
            progress=lambda done, total: bar.update(judging, completed=done, total=total),
        )


def pose_evaluation_json(model: VideoModel, name: str, spec: DataSpec, outcome: PoseEvaluation) -> dict[str, Any]:
    """Plain types; errors in millimetres."""
    return {
        "model": name,
        "task": "pose",
        "weights_hash": weights_hash(model),
        "split": spec.split,
        "data": dataclasses.asdict(spec),
        **outcome.to_json(),
        **provenance(),
    }


def evaluate_masks(model: VideoModel, spec: DataSpec, *, batch: int, console: Console) -> SegmentationEvaluation:
    """Figures of a segmentation model on the split of the spec."""
    with Progress(console=console, transient=True) as bar:
        dataset = build_segmentation_dataset(spec, spec.split)
        judging = bar.add_task("judging clips", total=len(dataset))
        return evaluate_segmentation(
            model,
            dataset,
            spec,
            batch=batch,
            progress=lambda done, total: bar.update(judging, completed=done, total=total),
        )


def segmentation_evaluation_json(
    model: VideoModel, name: str, spec: DataSpec, outcome: SegmentationEvaluation
) -> dict[str, Any]:
    """Plain types; per cent."""
    return {
        "model": name,
        "task": "segmentation",
        "weights_hash": weights_hash(model),
        "split": spec.split,
        "data": dataclasses.asdict(spec),
        **outcome.to_json(),
        **provenance(),
    }


TASKS: dict[str, tuple[Any, Any, Any]] = {
    "classification": (evaluate_all, evaluation_table, evaluation_json),
    "pose": (evaluate_poses, pose_table, pose_evaluation_json),
    "segmentation": (evaluate_masks, segmentation_table, segmentation_evaluation_json),
}
"""How weights of a task are judged, and their outcome shown and written."""
