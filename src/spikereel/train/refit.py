"""A second training on all clips, after the first has said what to expect of it."""

import dataclasses
from pathlib import Path

from spikereel.hub import load_model, save_model
from spikereel.runs.config import Recipe
from spikereel.train.result import BEST, TrainResult

JUDGED = "held_out.safetensors"
"""Weights of the first training, which the figures are of."""


def refit_recipe(first: TrainResult, recipe: Recipe) -> tuple[Recipe, Path]:
    """The recipe of the second training, with as many passes as the first, and its folder."""
    place = first.folder / "all"
    run = dataclasses.replace(
        recipe.run,
        refit=False,
        keep="last",
        # what is judged are the training clips: once, to see that all layers fire
        validate_every=max(int(recipe.optim.epochs), 1),
        resume=recipe.run.resume and (place / "last.ckpt").is_file(),
    )
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, hold_out=False), run=run), place


def refitted(first: TrainResult, second: TrainResult) -> TrainResult:
    """The first result with the weights of the second, which say so; those of the first are kept beside them."""
    together = dataclasses.replace(first, seconds=first.seconds + second.seconds)
    if second.best is None:
        return together
    best, judged = first.folder / BEST, first.folder / JUDGED
    if "figures_of" not in load_model(best).metadata.training:
        # else a run that was resumed had come this far before
        best.replace(judged)
    model = load_model(second.best)
    training = {**model.metadata.training, first.monitor: first.value, "figures_of": JUDGED}
    save_model(model, best, dataclasses.replace(model.metadata, training=training))
    note = (
        f"the weights are of a second training, on all {second.passport.clips} clips; the figures are of {JUDGED}, "
        f"trained on {first.passport.clips}"
    )
    return dataclasses.replace(together, judged=judged, passport=second.passport, notes=(*first.notes, note))
