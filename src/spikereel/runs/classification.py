"""Training and judging classification: labels, their mixtures, and views of a video."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikereel.data.transforms import mixup_cutmix
from spikereel.models.base import VideoModel
from spikereel.runs.config import OptimSpec
from spikereel.runs.data import DataSpec
from spikereel.runs.distill import Taught, Teacher
from spikereel.runs.objective import Objective, check_classes
from spikereel.runs.windows import Window
from spikereel.tasks.classification import ClassificationScore, classification_loss, view_scores


class ClassificationObjective(Objective):
    """Batches are `(videos [B, T, C, H, W], labels [B])`, or `(videos [B, copies, T, C, H, W], labels [B] or
    [B, copies])`."""

    monitor, mixes = "val_top1", ("mixup", "cutmix")

    def __init__(self, optim: OptimSpec, *, classes: int, teacher: Teacher | None = None):
        super().__init__("classification", optim)
        self.classes, self.teacher = classes, teacher

    def prepare(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | Taught]:
        videos, labels = batch
        if videos.ndim == 6:
            # several augmented copies of each clip, with a label each where they were mirrored
            labels = labels.flatten() if labels.ndim == 2 else labels.repeat_interleave(videos.shape[1])
            videos = videos.flatten(0, 1)
        o = self.optim
        if o.mixup or o.cutmix:
            videos, labels = mixup_cutmix(
                videos, labels, classes=self.classes, mixup=o.mixup, cutmix=o.cutmix, smoothing=o.smoothing
            )
        clip = videos.transpose(0, 1)
        return clip, labels if self.teacher is None else Taught(labels, self.teacher.answers(clip))

    def loss(self, output: Tensor, target: Tensor | Taught) -> tuple[Tensor, dict[str, Tensor]]:
        if isinstance(target, Taught):
            labelled, figures = self.loss(output, target.labels)
            assert self.teacher is not None
            return self.teacher.loss(output, target.answers, labelled), figures
        hit = output.argmax(1) == (target if target.ndim == 1 else target.argmax(1))
        loss = classification_loss(output, target, smoothing=self.optim.smoothing)
        return loss, {"accuracy": 100.0 * hit.float().mean()}

    def window_loss(self, output: Tensor, target: Tensor, window: Window) -> tuple[Tensor, dict[str, Tensor]]:
        # an answer is of all frames so far, and learns from its own alone
        loss, figures = self.loss(output, target)
        return window.share_so_far * loss, figures

    def begin_score(self) -> None:
        self.score = ClassificationScore(self.classes)

    def judge(self, model: VideoModel, batch: tuple[Tensor, Tensor]) -> None:
        videos, labels = batch
        self.score.add(view_scores(model, videos), labels)

    def figures(self) -> dict[str, float]:
        return {"val_top1": self.score.top1}


class ClassificationJudge:
    """Scores of all views of a clip are averaged."""

    def __init__(self, model: VideoModel, classes: Sequence[str], spec: DataSpec):
        check_classes(classes, model)
        self.model, self.average = model, spec.average
        # the order of the logits: the classes of the data are the same by name
        self.classes = tuple(model.metadata.classes) or tuple(classes)
        self.numbers = torch.tensor([self.classes.index(name) for name in classes])
        self.score, self.views = ClassificationScore(len(self.classes)), 1

    def add(self, videos: Tensor, target: Tensor) -> None:
        """Count a batch; target: labels int64 [B]."""
        self.views = videos.shape[1] if videos.ndim == 6 else 1
        self.score.add(view_scores(self.model, videos, self.average), self.numbers[target.cpu()])

    def figures(self) -> dict[str, Any]:
        """Per cent."""
        return {
            "top1": self.score.top1,
            "top5": self.score.top5,
            "per_class": dict(zip(self.classes, self.score.per_class(), strict=True)),
            "confusion": self.score.confusion.tolist(),
        }
