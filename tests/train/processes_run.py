"""Trains a small network and leaves its losses: `python processes_run.py OUT LOSSES [stop=STEPS] [key=value ...]`."""

import dataclasses
import json
import os
import signal
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
    """The loss of every step, over all processes; after `stop` of them the process is told to stop."""

    def __init__(self, stop):
        self.values, self.stop = [], stop

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.values.append(float(trainer.callback_metrics["loss"]))
        if len(self.values) == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    torch.set_num_threads(1)
    out, losses, *changes = sys.argv[1:]
    stop = int(changes.pop(0).removeprefix("stop=")) if changes and changes[0].startswith("stop=") else 0
    recipe = small_recipe(Path(out), epochs=2, smoothing=0.0, log_clips=True, threads=1)
    recipe = override(dataclasses.replace(recipe), changes)
    watch = Losses(stop)
    try:
        train(recipe, callbacks=(watch,))
    except Interrupted as end:
        sys.stderr.write(str(end))
        sys.exit(end.code)
    finally:
        if watch.values:
            Path(losses).write_text(json.dumps(watch.values))


if __name__ == "__main__":
    main()
