"""`spikereel train`: a recipe, with any of its fields changed."""

import argparse
import dataclasses
import json
from typing import Any

from spikereel.apps.commands.common import command, entry, new_console, note
from spikereel.errors import ConfigError


def add(commands: Any) -> None:
    """Register train."""
    train = command(
        commands, "train", _train, "train by a recipe; `spikereel train --list` names them", reads=("assignments",)
    )
    train.add_argument("recipe", nargs="?", help="name of a recipe")
    train.add_argument("assignments", nargs="*", metavar="key=value", help="fields to change, such as optim.epochs=5")
    train.add_argument("--list", action="store_true", help="list the recipes and stop")
    train.add_argument("--show", action="store_true", help="print the recipe with all its fields and stop")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint of this run")


def _train(options: argparse.Namespace) -> None:
    from spikereel.config import override
    from spikereel.runs.recipes import RECIPES, get_recipe

    if options.list or options.recipe is None:
        for name, recipe in RECIPES.items():
            print(entry(name, (recipe.__doc__ or "").splitlines()[0]))
        if options.list:
            return
        raise ConfigError("name a recipe: spikereel train RECIPE [key=value ...]")
    extra = ["run.resume=true"] if options.resume else []
    recipe = override(get_recipe(options.recipe), [*options.assignments, *extra])
    if options.show:
        print(json.dumps(dataclasses.asdict(recipe), indent=2))
        return
    from spikereel.extras import need

    need("train")
    from spikereel.runs.clips import note_of
    from spikereel.runs.tasks import TASKS
    from spikereel.train.run import train

    console = new_console()
    note(console, note_of(recipe.data, recipe.task))
    result = train(recipe)
    unit = TASKS[recipe.task].unit
    print(f"best {result.monitor} {result.value:.1f} {unit} in {result.seconds:.0f} s; weights: {result.best}")
    print(f"training data: {result.passport}")
    for path, reason in result.skipped:
        console.print(f"skipped {path}: {reason}", style="yellow")
