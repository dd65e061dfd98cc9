"""`spikereel list`: models, weights and recipes."""

import argparse
import dataclasses
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register list."""
    json_option(command(commands, "list", _list, "list models, weights and recipes"))


def _list(options: argparse.Namespace) -> None:
    from spikereel.hub import list_models
    from spikereel.runs.recipes import RECIPES
    from spikereel.show.models import models_table

    models, console = list_models(), new_console()
    if options.json:
        write_json(options.json, {name: dataclasses.asdict(info) for name, info in models.items()})
    console.print(models_table(models))
    console.print(f"recipes: {', '.join(RECIPES)}")
