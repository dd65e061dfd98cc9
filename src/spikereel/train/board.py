"""What TensorBoard shows beside losses and figures: the learning rate, firing of every layer, confusion, and clips."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, LearningRateMonitor
from torch import Tensor

from spikereel.data.transforms import shown_frames

CLIPS, FRAMES = 4, 6
"""Clips of the first batch that are shown, and frames of each."""

CELL = 12
"""Pixels of a cell of the confusion matrix."""


class Board(Callback):
    """Firing rates after every validation, the confusion of a classification, and clips as training sees them."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        writer = _writer(trainer)
        if writer is None or trainer.global_step or batch_idx:
            return
        for i, clip in enumerate(pl_module.clip_of(batch).transpose(0, 1)[:CLIPS]):
            strip = shown_frames(clip, FRAMES).permute(1, 2, 0, 3).flatten(2)
            writer.add_image(f"training clips/{i}", strip)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        writer = _writer(trainer)
        if writer is None or trainer.sanity_checking:
            return
        for name, rate in pl_module.rates.means().items():
            writer.add_scalar(f"firing by layer/{name}", rate, trainer.global_step)
        confusion = getattr(pl_module.objective.score, "confusion", None)
        if confusion is not None:
            writer.add_image("confusion (rows are true)", confusion_picture(confusion), trainer.global_step)


def board() -> tuple[Callback, ...]:
    """All that goes to TensorBoard beside what the training module logs."""
    return LearningRateMonitor(logging_interval="step"), Board()


def confusion_picture(confusion: Tensor) -> Tensor:
    """[1, K * 12, K * 12] of counts [K, K]: the share of each true class that was taken for each, white for all."""
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    return shares.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[None].float()


def _writer(trainer: pl.Trainer) -> Any:
    """The writer of TensorBoard of the first process; None where there is none."""
    logger: Any = trainer.logger
    return logger.experiment if logger is not None and trainer.is_global_zero else None
