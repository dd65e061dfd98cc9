"""Trains a small network and leaves its losses: `python processes_run.py OUT LOSSES [key=value ...]`."""

import dataclasses
import json
import sys
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback

sys.path.insert(0, str(Path(__file__).parents[1]))
from small import small_recipe

from spikereel.config import override
from spikereel.errors import Interrupted
from spikereel.train.run import train


class Losses(Callback):
    """The loss of every step, over all processes."""

    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(float(trainer.callback_metrics["loss"]))


def main() -> None:
    torch.set_num_threads(1)
    out, losses, *changes = sys.argv[1:]
    recipe = small_recipe(Path(out), epochs=2, smoothing=0.0, log_clips=True, threads=1)
    recipe = override(dataclasses.replace(recipe), changes)
    watch = Losses()
    try:
        train(recipe, callbacks=(watch,))
    except Interrupted as stop:
        sys.exit(stop.code)
    if watch.values:
        Path(losses).write_text(json.dumps(watch.values))


if __name__ == "__main__":
    main()
