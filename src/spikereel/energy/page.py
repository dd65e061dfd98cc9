"""The passport as one HTML page with nothing outside it: pictures are inline SVG, the JSON lies inside."""

import json
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from spikereel.energy import charts
from spikereel.energy.opponents import verdict
from spikereel.energy.passport import Passport
from spikereel.energy.report import (
    COUNTED,
    Costs,
    Passports,
    Table,
    against,
    apart,
    assumptions,
    constants,
    facts,
    layers,
    references,
    stages,
    totals,
)

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2327;background:#fff;max-width:1120px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin-bottom:.2em;overflow-wrap:anywhere}
h2{font-size:1.15em;margin:2em 0 .5em}ul{padding-left:1.2em;color:#43505a}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px}th,td{padding:.25em .7em;text-align:right}
th{border-bottom:2px solid #1d2327;white-space:nowrap}td{border-bottom:1px solid #dfe4e7}.w{text-align:left}
svg{display:block}svg text{font:12px system-ui,sans-serif;fill:#43505a}
details{margin:1em 0}summary{cursor:pointer;font-weight:600}.key span{margin-right:1.3em;display:inline-block}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}p.note{color:#68737b}
"""


def html(passports: Passports, costs: Costs) -> str:
    """A page on one passport, or one that compares several."""
    title = "Energy passport: " + ", ".join(passports)
    body = [f"<h1>{escape(title)}</h1><p class=note>{COUNTED} Ratios are of one cost model each.</p>"]
    body += [_list(apart(passports)), _table(totals(passports, costs))]
    if len(passports) > 1:
        body.append(f"<h2>Models beside each other</h2>{charts.beside(passports, costs)}")
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


NOTEBOOK = """<style>.spikereel td,.spikereel th{text-align:right;padding:.15em .7em}.spikereel .w{text-align:left}
.spikereel{font:14px/1.4 sans-serif}.spikereel h2{font-size:1em;margin:.6em 0 .2em}.spikereel .scroll{overflow-x:auto}
.spikereel svg{max-width:100%;height:auto}.spikereel svg text{font:12px sans-serif;fill:currentColor}
.spikereel .key span{margin-right:1.3em}.spikereel .key i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
</style>"""
"""Colours of words are the notebook's own."""


def in_notebook(title: str, *parts: str) -> str:
    """A piece of a page under a title, for what shows itself in a notebook."""
    return f"<div class=spikereel>{NOTEBOOK}<p><b>{escape(title)}</b></p>{''.join(parts)}</div>"


def brief(passport: Passport, costs: Costs) -> str:
    """What has to be known first, millijoules, where they go and how neurons fire."""
    name = passport.origin.model or "model"
    drawn = [charts.raster(passport.firing)] if passport.firing else []
    return in_notebook(
        f"Energy passport of {name}, clip {list(passport.clip)}. {COUNTED}",
        _list(passport.warnings) if passport.warnings else "",
        _table(totals({name: passport}, costs, brief=True)),
        charts.parts(passport, costs),
        *drawn,
    )


def _of(name: str, passport: Passport, costs: Costs, *, alone: bool) -> Iterator[str]:
    yield f"<h2>{escape(name)}</h2>{_list(facts(passport))}"
    yield f"<h2>Where the energy goes, as a share of the ANN</h2>{charts.parts(passport, costs)}"
    if passport.spiking:
        yield _list(verdict(passport, costs))
        yield f"<h2>Firing rates over time</h2>{charts.raster(passport.firing)}"
    for cost in costs:
        yield f"<h2>Layers under “{escape(cost)}”</h2>{charts.layers(passport, costs, cost)}"
    if alone:
        yield _table(stages(passport, costs))
    detail = _table(layers(passport, costs))
    yield f"<details><summary>Every layer in figures</summary>{detail}</details>"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        marks = [" class=w" if i < table.words or len(x) > 24 else "" for i, x in enumerate(cells)]
        return "<tr>" + "".join(f"<{tag}{m}>{escape(x)}</{tag}>" for m, x in zip(marks, cells, strict=True)) + "</tr>"

    body = "".join(row(cells, "td") for cells in table.rows)
    title = escape(table.title[0].upper() + table.title[1:])
    return f"<h2>{title}</h2><div class=scroll><table>{row(table.columns, 'th')}{body}</table></div>"
