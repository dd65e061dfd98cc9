"""The passport as one HTML page with nothing outside it: pictures are inline SVG, the JSON lies inside."""

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from spikereel.energy.costs import PARTS
from spikereel.energy.opponents import break_even, rate_under, verdict
from spikereel.energy.passport import LayerCost, Passport
from spikereel.energy.report import (
    COUNTED,
    Costs,
    Passports,
    Table,
    against,
    assumptions,
    constants,
    facts,
    layers,
    number,
    references,
    stages,
    totals,
)

SNN, ANN, INK, MUTED, GRID, LOST = "#1b7f5c", "#d0732a", "#1d2327", "#68737b", "#dfe4e7", "#c2304a"
COLOURS = dict(zip(PARTS, ("#d0732a", "#1b7f5c", "#5b6fc4", "#a9b3b9", "#8a6d9c"), strict=True))
NAMES = dict(zip(PARTS, ("MAC", "AC", "attention", "neurons", "memory"), strict=True))
WIDTH, LEFT = 1080, 190
SHADES = 24
MOST_ROWS = 900
"""Neurons of a raster; of more, neighbours are averaged."""

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2327;background:#fff;max-width:1120px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin-bottom:.2em}h2{font-size:1.15em;margin:2em 0 .5em}ul{padding-left:1.2em;color:#43505a}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px}th,td{padding:.25em .7em;text-align:right}
th{border-bottom:2px solid #1d2327;white-space:nowrap}td{border-bottom:1px solid #dfe4e7}.w{text-align:left}
svg{display:block;max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#43505a}
details{margin:1em 0}summary{cursor:pointer;font-weight:600}.key span{margin-right:1.3em;white-space:nowrap}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}p.note{color:#68737b}
"""


def html(passports: Passports, costs: Costs) -> str:
    """A page on one passport, or one that compares several."""
    title = "Energy passport: " + ", ".join(passports)
    body = [f"<h1>{escape(title)}</h1><p class=note>{COUNTED} Ratios are of one cost model each.</p>"]
    body += [_table(totals(passports, costs))]
    if any(x.spiking for x in passports.values()):
        body.append(_table(against(passports, costs)))
    for name, passport in passports.items():
        body += _of(name, passport, costs, alone=len(passports) == 1)
    body += [_table(constants(costs)), _list(assumptions(costs)), _table(references())]
    content = {name: x.to_json(costs) for name, x in passports.items()}
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>{"".join(body)}'
        f'<script type="application/json" id="passports">{data}</script></body></html>\n'
    )


def _of(name: str, passport: Passport, costs: Costs, *, alone: bool) -> Iterator[str]:
    yield f"<h2>{escape(name)}</h2>{_list(facts(passport))}"
    yield f"<h2>Where the energy goes, as a share of the ANN</h2>{_parts(passport, costs)}"
    if passport.spiking:
        yield _list(verdict(passport, costs))
        yield f"<h2>Firing rates over time</h2>{_raster(passport)}"
    for cost in costs:
        yield f"<h2>Layers under “{escape(cost)}”</h2>{_layers(passport, costs, cost)}"
    if alone:
        yield _table(stages(passport, costs))
    detail = _table(layers(passport, costs))
    yield f"<details><summary>Every layer in figures</summary>{detail}</details>"


def _parts(passport: Passport, costs: Costs) -> str:
    """Stacked bars, each beside the ANN under the same cost model."""
    shapes, y, all_parts = [], 8, {cost: passport.parts_mj(model) for cost, model in costs.items()}
    for cost, x in all_parts.items():
        scale = (WIDTH - LEFT - 150) / (max(x["ann"], x["total"]) or 1.0)
        shapes.append(_text(LEFT - 10, y + 14, cost, "end"))
        at = float(LEFT)
        for part in PARTS:
            if x[part]:
                shapes.append(_box(at, y, x[part] * scale, 18, COLOURS[part], f"{NAMES[part]} {number(x[part])} mJ"))
                at += x[part] * scale
        shapes.append(_text(at + 6, y + 14, f"{number(x['total'])} mJ"))
        shapes.append(_box(LEFT, y + 20, x["ann"] * scale, 7, ANN, f"ANN {number(x['ann'])} mJ", 0.45))
        shapes.append(_text(LEFT + x["ann"] * scale + 6, y + 28, f"ANN {number(x['ann'])} mJ"))
        y += 42
    used = [p for p in PARTS if any(x[p] for x in all_parts.values())]
    return _svg(y, shapes) + _key([(COLOURS[p], NAMES[p]) for p in used] + [(ANN + "73", "the same network as an ANN")])


def _raster(passport: Passport) -> str:
    """Firing rate of every neuron and time step; a path for each shade keeps the page small."""
    names, rates = list(passport.firing), list(passport.firing.values())
    group = -(-len(rates) // MOST_ROWS)
    rows = [[sum(x) / len(x) for x in zip(*rates[i : i + group], strict=True)] for i in range(0, len(rates), group)]
    top = max((max(r) for r in rows), default=0.0) or 1.0
    steps, high = len(rows[0]), max(2, min(14, 560 // len(rows)))
    wide = (WIDTH - LEFT - 20) / steps
    paths: dict[int, list[str]] = {}
    for i, row in enumerate(rows):
        for t, rate in enumerate(row):
            shade = round(rate / top * (SHADES - 1))
            paths.setdefault(shade, []).append(f"M{LEFT + t * wide:.1f} {i * high}h{wide:.1f}v{high}h-{wide:.1f}z")
    shapes = [f'<path fill="{_shade(k / (SHADES - 1))}" d="{"".join(p)}"/>' for k, p in sorted(paths.items())]
    shapes += _stage_labels([n.split(".")[0] for n in names[::group]], high)
    end = len(rows) * high
    shapes += [_text(LEFT + (t + 0.5) * wide, end + 16, str(t + 1), "middle") for t in _ticks(steps)]
    key = _key([(_shade(x), f"{100 * top * x:.3g} %") for x in (0.0, 0.5, 1.0)])
    return (
        _svg(end + 24, shapes) + key + "<p class=note>One row a neuron, in order of execution; time steps across.</p>"
    )


def _layers(passport: Passport, costs: Costs, cost: str) -> str:
    """Energy of each layer beside the ANN's, and under it the firing rate against the break-even line."""
    model, chosen = costs[cost], passport.layers
    wide = (WIDTH - LEFT - 20) / max(len(chosen), 1)
    energies = [(_mj(model.snn_pj(x)), _mj(model.ann_pj(x))) for x in chosen]
    top = max((max(pair) for pair in energies), default=0.0) or 1.0
    high, shapes = 170, _axis(0, 170, [(0.0, "0"), (top, f"{number(top, 3)} mJ")], top)
    for i, (x, (snn, ann)) in enumerate(zip(chosen, energies, strict=True)):
        at = LEFT + i * wide
        said = f"{x.name}: {number(snn)} mJ, ANN {number(ann)} mJ"
        shapes.append(_box(at, high - ann / top * high, wide * 0.85, ann / top * high, ANN, said, 0.45))
        shapes.append(_box(at, high - snn / top * high, wide * 0.55, snn / top * high, SNN, said))
    key = [(SNN, "this network"), (ANN + "73", "the same layer of an ANN")]
    lines = [(i, x, r, break_even(x, model)) for i, x in enumerate(chosen) if (r := rate_under(x, model)) is not None]
    shapes += _stages_across([x.stage for x in chosen], wide, high + 14)
    if not lines:
        return _svg(high + 24, shapes) + _key(key)
    limit = max(1.0, *(r for _, _, r, _ in lines), *(min(line or 0.0, 2.0) for *_, line in lines))
    zero = high + 40 + 150
    ticks = [(0.0, "0"), (limit / 2, number(limit / 2, 3)), (limit, f"rate {number(limit, 3)}")]
    shapes += _axis(high + 40, 150, ticks, limit)
    for i, x, rate, line in lines:
        shapes += _against_line(LEFT + i * wide, wide, zero, 150 / limit, x, rate, line or 0.0, limit)
    key += [
        (INK, "break-even rate: below it spikes win (arrow: above the scale)"),
        (SNN, "rate, below"),
        (LOST, "rate, above"),
    ]
    missing = len(chosen) - len(lines)
    note = f"<p class=note>{missing} layers without a mark are multiply-accumulates here, or folded into others.</p>"
    return _svg(zero + 14, shapes) + _key(key) + (note if missing else "")


def _against_line(
    at: float, wide: float, zero: float, scale: float, layer: LayerCost, rate: float, line: float, limit: float
) -> list[str]:
    said = f"{layer.name}: rate {number(rate, 3)}, break-even {number(line, 3)}"
    middle, y = at + wide * 0.42, zero - min(max(line, 0.0), limit) * scale
    mark = f'<path stroke="{INK}" stroke-width="1.5" d="M{at:.1f} {y:.1f}h{wide * 0.85:.1f}"/>'
    if line > limit:
        mark = f'<path fill="{INK}" d="M{middle - 3:.1f} {y:.1f}h6l-3 -7z"/>'
    colour = LOST if rate > line else SNN
    dot = f'<circle cx="{middle:.1f}" cy="{zero - rate * scale:.1f}" r="3.2" fill="{colour}">{_said(said)}</circle>'
    return [mark, dot]


def _axis(top: float, high: float, ticks: Sequence[tuple[float, str]], most: float) -> list[str]:
    shapes = []
    for value, text in ticks:
        y = top + high - value / most * high
        shapes.append(f'<path stroke="{GRID}" d="M{LEFT} {y:.1f}H{WIDTH - 20}"/>')
        shapes.append(_text(LEFT - 10, y + (11 if y < 5 else 4), text, "end"))
    return shapes


def _stage_labels(stages_: Sequence[str], high: int) -> list[str]:
    """Names at the first row of each stage, where they do not run into each other."""
    shapes, last, before = [], -20.0, ""
    for i, stage in enumerate(stages_):
        if stage != before and i * high - last >= 13:
            shapes.append(_text(LEFT - 10, i * high + 10, stage, "end"))
            last = i * high
        before = stage
    return shapes


def _stages_across(stages_: Sequence[str], wide: float, y: float) -> list[str]:
    shapes, last, before = [], -1e9, ""
    for i, stage in enumerate(stages_):
        if stage != before and i * wide - last >= 7 * len(before) + 12:
            shapes.append(_text(LEFT + i * wide, y, stage))
            last = i * wide
        before = stage
    return shapes


def _ticks(steps: int) -> Iterable[int]:
    return range(0, steps, max(1, steps // 16))


def _mj(split: dict[str, list[float]]) -> float:
    return sum(sum(x) for x in split.values()) * 1e-9


def _shade(share: float) -> str:
    """White-green at 0 to dark green at 1; a neuron that never fires is grey-white."""
    low, high = (240, 244, 243), (6, 84, 58)
    red, green, blue = (round(a + (b - a) * share**0.7) for a, b in zip(low, high, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _svg(height: float, shapes: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}">{"".join(shapes)}</svg>'


def _box(x: float, y: float, width: float, height: float, colour: str, said: str, opacity: float = 1.0) -> str:
    faint = f' opacity="{opacity}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.3):.1f}" height="{height:.1f}" fill="{colour}"{faint}>'
        f"{_said(said)}</rect>"
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _said(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _key(entries: Iterable[tuple[str, str]]) -> str:
    shown = "".join(f'<span><i style="background:{colour}"></i>{escape(text)}</span>' for colour, text in entries)
    return f"<p class=key>{shown}</p>"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        marks = [" class=w" if i < table.words or len(x) > 24 else "" for i, x in enumerate(cells)]
        return "<tr>" + "".join(f"<{tag}{m}>{escape(x)}</{tag}>" for m, x in zip(marks, cells, strict=True)) + "</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    title = escape(table.title[0].upper() + table.title[1:])
    return f"<h2>{title}</h2><div class=scroll><table>{row(table.columns, 'th')}{body}</table></div>"
