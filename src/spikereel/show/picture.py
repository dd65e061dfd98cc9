"""One picture of what a trained network does and what it costs, for the README and for reports."""

import textwrap
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from spikereel.energy import Passport
from spikereel.errors import ConfigError, DataError
from spikereel.extras import need
from spikereel.inference.frames import to_pictures
from spikereel.show.style import ANN, BAD, GOOD, GRID, INK, MUTED, SERIES, SNN, SNN_LIGHT
from spikereel.show.tables import by_block

if TYPE_CHECKING:
    from spikereel.runs.evaluate import Evaluation

# Per cent of every cell up to here, names up to there; more classes are drawn without.
_MOST_NUMBERS, _MOST_NAMES, _MOST_FRAMES = 12, 30, 8


def demo_picture(
    path: str | PathLike,
    *,
    sample: Tensor,
    sample_label: str,
    predicted: str,
    evaluations: "Mapping[str, Evaluation]",
    passport: Passport,
    history: Sequence[Mapping[str, float]] | None = None,
) -> None:
    """Write a PNG of 1600 x 1000 pixels: a clip, confusion matrix, accuracies, energy, firing rates, training curve.

    sample: a clip [T, C, H, W], uint8 or float in [0, 1]. evaluations: {name: outcome of `evaluate`}; the confusion
    matrix is that of the first. passport: cost of the first. history: rows with "step" and "val_top1", drawn if given.
    Raises ConfigError without the extra "draw", for a name that does not end in .png, and without evaluations.
    """
    need("draw")
    from matplotlib import rc_context

    path = Path(fspath(path))
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: the name must end in .png")
    if not evaluations:
        raise ConfigError("demo_picture needs at least one evaluation")
    if not path.parent.is_dir():
        raise DataError(f"{path}: the folder {path.parent} does not exist; make it first")
    style: dict = {
        "font.family": "DejaVu Sans",
        "font.size": 14,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.edgecolor": GRID,
        "text.parse_math": False,
    }
    with rc_context(style):
        figure = _figure(to_pictures(sample), sample_label, predicted, evaluations, passport, list(history or ()))
        figure.savefig(path, dpi=100, facecolor="white")


def _figure(
    sample: Tensor,
    label: str,
    predicted: str,
    evaluations: "Mapping[str, Evaluation]",
    passport: Passport,
    history: list[Mapping[str, float]],
) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 10), dpi=100)
    first = next(iter(evaluations.values()))
    _clip(figure, sample, label, predicted)
    _confusion(figure.add_axes((0.13, 0.155, 0.285, 0.58)), first)
    _accuracies(figure.add_axes((0.555, 0.52, 0.125, 0.215)), evaluations)
    _energy(figure.add_axes((0.815, 0.52, 0.065, 0.215)), passport)
    if history:
        _firing(figure.add_axes((0.485, 0.155, 0.275, 0.225)), passport)
        _curve(figure.add_axes((0.845, 0.155, 0.135, 0.225)), history)
    else:
        _firing(figure.add_axes((0.485, 0.155, 0.495, 0.225)), passport)
    return figure


def _clip(figure: Any, sample: Tensor, label: str, predicted: str) -> None:
    """Frames in a row, with the answer before them."""
    figure.text(0.02, 0.93, "predicted", color=MUTED, fontsize=15)
    shown = _short(predicted, 18)
    size = next((size for most, size in ((9, 30), (13, 22)) if len(shown) <= most), 17)
    colour = GOOD if predicted == label else BAD
    figure.text(0.02, 0.872, shown, fontsize=size, fontweight="bold", color=colour)
    figure.text(0.02, 0.825, f"true: {_short(label, 18)}", fontsize=15)
    count = min(len(sample), _MOST_FRAMES)
    aspect = sample.shape[3] / sample.shape[2]
    cell = min(0.785 / count, 0.16 * aspect / 1.6 + 0.006)
    for i, number in enumerate(np.linspace(0, len(sample) - 1, count).round().astype(int)):
        axes = figure.add_axes((0.20 + i * cell, 0.80, cell - 0.006, 0.16), anchor="NW")
        axes.imshow(sample[int(number)].permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(f"{number + 1}" if i else f"frame {number + 1}", fontsize=13, color=MUTED, pad=5)


def _confusion(axes: Any, evaluation: "Evaluation") -> None:
    counts = evaluation.score.confusion.numpy().astype(float)
    share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(counts)
    _title(axes, "Confusion: true in rows, predicted in columns, %", 0.02)
    axes.imshow(share, cmap="Greens", vmin=0, vmax=115, aspect="auto", interpolation="nearest")
    if n <= _MOST_NUMBERS:
        for i, j in np.argwhere(share >= 0.5):
            shown = f"{share[i, j]:.0f}"
            axes.text(j, i, shown, ha="center", va="center", fontsize=14, color="white" if share[i, j] > 60 else INK)
        axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=2)
    axes.set_xticks([])
    axes.set_yticks([])
    if n <= _MOST_NAMES:
        size = 14 if n <= _MOST_NUMBERS else 9
        short = [_short(name, 16) for name in evaluation.classes]
        axes.set_xticks(range(n), short, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
        axes.set_yticks(range(n), short, fontsize=size)
    axes.tick_params(which="both", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _accuracies(axes: Any, evaluations: "Mapping[str, Evaluation]") -> None:
    names, values = list(evaluations), [x.score.top1 for x in evaluations.values()]
    chance = 100 / len(next(iter(evaluations.values())).classes)
    clips = {x.score.clips for x in evaluations.values()}
    _title(axes, "Top-1, %" + (f" of {clips.pop()} clips" if len(clips) == 1 else ""), 0.45)
    height = min(0.62, 0.2 * len(names))
    axes.barh(range(len(names)), values, height=height, color=[SERIES[i % len(SERIES)] for i in range(len(names))])
    for i, value in enumerate(values):
        axes.text(value + 2, i, f"{value:.1f}", va="center", fontweight="bold" if i == 0 else "normal", fontsize=15)
    axes.axvline(chance, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.text(
        chance,
        -0.04,
        f"chance {chance:.3g}",
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="top",
        fontsize=13,
        color=MUTED,
    )
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 13) for name in names], fontsize=14)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 122)
    _bare(axes)


