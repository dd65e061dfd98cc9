"""The checkpoint of a run: written whole or not at all, also where a signal ends it, and compared before going on."""

import dataclasses
import io
import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from spikereel.errors import ConfigError, Interrupted, TrainingError
from spikereel.files import write_whole
from spikereel.models.authors import read_checkpoint
from spikereel.runs.config import Recipe

MAY_CHANGE = (
    *("optim.lr", "optim.min_lr", "optim.head_lr", "optim.schedule", "optim.weight_decay", "optim.betas"),
    *("optim.epochs", "optim.warmup", "optim.clip_norm", "data.root", "data.workers", "data.cache"),
    *("run.out", "run.threads", "run.validate_every", "run.silent_epochs", "run.resume", "run.progress"),
    *("run.checkpointing", "run.precision", "run.devices", "run.nodes", "run.strategy", "run.save_every"),
    *("run.log_clips", "run.keep", "run.refit", "optim.truncate"),
)
"""Options that a run may go on with other values of; of data.root the clips must be the same."""


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints beside their place first: the one before is there until the new one is whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_whole(Path(path), content.getvalue())
        except OSError as error:
            raise TrainingError(
                f"cannot write {path}: {error.strerror}; what was there before is whole: make room, then --resume"
            ) from None


WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""Of Slurm, as our batch files ask for it, and of submitit."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, *WARNINGS)
"""What stops a run after the step in progress: the keyboard, a machine that is taken away, and warnings."""

ONE_REQUEST = 5.0
"""Seconds in which a signal that comes again, through a launcher and to the whole group, is the same request."""


DONE = ("ready", "started", "processed", "completed")
"""What Lightning counts of batches."""


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` after every epoch, every `every` steps, and where one of `SIGNALS` stops the run, after the
    step or the batch of a validation in progress; where one process of several was told, all of them stop.

    A second signal from the keyboard, or much later, ends the run at once.
    """

    def __init__(self, path: Path, every: int = 0):
        self.path, self.every, self.signal = path, every, 0
        self._at = 0.0
        self._before: dict[int, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in SIGNALS}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning has put a handler of its own before ours, which speaks with the other processes in mid-step: they
        # would wait for each other for ever
        for number in self._before:
            signal.signal(number, self._stop)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if not whole_step or batch_idx + 1 >= trainer.num_training_batches:
            return
        stop = self._told(trainer)
        if stop or (self.every and trainer.global_step % self.every == 0):
            trainer.save_checkpoint(self.path)
        if stop:
            raise Stopped(self.signal)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path)
        if self._told(trainer):
            raise Stopped(self.signal)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        # a validation may take longer than a machine that is taken away waits
        if self._told(trainer):
            trainer.save_checkpoint(self.path)
            raise Stopped(self.signal)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        """A validation that is broken off begins anew: its first batches are in no figure."""
        if trainer.validating:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            progress["current"] |= dict.fromkeys(DONE, 0)
            # what Lightning takes for a validation that was not finished
            progress["total"] |= dict.fromkeys(DONE, 0) | {"ready": 1, "started": 1}

    def _told(self, trainer: pl.Trainer) -> bool:
        """Whether any process was told to stop."""
        if trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False):
            self.signal = self.signal or signal.SIGTERM
        return bool(self.signal)

    def interrupted(self) -> Interrupted:
        """What is said of the end of the run."""
        there = self.path.is_file()
        way = f"{self.path} is written; go on with --resume" if there else "no checkpoint was written yet; start anew"
        return Interrupted(f"interrupted: {way}", code=128 + (self.signal or signal.SIGINT))

    def end(self) -> None:
        """Give signals back to whom they belonged."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _stop(self, number: int, _frame: Any) -> None:
        now = time.monotonic()
        if self.signal and number not in WARNINGS and (number == signal.SIGINT or now - self._at > ONE_REQUEST):
            raise Stopped(number)
        self.signal, self._at = self.signal or number, self._at or now


class Stopped(BaseException):
    """Ends the loop of Lightning, which would end the program on KeyboardInterrupt."""


def saved_run(recipe: Recipe, data_hash: str, classes: tuple[str, ...]) -> dict[str, Any]:
    """What a checkpoint says of its run, in plain types."""
    return {"recipe": json.dumps(dataclasses.asdict(recipe)), "data_hash": data_hash, "classes": list(classes)}


def resume_from(folder: Path, recipe: Recipe, data_hash: str, classes: tuple[str, ...], weights: dict) -> str:
    """The checkpoint that a run goes on from.

    Raises ConfigError where there is none, or where it is of another model, of other clips or of settings that must
    stay.
    """
    path = folder / "last.ckpt"
    if not path.is_file():
        raise ConfigError(f"nothing to resume: no {path}; start with run.resume=false")
    checkpoint = read_checkpoint(path)
    run = checkpoint.get("callbacks", {}).get("KeepWeights", {}).get("run")
    if run is None:
        raise ConfigError(f"{path} is of an earlier version, which did not say what it trained; start anew")
    if tuple(run["classes"]) != classes:
        raise ConfigError(
            f"{path} is of other classes ({', '.join(run['classes'][:5])}), now there are {', '.join(classes[:5])}; "
            "start anew in another run.out"
        )
    saved = checkpoint.get("state_dict", {})
    if {name: x.shape for name, x in saved.items()} != {name: x.shape for name, x in weights.items()}:
        raise ConfigError(f"{path} is of another model; resume with the options of model.* that it was started with")
    # of options that are newer than the checkpoint it had the default
    before = _filled(json.loads(run["recipe"]), _plain(Recipe(name=recipe.name)))
    changed = _changes(before, _plain(recipe))
    if fixed := [f"{name} ({old} -> {new})" for name, (old, new) in changed.items() if name not in MAY_CHANGE]:
        raise ConfigError(
            f"a run cannot go on with another {', '.join(fixed)}; what may change: {', '.join(MAY_CHANGE)}"
        )
    if run["data_hash"] != data_hash:
        raise ConfigError(
            f"{path} is of other training data ({run['data_hash'][:12]}, now {data_hash[:12]}): clips were changed, "
            "added or taken away; start anew in another run.out"
        )
    return str(path)


def _plain(recipe: Recipe) -> dict:
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def _filled(values: dict, defaults: dict) -> dict:
    """Values, with the defaults of those that are missing."""
    own = {key: _filled(x, defaults[key]) for key, x in values.items() if isinstance(x, dict) and key in defaults}
    return {**defaults, **values, **own}


def _changes(before: dict, after: dict, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """{option: (before, after)} of what differs."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= _changes(old, new, f"{prefix}{name}.")
        elif old != new:
            found[prefix + name] = (old, new)
    return dict(sorted(found.items()))
