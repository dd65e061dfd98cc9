"""Carrying out a recipe: data, model, trainer, and the files a run leaves behind."""

import dataclasses
import errno
import json
import logging
import signal
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, RichProgressBar, Timer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.plugins.layer_sync import LayerSync
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.progress import Progress
from torch import nn

from spikereel.data.clips import differ_in_case
from spikereel.errors import ConfigError, Interrupted, TrainingError
from spikereel.files import expand, write_text
from spikereel.hub import load_model
from spikereel.layers.fused import set_memory
from spikereel.layers.norm import synced
from spikereel.models.base import VideoModel
from spikereel.ops.training import describe
from spikereel.runs.clips import build_dataset, build_loader, channels_of, order_of, skipped_files
from spikereel.runs.config import Recipe, RunSpec
from spikereel.runs.mirrors import mirror_plan
from spikereel.runs.model import build_model
from spikereel.runs.origins import trained_on
from spikereel.runs.seen import unseen
from spikereel.runs.start import source_of
from spikereel.runs.tasks import TASKS
from spikereel.train.board import board
from spikereel.train.checkpoint import LastCheckpoint, Stopped, WholeCheckpoints, resume_from
from spikereel.train.folder import run_folder
from spikereel.train.forecast import Forecast
from spikereel.train.keep import KeepWeights, PreciseNorms
from spikereel.train.keep import metadata_of as metadata_of
from spikereel.train.module import TrainingModule
from spikereel.train.norms import StartNorms
from spikereel.train.processes import Processes, processes, requeue
from spikereel.train.refit import refit_recipe, refitted
from spikereel.train.result import BEST
from spikereel.train.result import TrainResult as TrainResult
from spikereel.train.seen import ClipLog
from spikereel.train.sharded import SameBuffers, Sharded
from spikereel.train.truncated import windows_notes

HINTS = (
    # the order of an epoch passes over what was seen of it
    r"You're resuming from a checkpoint that ended before the epoch ended",
    r"The '.*_dataloader' does not have many workers",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    # a machine with Slurm may train by itself; a job that forgets srun is told in `processes`
    r"The `srun` command is available on your system but is not used",
)
"""Warnings of Lightning about what is meant so here, or about its own insides."""

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}


def train(recipe: Recipe, *, callbacks: tuple[Callback, ...] = ()) -> TrainResult:
    """Train, and leave in `<run.out>/<name>/`: best and last `.safetensors`, `last.ckpt` to resume from, TensorBoard
    logs and `recipe.json`. With `run.refit` the second training is in `all/` there, and the best weights are its.

    callbacks: of Lightning, for the training that is judged; the second one has those with an attribute `both`.

    Raises TrainingError for a loss that is not finite or a network with dead layers, DataError for bad files,
    ConfigError for values that do not go together.
    """
    run = recipe.run
    if run.threads:
        torch.set_num_threads(run.threads)
    parts = _seeded_parts(recipe)
    folder = Path(expand(run.out, home=True)) / recipe.name
    there = processes(run)
    _check(recipe, there)
    with run_folder(folder, resume=_resumes(run, folder), first=there.first) as earlier:
        if earlier is not None:
            parts[2].notes.append(f"the run before is kept in {earlier}")
        result = _carried_out(*parts, folder, callbacks, there)
        # a network that learnt nothing learns no more of a few clips on top; devices would write over each other
        if run.refit and result.best is not None and there.world == 1:
            again, place = refit_recipe(result, recipe)
            everything = _seeded_parts(again)
            if len(everything[0]) > len(parts[0]):
                place.mkdir(exist_ok=True)
                both = tuple(callback for callback in callbacks if getattr(callback, "both", False))
                result = refitted(result, _carried_out(*everything, place, both, there))
    return result


def _seeded_parts(recipe: Recipe) -> tuple[Any, Any, TrainingModule]:
    pl.seed_everything(recipe.run.seed, workers=True, verbose=False)
    return training_parts(recipe)


def _resumes(run: RunSpec, folder: Path) -> bool:
    return _last(folder).is_file() if run.resume == "auto" else run.resume


def _last(folder: Path) -> Path:
    return folder / "last.ckpt"