def _energy(axes: Any, passport: Passport) -> None:
    names = {"paper": "SNN, papers", "folded": "SNN, folded", "executed": "SNN, as it runs"}
    anns = {cost: passport.ann_mj(cost) for cost in names}
    rows = [(name, passport.energy_mj(cost), SNN, anns[cost]) for cost, name in names.items()]
    rows.append(("ANN twin", anns["paper"], ANN, anns["paper"]))
    _title(axes, f"Energy of {passport.clip[0]} frames, mJ", 0.725)
    axes.barh(range(len(rows)), [mj for _, mj, *_ in rows], height=0.6, color=[row[2] for row in rows])
    for i, (_, mj, colour, ann) in enumerate(rows):
        text = _number(mj) if colour == ANN else f"{_number(mj)} = ANN / {_number(ann / mj)}"
        axes.text(mj + 0.03 * anns["paper"], i, text, va="center", fontsize=14)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=13)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, max(mj for _, mj, *_ in rows) * 1.02)
    axes.text(
        0,
        -0.04,
        "4.6 pJ a MAC, 0.9 pJ an AC;\ncounted, not measured",
        transform=axes.transAxes,
        va="top",
        fontsize=12,
        color=MUTED,
        linespacing=1.3,
    )
    _bare(axes)


def _firing(axes: Any, passport: Passport) -> None:
    """A bar for every neuron, blocks apart from each other and in two shades."""
    at, ticks, x = 0.0, [], []
    for i, (block, neurons) in enumerate(by_block(passport.firing).items()):
        means = [100 * sum(rates) / len(rates) for rates in neurons.values()]
        places = at + np.arange(len(means))
        axes.bar(places, means, width=0.85, color=SNN if i % 2 == 0 else SNN_LIGHT)
        ticks.append((float(places.mean()), block))
        x += means
        at = places[-1] + 2.0
    _title(axes, f"Firing rates, mean {sum(x) / len(x):.1f} %", 0.45)
    axes.axhline(sum(x) / len(x), color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    names = [name.replace("ConvBlock", "conv ").replace("downsample", "down ").replace("_", ".") for _, name in ticks]
    names = [name.replace("block", "block ") if name.startswith("block") else name for name in names]
    axes.set_xticks([place for place, _ in ticks], names, rotation=60, ha="right", rotation_mode="anchor", fontsize=13)
    axes.set_xlim(-1, at - 1)
    axes.set_ylim(0, max(max(x) * 1.08, 1e-3))
    _ruled(axes)


def _curve(axes: Any, history: list[Mapping[str, float]]) -> None:
    steps, values = ([row[key] for row in history] for key in ("step", "val_top1"))
    _title(axes, "Top-1 in training, %", 0.80)
    axes.plot(steps, values, color=SNN, linewidth=2.5, marker="o", markersize=5 if len(steps) < 25 else 0)
    axes.set_ylim(0, 103)
    axes.set_yticks((0, 50, 100))
    axes.locator_params(axis="x", nbins=3)
    axes.set_xlabel("steps", fontsize=13)
    _ruled(axes)


def _short(name: str, most: int) -> str:
    name = name.replace("_", " ")
    return name if len(name) <= most else name[: most - 3].rstrip() + "..."


def _number(x: float) -> str:
    """Three significant digits."""
    return f"{x:#.3g}".rstrip(".")


def _title(axes: Any, text: str, left: float) -> None:
    """Over the axes, from `left` of the figure on."""
    axes.figure.text(left, axes.get_position().y1 + 0.022, text, fontsize=17, fontweight="bold")


def _bare(axes: Any) -> None:
    axes.set_xticks([])
    axes.tick_params(length=0)
    for name, side in axes.spines.items():
        side.set_visible(name == "left")


def _ruled(axes: Any) -> None:
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=13)
    for name, side in axes.spines.items():
        side.set_visible(name == "bottom")
