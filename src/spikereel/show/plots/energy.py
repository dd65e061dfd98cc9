"""Energy of each frame under one cost model, by part, and what is left out."""

from typing import Any

import numpy as np

from spikereel.energy.costs import COSTS
from spikereel.show.plots.figure import WIDTH, along_time, axes_of, key_of, require_traces, theme_of, titled
from spikereel.tracing import Trace

NAMES = {
    "mac": "multiply-accumulates",
    "ac": "accumulations",
    "attention": "attention",
    "neurons": "neuron updates",
    "memory": "memory",
}
HATCHES = ("", "///", "...", "xx", "---")


def energy(
    trace: Trace,
    cost: str = "paper",
    *,
    start: int = 0,
    stop: int | None = None,
    ax: Any = None,
    dark: bool = False,
    width: int = WIDTH,
) -> Any:
    """Microjoules of each frame, stacked by part, under one cost model, and how many times less than as an ANN.

    Raises ConfigError for a cost model that does not exist, and where energy was not counted.
    """
    require_traces(trace)
    theme = theme_of(dark)
    parts = {name: 1e3 * x[start:stop] for name, x in trace.energy_parts(cost).items() if x.any()}
    start, stop, _ = slice(start, stop).indices(len(trace))
    axes = axes_of(ax, theme, width, 360)
    x, bottom = np.arange(start, stop), np.zeros(stop - start)
    for i, (name, values) in enumerate(parts.items()):
        style = {"color": theme.series[i], "edgecolor": theme.page, "hatch": HATCHES[i], "linewidth": 0}
        # bars of more frames than pixels would be no bars
        if len(x) <= 300:
            axes.bar(x, values, 0.85, bottom=bottom, label=NAMES[name], **style)
        else:
            axes.fill_between(x, bottom, bottom + values, step="mid", label=NAMES[name], **style)
        bottom = bottom + values
    axes.set_ylim(0, 1.1 * max(float(bottom.max(initial=0.0)), 1e-12))
    axes.set_ylabel("µJ a frame")
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    along_time(axes, trace, start, stop)
    key_of(axes, theme, len(parts) if axes.figure.get_figwidth() >= 6 else 2)
    ann, own = float(trace.energy(cost, ann=True)[start:stop].sum()), float(bottom.sum()) * 1e-3
    ratio = f", {ann / own:.3g} times less than as an ANN ({ann:.3g} mJ)" if own else ""
    left = next((x for x in COSTS[cost].assumptions if x.startswith("left out")), "") if cost in COSTS else ""
    titled(axes, theme, f"Energy, “{cost}”: {own:.3g} mJ in {len(x)} frames{ratio}", left)
    return axes