def _carried_out(
    train_set: Any,
    val_set: Any,
    module: TrainingModule,
    folder: Path,
    callbacks: tuple[Callback, ...],
    there: Processes,
) -> TrainResult:
    """One training in a folder that is there."""
    started = time.monotonic()
    recipe, model = module.recipe, module.model
    spec, run = recipe.data, recipe.run
    ready_model(model, run)
    if run.memory != "plain":
        module.notes.append(f"memory: {run.memory}; kernels of training: {describe()}")
    if there.note:
        module.notes.append(there.note)
    several = there.world > 1
    batches = build_loader(train_set, spec, batch=recipe.optim.batch, shuffle=True, seed=run.seed, shared=several)
    # what a teacher has seen it passes on
    sources = [source for source in (source_of(model, recipe.model.start), recipe.distill.weights) if source]
    known = [trained_on(load_model(source).metadata.training) for source in sources]
    before = set().union(*filter(None, known)) if any(x is not None for x in known) else None
    keep = KeepWeights(recipe, folder, train_set, order_of(batches), before=before, unseen=module.unseen)
    last = LastCheckpoint(_last(folder), run.save_every)
    checkpoint = None
    if _resumes(run, folder):
        weights = module.state_dict()
        checkpoint = resume_from(folder, recipe, keep.passport.hash, tuple(train_set.classes), weights)
    if there.first:
        write_text(folder / "recipe.json", json.dumps(dataclasses.asdict(recipe), indent=2) + "\n")
    norms: tuple[Callback, ...] = (StartNorms(recipe, train_set),) if recipe.optim.start_norms else ()
    # in the first steps also where it is not asked for
    norms += (PreciseNorms(recipe, train_set),)
    if run.strategy == "fsdp":
        norms = (SameBuffers(), *norms)
    logs: tuple[Callback, ...] = (ClipLog(folder, batches),) if run.log_clips else ()
    forecast = Forecast(folder, train_set, len(val_set))
    with _quiet():
        own = (forecast, keep, *norms, *logs, *board(), *callbacks, last)
        trainer = _trainer(recipe, folder, own, len(batches), there)
    judged = build_loader(val_set, spec, batch=recipe.optim.batch, shuffle=False)
    _fit(trainer, last, module, batches, judged, checkpoint)
    return TrainResult(
        folder=folder,
        best=folder / BEST if keep.best is not None else None,
        last=folder / "last.safetensors",
        monitor=module.objective.monitor,
        value=keep.best,
        history=module.history,
        passport=keep.passport,
        seconds=time.monotonic() - started,
        forecast=forecast.to_json(),
        skipped=skipped_files(train_set, val_set),
        notes=tuple(dict.fromkeys((*module.notes, *module.firing))),
    )


def ready_model(model: VideoModel, run: RunSpec) -> None:
    """Lay out a model for training as a run asks for."""
    model.checkpointing = run.checkpointing
    set_memory(model, run.memory)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            # 1.3 times as fast on a CPU, and what tensor cores want
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)


