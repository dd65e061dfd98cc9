"""What a run was expected to need, and what it needed: beside each other in its folder and its result."""

import statistics
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from spikereel.files import write_json
from spikereel.train.dry import dry_steps, of_data
from spikereel.train.meter import Peak, free_memory, resident
from spikereel.train.plan import in_gib, lines_of

LEAST = 30
"""Batches of a run below which nothing is foreseen: dry steps would take as long."""

SHARE, LONGEST = 0.02, 20.0
"""Of a run that dry steps may take, and seconds at most."""

WARM_UP = 2
"""Batches that are not timed."""

FILE = "plan.json"


class Forecast(Callback):
    """Foresees a run by dry steps before it begins, measures it, and writes both to `plan.json`.

    A forecast is that of a batch: of its peak of memory, the whole process on a CPU, and of its time, by the clock and
    of all threads together. Short runs and those of several processes are measured alone.
    """

    def __init__(self, folder: Path, train_set: Any, judged: int):
        self.folder, self.train_set, self.judged = folder, train_set, judged
        self.predicted: dict[str, Any] | None = None
        self.measured: dict[str, Any] | None = None
        self._times: list[tuple[float, float]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        batches = int(trainer.num_training_batches) * int(trainer.max_epochs or 1)
        if batches >= LEAST and trainer.world_size == 1 and not trainer.global_step:
            self.predicted = self._foreseen(pl_module, batches)
        self._peak = Peak(pl_module.device)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._began = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        clock, cpu = self._began
        self._times.append((time.perf_counter() - clock, time.process_time() - cpu))

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        timed = self._times[WARM_UP:] or self._times
        if not timed:
            return
        clock, cpu = (statistics.median(x) for x in zip(*timed, strict=True))
        self.measured = {"peak": self._peak.read(), "seconds": clock, "cpu_seconds": cpu, "batches": len(self._times)}
        if trainer.is_global_zero:
            write_json(self.folder / FILE, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Bytes and seconds, of the process and of a batch."""
        return {"predicted": self.predicted, "measured": self.measured, "threads": torch.get_num_threads()}

    def _foreseen(self, module: Any, batches: int) -> dict[str, Any]:
        recipe, place = module.recipe, module.device
        before, began, points = resident(), time.perf_counter(), []
        parts = of_data(module, self.train_set, self.judged)
        for point in dry_steps(
            parts, most=recipe.optim.batch, seconds=LONGEST, memory=0.8 * free_memory(place), device=str(place)
        ):
            points.append(vars(point))
            whole = batches * point.seconds * recipe.optim.batch / point.clips
            if len(points) > 1 and time.perf_counter() - began > SHARE * whole:
                break
        lines, clips = lines_of(points, before), recipe.optim.batch
        found = {"peak": lines.peak(clips), "seconds": lines.seconds(clips), "cpu_seconds": lines.cpu_seconds(clips)}
        return {**found, "from_clips": [point["clips"] for point in points], "of_clips": clips}


def in_one_line(found: dict[str, Any]) -> str | None:
    """What was expected and what came, to print; None where nothing was foreseen or the run did not end."""
    before, after = found["predicted"], found["measured"]
    if before is None or after is None:
        return None
    return (
        f"memory at most {in_gib(after['peak'])} (foreseen {in_gib(before['peak'])}), "
        f"a batch {after['seconds']:.2g} s (foreseen {before['seconds']:.2g} s)"
    )
