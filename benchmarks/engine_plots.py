"""Pictures of the newest results of `curves` and `roofline`, for docs/engine.md."""

import json
from functools import reduce
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
INK, PALE, GRID = "#1b7f5c", "#9aa5ab", "#dfe4e7"
AXES = {
    "rate": ("firing rate of every neuron, %", lambda row: 100 * row["rate"]),
    "frames": ("frames", lambda row: row["shape"][0]),
    "batch": ("clips in a batch", lambda row: row["shape"][1]),
}
"""Curves over a number; the others are bars."""


def draw() -> list[Path]:
    """Paths of what was drawn. FileNotFoundError where there are no curves."""
    import matplotlib

    matplotlib.use("Agg")
    drawn = [_curves(_newest("engine-curves-threads2_"))]
    if roof := _newest("engine-roofline", needed=False):
        drawn.append(_roofline(roof))
    return drawn


def _newest(name: str, *, needed: bool = True) -> dict[str, Any] | None:
    found = sorted(RESULTS.glob(f"{name}*.json"), key=lambda path: path.stem.rpartition("_")[2])
    if not found and needed:
        raise FileNotFoundError(f"no {name}*.json in {RESULTS}; run `python benchmarks/run.py curves` first")
    return json.loads(found[-1].read_text()) if found else None


def _curves(outcome: dict[str, Any]) -> Path:
    from matplotlib import pyplot

    curves = ("rate", "frames", "batch", "model", "task", "neuron")
    rows = {name: [row for row in outcome["rows"] if row["curve"] == name] for name in curves}
    bars = rows["model"] + rows["neuron"] + rows["task"]
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    for axis, name in zip(axes.flat, AXES, strict=False):
        _line(axis, rows[name], *AXES[name], log=name != "rate")
    axis = axes.flat[3]
    x = range(len(bars))
    axis.bar(x, [row["rows"]["model"]["over_engine"] for row in bars], color=INK, width=0.6)
    breaks = (("segmentation, ", "seg.\n"), (", ", "\n"), (" x ", " x\n"), ("Integer-", "Integer-\n"))
    labels = [reduce(lambda text, pair: text.replace(*pair), breaks, row["label"]) for row in bars]
    axis.set_xticks(x, labels, fontsize=8)
    axis.axhline(1.0, color=PALE, linewidth=1)
    axis.set_ylabel("times the speed of the model in PyTorch")
    axis.grid(axis="y", color=GRID)
    axis.set_axisbelow(True)
    figure.suptitle(f"the engine beside the model in PyTorch, {outcome['hardware']}, {outcome['threads']} thread(s)")
    path = DOCS / "engine-curves.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _line(axis: Any, rows: list[dict[str, Any]], label: str, at: Any, *, log: bool) -> None:
    if not rows:
        axis.set_visible(False)
        return
    rows = sorted((row for row in rows if "trained" not in row["label"]), key=at)
    x = [at(row) for row in rows]
    ratios = [row["rows"]["model"]["over_engine"] for row in rows]
    spread = [row["rows"]["model"]["over_engine_spread"] for row in rows]
    axis.fill_between(x, [low for low, _ in spread], [high for _, high in spread], color=INK, alpha=0.15, linewidth=0)
    axis.plot(x, ratios, marker="o", color=INK)
    axis.set_xlabel(label)
    axis.set_ylabel("times the speed of the model in PyTorch")
    axis.set_ylim(0, 1.1 * max(*ratios, *(high for _, high in spread)))
    if log:
        axis.set_xscale("log", base=2)
        axis.set_xticks(x, [str(value) for value in x])
    axis.grid(color=GRID)
    per_frame = axis.twinx()
    frames = [row["shape"][0] * row["shape"][1] for row in rows]
    milliseconds = [1e3 * row["rows"]["engine"]["median"] / n for row, n in zip(rows, frames, strict=True)]
    per_frame.plot(x, milliseconds, marker=".", linestyle=":", color=PALE)
    per_frame.set_ylim(0, 1.3 * max(milliseconds))
    per_frame.set_ylabel("dotted: engine, ms a frame", color="#5c676d")


def _roofline(outcome: dict[str, Any]) -> Path:
    from matplotlib import pyplot

    kinds = {k: x for k, x in outcome["kinds"].items() if k != "all layers"}
    order = sorted(kinds, key=lambda kind: -kinds[kind]["seconds"])
    figure, axis = pyplot.subplots(figsize=(9, 4), layout="constrained")
    at = range(len(order))
    axis.barh(at, [1e3 * kinds[k]["seconds"] for k in order], color=GRID, label="measured")
    axis.barh(
        at, [1e3 * kinds[k]["bound"] for k in order], color=INK, height=0.45, label="at the peak of its primitives"
    )
    for i, kind in enumerate(order):
        axis.annotate(
            f"{100 * kinds[kind]['share']:.0f} %",
            (1e3 * kinds[kind]["seconds"], i),
            textcoords="offset points",
            xytext=(4, -3),
        )
    axis.set_yticks(at, order)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.12e3 * max(x["seconds"] for x in kinds.values()))
    axis.set_xlabel("ms, one thread")
    axis.set_title(f"kernels and their bounds, {outcome['hardware']}")
    axis.legend(loc="lower right")
    path = DOCS / "engine-roofline.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
