"""Carrying out a recipe: data, model, trainer, and the files a run leaves behind."""

import dataclasses
import json
import logging
import operator
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer
from pytorch_lightning.loggers import TensorBoardLogger
from rich.progress import Progress
from torch import nn

from spikereel.data.clips import Clips
from spikereel.errors import ConfigError
from spikereel.hub import Metadata, save_model
from spikereel.layers.calibrate import calibrate
from spikereel.models.authors import read_checkpoint
from spikereel.runs.clips import (
    DataPassport,
    EpochOrder,
    build_dataset,
    build_loader,
    channels_of,
    data_passport,
    skipped_files,
)
from spikereel.runs.config import Recipe
from spikereel.runs.model import build_model
from spikereel.runs.tasks import TASKS, norm_clips
from spikereel.train.module import TrainingModule
from spikereel.train.norms import StartNorms

HINTS = (
    r"Checkpoint directory .* exists and is not empty",
    r"The '.*_dataloader' does not have many workers",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)
"""Warnings of Lightning about what is meant so here, or about its own insides."""

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run left behind."""

    folder: Path
    best: Path
    """Weights of the best validation, with configuration inside."""
    last: Path
    monitor: str
    """Name of the figure that `best` has the best of."""
    value: float | None
    """None where no validation was reached."""
    history: list[dict[str, float]]
    passport: DataPassport
    """Of the training clips."""
    seconds: float
    skipped: tuple[tuple[str, str], ...] = ()
    """Files that data.on_error=skip left out, training or held out, each with its reason."""

    @property
    def top1(self) -> float:
        """Best validation accuracy of a classification, per cent."""
        assert self.monitor == "val_top1"
        assert self.value is not None
        return self.value


def train(recipe: Recipe, *, callbacks: tuple[Callback, ...] = ()) -> TrainResult:
    """Train, and leave in `<run.out>/<name>/`: best and last `.safetensors`, `last.ckpt` to resume from, TensorBoard
    logs and `recipe.json`.

    Raises TrainingError for a loss that is not finite or a network with dead layers, DataError for bad files,
    ConfigError for values that do not go together.
    """
    started = time.monotonic()
    run, spec = recipe.run, recipe.data
    if run.threads:
        torch.set_num_threads(run.threads)
    pl.seed_everything(run.seed, workers=True, verbose=False)
    train_set, val_set, module = training_parts(recipe)
    model = module.model
    model.checkpointing = run.checkpointing
    folder = Path(run.out) / recipe.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another folder with run.out") from None
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            # 1.3 times as fast on a CPU, and what tensor cores want
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)
    optim = recipe.optim
    batches = build_loader(train_set, spec, batch=optim.batch, shuffle=True, seed=run.seed)
    keep = KeepWeights(recipe, folder, train_set, batches.sampler if isinstance(batches.sampler, EpochOrder) else None)
    norms = (StartNorms(recipe, train_set),) if optim.start_norms else ()
    norms += (PreciseNorms(recipe, train_set),) if optim.precise_norms else ()
    checkpoint = _resume_from(folder, module) if run.resume else None
    (folder / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")
    with _quiet():
        _trainer(recipe, folder, (keep, *norms, *callbacks), len(train_set)).fit(
            module,
            batches,
            build_loader(val_set, spec, batch=optim.batch, shuffle=False),
            ckpt_path=checkpoint,
            # our own checkpoint, written by this run; plain tensors and numbers
            weights_only=True,
        )
    return TrainResult(
        folder=folder,
        best=folder / "best.safetensors",
        last=folder / "last.safetensors",
        monitor=module.objective.monitor,
        value=keep.best,
        history=module.history,
        passport=keep.passport,
        seconds=time.monotonic() - started,
        skipped=skipped_files(train_set, val_set),
    )


@contextmanager
def _looking_at_files(recipe: Recipe) -> Generator[Callable[[int, int], None] | None, None, None]:
    """A bar for the time in which data.on_error=skip decodes all files; None for runs that show none."""
    if not (recipe.run.progress and recipe.data.on_error == "skip"):
        yield None
        return
    with Progress(transient=True) as bar:
        task = bar.add_task("looking at files", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def training_parts(recipe: Recipe) -> tuple[Any, Any, TrainingModule]:
    """Training clips, held-out clips, and the model with what is asked of it."""
    spec, task = recipe.data, TASKS[recipe.task]
    with _looking_at_files(recipe) as progress:
        ask: dict[str, Any] = {"task": recipe.task, "seed": recipe.run.seed, "progress": progress}
        train_set = build_dataset(spec, "train", **ask)
        val_set = build_dataset(spec, "val", classes=tuple(train_set.classes) or None, **ask)
    model = build_model(
        recipe.model, frames=spec.frames, size=spec.size, in_channels=channels_of(spec), **task.model_fields(train_set)
    )
    objective = task.objective(recipe, model, train_set)
    return train_set, val_set, TrainingModule(model, objective, silent_epochs=recipe.run.silent_epochs)


def metadata_of(recipe: Recipe, classes: tuple[str, ...], data_hash: str, **figures: Any) -> Metadata:
    """What a checkpoint says of itself: classes, how clips are made, and the whole recipe."""
    return Metadata(
        name=recipe.model.name,
        classes=classes,
        preprocess=dataclasses.asdict(recipe.data),
        training={"recipe": dataclasses.asdict(recipe), "data_hash": data_hash, **figures},
    )


class KeepWeights(Callback):
    """Writes best and last weights as safetensors after every validation; tells data and order which epoch it is."""

    def __init__(self, recipe: Recipe, folder: Path, data: Clips, order: EpochOrder | None = None):
        self.recipe, self.folder, self.data, self.order, self.epoch = recipe, folder, data, order, 0
        self.best: float | None = None
        self.passport = data_passport(data)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch = trainer.current_epoch
        self._set_epoch(self.epoch)
        if self.epoch + 1 == trainer.max_epochs:
            # whatever `validate_every`, the weights at the end are judged and kept
            trainer.check_val_every_n_epoch = 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        value = float(trainer.callback_metrics[pl_module.objective.monitor])
        figures = {
            pl_module.objective.monitor: value,
            "steps": trainer.global_step,
            "data_passport": dataclasses.asdict(self.passport),
        }
        classes = tuple(self.data.classes)
        metadata = metadata_of(self.recipe, classes, self.passport.hash, **figures)
        save_model(pl_module.model, self.folder / "last.safetensors", metadata)
        better = operator.ge if pl_module.objective.higher_is_better else operator.le
        if self.best is None or better(value, self.best):
            self.best = value
            save_model(pl_module.model, self.folder / "best.safetensors", metadata)

    def state_dict(self) -> dict[str, float | None]:
        return {"best": self.best, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.best, self.epoch = state_dict["best"], int(state_dict["epoch"])
        # the workers start to prepare clips before the first `on_train_epoch_start` of a resumed run
        self._set_epoch(self.epoch + 1)

    def _set_epoch(self, epoch: int) -> None:
        for part in (self.data, self.order):
            if part is not None:
                part.set_epoch(epoch)


class PreciseNorms(Callback):
    """Takes the statistics of all batch norms anew from training clips before every validation.

    Every process of a run sees the same clips, changed at random as for training; those of segmentation are of the size
    that is judged, and not changed.
    """

    def __init__(self, recipe: Recipe, data: Any):
        batch, seed = min(recipe.optim.batch, len(data)), recipe.run.seed
        if TASKS[recipe.task].plain:
            data = norm_clips(recipe.task, recipe.data, seed=seed)
        # of its own, since that of training is in the middle of its epoch
        spec = dataclasses.replace(recipe.data, workers=0)
        self.loader = build_loader(data, spec, batch=batch, shuffle=True, seed=seed)
        self.batches = -(-recipe.optim.precise_norms // batch)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            calibrate(pl_module.model, map(pl_module.clip_of, islice(self.loader, self.batches)))


def _trainer(recipe: Recipe, folder: Path, callbacks: tuple[Callback, ...], clips: int) -> pl.Trainer:
    run, optim = recipe.run, recipe.optim
    gpu = torch.cuda.is_available()
    precision = ("bf16" if gpu else "32") if run.precision == "auto" else run.precision
    batches = max(clips // optim.batch, 1)
    whole = int(optim.epochs)
    steps = batches if whole else max(round(optim.epochs * batches), 1)
    bars: tuple[Callback, ...] = (RichProgressBar(leave=True),) if run.progress else ()
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename="last", monitor=None, save_top_k=1, enable_version_counter=False
    )
    return pl.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=run.devices,
        strategy=run.strategy,
        precision=PRECISIONS[precision],
        check_val_every_n_epoch=min(run.validate_every, max(whole, 1)),
        max_epochs=max(whole, 1),
        limit_train_batches=1.0 if whole else steps,
        accumulate_grad_batches=optim.accumulate,
        gradient_clip_val=optim.clip_norm or None,
        callbacks=[checkpoint, Timer(), *bars, *callbacks],
        logger=TensorBoardLogger(str(folder), name="", version="log"),
        log_every_n_steps=min(10, steps),
        num_sanity_val_steps=0,
        enable_progress_bar=run.progress,
        enable_model_summary=False,
    )


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Without the notices of Lightning, which are about itself and not about the run."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for message in HINTS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _resume_from(folder: Path, module: TrainingModule) -> str:
    path = folder / "last.ckpt"
    if not path.is_file():
        raise ConfigError(f"nothing to resume: no {path}; start with run.resume=false")
    saved, own = read_checkpoint(path).get("state_dict", {}), module.state_dict()
    if {name: x.shape for name, x in saved.items()} != {name: x.shape for name, x in own.items()}:
        raise ConfigError(f"{path} is of another model; resume with the options of model.* that it was started with")
    return str(path)
