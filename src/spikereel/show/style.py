"""Colours, and how a figure is saved: the same in every picture."""

from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

from spikereel.models.files import write_whole

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

# pages and figures, on white
INK, MUTED, GRID = "#1d2330", "#667085", "#e4e7ec"
SNN, SNN_LIGHT, ANN, GOOD, BAD = "#1f9e77", "#7fcdb4", "#e8862e", "#1f7a4d", "#c0362c"
SERIES = (SNN, "#8fa3bf", "#b7a3d0", "#d8b77a", "#9fb8a0")
TRUTH = "#bbbbbb"

# videos, on black
BACK, PANEL = (16, 18, 24), (30, 33, 42)
TEXT, FAINT = (238, 240, 246), (160, 167, 182)
SNN_ON_BLACK, ANN_ON_BLACK = (64, 214, 164), (247, 160, 72)
HEAT = ((34, 16, 78), (104, 24, 128), (188, 54, 92), (243, 124, 40), (252, 214, 90), (255, 250, 200))
"""From no spike to the highest rate."""

# sides of a body, and the box around it
LEFT, RIGHT, MIDDLE, MIDDLE_DARK = (255, 150, 60), (70, 200, 255), (240, 240, 240), (60, 60, 60)
BOX = (90, 95, 110)

# pixels that are labelled right or wrong, and those that nobody judges
CORRECT, WRONG, UNJUDGED = (235, 238, 240), (214, 39, 40), (150, 150, 150)


def unit(colour: Colour) -> tuple[float, float, float]:
    """The colour as matplotlib wants it, 0 to 1."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def save(figure: Any, path: str | PathLike, *, dpi: int) -> None:
    """Write a figure of matplotlib as PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = BytesIO()
    figure.savefig(content, dpi=dpi, format="png")
    write_whole(Path(path), content.getvalue())
