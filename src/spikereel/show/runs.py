"""Runs beside each other: figures, where they confuse classes, and the settings in which they differ."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spikereel.config import flat


def runs_table(reports: Mapping[str, Mapping[str, Any]], recipes: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """reports, recipes: report.json and recipe.json of each run, by its name."""
    parts: list[RenderableType] = [_table(reports, _figures(reports)), Text("correct of each class", "bold")]
    parts.append(_table(reports, _by_class(reports)))
    for run, report in reports.items():
        parts += [Text(f"confusion of {run}, rows are true", "bold"), _confusion(report)]
    settings = {run: dict(flat(recipe)) for run, recipe in recipes.items()}
    differ = [key for key in next(iter(settings.values())) if len({str(x.get(key)) for x in settings.values()}) > 1]
    rows = [(key, [str(x.get(key)) for x in settings.values()]) for key in differ]
    parts += [Text("settings that differ" if rows else "all settings are the same", "bold")]
    return Group(*parts, *([_table(reports, rows)] if rows else []))


def _figures(reports: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    def row(name: str, of: Any) -> tuple[str, list[str]]:
        return name, [of(x) for x in reports.values()]

    return [
        row("accuracy, %", lambda x: f"{x['top1']:.1f}"),
        row("held-out clips", lambda x: str(sum(map(sum, x["confusion"])))),
        row("on training clips, %", lambda x: f"{x['trained']:.1f}"),
        row("motion energy + ridge, %", lambda x: f"{x['baselines']['ridge']:.1f}" if x["baselines"] else "-"),
        row("commonest class, %", lambda x: f"{x['baselines']['majority']:.1f}" if x["baselines"] else "-"),
        row("energy of a clip, mJ", lambda x: f"{x['energy']['snn']:.4g}"),
        row("silent layers", lambda x: str(sum(rate == 0 for rate in x["firing"].values()))),
        row("seconds", lambda x: f"{x['seconds']:.0f}"),
    ]


def _by_class(reports: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    names = dict.fromkeys(name for x in reports.values() for name in x["classes"])
    return [(name, [_share(x, name) for x in reports.values()]) for name in names]


def _share(report: Mapping[str, Any], name: str) -> str:
    if name not in report["classes"]:
        return "-"
    i = report["classes"].index(name)
    row = report["confusion"][i]
    return f"{row[i]} of {sum(row)}"


def _confusion(report: Mapping[str, Any]) -> Table:
    rows = zip(report["classes"], report["confusion"], strict=True)
    return _grid(["", *report["classes"]], [(name, [str(n) if n else "." for n in row]) for name, row in rows])


def _table(runs: Mapping[str, Any], rows: list[tuple[str, list[str]]]) -> Table:
    return _grid(["", *runs], rows)


def _grid(head: list[str], rows: list[tuple[str, list[str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(head[0], overflow="fold")
    for name in head[1:]:
        table.add_column(Text(name), justify="right", overflow="fold")
    for name, cells in rows:
        table.add_row(Text(name), *map(Text, cells))
    return table
