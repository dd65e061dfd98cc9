"""What a run tells while it goes: the loss of every step, and how long it will take."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from spikereel.runs.splits import in_words

WARM_UP = 2
"""Steps that are left out of the estimate: the first ones load and compile."""

ENOUGH = 5.0
"""Seconds of steps that an estimate is made from."""


class Watch(Callback):
    """Keeps the losses of the first training, and says once of each, after some seconds, when it will be done."""

    both = True

    def __init__(self, say: Callable[[str], Any], *, clock: Callable[[], float] = time.monotonic):
        self.say, self.clock = say, clock
        self.losses: list[float] = []
        self.trainings, self.done = 0, 0
        self.began: tuple[float, int] | None = None
        self.said = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.trainings, self.done, self.began, self.said = self.trainings + 1, 0, None, False
        if self.trainings > 1:
            self.say("now a second training, on all clips; its weights are kept (run.refit)")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.trainings <= 1:
            self.losses.append(float(outputs["loss"]))
        self.done += 1
        done, now = self.done, self.clock()
        if done == WARM_UP:
            self.began = now, done
        elif self.began is not None and not self.said and now - self.began[0] >= ENOUGH:
            self.said = True
            each = (now - self.began[0]) / (done - self.began[1])
            total = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
            left = max(total - done, 0)
            self.say(f"{total} steps of {each:.2g} s: about {in_words(left * each)} left, validations not counted")
