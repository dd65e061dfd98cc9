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
    train.add_argument("--no-report", dest="report", action="store_false", help="leave out the report at the end")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint of this run")


def _train(options: argparse.Namespace) -> None:
    from spikereel.config import override
    from spikereel.runs.own import RULED, ruled
    from spikereel.runs.recipes import RECIPES, get_recipe

    if options.list or options.recipe is None:
        for name, recipe in RECIPES.items():
            print(entry(name, (recipe.__doc__ or "").splitlines()[0]))
        if options.list:
            return
        raise ConfigError("name a recipe: spikereel train RECIPE [key=value ...]")
    extra = ["run.resume=true"] if options.resume else []
    changes = [*options.assignments, *extra]
    recipe = override(get_recipe(options.recipe), changes)
    choices: tuple[Any, ...] = ()
    console = new_console()
    if options.recipe in RULED and recipe.data.root is not None:
        recipe, facts, choices = ruled(get_recipe(options.recipe), changes)
        if not options.show:
            console.print(f"{facts}; a key=value changes any of these:", markup=False, highlight=False)
            for choice in choices:
                console.print(f"  {choice}", markup=False, highlight=False)
            note(console, facts.warning)
    if options.show:
        print(json.dumps(dataclasses.asdict(recipe), indent=2))
        return
    from spikereel.extras import need

    need("train")
    from spikereel.runs.clips import note_of
    from spikereel.runs.tasks import TASKS
    from spikereel.train.forecast import in_one_line
    from spikereel.train.processes import processes
    from spikereel.train.run import Announce, train
    from spikereel.train.watch import Watch

    note(console, note_of(recipe.data, recipe.task))
    first = processes(recipe.run).first
    console.quiet = not first
    watch = Watch(lambda line: console.print(line, markup=False, highlight=False))
    announce = Announce(lambda line: note(console, line))
    result = train(recipe, callbacks=(announce, watch))
    if not first:
        return
    unit = TASKS[recipe.task].unit
    if result.best is None:
        print(f"no best weights: in every validation the network said the same of every clip\nweights: {result.last}")
    else:
        word = "best" if recipe.run.keep == "best" else "last"
        print(f"{word} {result.monitor} {result.value:.1f} {unit} in {result.seconds:.0f} s\nweights: {result.best}")
    print(f"training data: {result.passport}")
    if result.forecast is not None and (line := in_one_line(result.forecast)):
        print(line)
    for line in result.notes:
        if line not in announce.said:
            note(console, line)
    for path, reason in result.skipped:
        console.print(f"skipped {path}: {reason}", style="yellow")
    if TASKS[recipe.task].views and options.report:
        _report(console, recipe, result, watch.losses, choices)


def _report(console: Any, recipe: Any, result: Any, losses: list[float], choices: tuple[Any, ...]) -> None:
    """Judge the weights that are kept beside simple models, and leave report.json, report.html and report.png."""
    from spikereel.extras import lacking, missing
    from spikereel.files import write_json
    from spikereel.inference.training_report import training_report

    report = training_report(
        recipe,
        result.judged or result.best or result.last,
        losses=losses,
        history=result.history,
        seconds=result.seconds,
        skipped=result.skipped,
        settings=[str(x) for x in choices] or [f"recipe {recipe.name}"],
        refitted=result.passport.clips if result.judged else None,
    )
    write_json(result.folder / "report.json", report.to_json())
    for line in (*report.verdict(), *report.advice()):
        console.print(line, markup=False, highlight=False)
    if absent := missing("draw"):
        note(console, f"no report.html: {lacking(', '.join(absent), 'draw')}")
        return
    from spikereel.show.training import write_report

    page, _ = write_report(report, result.folder)
    console.print(f"report: {page}", markup=False, highlight=False)
