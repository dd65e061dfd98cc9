"""What a token looks at, over the frames that it sees."""

from typing import Any

import numpy as np

from spikereel.show.plots.figure import FONT, WIDTH, Theme, figure_of, folded, paint, require_traces, theme_of
from spikereel.tracing import Trace
from spikereel.tracing.attend import Row, Token

MOST = 12
"""Frames in one picture."""
SIDE = 150
"""Least side of a frame in pixels."""


def attention(
    trace: Trace,
    token: Token | None = None,
    *,
    layer: str | None = None,
    frames: int = MOST,
    dark: bool = False,
    width: int = WIDTH,
) -> Any:
    """The similarity of a token (frame, y, x) to all that it sees, on the frames: the row that the network multiplies
    by v, the mean of all heads.

    token: None takes the first that the trace was asked for, or the middle of the middle frame. layer: a name of
    `trace.attentions`, None the last. Of more than so many `frames` an even choice is shown. Gives a figure.
    Raises ConfigError where there is no attention, or q and k were not recorded.
    """
    require_traces(trace)
    theme = theme_of(dark)
    row = trace.attention(_token(trace, layer) if token is None else token, layer)
    shown = _chosen(row, min(frames, MOST))
    rows = -(-len(shown) // min(len(shown), max(width // SIDE, 1)))
    columns = -(-len(shown) // rows)
    side = min(width / columns, 320)
    figure = figure_of(theme, width, int(rows * (side + 26) + 110))
    grid = figure.subplots(rows, columns, squeeze=False)
    image = None
    for axes in grid.flat:
        paint(axes, theme)
        axes.set_axis_off()
    for axes, i in zip(grid.flat, shown, strict=False):
        image = _frame(axes, trace, row, i, theme)
    assert image is not None
    bar = figure.colorbar(image, ax=grid, location="bottom", fraction=0.05, aspect=40, pad=0.02)
    bar.set_label(folded(_said(row), width - 20), color=theme.muted, fontsize=FONT)
    bar.ax.tick_params(colors=theme.muted, labelsize=FONT)
    bar.outline.set_edgecolor(theme.grid)
    title = folded(_title(trace, row, len(shown)), width - 10)
    figure.suptitle(title, color=theme.ink, fontsize=FONT + 0.5, x=0.01, ha="left")
    return figure


def _frame(axes: Any, trace: Trace, row: Row, i: int, theme: Theme) -> Any:
    """One frame with what the token thinks of it."""
    t, values, pictures = int(row.frames[i]), row.mean(), trace.pictures
    signed = row.layer.similarity == "hamming"
    most = max(float(np.nanmax(np.abs(values))), 1e-9)
    if pictures is not None:
        grey = np.asarray(pictures[t]).mean(0)
        axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, 1, 1, 0), interpolation="bilinear")
    image = axes.imshow(
        values[i],
        cmap=theme.around if signed else theme.heat,
        vmin=-most if signed else 0,
        vmax=most,
        alpha=1.0 if pictures is None else 0.62,
        extent=(0, 1, 1, 0),
        interpolation="nearest",
    )
    axes.set_aspect(trace.clip[2] / trace.clip[3])
    if t == row.token[0]:
        _mark(axes, row)
    seconds = "" if trace.times is None else f", {trace.times[t]:.2f} s"
    axes.set_title(f"{trace.frames[t]}{seconds}", fontsize=FONT, color=theme.muted, pad=3)
    return image


def _token(trace: Trace, layer: str | None) -> Token:
    if trace.tokens:
        return trace.tokens[0]
    grids = trace.attentions
    own = grids.get(layer or "") or next(reversed(grids.values()), None)
    h, w = own.grid if own is not None else (1, 1)
    return len(trace) // 2, h // 2, w // 2


def _chosen(row: Row, most: int) -> list[int]:
    """Positions of the frames that are shown, that of the token among them."""
    count = len(row.frames)
    if count <= most:
        return list(range(count))
    found = set(np.linspace(0, count - 1, most).round().astype(int).tolist())
    own = int(np.searchsorted(row.frames, row.token[0]))
    if own not in found:
        found.remove(min(found, key=lambda i: abs(i - own)))
        found.add(own)
    return sorted(found)


def _mark(axes: Any, row: Row) -> None:
    """A box around the token, visible on any picture."""
    from matplotlib.patches import Rectangle

    (h, w), (_, y, x) = row.layer.grid, row.token
    for colour, line in (("black", 4.0), ("white", 1.8)):
        axes.add_patch(Rectangle((x / w, y / h), 1 / w, 1 / h, fill=False, edgecolor=colour, linewidth=line))


def _said(row: Row) -> str:
    if row.layer.similarity == "hamming":
        return "similarity, mean of the heads: 1 all bits alike, 0 half of them, -1 none"
    return "similarity, mean of the heads: share of bits that fire in both"


def _title(trace: Trace, row: Row, shown: int) -> str:
    t, y, x = row.token
    see = {
        "frame": "the tokens of its frame",
        "clip": "all tokens of the clip",
        "pixel": "its place in all frames of the clip",
        "past": "all frames so far",
        "recent": f"the last {row.layer.window} frames",
    }[row.layer.scheme]
    words = [f"{row.layer.name}: token ({y}, {x}) of frame {trace.frames[t]} sees {see}"]
    if shown < len(row.frames):
        words.append(f"{shown} of {len(row.frames)} frames shown")
    if row.missing:
        words.append(f"{row.missing} frames before the trace are not shown")
    return "; ".join(words)
