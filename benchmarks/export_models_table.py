"""The table of docs/export.md that `export_models.py` makes of its rows."""

import re
from collections import Counter
from typing import Any

OTHERS = "{} others"
HEAD = """\
| target | models | cells | no spike differs | ties | refused | decisions | outputs off, of their size | in parts |
|---|---|---|---|---|---|---|---|---|"""


def table(rows: list[dict[str, Any]], small: tuple[str, ...]) -> str:
    """Markdown: a line for each target and group of models, then what was refused and which ties there are."""
    lines = [HEAD]
    for target in dict.fromkeys(row["target"] for row in rows):
        own = [row for row in rows if row["target"] == target]
        larger = {row["model"] for row in own} - set(small)
        groups = {f"`{name}`": [row for row in own if row["model"] == name] for name in small}
        groups[OTHERS.format(len(larger))] = [row for row in own if row["model"] in larger]
        lines += [_line(target, title, group) for title, group in groups.items() if group]
    return "\n".join([*lines, "", *_said(rows)])


def _line(target: str, title: str, rows: list[dict[str, Any]]) -> str:
    verdicts = Counter(row["verdict"] for row in rows)
    run = [row for row in rows if "decisions" in row]
    decisions = sum(row["decisions"] + row["grid_decisions"] for row in run)
    off = max((row["outputs_off"] / row["outputs_size"] for row in run if row["verdict"] == "equal"), default=None)
    chunks = [row["chunks_are_the_clip"] for row in run if row["chunks_are_the_clip"] is not None]
    cells = (target, title, len(rows), verdicts["equal"], verdicts["ties"], verdicts["refused"], f"{decisions:,}")
    off_said = "-" if off is None else f"{off:.0e}"
    return "| " + " | ".join(map(str, (*cells, off_said, f"{sum(chunks)} of {len(chunks)}"))) + " |"


def _said(rows: list[dict[str, Any]]) -> list[str]:
    reasons = Counter((row["target"], _plain(row["why"])) for row in rows if row["verdict"] == "refused")
    said = [f"- refused, {target}: {why} ({count})" for (target, why), count in sorted(reasons.items())]
    for row in rows:
        if row["verdict"] in ("ties", "approximate", "failed"):
            cell = ", ".join(row[name] for name in ("target", "model", "scheme", "neuron", "task"))
            said.append(f"- {row['verdict']}: {cell}: {row['why'] or 'outputs'}")
    return said


def _plain(why: str) -> str:
    """Without the name of the first layer, which differs from model to model, and the way out."""
    return re.sub(r"^[\w.]+: ", "", why).split(";")[0]
