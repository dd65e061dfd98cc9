"""Two traces of one clip, and where they part."""

from typing import Any

import numpy as np

from spikereel.show.plots.figure import (
    WIDTH,
    along_time,
    bar_of,
    figure_of,
    key_of,
    paint,
    require_traces,
    spread,
    theme_of,
    titled,
)
from spikereel.tracing import Trace
from spikereel.tracing.compare import compare as difference_of


def compare(a: Trace, b: Trace, *, names: tuple[str, str] = ("A", "B"), dark: bool = False, width: int = WIDTH) -> Any:
    """Share of spikes that differ, layer by layer and frame by frame; answers and energy of both. Gives a figure.

    Raises ConfigError for traces of different frames.
    """
    require_traces(a, b)
    theme, found = theme_of(dark), difference_of(a, b)
    shares = np.stack([layer.shares for layer in found.layers]) if found.layers else np.zeros((1, len(a)))
    answers, counted = a.probabilities is not None, bool(a.about.costs and b.about.costs)
    heights = [min(max(12 * len(shares), 220), 620), *([230] if answers else []), *([200] if counted else [])]
    figure = figure_of(theme, width, sum(heights) + 190)
    grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes in grid:
        paint(axes, theme)
    _shares(grid[0], a, shares, found, theme)
    if answers:
        _answers(grid[1], a, b, names, theme)
    if counted:
        _energy(grid[-1], a, b, names, theme)
    return figure


def _shares(axes: Any, trace: Trace, shares: np.ndarray, found: Any, theme: Any) -> None:
    most = max(float(shares.max()), 1e-9)
    image = axes.imshow(
        100 * shares,
        aspect="auto",
        interpolation="nearest",
        cmap=theme.heat,
        vmin=0,
        vmax=100 * most,
        extent=(-0.5, len(trace) - 0.5, len(shares) - 0.5, -0.5),
    )
    bar_of(axes, image, theme, "% of spikes that differ")
    layers = [layer.name for layer in found.layers]
    at, shown = spread(layers, int(min(max(12 * len(shares), 220), 620) / 16))
    narrow = axes.figure.get_figwidth() < 6
    axes.set_yticks(at, [f"…{name[-13:]}" if narrow and len(name) > 14 else name for name in shown])
    along_time(axes, trace)
    first = found.first
    if first is None:
        titled(axes, theme, f"No spike of {len(layers)} layers differs")
        return
    axes.scatter(
        [first.frame], [layers.index(first.name)], s=80, facecolor="none", edgecolor=theme.series[1], linewidth=2
    )
    share = f"{100 * first.shares[first.frame]:.3g} % of its spikes"
    titled(axes, theme, f"First to differ: {first.name}", f"in frame {trace.frames[first.frame]}, {share}")


def _answers(axes: Any, a: Trace, b: Trace, names: tuple[str, str], theme: Any) -> None:
    for trace, name, colour, line, mark in zip(
        (a, b), names, theme.series, ("-", (0, (5, 2))), ("o", "s"), strict=False
    ):
        found = trace.probabilities
        assert found is not None
        best = int(found[-1].argmax())
        label = f"{name}: {trace.classes[best]}"
        axes.plot(trace.answered, found[:, best], color=colour, linestyle=line, marker=mark, markersize=4, label=label)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("probability")
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    along_time(axes, a)
    axes.set_xlabel("")
    key_of(axes, theme, 2 if axes.figure.get_figwidth() >= 6 else 1)
    same = a.label == b.label
    titled(axes, theme, "The answers are the same" if same else "The answers differ")


def _energy(axes: Any, a: Trace, b: Trace, names: tuple[str, str], theme: Any) -> None:
    for trace, name, colour, line in zip((a, b), names, theme.series, ("-", (0, (5, 2))), strict=False):
        own = 1e3 * trace.energy("paper")
        axes.plot(np.arange(len(own)), own, color=colour, linestyle=line, label=f"{name}: {own.sum() / 1e3:.3g} mJ")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("µJ a frame")
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    along_time(axes, a)
    key_of(axes, theme, 2 if axes.figure.get_figwidth() >= 6 else 1)
    titled(axes, theme, "Energy as the papers count")
