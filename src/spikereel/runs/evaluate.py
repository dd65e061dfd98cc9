"""Judging a trained model on clips that training never saw."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from spikereel.data.clips import Clips
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.models.base import VideoModel
from spikereel.runs.clips import DataPassport, build_loader, data_passport, skipped_files
from spikereel.runs.data import DataSpec
from spikereel.runs.tasks import TASKS
from spikereel.tasks.classification import Average


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Outcome of `evaluate`, for every task."""

    task: str
    score: Any
    """`ClassificationScore`, `PoseScore` or `SegmentationScore`."""
    classes: tuple[str, ...]
    """Names of the classes; none for pose."""
    figures: dict[str, Any]
    """The score in plain types, per cent or millimetres."""
    clips: int
    views: int
    """Views that a video was seen in."""
    average: Average
    """What was averaged over the views."""
    rates: FiringRates
    passport: DataPassport
    skipped: tuple[tuple[str, str], ...]
    """Files left out, each with its reason."""

    def to_json(self) -> dict[str, Any]:
        """Plain types: the figures, and what they were taken on."""
        views = {"views": self.views, "averaged": self.average} if TASKS[self.task].views else {}
        return {
            **self.figures,
            "clips": self.clips,
            **views,
            "data_hash": self.passport.hash,
            "data_passport": asdict(self.passport),
            "firing": self.rates.means(),
            "skipped": [list(x) for x in self.skipped],
            "simulated": self.passport.simulated,
        }


def evaluate(
    model: VideoModel,
    dataset: Clips,
    spec: DataSpec,
    *,
    batch: int = 16,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Figures of a model on a dataset of `build_dataset` for its task; scores of all views of a clip are averaged.

    Raises DataError where the classes or the skeleton of the data are not those of the model.
    """
    judge = TASKS[model.task].judge(model, dataset, spec)
    model = model.to(device).eval()
    done = 0
    with torch.inference_mode(), firing_rates(model) as rates:
        for videos, target in build_loader(dataset, spec, batch=batch, shuffle=False):
            judge.add(videos.to(device), target)
            done += len(videos)
            if progress is not None:
                progress(done, len(dataset))
    return Evaluation(
        task=model.task,
        score=judge.score,
        classes=tuple(dataset.classes),
        figures=judge.figures(),
        clips=done,
        views=judge.views,
        average=spec.average,
        rates=rates,
        passport=data_passport(dataset),
        skipped=skipped_files(dataset),
    )


def protocols(spec: DataSpec) -> list[DataSpec]:
    """The views of the spec and, where they are several, the single one that is always judged beside them."""
    several = spec.clips * spec.crops > 1
    return [spec, *([replace(spec, clips=1, crops=1)] if several else [])]


def evaluation_json(spec: DataSpec, outcomes: list[Evaluation]) -> dict[str, Any]:
    """The first outcome and, of a task with views, the accuracy of each protocol side by side."""
    first = outcomes[0].to_json()
    if not TASKS[outcomes[0].task].views:
        return {"task": outcomes[0].task, **first}
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
    return {**first, "multi_view": figures[0] if len(figures) > 1 else None, "single_view": figures[-1]}
