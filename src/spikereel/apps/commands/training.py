"""`spikereel demo`, `train` and `evaluate`."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console
from spikereel.errors import ConfigError
from spikereel.files import writable, write_json


def add(commands: Any) -> None:
    """Register demo, train and evaluate."""
    demo = command(commands, "demo", _demo, "train a small model, judge it, classify clips and draw what it cost")
    demo.add_argument("videos", nargs="*", help="videos of your own to classify as well")
    demo.add_argument("--out", default="demo", help="folder for the picture, the video and report.json (default: demo)")
    demo.add_argument("--from-scratch", action="store_true", help="start from fresh weights, not from those that ship")

    train = command(commands, "train", _train, "train by a recipe; `spikereel train --list` names them")
    train.add_argument("recipe", nargs="?", help="name of a recipe")
    train.add_argument("assignments", nargs="*", metavar="key=value", help="fields to change, such as optim.epochs=5")
    train.add_argument("--list", action="store_true", help="list the recipes and stop")
    train.add_argument("--show", action="store_true", help="print the recipe with all its fields and stop")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint of this run")

    evaluate = command(commands, "evaluate", _evaluate, "judge trained weights on clips they never saw")
    evaluate.add_argument("model", help="weights: a .safetensors file, a folder or a listed name")
    evaluate.add_argument("assignments", nargs="*", metavar="data.key=value", help="what to change of the data")
    evaluate.add_argument("--batch", type=int, default=16, help="clips at a time (default: 16)")
    json_option(evaluate)


def _demo(options: argparse.Namespace) -> None:
    from spikereel.apps.demo import demo

    demo(Path(options.out), videos=options.videos, from_scratch=options.from_scratch, console=new_console())


def _train(options: argparse.Namespace) -> None:
    from spikereel.config import override
    from spikereel.runs.recipes import RECIPES, get_recipe

    if options.list or options.recipe is None:
        for name, recipe in RECIPES.items():
            print(f"{name:18} {(recipe.__doc__ or '').splitlines()[0]}")
        if options.list:
            return
        raise ConfigError("name a recipe: spikereel train RECIPE [key=value ...]")
    extra = ["run.resume=true"] if options.resume else []
    recipe = override(get_recipe(options.recipe), [*options.assignments, *extra])
    if options.show:
        import dataclasses

        print(json.dumps(dataclasses.asdict(recipe), indent=2))
        return
    from spikereel.extras import need

    need("train")
    from spikereel.runs.clips import note_of
    from spikereel.runs.tasks import TASKS
    from spikereel.train.run import train

    console = new_console()
    _note(console, note_of(recipe.data, recipe.task))
    result = train(recipe)
    unit = TASKS[recipe.task].unit
    print(f"best {result.monitor} {result.value:.1f} {unit} in {result.seconds:.0f} s; weights: {result.best}")
    print(f"training data: {result.passport}")
    for path, reason in result.skipped:
        console.print(f"skipped {path}: {reason}", style="yellow", markup=False)


def _evaluate(options: argparse.Namespace) -> None:
    from spikereel.hub import load_model, weights_hash
    from spikereel.inference.authors import data_of
    from spikereel.runs.clips import note_of
    from spikereel.runs.evaluate import evaluation_json
    from spikereel.show.tables import outcome_table
    from spikereel.versions import provenance

    if options.batch < 1:
        raise ConfigError(f"--batch must be at least 1, got {options.batch}")
    writable(options.json)
    model = load_model(options.model)
    spec = data_of(model, options.assignments)
    console = new_console()
    _note(console, note_of(spec, model.task))
    outcomes = _judged(model, spec, options.batch, console)
    console.print(outcome_table(outcomes, weights_hash(model)))
    for path, reason in outcomes[0].skipped:
        console.print(f"skipped {path}: {reason}", style="yellow", markup=False)
    if options.json:
        head = {"model": str(options.model), "weights_hash": weights_hash(model), "split": spec.split}
        body = {"data": dataclasses.asdict(spec), **evaluation_json(spec, outcomes), **provenance()}
        write_json(options.json, head | body)


def _judged(model: Any, spec: Any, batch: int, console: Any) -> list[Any]:
    """The outcome with the views of the spec and, where they are several, that of the single middle view."""
    from rich.progress import Progress

    from spikereel.runs.clips import build_dataset
    from spikereel.runs.evaluate import evaluate, protocols

    outcomes = []
    for view in protocols(spec):
        with Progress(console=console, transient=True) as bar:
            scanning = bar.add_task("looking at files", total=None, visible=spec.on_error == "skip")
            dataset = build_dataset(
                view,
                view.split,
                task=model.task,
                classes=tuple(model.metadata.classes) or None,
                views=True,
                progress=lambda done, total, bar=bar, task=scanning: bar.update(task, completed=done, total=total),
            )
            views = f", {view.clips} x {view.crops} views" if view.clips * view.crops > 1 else ""
            judging = bar.add_task(f"judging clips{views}", total=len(dataset))
            outcomes.append(
                evaluate(
                    model,
                    dataset,
                    view,
                    batch=batch,
                    progress=lambda done, total, bar=bar, task=judging: bar.update(task, completed=done, total=total),
                )
            )
    return outcomes


def _note(console: Any, text: str | None) -> None:
    if text:
        console.print(f"note: {text}", style="yellow", markup=False)
