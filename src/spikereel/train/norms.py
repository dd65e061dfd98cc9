"""The first statistics of batch norms, from clips, before the first step."""

import dataclasses
from itertools import islice
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from spikereel.layers.calibrate import calibrate
from spikereel.layers.norm import unsynced
from spikereel.runs.clips import build_loader
from spikereel.runs.config import Recipe
from spikereel.runs.tasks import TASKS, norm_clips


class StartNorms(Callback):
    """Gives all batch norms the statistics of training clips before the first step; a run that goes on has them.

    Without, evaluation finds most layers silent for as many steps as running means take to settle, layer after layer.
    """

    def __init__(self, recipe: Recipe, data: Any):
        self.recipe, self.data = recipe, data

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        if trainer.global_step:
            return
        recipe, data = self.recipe, self.data
        if TASKS[recipe.task].plain:
            data = norm_clips(recipe.task, recipe.data, seed=recipe.run.seed)
        batch = min(recipe.optim.batch, len(data))
        spec = dataclasses.replace(recipe.data, workers=0)
        loader = build_loader(data, spec, batch=batch, shuffle=True, seed=recipe.run.seed)
        clips = islice(loader, -(-recipe.optim.start_norms // batch))
        with unsynced(pl_module.model):
            calibrate(pl_module.model, map(pl_module.clip_of, clips))
