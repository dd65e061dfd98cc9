"""A log of the clips of each step, as they came to the network: the proof that none was lost or doubled."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

LOG = "clips-{}.jsonl"


class ClipLog(Callback):
    """Appends a line for each batch of this process to `clips-<rank>.jsonl`: when the run began or went on, epoch,
    batch, and the numbers of its clips."""

    def __init__(self, folder: Path, loader: Any):
        self.folder, self.loader, self.began = folder, loader, 0
        loader.keep_numbers = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began = trainer.strategy.broadcast(time.time_ns())

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        place = {"began": self.began, "epoch": trainer.current_epoch, "batch": batch_idx}
        with (self.folder / LOG.format(trainer.global_rank)).open("a") as file:
            file.write(json.dumps({**place, "clips": self.loader.numbers.popleft()}) + "\n")


def clips_seen(folder: str | Path) -> dict[tuple[int, int], list[int]]:
    """{(epoch, batch): numbers of the clips} over all processes of a run.

    Of a batch that was begun several times, since a run was killed after its last checkpoint, the last time counts.
    """
    newest: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], list[int]] = {}
    for line in _lines(Path(folder)):
        key, began = (line["epoch"], line["batch"]), line["began"]
        if began > newest.get(key, 0):
            newest[key], found[key] = began, []
        if began == newest[key]:
            found[key] += line["clips"]
    return found


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(LOG.format("*"))):
        for text in path.read_text().splitlines():
            try:
                yield json.loads(text)
            except ValueError:
                # the process was killed while it wrote
                continue
