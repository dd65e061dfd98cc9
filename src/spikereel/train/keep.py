"""What a run keeps: the best and the last weights, the state of all that draws, and the statistics of norms."""

import dataclasses
import math
import operator
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from spikereel.data.clips import Clips
from spikereel.errors import TrainingError
from spikereel.hub import Metadata, save_model
from spikereel.layers.calibrate import calibrate
from spikereel.layers.norm import unsynced
from spikereel.models.base import VideoModel
from spikereel.runs.batches import EpochOrder
from spikereel.runs.clips import build_loader, data_passport
from spikereel.runs.config import Recipe
from spikereel.runs.origins import as_text, identities
from spikereel.runs.tasks import TASKS, norm_clips
from spikereel.train.checkpoint import saved_run
from spikereel.train.module import SETTLING_STEPS
from spikereel.train.sharded import Sharded, whole_state

EARLY_CLIPS = 32
"""Training clips that norms are taken of in the first steps."""


def metadata_of(recipe: Recipe, classes: tuple[str, ...], data_hash: str, **figures: Any) -> Metadata:
    """What a checkpoint says of itself: classes, how clips are made, and the whole recipe."""
    return Metadata(
        name=recipe.model.name,
        classes=classes,
        # where frames are kept is a place of this machine
        preprocess=dataclasses.asdict(dataclasses.replace(recipe.data, cache=None)),
        training={"recipe": dataclasses.asdict(recipe), "data_hash": data_hash, **figures},
    )


class KeepWeights(Callback):
    """Writes best and last weights as safetensors after every validation; tells data and order which epoch it is.

    The best are those of the best figure, or with `run.keep=last` those of the last one; never of one that is no
    number, or of a network that says the same of every clip, and of one with silent layers only until there is one
    without. With the checkpoint goes the random state, for what is drawn outside of the data set: mixtures and drop
    path.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        data: Clips,
        order: EpochOrder | None = None,
        *,
        before: set[bytes] | None = None,
        unseen: tuple[str, ...] = (),
    ):
        self.recipe, self.folder, self.data, self.order, self.epoch, self.done = recipe, folder, data, order, 0, 0
        self.best: float | None = None
        self.asleep = False
        """Whether the best weights so far have layers that are silent in evaluation: any without such are better."""
        self.passport, self.unseen = data_passport(data), unseen
        seen = identities(data)
        # weights that were started from have seen clips too
        self.seen = None if seen is None and before is None else as_text({*(seen or ()), *(before or ())})
        self._random: dict[str, Any] | None = None
        self._validating: dict[str, Any] | None = None
        """What draws, as it was before the validation in progress."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # a run that goes on inside its last epoch does not start one
        self._judge_the_end(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch = trainer.current_epoch
        self._set_epoch(self.epoch)
        self._judge_the_end(trainer)

    def _judge_the_end(self, trainer: pl.Trainer) -> None:
        """Whatever `validate_every`, the weights at the end are judged and kept."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._restore()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        # one that was broken off is made anew from its start
        self._restore()
        self._validating = _random()

    def _restore(self) -> None:
        if self._random is not None:
            _set_random(self._random)
            self._random = None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.done = batch_idx + 1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch, self.done = self.epoch + 1, 0
        if self.order is not None:
            # where only the validation was left of an epoch, nothing was read of it
            self.order.skip = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._validating = None
        if trainer.sanity_checking:
            return
        # of parts that lie on several devices all processes put together the whole
        model = _whole(trainer, pl_module.model)
        if not trainer.is_global_zero:
            return
        value = float(trainer.callback_metrics[pl_module.objective.monitor])
        figures = {
            pl_module.objective.monitor: value if math.isfinite(value) else None,
            "steps": trainer.global_step,
            "data_passport": dataclasses.asdict(self.passport),
            **({"trained_on": self.seen} if self.seen is not None else {}),
            **({"unseen_classes": list(self.unseen)} if self.unseen else {}),
        }
        classes = tuple(self.data.classes)
        metadata = metadata_of(self.recipe, classes, self.passport.hash, **figures)
        try:
            save_model(model, self.folder / "last.safetensors", metadata)
            if not math.isfinite(value) or pl_module.dead:
                return
            better = operator.ge if pl_module.objective.higher_is_better else operator.le
            asleep = bool(pl_module.silent)
            awake = self.asleep and not asleep
            newer = self.recipe.run.keep == "last"
            if self.best is None or awake or (asleep == self.asleep and (newer or better(value, self.best))):
                self.best, self.asleep = value, asleep
                save_model(model, self.folder / "best.safetensors", metadata)
        except OSError as error:
            raise TrainingError(
                f"cannot write weights to {self.folder}: {error.strerror}; those from before are whole: make room, "
                "then --resume"
            ) from None

    def state_dict(self) -> dict[str, Any]:
        run = saved_run(self.recipe, self.passport.hash, tuple(self.data.classes))
        return {
            "best": self.best,
            "asleep": self.asleep,
            "epoch": self.epoch,
            "done": self.done,
            "run": run,
            "random": self._validating or _random(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.epoch = state_dict["best"], int(state_dict["epoch"])
        self.asleep = bool(state_dict.get("asleep", False))
        self._random = state_dict["random"]
        # the workers start to prepare clips before the first `on_train_epoch_start` of a resumed run
        self._set_epoch(self.epoch)
        if self.order is not None:
            self.order.skip = int(state_dict["done"])

    def _set_epoch(self, epoch: int) -> None:
        for part in (self.data, self.order):
            if part is not None:
                part.set_epoch(epoch)


class PreciseNorms(Callback):
    """Takes the statistics of all batch norms anew from training clips before every validation.

    Without `optim.precise_norms` that is done in the first steps alone, when running means still hold their start, and
    layers that fire in training would be silent; and always with windows of clips (`optim.truncate`) and attention over
    whole ones. Every process of a run sees the same clips, changed at random as for training; those of segmentation are
    of the size that is judged, and not changed.
    """

    def __init__(self, recipe: Recipe, data: Any):
        self.recipe, self.data = recipe, data
        self._loader: Any = None

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        asked = self.recipe.optim.precise_norms
        if self.recipe.truncated and not pl_module.model.can_stream:
            # attention over a window has other sums than that over a clip
            asked = asked or EARLY_CLIPS
        if trainer.sanity_checking or not (asked or trainer.global_step < SETTLING_STEPS):
            return
        batch = min(self.recipe.optim.batch, len(self.data))
        if self._loader is None:
            self._loader = self._load(batch)
        batches = -(-(asked or EARLY_CLIPS) // batch)
        with unsynced(pl_module.model):
            calibrate(pl_module.model, map(pl_module.clip_of, islice(self._loader, batches)))

    def _load(self, batch: int) -> Any:
        data, seed = self.data, self.recipe.run.seed
        if TASKS[self.recipe.task].plain:
            data = norm_clips(self.recipe.task, self.recipe.data, seed=seed)
        # of its own, since that of training is in the middle of its epoch
        spec = dataclasses.replace(self.recipe.data, workers=0)
        return build_loader(data, spec, batch=batch, shuffle=True, seed=seed)


def _whole(trainer: pl.Trainer, model: VideoModel) -> VideoModel:
    """The network itself, or a copy on the CPU where fsdp keeps its parts apart."""
    if not isinstance(trainer.strategy, Sharded):
        return model
    parts = whole_state(model)
    whole = type(model)(model.config)
    if trainer.is_global_zero:
        whole.load_state_dict(parts)
    return whole


def _random() -> dict[str, Any]:
    """The state of what draws in the main process, as tensors."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def _set_random(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([x.cpu() for x in state["cuda"]])
