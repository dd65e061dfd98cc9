"""What the command line shows, as Rich renderables; nothing here prints."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

import torch
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from spikereel.energy import report
from spikereel.energy.costs import COSTS, DEFAULT, CostModel
from spikereel.energy.opponents import verdict
from spikereel.energy.passport import Passport
from spikereel.hub import ANN as TWIN
from spikereel.hub import ModelInfo
from spikereel.inference.predict import Prediction
from spikereel.models.authors import first_few

if TYPE_CHECKING:
    from spikereel.inference.authors import Imported, Move
    from spikereel.inference.segment import Segments
    from spikereel.runs.evaluate import Evaluation

Rates = Tensor | Sequence[float] | float
HASH = 12

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(share: float, width: int) -> str:
    """A bar of `width` characters, filled to `share` in [0, 1]; anything above 0 shows."""
    eighths = min(max(round(share * width * 8), int(share > 0)), width * 8)
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[part] if part else "")).ljust(width)


def by_block(firing: Mapping[str, Rates]) -> dict[str, dict[str, list[float]]]:
    """{block: {neuron: rate per time step}} in order of execution; Transformer blocks one by one ("block3.0")."""
    blocks: dict[str, dict[str, list[float]]] = {}
    for name, rates in firing.items():
        head, *rest = name.split(".")
        if head.startswith("block") and rest:
            head = f"{head}.{rest.pop(0)}"
        elif rest and rest[0].isdigit():
            rest.pop(0)
        values = torch.as_tensor(rates, dtype=torch.float64).flatten().tolist()
        blocks.setdefault(head, {})[".".join(rest) or head] = values
    return blocks


def top5_table(prediction: Prediction) -> RenderableType:
    """The five best classes with bars."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for rank, (name, p) in enumerate(prediction.top5):
        style = "bold green" if rank == 0 else ""
        length = Text(bar(p, 30), "green" if rank == 0 else "dim")
        table.add_row(Text(name, style), Text(f"{100 * p:5.1f} %", style), length)
    seen = f"{len(prediction.indices)} of {prediction.info.frames} frames, {prediction.views} view(s)"
    return Group(Text(prediction.path, overflow="fold"), table, Text("; ".join((seen, *prediction.notes)), "dim"))


def firing_table(firing: Mapping[str, Rates]) -> RenderableType:
    """Mean firing rate of every neuron, by block, in as many columns as fit; silent neurons are marked."""
    return _Firing(firing)


