"""`spikereel plan`: what a recipe needs before it is run."""

import argparse
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console, note
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register plan."""
    plan = command(
        commands,
        "plan",
        _plan,
        "say what a recipe needs before it is run: memory, time, and the options that fit",
        reads=("assignments",),
    )
    plan.add_argument("recipe", help="name of a recipe; `spikereel train --list` names them")
    plan.add_argument("assignments", nargs="*", metavar="key=value", help="fields to change, as for train")
    plan.add_argument("--memory", metavar="SIZE", help="memory to fit into, such as 24GB (default: what is free)")
    plan.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where it will run (default: cpu)")
    json_option(plan)


def _plan(options: argparse.Namespace) -> None:
    from spikereel.config import override
    from spikereel.extras import need
    from spikereel.runs.recipes import get_recipe

    recipe = override(get_recipe(options.recipe), options.assignments)
    need("train")
    from spikereel.train.plan import bytes_of, in_gib, plan

    memory = None if options.memory is None else bytes_of(options.memory)
    found = plan(recipe, memory=memory, device=options.device)
    console = new_console()
    console.print(_heading(found, recipe, in_gib))
    console.print(_table(found, in_gib))
    for line in found.notes:
        note(console, line)
    if found.chosen is not None:
        values = found.options[found.chosen].assignments
        said = " ".join(f"{name}={str(value).lower()}" for name, value in values.items())
        console.print(f"run it with: {said} run.precision={found.precision}", soft_wrap=True)
    if options.json:
        write_json(options.json, found.to_json())


def _heading(found: Any, recipe: Any, in_gib: Any) -> str:
    from spikereel.runs.splits import in_words

    clip = f"clips of {recipe.data.frames} frames, {recipe.data.size} px"
    text = f"{found.recipe} on {found.device}: {clip}; {in_gib(found.memory)} of memory, precision {found.precision}"
    if found.run_seconds is not None:
        text += f"\nthe run: {found.batches:.0f} batches, about {in_words(found.run_seconds)}, validations not counted"
    return text


def _table(found: Any, in_gib: Any) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "memory", "batch", "accumulate", "peak", "a batch takes", "fits"):
        table.add_column(name, justify="left" if name in ("", "memory", "fits") else "right")
    for i, option in enumerate(found.options):
        about = "~" if found.estimate else ""
        table.add_row(
            *(">" if i == found.chosen else "", option.memory, str(option.batch), str(option.accumulate)),
            *(in_gib(option.peak), f"{about}{option.seconds:.2g} s", "yes" if option.fits else "no"),
            style="bold" if i == found.chosen else None,
        )
    return table
