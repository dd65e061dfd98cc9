"""Action classification: soft-target cross-entropy, top-k accuracy, confusion matrix."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.errors import DataError

Average = Literal["logits", "softmax"]


def classification_loss(
    logits: Float[Tensor, "B classes"], target: Int[Tensor, "B"] | Float[Tensor, "B classes"], *, smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Cross-entropy in float32; targets are labels (smoothed here) or the soft targets of mixup (smoothed there)."""
    soft = target.is_floating_point()
    return F.cross_entropy(logits.float(), target, label_smoothing=0.0 if soft else smoothing)


@dataclass
class ClassificationScore:
    """Counts over a test set."""

    classes: int
    confusion: Tensor = field(init=False)
    """int64 [true, predicted]."""
    in_top5: int = 0

    def __post_init__(self) -> None:
        self.confusion = torch.zeros(self.classes, self.classes, dtype=torch.int64)

    def add(self, logits: Float[Tensor, "B classes"], labels: Int[Tensor, "B"]) -> None:
        """Count a batch. Raises DataError for scores that are not finite."""
        logits, labels = logits.detach().cpu(), labels.cpu()
        if not torch.isfinite(logits).all():
            raise DataError("scores are not finite: a network that gives such predicts nothing")
        self.confusion.index_put_((labels, logits.argmax(1)), torch.ones_like(labels), accumulate=True)
        own = logits.gather(1, labels[:, None])
        # of equal scores the first counts as the better one, as `argmax` has it
        before = (logits > own) | ((logits == own) & (torch.arange(self.classes) < labels[:, None]))
        self.in_top5 += int((before.sum(1) < 5).sum())

    @property
    def clips(self) -> int:
        """Clips counted."""
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        """Per cent correct."""
        return 100.0 * float(self.confusion.diag().sum()) / self.clips

    @property
    def top5(self) -> float | None:
        """Per cent with the true class among the best five; None of five classes or fewer, where all are."""
        return None if self.classes <= 5 else 100.0 * self.in_top5 / self.clips

    def per_class(self) -> list[float | None]:
        """Per cent correct of each class; None for a class without clips."""
        totals = self.confusion.sum(1).tolist()
        return [100.0 * int(self.confusion[i, i]) / n if n else None for i, n in enumerate(totals)]


def view_scores(model: nn.Module, videos: Tensor, average: Average = "logits") -> Float[Tensor, "B classes"]:
    """Scores of videos [B, T, C, H, W], or of [B, views, T, C, H, W] averaged over the views.

    average: what the mean is taken of, and what comes back: logits, or the probabilities of a softmax.
    """
    views = videos.flatten(0, 1) if videos.ndim == 6 else videos
    logits = model(views.transpose(0, 1))[0]
    scores = logits.softmax(1) if average == "softmax" else logits
    return scores.unflatten(0, videos.shape[:2]).mean(1) if videos.ndim == 6 else scores