def _fit(
    trainer: pl.Trainer, last: LastCheckpoint, module: TrainingModule, batches: Any, judged: Any, checkpoint: str | None
) -> None:
    """Train; raises Interrupted where a signal ends it, TrainingError for a disk that is full."""
    try:
        with _quiet():
            # our own checkpoint, written by this run; plain tensors and numbers
            trainer.fit(module, batches, judged, ckpt_path=checkpoint, weights_only=True)
    except (Stopped, SIGTERMException):
        stopped = last.interrupted()
        if not trainer.is_global_zero:
            raise Interrupted("", code=stopped.code) from None
        said = requeue() if last.signal == signal.SIGUSR1 else None
        raise stopped if said is None else Interrupted(f"{stopped}; {said}", code=stopped.code) from None
    except SystemExit:
        # what Lightning makes of KeyboardInterrupt
        raise last.interrupted() from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise TrainingError(f"{last.path.parent}: {error.strerror}; make room, then go on with --resume") from None
    finally:
        last.end()


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
    """Training clips, held-out clips, and the model with what is asked of it and the recipe as it is carried out."""
    task = TASKS[recipe.task]
    with _looking_at_files(recipe) as progress:
        ask: dict[str, Any] = {"task": recipe.task, "seed": recipe.run.seed, "progress": progress}
        train_set = build_dataset(recipe.data, "train", **ask)
        data, *_ = mirror_plan(recipe.data, train_set.classes, recipe.task)
        recipe = dataclasses.replace(recipe, data=data)
        val_set = build_dataset(recipe.data, "val", classes=tuple(train_set.classes) or None, **ask)
    unseen_classes, line = unseen(train_set)
    spec = recipe.data
    settled = {"in_channels": channels_of(spec), **task.model_fields(train_set)}
    seen = dataclasses.asdict(spec)
    model = build_model(recipe.model, frames=spec.frames, size=spec.size, preprocess=seen, **settled)
    objective = task.objective(recipe, model, train_set)
    module = TrainingModule(model, objective, silent_epochs=recipe.run.silent_epochs)
    module.unseen = tuple(unseen_classes)
    said = (
        *differ_in_case(train_set.classes),
        line and f"training: {line}",
        *getattr(train_set, "notes", ()),
        *getattr(val_set, "notes", ()),
    )
    module.notes += [text for text in said if text] + windows_notes(recipe, model)
    module.recipe = recipe
    return train_set, val_set, module


class Announce(Callback):
    """Says what is to be known before training begins."""

    both = True

    def __init__(self, say: Callable[[str], None]):
        self.say = say
        self.said: list[str] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        for line in pl_module.notes:
            if line not in self.said:
                self.said.append(line)
                self.say(line)


def _check(recipe: Recipe, there: Processes) -> None:
    """Raises ConfigError for what several devices cannot do."""
    run = recipe.run
    if recipe.optim.batch < there.world:
        raise ConfigError(f"optim.batch is {recipe.optim.batch} for {there.world} devices: give each at least one clip")
    if run.strategy != "fsdp":
        return
    if there.world == 1:
        raise ConfigError("run.strategy=fsdp shares a network out, and there is one process: give run.devices, or auto")
    if run.memory != "plain" or run.precision in ("16", "64"):
        raise ConfigError(
            f"run.strategy=fsdp goes with run.memory=plain (here {run.memory}; run.checkpointing=true saves memory) "
            f"and any run.precision but 16 and 64 (here {run.precision})"
        )


class SyncedNorms(LayerSync):
    """`run.sync_norms`, for every batch norm that our networks have and for any device."""

    def apply(self, model: nn.Module) -> nn.Module:
        return synced(model)

    def revert(self, model: nn.Module) -> nn.Module:
        return synced(model, on=False)


def _trainer(
    recipe: Recipe, folder: Path, callbacks: tuple[Callback, ...], batches: int, there: Processes
) -> pl.Trainer:
    run, optim = recipe.run, recipe.optim
    gpu = torch.cuda.is_available()
    precision = ("bf16" if gpu else "32") if run.precision == "auto" else run.precision
    whole = int(optim.epochs)
    steps = batches if whole else max(round(optim.epochs * batches), 1)
    bars: tuple[Callback, ...] = (RichProgressBar(leave=True),) if run.progress else ()
    return pl.Trainer(
        accelerator="gpu" if gpu else "cpu",
        devices=there.devices,
        num_nodes=there.nodes,
        strategy=Sharded(there.world) if run.strategy == "fsdp" else run.strategy,
        # batches are shared out by `Shares`, which any number of processes can go on from
        use_distributed_sampler=False,
        precision=PRECISIONS[precision],
        check_val_every_n_epoch=min(run.validate_every, max(whole, 1)),
        max_epochs=max(whole, 1),
        limit_train_batches=1.0 if whole else steps,
        accumulate_grad_batches=optim.accumulate,
        gradient_clip_val=optim.clip_norm or None,
        callbacks=[Timer(), *bars, *callbacks],
        # Lightning itself takes the script of a Slurm job for a task of srun, and would wait for the others
        plugins=[
            WholeCheckpoints(),
            *([SyncedNorms()] if run.sync_norms else []),
            *([LightningEnvironment()] if there.script else []),
        ],
        enable_checkpointing=True,
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
