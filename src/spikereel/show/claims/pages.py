"""The claims as people read them: in a terminal, and as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

_COLOURS = {"holds": "green", "does not here": "yellow", "open": "dim"}


def claims_table(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """For people: a paragraph a claim, its verdict first."""
    parts: list[RenderableType] = []
    for paper in dict.fromkeys(row["paper"] for row in rows):
        parts.append(Text(paper, "bold"))
        for row in (row for row in rows if row["paper"] == paper):
            parts.append(Text.assemble((f"{row['verdict']:14}", _COLOURS[row["verdict"]]), row["says"]))
            below = [f"published: {row['published']}"]
            below += [f"here: {f['text']} ({f['verdict']})" for f in row["findings"]]
            if row["needs"]:
                below.append(f"as published: needs {row['needs']}")
            parts += [Padding(Text(line, "dim"), (0, 0, 0, 14)) for line in below]
        parts.append(Text())
    return Group(*parts[:-1])


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page of the claims, as Markdown."""
    lines = [
        "# What the papers claim, and what holds",
        "",
        "Made by `python -m spikereel.show.claims` from `benchmarks/results`; `spikereel claims` prints it.",
        "",
        "A difference **holds** where the 95 % interval of its mean over three seeds or more lies above zero. It",
        "**does not here** where the interval reaches zero. It is **open** with fewer seeds, without a measurement,",
        "or where data disagree. We trained small networks on small data: a claim can be true and not show.",
        "",
    ]
    for paper in dict.fromkeys(row["paper"] for row in rows):
        lines += [f"## {paper}", "", "| claim | published | verdict | what was measured here |", "|---|---|---|---|"]
        for row in (row for row in rows if row["paper"] == paper):
            found = [f"{f['text']} (*{f['verdict']}*, `{f['source']}`)" for f in row["findings"]]
            if row["needs"]:
                found.append(f"as published: needs {row['needs']}")
            lines.append(f"| {row['says']} | {row['published']} | **{row['verdict']}** | {'<br>'.join(found)} |")
        lines.append("")
    return "\n".join(lines)
