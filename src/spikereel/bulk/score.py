"""Figures of a classification from the rows of a manifest with labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from spikereel.bulk.manifest import Manifest
from spikereel.errors import DataError
from spikereel.tasks.classification import ClassificationScore


def score_of(
    listed: Manifest, rows: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> tuple[ClassificationScore, int]:
    """The score of the rows whose clip has a label, and how many of those clips have no answer and are left out.

    Labels are names of classes, or their numbers from 0 where no class is called by one. Raises DataError for a label
    that is no class, a manifest without labels, and where no clip has an answer.
    """
    numbers = {name: i for i, name in enumerate(classes)}
    if not any(name.isdecimal() for name in classes):
        numbers |= {str(i): i for i in range(len(classes))}
    labels = {entry.path: entry.label for entry in listed.entries if entry.label is not None}
    if not labels:
        raise DataError("the manifest has no column label; evaluation needs the class of each clip")
    if strange := sorted({label for label in labels.values() if label not in numbers}):
        raise DataError(f"label {strange[0]!r} of the manifest is none of the classes {', '.join(classes[:8])}")
    good = [row for row in rows if row["error"] is None and row["path"] in labels]
    if not good:
        raise DataError("no clip of the manifest could be predicted; column error of the results says why")
    score = ClassificationScore(len(classes))
    scores = torch.tensor([row["probabilities"] for row in good], dtype=torch.float64)
    score.add(scores, torch.tensor([numbers[labels[row["path"]]] for row in good]))
    return score, len(labels) - len(good)


def score_json(score: ClassificationScore, classes: Sequence[str]) -> dict[str, Any]:
    """Plain types, per cent."""
    return {
        "clips": score.clips,
        "top1": score.top1,
        "top5": score.top5,
        "per_class": dict(zip(classes, score.per_class(), strict=True)),
        "confusion": score.confusion.tolist(),
    }
