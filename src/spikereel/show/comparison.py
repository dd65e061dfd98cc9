"""Tables of two networks on the same clips: where they part, and on which clips they disagree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spikereel.tracing.compare import Difference, words_of
from spikereel.tracing.models import Compared

CLIPS = 30
"""Rows of clips, those on which they disagree first."""


def comparison_tables(found: Compared) -> Iterator[RenderableType]:
    """What a terminal shows, within 80 columns."""
    a, b = found.names
    yield Text(f"A {a}\nB {b}")
    yield _clips(found)
    shown = found.shown
    if found.shown.first is not None:
        yield Text(f"\n{sentence(shown)}.", "bold")
    else:
        yield Text("\nNo spike differs.", "bold")
    yield Text(f"{words_of(found.tensors)}.")
    for text, values in (("settings that differ", shown.settings), ("figures that differ", shown.figures)):
        if values:
            yield _pairs(f"{text}{'' if values is shown.settings else f', of {name_of(shown)}'}", values)
    for line in notes_of(found):
        yield Text(f"note: {line}", "yellow")
    yield Text(verdict(found), "bold red" if found.disagreed else "bold green")


def verdict(found: Compared) -> str:
    """On how many clips the answers differ."""
    total, differ = len(found.differences), len(found.disagreed)
    if not differ:
        return "The answers are the same." if total == 1 else f"The answers are the same on all {total} clips."
    return f"The answers differ on {differ} of {total} clip{'s' if total > 1 else ''}."


def sentence(difference: Difference) -> str:
    """Which layer differs first on a clip, and where."""
    first = difference.first
    if first is None:
        return f"On {name_of(difference)} no spike differs"
    count = sum(x.differs for x in difference.layers)
    of = f"{count} of {len(difference.layers)} layers that both have differ"
    share = f"{100 * first.shares[first.frame]:.3g} % of its spikes{' at least, by its rate' if first.by_rate else ''}"
    frame = difference.frames[first.frame]
    return f"On {name_of(difference)} {first.name} differs first, in frame {frame}, {share}; {of}"


def notes_of(found: Compared) -> list[str]:
    """What has to be known of the traces of the clip that is shown."""
    return list(dict.fromkeys(note for trace in found.traces for note in trace.notes))


def name_of(difference: Difference) -> str:
    """The file of a clip, without its folder."""
    return Path(difference.source).name


def ordered(found: Compared) -> list[Difference]:
    """Clips, those on which the answers differ first."""
    return sorted(found.differences, key=lambda x: not x.answers_differ)


def row_of(difference: Difference) -> list[str]:
    """Clip, both answers, first layer, frame and share."""
    first = difference.first
    where = ["none", "", ""]
    if first is not None:
        share = f"{100 * first.shares[first.frame]:.3g} %"
        where = [first.name, str(difference.frames[first.frame]), share]
    return [name_of(difference), *difference.answers, *where]


def _clips(found: Compared) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("clip", overflow="fold", max_width=22)
    for name in ("A says", "B says"):
        table.add_column(name, overflow="fold")
    table.add_column("first to differ", overflow="fold")
    table.add_column("frame", justify="right")
    table.add_column("share", justify="right", no_wrap=True)
    rows = ordered(found)
    for x in rows[:CLIPS]:
        table.add_row(*map(Text, row_of(x)), style="red" if x.answers_differ else "")
    if len(rows) > CLIPS:
        table.add_row(f"and {len(rows) - CLIPS} more; --json has all", "", "", "", "", "")
    return table


def _pairs(title: str, values: dict[str, tuple[Any, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column(f"\n{title}", overflow="fold")
    table.add_column("A", overflow="fold")
    table.add_column("B", overflow="fold")
    for name, (a, b) in values.items():
        table.add_row(Text(name), Text(said(a)), Text(said(b)))
    return table


def said(value: Any) -> str:
    """A value of a setting or a figure in few characters."""
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
