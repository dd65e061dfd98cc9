"""Confusion of classes, in shares of each true class."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikereel.errors import ConfigError
from spikereel.show.plots.figure import FONT, WIDTH, axes_of, theme_of, titled

NUMBERS, NAMES = 12, 40
"""Classes up to which cells have numbers, and classes have names."""


def confusion(
    counts: Any, classes: Sequence[str] | None = None, *, ax: Any = None, dark: bool = False, width: int = WIDTH
) -> Any:
    """Per cent of each true class (rows) that went to each predicted one (columns).

    counts: an `Evaluation`, or whole numbers [classes, classes], true in rows. Raises ConfigError for another shape.
    """
    theme = theme_of(dark)
    if hasattr(counts, "score"):
        counts, classes = counts.score.confusion, counts.classes if classes is None else classes
    found = np.asarray(counts, dtype=float)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ConfigError(f"confusion has shape {list(found.shape)}; give counts [classes, classes], true in rows")
    n = len(found)
    names = [str(i) for i in range(n)] if classes is None else list(classes)
    if len(names) != n:
        raise ConfigError(f"{len(names)} names are given for {n} classes; give one for each")
    share = 100 * found / np.maximum(found.sum(1, keepdims=True), 1)
    axes = axes_of(ax, theme, width, int(min(width, 700) * 0.85) + 60)
    axes.imshow(share, cmap=theme.heat, vmin=0, vmax=100, interpolation="nearest", aspect="auto")
    pixels = axes.figure.get_figwidth() * 100
    if n <= NUMBERS and pixels / n >= 38:
        for i, j in np.argwhere(share >= 0.5):
            colour = "black" if share[i, j] > 55 else "white"
            axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=FONT, color=colour)
    step = max(-(-n // NAMES), 1)
    at = range(0, n, step)
    short = [names[i] if len(names[i]) <= 14 else f"{names[i][:13]}…" for i in at]
    axes.set_xticks(at, short, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(at, short)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    right = float(np.trace(found))
    titled(axes, theme, f"Confusion, %: {right:g} of {found.sum():g} right")
    return axes
