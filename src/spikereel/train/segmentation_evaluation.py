"""Judging a trained model on frames with masks."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch

from spikereel.data.segmentation import SegmentationClips
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.models.base import VideoModel
from spikereel.tasks.segmentation import SegmentationScore, check_classes
from spikereel.tasks.sliding import check_window, segment
from spikereel.train.clips import DataPassport, build_loader, data_passport
from spikereel.train.config import DataSpec


@dataclass(frozen=True, kw_only=True)
class SegmentationEvaluation:
    """Outcome of `evaluate_segmentation`."""

    score: SegmentationScore
    clips: int
    rates: FiringRates
    passport: DataPassport

    def to_json(self) -> dict[str, Any]:
        """Plain types; shares in per cent."""
        return {
            **self.score.to_json(), "clips": self.clips, "data_hash": self.passport.hash,
            "data_passport": asdict(self.passport), "firing": self.rates.means(),
        }  # fmt: skip


def evaluate_segmentation(
    model: VideoModel, dataset: SegmentationClips, spec: DataSpec, *, batch: int = 4, device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> SegmentationEvaluation:  # fmt: skip
    """mIoU, accuracy and consistency of a model on a dataset of `build_segmentation_dataset`; whole frames, or the
    windows of `spec.window`. Raises DataError where the classes of the data are not as many as those of the model.
    """
    classes = tuple(dataset.classes)
    check_classes(classes, model.config.num_classes)
    check_window(spec.window, spec.overlap)
    model = model.to(device).eval()
    score, done = SegmentationScore(classes), 0
    with torch.inference_mode(), firing_rates(model) as rates:
        for videos, masks in build_loader(cast(Any, dataset), spec, batch=batch, shuffle=False):
            logits = segment(model, videos.to(device).transpose(0, 1), window=spec.window, overlap=spec.overlap)
            for labels, truth in zip(logits.argmax(2).unbind(1), masks, strict=True):
                score.add_clip(labels.cpu(), truth, dataset.video_of(done))
                done += 1
            if progress is not None:
                progress(done, len(dataset))
    return SegmentationEvaluation(score=score, clips=done, rates=rates, passport=data_passport(dataset))
