"""Tables of a result: classes, firing rates, energy, shares of pixels. Nothing here prints."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from torch import Tensor

from spikereel.energy import report
from spikereel.energy.costs import COSTS, DEFAULT, CostModel
from spikereel.energy.opponents import verdict
from spikereel.energy.passport import Passport
from spikereel.inference.classify import Prediction
from spikereel.inference.segment import Segments

Rates = Tensor | Sequence[float] | float

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


def prediction_tables(prediction: Prediction) -> list[RenderableType]:
    """All that a terminal shows of a prediction."""
    return [
        Rule(Text(prediction.path)),
        top5_table(prediction),
        firing_table(prediction.firing),
        energy_table(prediction.passport, brief=True),
        *(Text(note, "dim") for note in prediction.notes),
    ]


def top5_table(prediction: Prediction) -> RenderableType:
    """The five best classes with bars."""
    seen = f"{len(prediction.indices)} of {prediction.info.frames} frames, {prediction.views} view(s)"
    return best_table(prediction.path, prediction.top5, "; ".join((seen, *prediction.notes)))


def best_table(path: str, best: Sequence[tuple[str, float]], said: str) -> RenderableType:
    """The best classes of a file with bars, and a line below."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for rank, (name, p) in enumerate(best):
        style = "bold green" if rank == 0 else ""
        length = Text(bar(p, 30), "green" if rank == 0 else "dim")
        table.add_row(Text(name, style), Text(f"{100 * p:5.1f} %", style), length)
    return Group(Text(path, overflow="fold"), table, Text(said, "dim"))


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


def shares_table(found: Segments) -> Table:
    """The classes of a recording by their share of its pixels; those of no pixel are left out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(found.source.name), title_justify="left")
    table.add_column("class")
    table.add_column("%", justify="right")
    table.add_column("in frames", justify="right")
    shares = torch.tensor(found.shares)
    for i in shares.mean(0).argsort(descending=True).tolist():
        if shares[:, i].any():
            seen = f"{int((shares[:, i] > 0).sum())}"
            table.add_row(Text(found.segmenter.classes[i]), f"{100 * float(shares[:, i].mean()):.1f}", seen)
    return table


def _rich(table: report.Table) -> Table:
    shown = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title=table.title and Text(table.title),
        title_justify="left",
    )
    for i, name in enumerate(table.columns):
        word = i < table.words
        shown.add_column(
            Text(name), justify="left" if word else "right", no_wrap=not word, overflow="fold", min_width=6
        )
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown
