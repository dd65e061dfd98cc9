"""Passports as tables: one set of rows, written for the terminal, for papers in Markdown or LaTeX, and for HTML."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from spikereel.energy.costs import CostModel
from spikereel.energy.opponents import break_even, effective_rate, opponents, verdict
from spikereel.energy.passport import Passport
from spikereel.energy.reference import REFERENCES

Costs = Mapping[str, CostModel]
Passports = Mapping[str, Passport]

COUNTED = "Counted, not measured."
HASH = 12


@dataclass(frozen=True, kw_only=True)
class Table:
    """Words and figures in rows; `words` columns are text, all others figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


def totals(passports: Passports, costs: Costs, *, brief: bool = False) -> Table:
    """Millijoules of a clip by part under each cost model, beside the same network as an ANN; brief: for terminals."""
    figures = ("mac", "ac", "attention", "data", "total", "per_frame", "per_decision", "ann", "ann_over_snn")
    heads = ("MAC", "AC", "attention", "data", "total", "a frame", "a decision", "ANN", "ANN / this")
    parts = () if len(passports) > 1 else figures[:4]
    chosen = (*parts, "total", *(() if parts else ("per_decision",)), "ann", "ann_over_snn") if brief else figures
    shown = [i for i, key in enumerate(figures) if key in chosen]
    rows = []
    for name, passport in passports.items():
        for cost, model in costs.items():
            x = passport.parts_mj(model)
            x["data"] = x["neurons"] + x["memory"]
            cells = [number(x[key]) for key in figures[:-1]]
            cells.append(number(x["ann_over_snn"], 3) if passport.spiking else "-")
            rows.append((*_named(passports, name), cost, *(cells[i] for i in shown)))
    columns = (*_named(passports, "model"), "cost model", *(heads[i] for i in shown))
    return Table(title="millijoules of a clip", columns=columns, rows=tuple(rows), words=len(columns) - len(shown))


def against(passports: Passports, costs: Costs) -> Table:
    """Opponents under each cost model; above 1 the spikes win."""
    rows = [
        (
            *_named(passports, name),
            cost,
            x.name,
            str(x.bits),
            number(passport.energy_mj(model)),
            number(x.energy_mj),
            number(x.over_snn, 3),
        )
        for name, passport in passports.items()
        if passport.spiking
        for cost, model in costs.items()
        for x in opponents(passport, model)
    ]
    columns = (*_named(passports, "model"), "cost model", "opponent", "bits", "spikes, mJ", "opponent, mJ", "ratio")
    return Table(title="fair opponents", columns=columns, rows=tuple(rows), words=len(columns) - 4)


def stages(passport: Passport, costs: Costs) -> Table:
    """Energy by the first part of the layers' names."""
    rows = []
    for stage, layers in passport.stages().items():
        energies = [sum(model.snn_pj(x).total for x in layers) for model in costs.values()]
        gmac = sum(x.macs for x in layers) * 1e-9
        rows.append((stage, str(len(layers)), number(gmac), *(number(x * 1e-9) for x in energies)))
    columns = ("stage", "layers", "GMAC", *(f"{cost}, mJ" for cost in costs))
    return Table(title="stages", columns=columns, rows=tuple(rows))


def layers(passport: Passport, costs: Costs) -> Table:
    """Every layer: what enters it, exact operations, energy, and its break-even rate under each cost model."""
    rows = []
    for x in passport.layers:
        exact = effective_rate(x)
        figures: list[float | None] = [
            sum(x.rate) / len(x.rate),
            exact,
            x.macs * 1e-6,
            None if x.synops is None else sum(x.synops) * 1e-6,
        ]
        for model in costs.values():
            figures += [model.snn_pj(x).total * 1e-9, break_even(x, model)]
        rows.append((x.name, x.kind, x.operand, *("-" if v is None else number(v) for v in figures)))
    each = [f"{cost}{what}" for cost in costs for what in (", mJ", ", break-even")]
    columns = ("layer", "kind", "operand", "rate", "exact rate", "dense MMAC", "exact MSOP", *each)
    return Table(title="layers", columns=columns, rows=tuple(rows), words=3)


def constants(costs: Costs) -> Table:
    """What each cost model takes an operation and a bit to cost, and from where."""
    rows = [
        (
            name,
            model.title,
            number(model.mac_pj),
            number(model.add_pj),
            number(model.update_pj),
            number(model.off_chip_pj),
            number(model.on_chip_pj),
            model.source,
        )
        for name, model in costs.items()
    ]
    columns = ("cost model", "", "MAC, pJ", "AC, pJ", "update, pJ", "off chip, pJ/bit", "on chip, pJ/bit", "source")
    return Table(title="cost models", columns=columns, rows=tuple(rows), words=2)


def references() -> Table:
    """The published rows with their protocol."""
    rows = [(x.model, x.task, number(x.energy_mj, 5), x.result, x.protocol, x.source) for x in REFERENCES]
    columns = ("model", "task", "mJ", "result", "protocol", "source")
    return Table(title="published, each by a protocol of its own", columns=columns, rows=tuple(rows), words=2)


def facts(passport: Passport) -> list[str]:
    """Lines that say what was counted, on what, and by whom."""
    t, *axes = passport.clip
    shape = f"{t} {'frames' if len(axes) == 3 else 'steps'}" + (", " + " x ".join(map(str, axes)) if axes else "")
    o = passport.origin
    lines = [
        f"{passport.macs * 1e-9:.4g} GMAC a clip of {shape}; {sum(passport.updates.values()):.4g} neuron updates",
        f"a decision is {passport.views} view(s) of such a clip",
    ]
    if passport.spiking:
        exact = f"; {passport.synops * 1e-9:.4g} G exact synaptic operations" if passport.synops else ""
        lines.insert(1, f"mean firing rate {100 * passport.mean_rate:.1f} %{exact}")
    seen = f"measured on {passport.clips} clip(s), data {o.data[:HASH]}" if o.data else f"firing rates {o.rates}"
    lines.append("; ".join(x for x in (seen, o.weights and f"weights {o.weights[:HASH]}", o.code[:40]) if x))
    return [*passport.warnings, *lines]


def apart(passports: Passports) -> list[str]:
    """What forbids to compare the models as they stand, first of all; empty where nothing does."""
    shapes = {name: " x ".join(map(str, x.clip)) for name, x in passports.items()}
    if len(set(shapes.values())) < 2:
        return []
    said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    return [
        f"the clips differ in size ({said}): these energies are no comparison of the models; measure them on clips of "
        "one size"
    ]


def assumptions(costs: Costs) -> list[str]:
    """Constants, source and assumptions, one line a cost model."""
    lines = []
    for name, x in costs.items():
        constants_ = [f"{number(x.mac_pj)} pJ a MAC, {number(x.add_pj)} pJ an AC"]
        constants_ += [f"{number(x.update_pj)} pJ a neuron update"] if x.update_pj else []
        constants_ += [f"{number(x.off_chip_pj)} pJ a bit off chip"] if x.off_chip_pj else []
        constants_ += [f"{number(x.on_chip_pj)} pJ on chip"] if x.on_chip_pj else []
        lines.append(f"{name}: {', '.join(constants_)} ({x.source}); {'; '.join(x.assumptions)}.")
    return lines


def markdown(passports: Passports, costs: Costs) -> str:
    """For papers and notes."""
    parts = ["# Energy passport: " + ", ".join(passports), COUNTED, *apart(passports)]
    for name, passport in passports.items():
        parts.append("\n".join(f"- {line}" for line in [f"**{name}**", *facts(passport)]))
    for table in _tables(passports, costs):
        parts += [f"## {_heading(table)}", _markdown(table)]
    parts += ["## Where spikes win", *_verdicts(passports, costs)]
    parts += ["## Assumptions", "\n".join(f"- {line}" for line in assumptions(costs))]
    return "\n\n".join(parts) + "\n"


def latex(passports: Passports, costs: Costs) -> str:
    r"""Tables for `\input`, no wider than the text; the first one is followed by what has to be known before."""
    notes = apart(passports) + [f"{name}: {line}" for name, x in passports.items() for line in x.warnings]
    prices = constants(costs)
    # sources are sentences: as a column they would leave the figures too small to read
    sources = [f"{row[0]}: {row[-1]}." for row in prices.rows]
    prices = replace(prices, columns=prices.columns[:-1], rows=tuple(row[:-1] for row in prices.rows))
    tables = ((totals(passports, costs), notes), (against(passports, costs), []), (prices, sources))
    shown = [_latex(table, below) for table, below in tables if table.rows]
    return "\n".join(["% needs the packages booktabs and graphicx", *shown])


def number(x: float, digits: int = 4) -> str:
    """So many significant digits, without an exponent where it can be read; "-" for what is no number."""
    if x != x:
        return "-"
    if x == 0:
        return "0"
    if 1e-3 <= abs(x) < 1e7:
        text = f"{x:.{digits}g}"
        return f"{float(text):.0f}" if "e" in text else text
    return f"{x:.{max(digits - 1, 2)}g}"


def _tables(passports: Passports, costs: Costs) -> Iterable[Table]:
    yield totals(passports, costs)
    if any(x.spiking for x in passports.values()):
        yield against(passports, costs)
    if len(passports) == 1:
        yield stages(next(iter(passports.values())), costs)
    yield from (constants(costs), references())


def _verdicts(passports: Passports, costs: Costs) -> list[str]:
    lines = []
    for name, passport in passports.items():
        said = verdict(passport, costs) if passport.spiking else ["an ANN: no spikes"]
        lines.append(f"**{name}**\n\n" + "\n".join(f"- {line}" for line in said))
    return lines


def _named(passports: Passports, name: str) -> tuple[str, ...]:
    """A first column with the model, where there are several."""
    return (name,) if len(passports) > 1 else ()


def _heading(table: Table) -> str:
    return table.title[0].upper() + table.title[1:]


def _markdown(table: Table) -> str:
    marks = ["---"] * table.words + ["---:"] * (len(table.columns) - table.words)
    lines = [table.columns, marks, *table.rows]
    return "\n".join("| " + " | ".join(x.replace("|", "\\|") for x in line) + " |" for line in lines)


_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{c: "\\" + c for c in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
)


ONE_COLUMN = 6
"""Columns of a table that fits into one column of a page of two."""


def _latex(table: Table, notes: Sequence[str]) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(x.translate(_SPECIAL) for x in cells) + r" \\"

    layout = "l" * table.words + "r" * (len(table.columns) - table.words)
    kind = "table" if len(table.columns) <= ONE_COLUMN else "table*"
    body = [line(table.columns), r"\midrule", *(line(row) for row in table.rows)]
    below = [rf"\par\footnotesize {x.translate(_SPECIAL)}" for x in notes]
    return "\n".join(
        [
            rf"\begin{{{kind}}}",
            r"\centering",
            rf"\caption{{{_heading(table).translate(_SPECIAL)}.}}",
            rf"\label{{tab:{table.title.split(',')[0].replace(' ', '-')}}}",
            rf"\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
            *below,
            rf"\end{{{kind}}}",
            "",
        ]
    )
