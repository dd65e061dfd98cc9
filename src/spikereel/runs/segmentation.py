"""Training and judging segmentation: the loss of labelled pixels, weights of classes, and mIoU."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.data.mask_clips import SegmentationClips
from spikereel.data.transforms import cutmix_masks
from spikereel.errors import DataError
from spikereel.models.base import VideoModel
from spikereel.runs.config import OptimSpec, SegmentationSpec
from spikereel.runs.data import DataSpec
from spikereel.runs.objective import Objective, check_classes
from spikereel.runs.windows import Window
from spikereel.tasks.segmentation import IGNORE, SegmentationScore
from spikereel.tasks.sliding import segment

FREQUENCIES_OF = 64
"""Training clips that the frequencies of classes are taken of, spread over all."""


def segmentation_loss(
    logits: Tensor,
    masks: Tensor,
    *,
    all_frames: float = 0.5,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    total: Tensor | None = None,
    ends: bool = True,
) -> Tensor:
    """Cross entropy of the last frame, plus `all_frames` times that of all frames; pixels without a label do not count.

    logits [T, B, K, H, W], masks int64 [T, B, H, W]; weights: [K], of each class. A term without a labelled pixel is 0.
    total, ends: of frames that are a part of a clip, the labelled pixels of all of it, and whether they are its end.
    Source: the loss of CFFM's clips (Sun et al. 2022), 0.5 for the frames together.
    """
    labelled = (masks != IGNORE).flatten(2).any(2)
    if not all_frames:
        labelled[: -1 if ends else None] = False
    if not labelled.any():
        return 0.0 * logits.sum()
    # frames without a label are left out at once; every other one is looked at once, for both terms
    if labelled.all():
        chosen, known = logits.flatten(0, 1), masks.flatten(0, 1)
    else:
        chosen, known = logits[labelled], masks[labelled]
    entropy = partial(F.cross_entropy, chosen, known, weights, ignore_index=IGNORE, label_smoothing=smoothing)
    if not all_frames:
        return entropy()
    losses = entropy(reduction="none").flatten(1).sum(1)
    counted = labelled_pixels(known, weights).to(losses.dtype)
    last = int(labelled[-1].sum()) if ends else 0
    of_last = losses[-last:].sum() / counted[-last:].sum() if last else 0.0
    return of_last + all_frames * losses.sum() / (counted.sum() if total is None else total)


def labelled_pixels(masks: Tensor, weights: Tensor | None) -> Tensor:
    """[N] of masks [N, H, W]: pixels with a label, each as many as the weight of its class."""
    pixels = (masks != IGNORE).float()
    if weights is not None:
        pixels = pixels * weights[masks * (masks != IGNORE)]
    return pixels.flatten(1).sum(1)


def class_weights(data: SegmentationClips, power: float) -> Tensor | None:
    """(median frequency / frequency) ** power of each class over training clips; None for a power of 0.

    A class that these clips do not show has the weight 1. Source: median frequency balancing (Eigen and Fergus 2015).
    """
    if not power:
        return None
    chosen = torch.linspace(0, len(data) - 1, min(FREQUENCIES_OF, len(data))).round().long().tolist()
    counts = torch.zeros(len(data.classes), dtype=torch.float64)
    for i in chosen:
        masks = data[i][1]
        counts += torch.bincount(masks[masks != IGNORE], minlength=len(counts))
    seen = counts > 0
    weights = torch.ones(len(counts))
    weights[seen] = ((counts[seen].median() / counts[seen]) ** power).float()
    return weights


class SegmentationObjective(Objective):
    """Batches are `(videos [B, T, C, H, W], masks [B, T, H, W])`; all frames with a mask are judged."""

    mixes = ("cutmix",)

    def __init__(
        self,
        optim: OptimSpec,
        segmentation: SegmentationSpec,
        *,
        classes: tuple[str, ...],
        weights: Tensor | None = None,
    ):
        super().__init__("segmentation", optim)
        self.segmentation, self.classes, self.monitor = segmentation, classes, f"val_{segmentation.best}"
        self.register_buffer("weights", weights, persistent=False)

    def prepare(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        videos, masks = batch
        if self.training and self.optim.cutmix:
            videos, masks = cutmix_masks(videos, masks, alpha=self.optim.cutmix)
        return videos.transpose(0, 1), masks.transpose(0, 1)

    def loss(self, output: Tensor, target: Tensor, **part: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """part: as `segmentation_loss` takes it."""
        loss = segmentation_loss(
            output,
            target,
            all_frames=self.segmentation.all_frames,
            weights=self.get_buffer("weights"),
            smoothing=self.optim.smoothing,
            **part,
        )
        known = target != IGNORE
        hit = (output.detach().argmax(2) == target) & known
        return loss, {"accuracy": 100.0 * hit.sum() / known.sum().clamp(min=1)}

    def window_loss(self, output: Tensor, target: Tensor, window: Window) -> tuple[Tensor, dict[str, Tensor]]:
        total = labelled_pixels(target.flatten(0, 1), self.get_buffer("weights")).sum()
        return self.loss(output, target[window.frames], total=total, ends=window.last)

    def begin_score(self) -> None:
        self.score = SegmentationScore(self.classes)

    def judge(self, model: VideoModel, batch: tuple[Tensor, Tensor]) -> None:
        clip, masks = self.prepare(batch)
        self.score.add(model(clip)[0].argmax(2), masks)

    def figures(self) -> dict[str, float]:
        return {"val_miou": self.score.miou, "val_pixel_accuracy": self.score.pixel_accuracy}


class SegmentationJudge:
    """Labels at the size of the frames, whole or in windows; raises DataError for other classes than the model's."""

    views = 1

    def __init__(self, model: VideoModel, dataset: SegmentationClips, spec: DataSpec):
        check_classes(dataset.classes, model)
        if model.metadata.classes and tuple(model.metadata.classes) != tuple(dataset.classes):
            raise DataError(f"the classes stand in another order than those of the model: {', '.join(dataset.classes)}")
        self.model, self.dataset, self.spec, self.done = model, dataset, spec, 0
        self.score = SegmentationScore(tuple(dataset.classes))

    def add(self, videos: Tensor, target: Tensor) -> None:
        """Count the next clips of the data set."""
        logits = segment(self.model, videos.transpose(0, 1), window=self.spec.window, overlap=self.spec.overlap)
        for found, truth in zip(logits.argmax(2).cpu().unbind(1), target, strict=True):
            self.score.add_clip(found, truth, self.dataset.video_of(self.done))
            self.done += 1

    def figures(self) -> dict[str, Any]:
        """Per cent; `per_class` is the IoU of each class."""
        figures = self.score.to_json()
        return {**figures, "per_class": figures["per_class_iou"]}
