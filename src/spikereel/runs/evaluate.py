"""Judging a trained model on clips that training never saw."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from spikereel.errors import DataError
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.models.base import VideoModel
from spikereel.runs.clips import DataPassport, LabelledClips, build_loader, data_passport
from spikereel.runs.config import DataSpec
from spikereel.tasks.classification import Average, ClassificationScore, view_scores


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Outcome of `evaluate`."""

    score: ClassificationScore
    classes: tuple[str, ...]
    views: int
    average: Average
    """What was averaged over the views."""
    rates: FiringRates
    passport: DataPassport
    skipped: tuple[tuple[str, str], ...]
    """Files left out, each with its reason."""

    def to_json(self) -> dict[str, Any]:
        """Plain types; accuracies in per cent."""
        return {
            "top1": self.score.top1,
            "top5": self.score.top5,
            "clips": self.score.clips,
            "views": self.views,
            "averaged": self.average,
            "per_class": dict(zip(self.classes, self.score.per_class(), strict=True)),
            "confusion": self.score.confusion.tolist(),
            "data_hash": self.passport.hash,
            "data_passport": asdict(self.passport),
            "firing": self.rates.means(),
            "skipped": [list(x) for x in self.skipped],
            "simulated": self.passport.simulated,
        }


def evaluate(
    model: VideoModel,
    dataset: LabelledClips,
    spec: DataSpec,
    *,
    batch: int = 16,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Accuracy of a model on a dataset of `build_dataset`; scores of all views of a clip are averaged.

    Raises DataError where the classes of the data are not those of the model.
    """
    classes = tuple(dataset.classes)
    count = model.config.num_classes
    if len(classes) != count:
        raise DataError(f"the data has {len(classes)} classes, the model {count}: {', '.join(classes[:8])}")
    loader = build_loader(dataset, spec, batch=batch, shuffle=False)
    score, views, done = ClassificationScore(count), 1, 0
    model = model.to(device).eval()
    with torch.inference_mode(), firing_rates(model) as rates:
        for videos, labels in loader:
            views = videos.shape[1] if videos.ndim == 6 else 1
            score.add(view_scores(model, videos.to(device), spec.average), labels)
            done += len(labels)
            if progress is not None:
                progress(done, len(dataset))
    skipped = tuple((str(path), reason) for path, reason in getattr(dataset, "skipped", ()))
    return Evaluation(
        score=score,
        classes=classes,
        views=views,
        average=spec.average,
        rates=rates,
        passport=data_passport(dataset),
        skipped=skipped,
    )


def protocols(spec: DataSpec) -> list[DataSpec]:
    """The views of the spec and, where they are several, the single one that is always judged beside them."""
    several = spec.clips * spec.crops > 1
    return [spec, *([replace(spec, clips=1, crops=1)] if several else [])]
