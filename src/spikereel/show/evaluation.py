"""Tables of a judgement: figures of a task over a test set, with the hashes of weights and data."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spikereel.runs.evaluate import Evaluation
from spikereel.show.tables import bar
from spikereel.tasks.classification import ClassificationScore

HASH = 12
"""Characters of a hash that are shown."""


def evaluation_table(evaluations: Sequence[Evaluation], weights_hash: str) -> RenderableType:
    """Accuracy on a test set under each protocol of views, then by class for the first, with hashes.

    evaluations: those of one model on the same clips, such as in 15 views and in one.
    """
    evaluation = evaluations[0]
    score = evaluation.score
    figures = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("views a clip", "averaged", "clips", "top-1", "top-5"):
        figures.add_column(name, justify="right", no_wrap=True)
    for x in evaluations:
        figures.add_row(
            str(x.views),
            x.average if x.views > 1 else "-",
            str(x.score.clips),
            Text(f"{x.score.top1:.2f} %", "bold green"),
            "-" if x.score.top5 is None else f"{x.score.top5:.2f} %",
        )
    facts = Group(figures, Text(f"weights {weights_hash[:HASH]}, data {evaluation.passport}", "dim"))
    lines: list[RenderableType] = [facts, class_table(score, evaluation.classes)]
    if evaluation.skipped:
        path, reason = evaluation.skipped[0]
        lines.append(Text(f"{len(evaluation.skipped)} file(s) left out; first {path}: {reason}", "yellow"))
    return Group(*lines)


def class_table(score: ClassificationScore, classes: Sequence[str]) -> Table:
    """Clips and per cent correct by class."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in ("clips", "correct"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    counts = score.confusion.sum(1).tolist()
    for name, count, share in zip(classes, counts, score.per_class(), strict=True):
        shown = Text("no clips", "dim") if share is None else Text(f"{share:.1f} %")
        table.add_row(Text(name), str(count), shown, Text(bar((share or 0.0) / 100, 20), "cyan"))
    return table


def outcome_table(outcomes: Sequence[Evaluation], weights_hash: str) -> RenderableType:
    """The table of what `evaluate` found, by its task."""
    of_frames = {"pose": pose_table, "segmentation": segmentation_table}.get(outcomes[0].task)
    return evaluation_table(outcomes, weights_hash) if of_frames is None else of_frames(outcomes[0], weights_hash)


def pose_table(evaluation: Evaluation, weights_hash: str) -> RenderableType:
    """Errors in millimetres over a test set, then by joint, with hashes."""
    means, joints = evaluation.score.means(), evaluation.score.per_joint()
    facts = Text(f"{evaluation.clips} clips, {evaluation.score.frames} frames", "bold")
    hashes = Text(f"weights {weights_hash[:HASH]}, data {evaluation.passport}", "dim")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in means:
        unit = {"pck": "%", "acceleration": "mm/step²"}.get(name, "mm")
        table.add_column(Text(f"{name.replace('_', chr(10))}\n{unit}"), justify="right", no_wrap=True)
    table.add_row(Text("all", "bold green"), *(Text(f"{x:.1f}", "bold green") for x in means.values()))
    for joint in evaluation.score.skeleton.joints:
        table.add_row(Text(joint), *(f"{joints[name][joint]:.1f}" for name in means))
    return Group(facts, hashes, table)


def segmentation_table(evaluation: Evaluation, weights_hash: str) -> RenderableType:
    """Figures over a test set, per cent, then the IoU of every class, with hashes."""
    figures = evaluation.to_json()
    names = ("miou", "pixel_accuracy", "vc8", "vc16", "vc8_steady", "vc16_steady", "vc8_released", "vc16_released")
    facts = Text(f"{evaluation.clips} clips, {figures['frames']} labelled frames", "bold")
    hashes = Text(f"weights {weights_hash[:HASH]}, data {evaluation.passport}", "dim")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("%", justify="right", no_wrap=True)
    for name in names:
        if figures[name] is not None:
            table.add_row(Text(name, "bold green"), Text(f"{figures[name]:.1f}", "bold green"))
    for name, iou in figures["per_class"].items():
        table.add_row(Text(name), "-" if iou is None else f"{iou:.1f}")
    return Group(facts, hashes, table)
