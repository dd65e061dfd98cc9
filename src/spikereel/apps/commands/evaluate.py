"""`spikereel evaluate`: trained weights on clips they never saw."""

import argparse
import dataclasses
from typing import Any

from spikereel.apps.commands.common import command, engine_option, json_option, new_console, note, progress
from spikereel.apps.commands.many import manifest_options, only_with_manifest, run_manifest
from spikereel.errors import ConfigError
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register evaluate."""
    evaluate = command(
        commands,
        "evaluate",
        _evaluate,
        "judge trained weights on clips they never saw",
        reads=("model", "assignments"),
        folders=("out",),
    )
    evaluate.add_argument("model", help="weights: a .safetensors file, a folder or a listed name")
    evaluate.add_argument("assignments", nargs="*", metavar="data.key=value", help="what to change of the data")
    evaluate.add_argument("--batch", type=int, default=16, help="clips at a time (default: 16)")
    evaluate.add_argument("--out", default="results", help="--manifest: folder of the rows (default: %(default)s)")
    manifest_options(evaluate)
    engine_option(evaluate)
    json_option(evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    if options.manifest is not None:
        _evaluate_list(options)
        return
    only_with_manifest(options)
    _evaluate_data(options)


def _evaluate_list(options: argparse.Namespace) -> None:
    """The clips of a manifest with labels, by the rows that `predict --manifest` would write."""
    from spikereel.bulk.manifest import read_manifest
    from spikereel.bulk.score import score_json, score_of
    from spikereel.bulk.table import read_results
    from spikereel.hub import load_model, weights_hash
    from spikereel.inference.classify import classes_of
    from spikereel.runs.tasks import TASKS
    from spikereel.show.evaluation import class_table
    from spikereel.versions import provenance

    if options.assignments:
        raise ConfigError(f"{options.assignments[0]} and --manifest: the manifest names the clips; leave it out")
    model = load_model(options.model)
    if not TASKS[model.task].views:
        raise ConfigError(f"a manifest has labels of classes, and {options.model} is for {model.task}; leave it out")
    if options.shard:
        raise ConfigError("--shard is for predict; run its shards, then evaluate --manifest, which finds their rows")
    summary = run_manifest(options, {}, batch=options.batch)
    classes = classes_of(model.metadata, model.config.num_classes)
    rows = [
        x for x in read_results(options.out) if (x["weights"], x["settings"]) == (summary.weights, summary.settings)
    ]
    score, without = score_of(read_manifest(options.manifest), rows, classes)
    if options.json:
        head = {"model": str(options.model), "weights_hash": weights_hash(model), "manifest": options.manifest}
        write_json(options.json, {**head, **score_json(score, classes), "without_answer": without, **provenance()})
    console = new_console()
    top5 = "" if score.top5 is None else f", top-5 {score.top5:.2f} %"
    console.print(f"top-1 {score.top1:.2f} %{top5} of {score.clips} clips", style="bold green")
    console.print(class_table(score, classes))
    if without:
        note(console, f"{without} labelled clips have no answer and are not counted")


def _evaluate_data(options: argparse.Namespace) -> None:
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
    outcomes = _judged(model, spec, options.batch, options.engine)
    if options.json:
        head = {"model": str(options.model), "weights_hash": weights_hash(model), "split": spec.split}
        body = {"data": dataclasses.asdict(spec), **evaluation_json(spec, outcomes), **provenance()}
        write_json(options.json, head | body)
    console.print(outcome_table(outcomes, weights_hash(model)))
    note(console, f"engine: {outcomes[0].engine}")
    for line in outcomes[0].notes:
        note(console, line)
    for path, reason in outcomes[0].skipped:
        console.print(f"skipped {path}: {reason}", style="yellow")


def _judged(model: Any, spec: Any, batch: int, engine: Any) -> list[Any]:
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
            views = f", {view.views} views" if view.views > 1 else ""
            judging = bar.add_task(f"judging clips{views}", total=len(dataset))
            outcomes.append(
                evaluate(
                    model,
                    dataset,
                    view,
                    batch=batch,
                    engine=engine,
                    progress=lambda done, total, bar=bar, task=judging: bar.update(task, completed=done, total=total),
                )
            )
    return outcomes
