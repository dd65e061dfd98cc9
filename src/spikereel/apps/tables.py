"""What the command line shows, as Rich renderables; nothing here prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from spikereel.apps.predict import Prediction
from spikereel.hub import ModelInfo
from spikereel.runtime.energy import ASSUMPTIONS, Passport

if TYPE_CHECKING:
    from spikereel.train.evaluate import Evaluation

Rates = Tensor | Sequence[float] | float
READINGS = {"paper": "as in the papers", "folded": "folded", "as_run": "as it runs"}
ANN = "ANN: every layer as executed, all of it MACs"
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
    table = Table(box=box.SIMPLE_HEAD, title=Text(prediction.path), title_justify="left", pad_edge=False)
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for rank, (name, p) in enumerate(prediction.top5):
        style = "bold green" if rank == 0 else ""
        length = Text(bar(p, 30), "green" if rank == 0 else "dim")
        table.add_row(Text(name, style), Text(f"{100 * p:5.1f} %", style), length)
    seen = f"{len(prediction.indices)} of {prediction.info.frames} frames, {prediction.views} view(s)"
    return Group(table, Text("; ".join((seen, *prediction.notes)), "dim"))


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


def energy_table(passport: Passport) -> RenderableType:
    """Energy of a clip under each reading, beside the same network as an ANN.

    A ratio is the ANN over the total of one reading; the readings never mix.
    """
    parts, frames = passport.parts_mj(), passport.clip[0]
    title = "energy of a clip of {} frames, {} x {} x {}".format(*passport.clip)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    table.add_column("")
    for name in ("mJ a clip", "mJ a frame", "ANN / SNN"):
        table.add_column(name, justify="right", no_wrap=True)

    def row(name: str, mj: float, ratio: str = "", style: str = "") -> None:
        table.add_row(Text(name, style), *(Text(x, style) for x in (f"{mj:.4g}", f"{mj / frames:.4g}", ratio)))

    row("  layers on pixels, MAC", parts["mac"])
    row("  layers on spikes, AC as executed", parts["ac"])
    row("  attention", parts["attention"])
    for key, total in (("paper", "total"), ("folded", "total_folded"), ("as_run", "total_as_run")):
        row(f"SNN, {READINGS[key]}", parts[total], _ratio(parts["ann"], parts[total]), "bold")
        if key == "paper":
            row("  layers on spikes, AC with RepConv folded", parts["ac_folded"])
    row("the same network as an ANN", parts["ann"], "1", "bold yellow")
    facts = f"{passport.macs * 1e-9:.4g} GMAC a clip; mean firing rate {100 * passport.mean_rate:.1f} %; "
    facts += f"measured on {passport.clips} clip(s)"
    return Group(table, Text(facts), Text(f"Counted, not measured: {'; '.join((*ASSUMPTIONS, ANN))}.", "dim"))


def models_table(models: Mapping[str, ModelInfo]) -> RenderableType:
    """The outcome of `list_models`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("M param.", justify="right", no_wrap=True)
    table.add_column("attention", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    notes = Text()
    for name, info in models.items():
        weights = Text("\n".join(full.removeprefix(name) for full in info.weights) or "-", "green")
        scheme = f"{info.attention}, {info.similarity}"
        table.add_row(Text(name, "bold"), f"{info.parameters * 1e-6:.1f}", scheme, weights)
        if info.published:
            notes.append(f"{name}: {info.published}\n")
    sources = sorted({info.source for info in models.values()})
    return Group(table, notes, Text("sources: " + "; ".join(sources), "dim"))


def evaluation_table(evaluation: "Evaluation", weights_hash: str) -> RenderableType:
    """Accuracy on a test set, in all and by class, with the hashes of weights and data."""
    score = evaluation.score
    facts = Table.grid(padding=(0, 3, 0, 0))
    facts.add_row("top-1", Text(f"{score.top1:.2f} %", "bold green"), "clips", str(score.clips))
    facts.add_row("top-5", f"{score.top5:.2f} %", "views a clip", str(evaluation.views))
    facts.add_row("weights", weights_hash[:HASH], "data", evaluation.data_hash[:HASH])
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


def _ratio(ann: float, snn: float) -> str:
    return f"{ann / snn:.3g}" if snn else "-"
