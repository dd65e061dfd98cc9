"""What all pictures share: colours on light and on dark, sizes in pixels, and time along the bottom."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from os import PathLike
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.files import write_whole
from spikereel.show.style import GRID, INK, MUTED
from spikereel.tracing import Trace

DPI = 100
WIDTH = 900
"""Pixels of a figure that is not told its width."""
FONT = 9.5
"""Points, whatever the width: 13 pixels."""


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours that red-green blindness and grey print leave apart (after Okabe and Ito, 2008)."""

    page: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]
    heat: str
    """Colour map from nothing to much."""
    around: str
    """Colour map around zero."""


LIGHT = Theme(
    page="#ffffff",
    ink=INK,
    muted=MUTED,
    grid=GRID,
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    heat="cividis",
    around="PuOr_r",
)
DARK = Theme(
    page="#101218",
    ink="#eef0f6",
    muted="#a0a7b6",
    grid="#333846",
    series=("#56b4e9", "#ff8a3d", "#2fc99b", "#e59bc4", "#f0c040", "#8fa8ff"),
    heat="cividis",
    around="PuOr_r",
)


def require_traces(*traces: Any) -> None:
    """Raises ConfigError for a model, a clip or a file in place of a trace."""
    for trace in traces:
        if not isinstance(trace, Trace):
            raise ConfigError(
                f"pictures are of a trace, got a {type(trace).__name__}; give spikereel.trace(model, clip)"
            )


def theme_of(dark: bool) -> Theme:
    """The colours of a page."""
    return DARK if dark else LIGHT


def figure_of(theme: Theme, width: int, height: int) -> Any:
    """An empty figure of so many pixels. Raises ConfigError without the extra "draw"."""
    need("draw")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(width / DPI, height / DPI), dpi=DPI, layout="constrained", facecolor=theme.page)
    # a figure that is given back is shown by whoever has it, and by nobody else
    pyplot.close(figure)
    return _shows(figure)


def axes_of(ax: Any, theme: Theme, width: int, height: int) -> Any:
    """Those that were given, or new ones, in the colours of the theme."""
    if ax is None:
        ax = _shows(figure_of(theme, width, height).add_subplot())
    paint(ax, theme)
    return ax


def _shows(drawn: Any) -> Any:
    """A notebook draws it where it is the last line of a cell; of axes it would print the type alone."""
    drawn._repr_png_ = partial(png, drawn)
    return drawn


def paint(axes: Any, theme: Theme) -> None:
    """Colours and sizes of axes."""
    axes.set_facecolor(theme.page)
    axes.tick_params(colors=theme.muted, labelsize=FONT, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=theme.muted, fontsize=FONT)
    for side in axes.spines.values():
        side.set_color(theme.grid)


def titled(axes: Any, theme: Theme, text: str, said: str = "") -> None:
    """A title on the left, and what is said under it, in as many lines as the axes need."""
    width = axes.figure.get_figwidth() * DPI - 120
    lines = [line for part in (text, said) if part for line in folded(part, width).splitlines()]
    axes.set_title("\n".join(lines), loc="left", color=theme.ink, fontsize=FONT + 0.5)


def folded(text: str, width: float) -> str:
    """Words in lines of so many pixels."""
    return fill(text, max(int(width / 7.4), 20), break_on_hyphens=False)


def along_time(axes: Any, trace: Trace, start: int = 0, stop: int | None = None) -> None:
    """Frames of a trace along the bottom: their numbers in the source and, where it says so, their seconds."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    stop = len(trace) if stop is None else stop
    frames, times = trace.frames, trace.times

    def said(at: float, _position: int | None = None) -> str:
        i = round(at)
        if not 0 <= i < len(frames) or abs(at - i) > 1e-6:
            return ""
        return f"{frames[i]}" if times is None else f"{frames[i]}\n{times[i]:.2f} s"

    wide = axes.get_position().width * axes.figure.get_figwidth() * DPI
    axes.xaxis.set_major_locator(MaxNLocator(nbins=max(int(wide / 75), 2), integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(said))
    axes.set_xlim(start - 0.5, stop - 0.5)
    axes.set_xlabel("frame of the source")


def bar_of(axes: Any, drawn: Any, theme: Theme, label: str) -> None:
    """A colour bar beside axes."""
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(label, color=theme.muted, fontsize=FONT)
    bar.ax.tick_params(colors=theme.muted, labelsize=FONT, length=2)
    bar.outline.set_edgecolor(theme.grid)


def key_of(axes: Any, theme: Theme, columns: int) -> None:
    """A key under axes, and under what stands along their bottom, whatever their height."""
    from matplotlib.transforms import offset_copy

    below = offset_copy(axes.transAxes, fig=axes.figure, y=-52, units="points")
    key = axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        ncols=columns,
        frameon=False,
        fontsize=FONT,
        borderaxespad=0,
    )
    for text in key.get_texts():
        text.set_color(theme.ink)


def spread(names: Sequence[str], rows: int) -> tuple[list[int], list[str]]:
    """At most so many of the names, evenly: positions and words."""
    step = max(-(-len(names) // max(rows, 1)), 1)
    at = list(range(0, len(names), step))
    return at, [names[i] for i in at]


def png(drawn: Any) -> bytes:
    """A figure, or that of axes, as PNG."""
    figure = getattr(drawn, "figure", None) or drawn
    content = BytesIO()
    figure.savefig(content, dpi=DPI, format="png", facecolor=figure.get_facecolor())
    return content.getvalue()


def save(drawn: Any, path: str | PathLike) -> None:
    """Write a figure, or that of axes, as PNG, SVG or PDF by its name, whole or not at all."""
    figure = getattr(drawn, "figure", None) or drawn
    content = BytesIO()
    kind = Path(path).suffix.removeprefix(".") or "png"
    figure.savefig(content, dpi=DPI, format=kind, facecolor=figure.get_facecolor())
    write_whole(Path(path), content.getvalue())


def edges(values: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest, a little apart."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
