"""A time line drawn: which class when, as a picture and for a terminal."""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from spikereel.extras import need
from spikereel.inference.timeline import MOST_SHOWN, Timeline
from spikereel.show.style import INK, MUTED, save

_MOST_NAMED = 10
_DPI = 90
_MOST_COLUMNS = 120
"""Windows that a picture tells apart."""


def clock(seconds: float) -> str:
    """ "1:02:03" or "2:03"."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def timeline_tables(found: Timeline) -> list[Any]:
    """The stretches of one class, in order, and how many windows there are."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("from", "to"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    stretches = found.stretches()
    for start, stop, name, p in stretches[:MOST_SHOWN]:
        table.add_row(clock(start), clock(stop), Text(name), f"{100 * p:.1f} %")
    lines: list[Any] = [Rule(Text(found.path)), table]
    if len(stretches) > MOST_SHOWN:
        lines.append(Text(f"... and {len(stretches) - MOST_SHOWN} more stretches; the JSON has all windows", "dim"))
    name, sure = found.brief()
    return [*lines, Text(f"mostly {name}, {sure} of {clock(found.windows[-1].stop)}", "dim")]


def columns(found: Timeline) -> tuple[np.ndarray, np.ndarray, int]:
    """What a picture shows: borders [N + 1] in seconds, probabilities [N, classes], windows in a column."""
    each = -(-len(found.windows) // _MOST_COLUMNS)
    groups = [found.windows[i : i + each] for i in range(0, len(found.windows), each)]
    p = np.array([np.mean([window.probabilities for window in group], axis=0) for group in groups])
    return np.array([*(group[0].start for group in groups), groups[-1][-1].stop]), p, each


def draw_timeline(path: str | PathLike, found: Timeline) -> None:
    """Write a PNG: the probabilities of the classes over time, stacked, and above them the best class of each window.

    Of very many windows so many in a row are averaged that the picture stays readable, and the title says so.
    Raises ConfigError without the extra "draw".
    """
    need("draw")
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    times, p, each = columns(found)
    unit, scale = next(
        x for x in (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)) if times[-1] >= 2 * x[1] or x[1] == 1
    )
    mean = np.array(found.probabilities)
    order = np.argsort(-mean, kind="stable")
    named, rest = order[:_MOST_NAMED], order[_MOST_NAMED:]
    colours = {int(i): colormaps["tab10"](rank) for rank, i in enumerate(named)}
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    best, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 6))
    below = np.zeros(len(times))
    for i in named:
        above = below + np.append(p[:, i], p[-1, i])
        label = f"{found.classes[i]}, {100 * mean[i]:.1f} %".replace("$", r"\$")
        axes.fill_between(times / scale, below, above, step="post", color=colours[int(i)], linewidth=0, label=label)
        below = above
    if len(rest):
        axes.fill_between(
            times / scale, below, 1, step="post", color=MUTED, alpha=0.4, linewidth=0, label=f"{len(rest)} others"
        )
    for start, stop, row in zip(times / scale, times[1:] / scale, p, strict=False):
        best.axvspan(start, stop, color=colours.get(int(row.argmax()), MUTED), linewidth=0)
    best.set(yticks=[], xlim=(0, times[-1] / scale))
    best.set_ylabel("best", rotation=0, ha="right", va="center")
    means = f", means of {each} windows each" if each > 1 else ""
    best.set_title(f"{Path(found.path).name}: classes over time{means}".replace("$", r"\$"), loc="left", color=INK)
    axes.set(ylim=(0, 1), xlabel=unit, ylabel="probability")
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    save(figure, path, dpi=_DPI)
