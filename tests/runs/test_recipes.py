"""Every recipe is whole, can be shown, changed and built."""

import dataclasses
import json
from functools import reduce

import pytest

from spikereel.config import build, known_keys, override
from spikereel.errors import ConfigError
from spikereel.hub import ARCHITECTURES
from spikereel.runs.clips import channels_of
from spikereel.runs.config import DataSpec, OptimSpec, Recipe, data_spec_of
from spikereel.runs.model import build_model
from spikereel.runs.recipes import RECIPES, get_recipe
from spikereel.train.run import metadata_of

EVERY = pytest.mark.parametrize("name", RECIPES)


@EVERY
def test_named_for_its_function_and_told_in_a_sentence(name):
    assert get_recipe(name).name == name
    assert RECIPES[name].__doc__.splitlines()[0].strip()
    assert get_recipe(name).model.name in ARCHITECTURES


@EVERY
def test_survives_json(name):
    recipe = get_recipe(name)
    assert build(Recipe, json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe


@EVERY
def test_every_field_can_be_changed(name):
    recipe = override(get_recipe(name), ["optim.lr=0.5", "data.frames=3", "run.seed=7", "model.heads=2"])
    assert (recipe.optim.lr, recipe.data.frames, recipe.run.seed, recipe.model.heads) == (0.5, 3, 7, 2)
    values = {key: reduce(dict.__getitem__, key.split("."), dataclasses.asdict(recipe)) for key in known_keys(Recipe)}
    same = [f"{key}={json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    assert override(recipe, same) == recipe


@EVERY
def test_model_of_the_recipe_is_built_in_one_step(name):
    recipe = get_recipe(name)
    svformer = recipe.model.name.startswith("svformer")
    own = {"depths": (1, 1, 1, 1), "head_dim": 8} if svformer else {"depths": (1, 1)}
    small = dataclasses.replace(recipe.model, widths=(8, 16, 16, 24), start=None, **own)
    pose = recipe.task == "pose"
    wanted = {"joints": 24} if pose else {"num_classes": 2}
    if recipe.task != "classification":
        wanted["task"] = recipe.task
    spec = recipe.data
    model = build_model(small, frames=spec.frames, size=spec.size, in_channels=channels_of(spec), **wanted)
    assert model.task == recipe.task
    assert model.config.widths == (8, 16, 16, 24)
    if pose:
        assert (model.config.task, model.config.pose.joints) == ("pose", 24)
    else:
        assert model.config.num_classes == 2
    if svformer:
        assert (model.config.frames, model.config.image_size) == (recipe.data.frames, recipe.data.size)
    if recipe.model.threshold is not None:
        assert model.config.neuron.threshold == recipe.model.threshold


@EVERY
def test_metadata_gives_the_data_options_back(name):
    recipe = get_recipe(name)
    # all but where decoded frames are kept, which is for training
    assert data_spec_of(metadata_of(recipe, ("a",), "hash")) == dataclasses.replace(recipe.data, cache=None)


def test_unknown_recipe_and_key_name_the_nearest():
    with pytest.raises(ConfigError, match=r"'motoin'.*'motion'"):
        get_recipe("motoin")
    with pytest.raises(ConfigError, match=r"optim\.epochs"):
        override(get_recipe("motion"), ["optim.epoch=3"])


@pytest.mark.parametrize("fields", [{"lr": 0}, {"epochs": -1}, {"batch": 0}, {"accumulate": 0}, {"epochs": 1.5}])
def test_optimiser_values_out_of_range(fields):
    with pytest.raises(ConfigError, match=str(next(iter(fields.values())))):
        OptimSpec(**fields)


def test_weights_that_do_not_say_how_clips_are_made():
    with pytest.raises(ConfigError, match="preprocess"):
        data_spec_of(dataclasses.replace(metadata_of(get_recipe("motion"), (), ""), preprocess={}))
    assert DataSpec().kind == "motion"
