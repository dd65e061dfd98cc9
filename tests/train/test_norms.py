"""Norms from clips before the first step: no layer is silent in evaluation from then on."""

import dataclasses

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from small import small_recipe

from spikereel.errors import TrainingError
from spikereel.layers.observe import firing_rates
from spikereel.runs.clips import build_dataset
from spikereel.train.run import train


class Look(Callback):
    """Which layers are silent in evaluation, before the first step and after it."""

    def __init__(self, recipe):
        clips = build_dataset(recipe.data, "val")
        self.clip, self.silent = torch.stack([clips[i][0] for i in range(8)], dim=1), []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        model = pl_module.model.eval()
        with torch.no_grad(), firing_rates(model) as rates:
            model(self.clip)
        self.silent.append(rates.silent())
        pl_module.model.train()


def test_start_norms_wake_every_layer_before_the_first_step(tmp_path):
    silent = {}
    for clips in (0, 16):
        recipe = small_recipe(tmp_path / str(clips), start_norms=clips, threshold=0.5)
        look = Look(recipe)
        train(recipe, callbacks=(look,))
        silent[clips] = look.silent[0]
    assert silent[0]
    assert not silent[16]


def test_a_run_that_goes_on_keeps_its_norms(tmp_path):
    recipe = small_recipe(tmp_path, start_norms=16, epochs=1.0)
    train(recipe)
    longer = dataclasses.replace(
        recipe, optim=dataclasses.replace(recipe.optim, epochs=2.0), run=dataclasses.replace(recipe.run, resume=True)
    )
    seen = []

    class Keep(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if not seen:
                norm = pl_module.model.get_submodule("downsample1_1.encode_bn")
                seen.append((trainer.global_step, int(norm.num_batches_tracked)))

    train(longer, callbacks=(Keep(),))
    # the validation took them anew from 32 clips, four batches of 8; a new start would take two
    assert seen == [(6, 4)]


def test_layers_that_stay_silent_with_norms_anew_stop_a_run_at_once(tmp_path):
    recipe = small_recipe(tmp_path, threshold=50.0, precise_norms=8, silent_epochs=1)
    with pytest.raises(TrainingError, match=r"never fired in evaluation.*model\.threshold"):
        train(recipe)
