"""Spikes of a layer, and firing rates of all, over time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikereel.show.plots.figure import (
    FONT,
    WIDTH,
    along_time,
    axes_of,
    bar_of,
    require_traces,
    spread,
    theme_of,
    titled,
)
from spikereel.tracing import Trace

EXACT = 400
"""Neurons up to which each has a row of its own."""
ROWS, COLUMNS = 256, 1024
"""Of the picture of more."""


def raster(
    trace: Trace,
    layer: str,
    *,
    start: int = 0,
    stop: int | None = None,
    neurons: Sequence[int] | None = None,
    ax: Any = None,
    dark: bool = False,
    width: int = WIDTH,
) -> Any:
    """Spikes of a layer in frames `start` to `stop`: a row for each neuron, or the share that fires of neighbouring
    ones where they are many.

    neurons: flat numbers, one row for each. Raises ConfigError for a layer whose spikes were not recorded.
    """
    require_traces(trace)
    theme = theme_of(dark)
    start, stop, _ = slice(start, stop).indices(len(trace))
    own, count = trace.layers.get(layer), stop - start
    size = len(neurons) if neurons is not None else own.size if own is not None else 0
    exact = size <= EXACT and count <= COLUMNS
    if exact or neurons is not None:
        values = trace.spikes(layer, start, stop, neurons).reshape(count, -1).T
    else:
        values = trace.picture_of(layer, start, stop, rows=ROWS, columns=COLUMNS)
    own = trace.layers[layer]
    axes = axes_of(ax, theme, width, 360)
    most = own.levels if exact else max(float(values.max()), 1e-9)
    image = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap=_black(dark) if exact and own.levels == 1 else theme.heat,
        vmin=0,
        vmax=most,
        extent=(start - 0.5, stop - 0.5, size - 0.5, -0.5),
    )
    if not (exact and own.levels == 1):
        bar_of(axes, image, theme, "spikes" if exact else "spikes of a neuron and frame, mean")
    if neurons is not None and size <= 24:
        axes.set_yticks(range(size), [str(n) for n in neurons])
    axes.set_ylabel("neuron")
    along_time(axes, trace, start, stop)
    rate = float(trace.rates[layer][start:stop].mean())
    thinned = "" if exact else f"; {len(values)} rows of {size:,} neurons"
    titled(axes, theme, layer, f"{own.shape}, {rate:.3g} spikes a neuron and frame{thinned}".replace(",)", ")"))
    return axes


def rates(
    trace: Trace, *, start: int = 0, stop: int | None = None, ax: Any = None, dark: bool = False, width: int = WIDTH
) -> Any:
    """Firing rate of every layer in each frame: mean spikes of a neuron, in order of execution."""
    require_traces(trace)
    theme = theme_of(dark)
    start, stop, _ = slice(start, stop).indices(len(trace))
    names = list(trace.layers)
    values = np.stack([trace.rates[name][start:stop] for name in names])
    height = int(min(max(16 * len(names) + 110, 260), 900))
    axes = axes_of(ax, theme, width, height)
    image = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap=theme.heat,
        vmin=0,
        vmax=max(float(values.max()), 1e-9),
        extent=(start - 0.5, stop - 0.5, len(names) - 0.5, -0.5),
    )
    bar_of(axes, image, theme, "spikes of a neuron and frame")
    inches = axes.figure.get_figheight() * axes.get_position().height
    at, shown = spread(names, int(inches * 72 / (FONT * 1.35)))
    narrow = axes.figure.get_figwidth() < 6
    axes.set_yticks(at, [_short(name) if narrow else name for name in shown])
    along_time(axes, trace, start, stop)
    silent = [name for name, row in zip(names, values, strict=True) if not row.any()]
    titled(axes, theme, "Firing rates", f"{len(silent)} of {len(names)} layers silent" if silent else "")
    return axes


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _black(dark: bool) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap(["#171a22", "#f4d35e"] if dark else ["#f5f6f8", "#10243f"])
