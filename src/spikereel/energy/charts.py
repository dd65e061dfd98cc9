"""The charts of a passport: where the energy goes, who fires when, and what each layer costs."""

import math
from collections.abc import Mapping, Sequence

from spikereel.energy.layer import PARTS, LayerCost
from spikereel.energy.opponents import break_even, rate_under
from spikereel.energy.passport import Passport
from spikereel.energy.report import Costs, Passports, number
from spikereel.energy.svg import (
    ANN,
    INK,
    LEFT,
    LOST,
    SNN,
    WIDTH,
    axis,
    box,
    drawing,
    key,
    labels_across,
    labels_down,
    said_on,
    shade,
    text,
    ticks_of,
)

COLOURS = dict(zip(PARTS, ("#d0732a", "#1b7f5c", "#5b6fc4", "#a9b3b9", "#8a6d9c"), strict=True))
NAMES = dict(zip(PARTS, ("MAC", "AC", "attention", "neurons", "memory"), strict=True))
SHADES = 24
MOST_ROWS = 900
"""Neurons of a raster; of more, neighbours are averaged."""


def parts(passport: Passport, costs: Costs) -> str:
    """Stacked bars, each beside the ANN under the same cost model."""
    shapes, y, all_parts = [], 8, {cost: passport.parts_mj(model) for cost, model in costs.items()}
    for cost, x in all_parts.items():
        scale = (WIDTH - LEFT - 150) / (max(x["ann"], x["total"]) or 1.0)
        shapes.append(text(LEFT - 10, y + 14, cost, "end"))
        at = float(LEFT)
        for part in PARTS:
            if x[part]:
                shapes.append(box(at, y, x[part] * scale, 18, COLOURS[part], f"{NAMES[part]} {number(x[part])} mJ"))
                at += x[part] * scale
        shapes.append(text(at + 6, y + 14, f"{number(x['total'])} mJ"))
        shapes.append(box(LEFT, y + 20, x["ann"] * scale, 7, ANN, f"ANN {number(x['ann'])} mJ", 0.45))
        shapes.append(text(LEFT + x["ann"] * scale + 6, y + 28, f"ANN {number(x['ann'])} mJ"))
        y += 42
    used = [p for p in PARTS if any(x[p] for x in all_parts.values())]
    return drawing(y, shapes) + key(
        [(COLOURS[p], NAMES[p]) for p in used] + [(ANN + "73", "the same network as an ANN")]
    )


def beside(passports: Passports, costs: Costs) -> str:
    """Stacked bars of all models; each cost model has a scale of its own, for they never mix."""
    shapes, y, used, left = [], 8, set(), 80
    for cost, model in costs.items():
        rows = {name: x.parts_mj(model) for name, x in passports.items()}
        scale = (WIDTH - left - 150) / (max(x["total"] for x in rows.values()) or 1.0)
        shapes.append(text(0, y + 12, f"{cost}:"))
        for name, x in rows.items():
            shapes.append(text(left, y + 12, name))
            at, y = float(left), y + 18
            for part in (p for p in PARTS if x[p]):
                used.add(part)
                shapes.append(box(at, y, x[part] * scale, 12, COLOURS[part], f"{NAMES[part]} {number(x[part])} mJ"))
                at += x[part] * scale
            shapes.append(text(at + 6, y + 11, f"{number(x['total'])} mJ"))
            y += 18
        y += 12
    return drawing(y, shapes) + key((COLOURS[p], NAMES[p]) for p in PARTS if p in used)


