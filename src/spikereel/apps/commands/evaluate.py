"""`spikereel evaluate`: trained weights on clips they never saw."""

import argparse
import dataclasses
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console, note, progress
from spikereel.errors import ConfigError
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register evaluate."""
    evaluate = command(
        commands, "evaluate", _evaluate, "judge trained weights on clips they never saw", reads=("model", "assignments")
    )
    evaluate.add_argument("model", help="weights: a .safetensors file, a folder or a listed name")
    evaluate.add_argument("assignments", nargs="*", metavar="data.key=value", help="what to change of the data")
    evaluate.add_argument("--batch", type=int, default=16, help="clips at a time (default: 16)")
    json_option(evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from spikereel.hub import load_model, weights_hash
    from spikereel.runs.clips import note_of
    from spikereel.runs.data import data_of, former_note
    from spikereel.runs.evaluate import evaluation_json, split_to_judge
    from spikereel.show.evaluation import outcome_table
    from spikereel.versions import provenance

    if options.batch < 1:
        raise ConfigError(f"--batch must be at least 1, got {options.batch}")
    model = load_model(options.model)
    spec = data_of(model, options.assignments)
    console = new_console()
    note(console, former_note(model.metadata))
    note(console, note_of(spec, model.task))
    if not any(x.startswith("data.split=") for x in options.assignments):
        spec, held = split_to_judge(model, spec)
        note(console, held)
    outcomes = _judged(model, spec, options.batch)
    if options.json:
        head = {"model": str(options.model), "weights_hash": weights_hash(model), "split": spec.split}
        body = {"data": dataclasses.asdict(spec), **evaluation_json(spec, outcomes), **provenance()}
        write_json(options.json, head | body)
    console.print(outcome_table(outcomes, weights_hash(model)))
    for line in outcomes[0].notes:
        note(console, line)
    for path, reason in outcomes[0].skipped:
        console.print(f"skipped {path}: {reason}", style="yellow")


def _judged(model: Any, spec: Any, batch: int) -> list[Any]:
    """The outcome with the views of the spec and, where they are several, that of the single middle view."""
    from spikereel.runs.clips import build_dataset
    from spikereel.runs.evaluate import evaluate, protocols

    outcomes = []
    for view in protocols(spec):
        with progress() as bar:
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
