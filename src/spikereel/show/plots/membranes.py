"""Membranes of chosen neurons over time, with threshold and spikes."""

from typing import Any

import numpy as np

from spikereel.show.plots.figure import WIDTH, along_time, axes_of, edges, key_of, require_traces, theme_of, titled
from spikereel.tracing import Trace

MOST = 12
"""Neurons in one picture."""


def membranes(
    trace: Trace,
    layer: str,
    *,
    start: int = 0,
    stop: int | None = None,
    ax: Any = None,
    dark: bool = False,
    width: int = WIDTH,
) -> Any:
    """The membrane of each chosen neuron of a layer before its reset, the threshold, and a mark at every spike.

    Raises ConfigError where no membranes of the layer were recorded.
    """
    require_traces(trace)
    theme = theme_of(dark)
    held = trace.membranes(layer)
    start, stop, _ = slice(start, stop).indices(len(trace))
    count, x = min(len(held.neurons), MOST), np.arange(start, stop)
    axes = axes_of(ax, theme, width, 110 + 52 * count)
    threshold = held.layer.threshold
    low, high = edges(np.append(held.charged[start:stop, :count], [0.0] if threshold is None else [0.0, threshold]))
    lane = 1.25 * (high - low)
    blue, orange = theme.series[:2]
    for i in range(count):
        base = -i * lane
        axes.axhline(base, color=theme.grid, linewidth=0.8)
        if threshold is not None:
            axes.axhline(base + threshold, color=theme.muted, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(x, base + held.charged[start:stop, i], color=blue, linewidth=1.4, marker=".", markersize=4)
        fired = held.spikes[start:stop, i]
        at = np.flatnonzero(fired)
        axes.scatter(
            x[at], base + held.charged[start:stop, i][at], s=26 * fired[at], color=orange, marker="^", zorder=3
        )
    axes.plot([], [], color=blue, linewidth=1.4, label="membrane before its reset")
    if threshold is not None:
        axes.plot([], [], color=theme.muted, linewidth=0.8, linestyle=(0, (4, 3)), label=f"threshold {threshold:g}")
    axes.plot([], [], color=orange, marker="^", linestyle="", label="spike")
    axes.set_yticks([-i * lane for i in range(count)], [str(n) for n in held.neurons[:count]])
    axes.set_ylim(-(count - 1) * lane + low - 0.1 * lane, high + 0.1 * lane)
    axes.set_ylabel("neuron, each from its rest 0")
    along_time(axes, trace, start, stop)
    key_of(axes, theme, 3 if axes.figure.get_figwidth() >= 6 else 1)
    left = len(held.neurons) - count
    titled(axes, theme, f"Membranes of {layer}", f"{left} more are not drawn" if left else "")
    return axes