def raster(firing: Mapping[str, Sequence[float]]) -> str:
    """Firing rate of every neuron and time step; a path for each shade keeps the page small."""
    names, rates = list(firing), list(firing.values())
    group = -(-len(rates) // MOST_ROWS)
    rows = [[sum(x) / len(x) for x in zip(*rates[i : i + group], strict=True)] for i in range(0, len(rates), group)]
    top = max((max(r) for r in rows), default=0.0) or 1.0
    steps, high = len(rows[0]), max(2, min(14, 560 // len(rows)))
    wide = (WIDTH - LEFT - 20) / steps
    paths: dict[int, list[str]] = {}
    for i, row in enumerate(rows):
        for t, rate in enumerate(row):
            tone = round(rate / top * (SHADES - 1))
            paths.setdefault(tone, []).append(f"M{LEFT + t * wide:.1f} {i * high}h{wide:.1f}v{high}h-{wide:.1f}z")
    shapes = [f'<path fill="{shade(k / (SHADES - 1))}" d="{"".join(p)}"/>' for k, p in sorted(paths.items())]
    shapes += labels_down([_block(n) for n in names[::group]], high)
    end = len(rows) * high
    shapes += [text(LEFT + (t + 0.5) * wide, end + 16, str(t + 1), "middle") for t in ticks_of(steps)]
    legend = key([(shade(x), f"{100 * top * x:.3g} %") for x in (0.0, 0.5, 1.0)])
    return (
        drawing(end + 24, shapes)
        + legend
        + "<p class=note>One row a neuron, in order of execution; time steps across.</p>"
    )


def _block(neuron: str) -> str:
    """What a row is named for: the stage, and the block in it."""
    stage, *rest = neuron.split(".")
    return f"{stage}.{rest[0]}" if len(rest) > 1 and rest[0].isdigit() else stage


def layers(passport: Passport, costs: Costs, cost: str) -> str:
    """Energy of each layer beside the ANN's, and under it the firing rate against the break-even line."""
    model, chosen = costs[cost], passport.layers
    wide = (WIDTH - LEFT - 20) / max(len(chosen), 1)
    energies = [(model.snn_pj(x).total * 1e-9, model.ann_pj(x).total * 1e-9) for x in chosen]
    top = max((max(pair) for pair in energies), default=0.0) or 1.0
    high, shapes = 170, axis(0, 170, [(0.0, "0"), (top, f"{number(top, 3)} mJ")], top)
    for i, (x, (snn, ann)) in enumerate(zip(chosen, energies, strict=True)):
        at = LEFT + i * wide
        said = f"{x.name}: {number(snn)} mJ, ANN {number(ann)} mJ"
        shapes.append(box(at, high - ann / top * high, wide * 0.85, ann / top * high, ANN, said, 0.45))
        shapes.append(box(at, high - snn / top * high, wide * 0.55, snn / top * high, SNN, said))
    entries = [(SNN, "this network"), (ANN + "73", "the same layer of an ANN")]
    lines = [(i, x, r, break_even(x, model)) for i, x in enumerate(chosen) if (r := rate_under(x, model)) is not None]
    shapes += labels_across([x.stage for x in chosen], wide, high + 14)
    if not lines:
        return drawing(high + 24, shapes) + key(entries)
    limit = max(1.0, *(r for _, _, r, _ in lines))
    zero = high + 40 + 150
    # by the square root: rates of some per cent stand clear of the floor
    ticks = [(math.sqrt(x), number(x, 3)) for x in (0.0, limit / 25, limit / 4)]
    shapes += axis(high + 40, 150, [*ticks, (math.sqrt(limit), f"rate {number(limit, 3)}")], math.sqrt(limit))
    for i, x, rate, line in lines:
        shapes += _against_line(LEFT + i * wide, wide, zero, 150, x, rate, line or 0.0, limit)
    entries += [
        (INK, "break-even rate: below it spikes win (arrow: above the scale)"),
        (SNN, "rate, below"),
        (LOST, "rate, above"),
    ]
    missing = len(chosen) - len(lines)
    note = f"<p class=note>{missing} layers without a mark are multiply-accumulates here, or folded into others.</p>"
    return drawing(zero + 14, shapes) + key(entries) + (note if missing else "")


def _against_line(
    at: float, wide: float, zero: float, high: float, layer: LayerCost, rate: float, line: float, limit: float
) -> list[str]:
    said = f"{layer.name}: rate {number(rate, 3)}, break-even {number(line, 3)}"
    middle, y = at + wide * 0.42, zero - high * math.sqrt(min(max(line, 0.0), limit) / limit)
    dot_y = zero - high * math.sqrt(rate / limit)
    mark = f'<path stroke="{INK}" stroke-width="1.5" d="M{at:.1f} {y:.1f}h{wide * 0.85:.1f}"/>'
    if line > limit:
        mark = f'<path fill="{INK}" d="M{middle - 3:.1f} {y:.1f}h6l-3 -7z"/>'
    colour = LOST if rate > line else SNN
    dot = f'<circle cx="{middle:.1f}" cy="{dot_y:.1f}" r="3.2" fill="{colour}">{said_on(said)}</circle>'
    return [mark, dot]
