"""Judging a trained model on clips that training never saw."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spikereel.data.clips import Clips
from spikereel.engine.choose import Choice, engine_for
from spikereel.errors import SpikereelError
from spikereel.layers.observe import FiringRates
from spikereel.models.base import VideoModel
from spikereel.runs.clips import DataPassport, build_dataset, build_loader, data_passport, skipped_files
from spikereel.runs.data import DataSpec
from spikereel.runs.finite import check_weights, finite_outputs, firing_notes
from spikereel.runs.origins import identities, trained_on
from spikereel.runs.splits import named
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
    trained_on: int | None = None
    """Clips among them that the weights were trained on; None where that is not known."""
    notes: tuple[str, ...] = ()
    """What is to be known beside the figures, a line each."""
    engine: str = "reference"
    """What ran the network."""

    def to_json(self) -> dict[str, Any]:
        """Plain types: the figures, and what they were taken on."""
        views = {"views": self.views, "averaged": self.average} if TASKS[self.task].views else {}
        return {
            **self.figures,
            "clips": self.clips,
            "engine": self.engine,
            **views,
            "data_hash": self.passport.hash,
            "data_passport": asdict(self.passport),
            "firing": self.rates.means(),
            "trained_on": self.trained_on,
            "notes": list(self.notes),
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
    engine: Choice = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Figures of a model on a dataset of `build_dataset` for its task; scores of all views of a clip are averaged.

    engine: what runs the network, see `engine_for`. Raises DataError where the classes or the skeleton of the data are
    not those of the model, ConfigError for the native engine where it cannot be had.
    """
    model = model.to(device).eval()
    check_weights(model)
    runner = engine_for(model, engine)
    judge = TASKS[model.task].judge(runner.front, dataset, spec)
    done = 0
    with torch.inference_mode(), runner.firing_rates() as rates, finite_outputs(model):
        for videos, target in build_loader(dataset, spec, batch=batch, shuffle=False):
            judge.add(videos.to(device), target)
            done += len(videos)
            if progress is not None:
                progress(done, len(dataset))
    trained, notes = _of_training(model, dataset, spec)
    notes += [*getattr(dataset, "notes", ()), *_unseen(model, dataset, judge.score), *firing_notes(rates, model)]
    return Evaluation(
        task=model.task,
        score=judge.score,
        classes=tuple(getattr(judge, "classes", dataset.classes)),
        figures=judge.figures(),
        clips=done,
        views=judge.views,
        average=spec.average,
        rates=rates,
        passport=data_passport(dataset),
        skipped=skipped_files(dataset),
        trained_on=trained,
        engine=runner.name,
        notes=tuple(dict.fromkeys(notes)),
    )


def split_to_judge(model: VideoModel, spec: DataSpec) -> tuple[DataSpec, str | None]:
    """The clips to judge where none were asked for by `data.split`: those that training held out, where the others
    were trained on; and a line that says so."""
    known = trained_on(model.metadata.training)
    if spec.split != "test" or not known:
        return spec, None
    options: Any = {"task": model.task, "classes": tuple(model.metadata.classes) or None}
    seen = _count(build_dataset(spec, "test", **options), known)
    if not seen or not seen[0]:
        return spec, None
    held = replace(spec, split="val")
    try:
        clips = build_dataset(held, "val", **options)
    except SpikereelError:
        return spec, None
    found = _count(clips, known)
    if found is None or found[0] or not len(clips):
        return spec, None
    line = f"{seen[0]} of the {seen[1]} clips were trained on: judged are the {len(clips)} that training held out"
    return held, f"{line} (data.split=test judges all)"


def _count(dataset: Any, known: set[bytes]) -> tuple[int, int] | None:
    """How many clips of a data set are known, and how many there are; None for clips that are made."""
    found = identities(dataset)
    return None if found is None else (sum(x in known for x in found), len(found))


def _of_training(model: VideoModel, dataset: Any, spec: DataSpec) -> tuple[int | None, list[str]]:
    """How many clips were trained on, None where that is not known; and lines about it."""
    training = model.metadata.training
    known = trained_on(training)
    if known is None:
        own = model.metadata.preprocess.get("root")
        same = spec.root is not None and own is not None and Path(spec.root).absolute() == Path(own).absolute()
        line = "these weights do not say which clips they were trained on: some of those judged may be among them"
        return None, [line] if same else []
    found = _count(dataset, known)
    if found is None:
        return None, []
    return found[0], [f"{found[0]} of the {found[1]} clips judged were trained on"] if found[0] else []


def _unseen(model: VideoModel, dataset: Any, score: Any) -> list[str]:
    """Lines on classes that no clip judged shows, and on those that training did not see."""
    lines = []
    if never := model.metadata.training.get("unseen_classes"):
        lines.append(f"training saw nothing of class {named(never)}")
    if hasattr(score, "confusion") and getattr(dataset, "classes", ()):
        names = tuple(model.metadata.classes) or tuple(dataset.classes)
        absent = [name for name, row in zip(names, score.confusion, strict=True) if not row.any()]
        lines += [f"nothing judged shows class {named(absent)}"] if absent else []
    return lines


def protocols(spec: DataSpec) -> list[DataSpec]:
    """The views of the spec and, where they are several, the single one that is always judged beside them."""
    return [spec, *([spec.single()] if spec.views > 1 else [])]


def evaluation_json(spec: DataSpec, outcomes: list[Evaluation]) -> dict[str, Any]:
    """The first outcome and, of a task with views, the accuracy of each protocol side by side."""
    first = outcomes[0].to_json()
    if not TASKS[outcomes[0].task].views:
        return {"task": outcomes[0].task, **first}
    figures = [
        {
            "clips": view.clips,
            "crops": view.crops,
            "mirrored": view.mirrored,
            "views": x.views,
            "averaged": x.average,
            "top1": x.score.top1,
            "top5": x.score.top5,
        }
        for view, x in zip(protocols(spec), outcomes, strict=True)
    ]
    return {**first, "multi_view": figures[0] if len(figures) > 1 else None, "single_view": figures[-1]}