class _Firing:
    """Lays itself out when it knows the width."""

    cell = 38

    def __init__(self, firing: Mapping[str, Rates]):
        self.blocks = by_block(firing)
        self.means = {b: {n: sum(r) / len(r) for n, r in neurons.items()} for b, neurons in self.blocks.items()}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        count = max(1, min((options.max_width + 2) // (self.cell + 2), 4))
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(count):
            table.add_column(width=self.cell, no_wrap=True)
        columns = list(self._columns(count))
        for i in range(max(map(len, columns), default=0)):
            table.add_row(*(column[i] if i < len(column) else Text() for column in columns))
        yield table
        yield self._summary()

    def _columns(self, count: int) -> Iterator[list[Text]]:
        """Lines of each column: blocks in order, never split, columns about as long as each other."""
        groups = [self._group(block, means) for block, means in self.means.items()]
        target, column = sum(map(len, groups)) / count, []
        for group in groups:
            if column and len(column) + len(group) / 2 > target:
                yield column
                column = []
            column = column + group
        yield column

    def _group(self, block: str, means: dict[str, float]) -> list[Text]:
        top = max((x for neurons in self.means.values() for x in neurons.values()), default=0.0) or 1.0
        lines = [Text(block, "bold", overflow="ellipsis")]
        for name, mean in means.items():
            line = Text(f"  {name[:15]:<15} ")
            line.append(bar(mean / top, 10), "cyan")
            shown = f"{100 * mean:5.1f} %" if mean >= 0.0005 else " <0.1 %"
            line.append(f" {shown}" if mean else "  silent", "" if mean else "bold red")
            lines.append(line)
        return lines

    def _summary(self) -> Text:
        values = {f"{b}.{n}": x for b, neurons in self.means.items() for n, x in neurons.items()}
        silent = sum(not x for x in values.values())
        text = Text(f"{len(values)} neurons, mean rate {100 * sum(values.values()) / max(len(values), 1):.1f} %", "dim")
        return text.append(f"; {silent} silent", "bold red") if silent else text.append("; none silent")


def energy_table(
    passports: Passport | Mapping[str, Passport], costs: Mapping[str, CostModel] | None = None, *, brief: bool = False
) -> RenderableType:
    """Energy of a clip under each cost model, beside the same network as an ANN; of one model or of several.

    A ratio is the ANN over the total of one cost model; they never mix. brief: the figures alone, and where to find
    constants, assumptions and verdicts.
    """
    costs = costs or {name: COSTS[name] for name in DEFAULT}
    passports = {"clip": passports} if isinstance(passports, Passport) else passports
    lines: list[RenderableType] = [_rich(report.totals(passports, costs, brief=True))]
    if brief:
        more = "Constants, assumptions and break-even rates: spikereel energy MODEL"
        return Group(*lines, Text(f"{report.COUNTED} {more}", "dim"))
    for name, passport in passports.items():
        if len(passports) > 1:
            lines.append(Text(name, "bold"))
        lines += [Text(line) for line in report.facts(passport)]
        lines += [Text(line, "green") for line in (verdict(passport, costs) if passport.spiking else [])]
    lines += [Text(line, "dim") for line in (report.COUNTED, *report.assumptions(costs))]
    return Group(*lines)


def shares_table(found: "Segments") -> Table:
    """The classes of a recording by their share of its pixels; those of no pixel are left out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=found.source.name, title_justify="left")
    table.add_column("class")
    table.add_column("%", justify="right")
    table.add_column("in frames", justify="right")
    shares = torch.tensor(found.shares)
    for i in shares.mean(0).argsort(descending=True).tolist():
        if shares[:, i].any():
            seen = f"{int((shares[:, i] > 0).sum())}"
            table.add_row(found.segmenter.classes[i], f"{100 * float(shares[:, i].mean()):.1f}", seen)
    return table


def _rich(table: report.Table) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=table.title, title_justify="left")
    for i, name in enumerate(table.columns):
        word = i < table.words
        shown.add_column(name, justify="left" if word else "right", no_wrap=not word, overflow="fold", min_width=6)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown


def models_table(models: Mapping[str, ModelInfo]) -> RenderableType:
    """The outcome of `list_models`: sizes and schemes, published figures, and where weights can be had.

    The twins with ReLU are one line: they differ from their models in nothing that is shown here.
    """
    twins = [name for name in models if name.endswith(TWIN)]
    shown = {name: info for name, info in models.items() if name not in twins}
    table = _narrow()
    table.add_column("model", no_wrap=True)
    table.add_column("task", overflow="fold", min_width=8)
    for name in ("M\nparam.", "GMAC\na clip"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("clip\nT x H x W", "attention", "weights"):
        table.add_column(name, no_wrap=name.startswith("clip"), overflow="fold", min_width=9)
    for name, info in shown.items():
        t, _, h, w = info.clip
        weights = Text("\n".join(full.removeprefix(name) for full in info.weights) or "-", "green")
        table.add_row(
            Text(name, "bold"),
            info.task,
            f"{info.parameters * 1e-6:.1f}",
            f"{float(f'{info.macs * 1e-9:.3g}'):,g}",
            f"{t}x{h}x{w}",
            f"{info.attention}, {info.similarity}",
            weights,
        )
    lines: list[RenderableType] = [table]
    if twins:
        lines.append(
            Text(f"\nEvery one has a twin, NAME{TWIN}: the same network with ReLU in place of spiking neurons.")
        )
    sources = sorted({info.source for info in shown.values()})
    return Group(*lines, *_published(shown), *_obtain(shown), Text("\nsources: " + "; ".join(sources), "dim"))


def _published(models: Mapping[str, ModelInfo]) -> Iterator[RenderableType]:
    table = _narrow()
    table.add_column("\npublished", no_wrap=True)
    for name, ratio in (("figure", 6), ("protocol", 5), ("source", 6)):
        table.add_column(name, ratio=ratio)
    for name, info in models.items():
        for i, x in enumerate(info.published):
            table.add_row(Text("" if i else name, "bold"), Text(x.figure), Text(x.protocol), Text(x.source, "dim"))
    if table.row_count:
        yield table


def _obtain(models: Mapping[str, ModelInfo]) -> Iterator[RenderableType]:
    """Models in groups that say the same but for their names."""
    groups: dict[str, list[str]] = {}
    for name, info in models.items():
        groups.setdefault(info.obtain.replace(f"--as {name}", "--as NAME"), []).append(name)
    table = _narrow()
    table.add_column("\nmore weights", no_wrap=True)
    table.add_column("where", ratio=1)
    for where, names in groups.items():
        table.add_row(Text(_together(names), "bold"), Text(where if names[1:] else where.replace("NAME", names[0])))
    yield table


def _together(names: Sequence[str]) -> str:
    """ "a_s, _m, b": what names share with the one before is said once."""
    stems = [name.rpartition("_")[0] for name in names]
    shared = [bool(stem) and stem == before for stem, before in zip(stems, ["", *stems], strict=False)]
    return ", ".join(name.removeprefix(stem) if s else name for name, stem, s in zip(names, stems, shared, strict=True))


def _narrow() -> Table:
    """A table that leaves the width of a terminal to its content."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))


def import_table(imported: "Imported") -> RenderableType:
    """Entries of a checkpoint by how they met those of the model, and the fields that its shapes decided."""
    found, table = imported.found, Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("entries", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    table.add_row("matched", Text(str(len(found.matched)), "bold green"), "")
    for kind, names in found.problems().items():
        table.add_row(kind, Text(str(len(names)), "bold yellow"), Text(first_few(names), "dim"))
    c = imported.model.config
    fields = {x: getattr(c, x) for x in ("num_classes", "in_channels", "frames", "image_size") if hasattr(c, x)}
    facts = ", ".join(f"{key} {value}" for key, value in fields.items())
    return Group(Text(f"{imported.source} as {imported.name}: {facts}"), table)


def moves_table(moves: "Sequence[Move]", most: int = 5) -> RenderableType:
    """Batch norms whose statistics moved farthest in calibration, and the median of all."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("batch norm", overflow="fold")
    for name in ("mean moved, in std", "std x"):
        table.add_column(name, justify="right", no_wrap=True)
    for x in moves[:most]:
        table.add_row(Text(x.name), f"{x.mean:.3g}", f"{x.scale:.3g}")
    means, scales = ([getattr(x, field) for x in moves] for field in ("mean", "scale"))
    table.add_row(f"median of {len(moves)}", f"{median(means):.3g}", f"{median(scales):.3g}", style="bold")
    return table


def evaluation_table(evaluations: "Sequence[Evaluation]", weights_hash: str) -> RenderableType:
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
            f"{x.score.top5:.2f} %",
        )
    facts = Group(figures, Text(f"weights {weights_hash[:HASH]}, data {evaluation.passport}", "dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in ("clips", "correct"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    counts = score.confusion.sum(1).tolist()
    for name, count, share in zip(evaluation.classes, counts, score.per_class(), strict=True):
        shown = Text("no clips", "dim") if share is None else Text(f"{share:.1f} %")
        table.add_row(Text(name), str(count), shown, Text(bar((share or 0.0) / 100, 20), "cyan"))
    lines: list[RenderableType] = [facts, table]
    if evaluation.skipped:
        path, reason = evaluation.skipped[0]
        lines.append(Text(f"{len(evaluation.skipped)} file(s) left out; first {path}: {reason}", "yellow"))
    return Group(*lines)


def outcome_table(outcomes: "Sequence[Evaluation]", weights_hash: str) -> RenderableType:
    """The table of what `evaluate` found, by its task."""
    of_frames = {"pose": pose_table, "segmentation": segmentation_table}.get(outcomes[0].task)
    return evaluation_table(outcomes, weights_hash) if of_frames is None else of_frames(outcomes[0], weights_hash)


def pose_table(evaluation: "Evaluation", weights_hash: str) -> RenderableType:
    """Errors in millimetres over a test set, then by joint, with hashes."""
    means, joints = evaluation.score.means(), evaluation.score.per_joint()
    facts = Text(f"{evaluation.clips} clips, {evaluation.score.frames} frames", "bold")
    hashes = Text(f"weights {weights_hash[:HASH]}, data {evaluation.passport}", "dim")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in means:
        unit = {"pck": "%", "acceleration": "mm/frame²"}.get(name, "mm")
        table.add_column(f"{name}\n{unit}", justify="right", no_wrap=True)
    table.add_row(Text("all", "bold green"), *(Text(f"{x:.1f}", "bold green") for x in means.values()))
    for joint in evaluation.score.skeleton.joints:
        table.add_row(joint, *(f"{joints[name][joint]:.1f}" for name in means))
    return Group(facts, hashes, table)


def segmentation_table(evaluation: "Evaluation", weights_hash: str) -> RenderableType:
    """Figures over a test set, per cent, then the IoU of every class, with hashes."""
    figures = evaluation.to_json()
    names = ("miou", "pixel_accuracy", "vc8", "vc16", "vc8_steady", "vc16_steady")
    facts = Text(f"{evaluation.clips} clips, {figures['frames']} labelled frames", "bold")
    hashes = Text(f"weights {weights_hash[:HASH]}, data {evaluation.passport}", "dim")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("%", justify="right", no_wrap=True)
    for name in names:
        if figures[name] is not None:
            table.add_row(Text(name, "bold green"), Text(f"{figures[name]:.1f}", "bold green"))
    for name, iou in figures["per_class"].items():
        table.add_row(name, "-" if iou is None else f"{iou:.1f}")
    return Group(facts, hashes, table)
