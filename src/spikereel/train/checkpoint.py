"""The checkpoint of a run: written whole or not at all, also where a signal ends it, and compared before going on."""

import dataclasses
import io
import json
import signal
import threading
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
    *("run.keep", "run.refit"),
    *("run.checkpointing", "run.precision", "run.devices", "run.strategy"),
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


class LastCheckpoint(Checkpoint):
    """Writes `last.ckpt` after every epoch, and where SIGINT or SIGTERM stops the run, after the step in progress.

    A second signal ends the run at once.
    """

    def __init__(self, path: Path):
        self.path, self.signal = path, 0
        self._before: dict[int, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # after those of Lightning
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if self.signal and whole_step and batch_idx + 1 < trainer.num_training_batches:
            trainer.save_checkpoint(self.path)
            raise Stopped(self.signal)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path)
        if self.signal:
            raise Stopped(self.signal)

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
        if self.signal:
            raise Stopped(number)
        self.signal = number


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
    changed = _changes(json.loads(run["recipe"]), json.loads(json.dumps(dataclasses.asdict(recipe))))
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
