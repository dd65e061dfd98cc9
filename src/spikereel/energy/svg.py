"""Shapes of a chart as inline SVG: boxes, words, axes, and a key under the picture."""

from collections.abc import Iterable, Sequence
from html import escape

SNN, ANN, INK, GRID, LOST = "#1b7f5c", "#d0732a", "#1d2327", "#dfe4e7", "#c2304a"
WIDTH, LEFT = 1080, 150
"""Of a picture, and of the column of words at its left."""


def axis(top: float, high: float, ticks: Sequence[tuple[float, str]], most: float) -> list[str]:
    """Lines across at the values of `ticks`, with their words on the left; `most` is at the top."""
    shapes = []
    for value, label in ticks:
        y = top + high - value / most * high
        shapes.append(f'<path stroke="{GRID}" d="M{LEFT} {y:.1f}H{WIDTH - 20}"/>')
        shapes.append(text(LEFT - 10, y + (11 if y < 5 else 4), label, "end"))
    return shapes


def labels_down(stages_: Sequence[str], high: int) -> list[str]:
    """Names at the first row of each stage, where they do not run into each other."""
    shapes, last, before = [], -20.0, ""
    for i, stage in enumerate(stages_):
        if stage != before and i * high - last >= 13:
            shapes.append(text(LEFT - 10, i * high + 10, stage, "end"))
            last = i * high
        before = stage
    return shapes


def labels_across(stages_: Sequence[str], wide: float, y: float) -> list[str]:
    """Names at the first column of each stage, where they do not run into each other."""
    shapes, last, before = [], -1e9, ""
    for i, stage in enumerate(stages_):
        if stage != before and i * wide - last >= 7 * len(before) + 12:
            shapes.append(text(LEFT + i * wide, y, stage))
            last = i * wide
        before = stage
    return shapes


def ticks_of(steps: int) -> Iterable[int]:
    """Time steps that get a number, some sixteen."""
    return range(0, steps, max(1, steps // 16))


def shade(share: float) -> str:
    """White-green at 0 to dark green at 1; a neuron that never fires is grey-white."""
    low, high = (240, 244, 243), (6, 84, 58)
    red, green, blue = (round(a + (b - a) * share**0.7) for a, b in zip(low, high, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def drawing(height: float, shapes: Iterable[str]) -> str:
    """The picture, in its own size: where a page is narrower, it scrolls, and its words stay readable."""
    shown = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}">{"".join(shapes)}</svg>'
    return f"<div class=scroll>{shown}</div>"


def box(x: float, y: float, width: float, height: float, colour: str, said: str, opacity: float = 1.0) -> str:
    """A bar with words that show under the pointer."""
    faint = f' opacity="{opacity}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.3):.1f}" height="{height:.1f}" fill="{colour}"{faint}>'
        f"{said_on(said)}</rect>"
    )


def text(x: float, y: float, label: str, anchor: str = "start") -> str:
    """Words at a point; anchor: start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(label)}</text>'


def said_on(label: str) -> str:
    """Words that show under the pointer."""
    return f"<title>{escape(label)}</title>"


def key(entries: Iterable[tuple[str, str]]) -> str:
    """Colours and what they mean."""
    shown = "".join(f'<span><i style="background:{colour}"></i>{escape(label)}</span>' for colour, label in entries)
    return f"<p class=key>{shown}</p>"
