"""The report of a training: one picture, and one page with everything in it."""

import base64
import html
from os import PathLike
from pathlib import Path
from typing import Any

from spikereel.files import write_text
from spikereel.inference.training_report import JudgedClip, TrainingReport
from spikereel.show.style import ANN, BAD, GOOD, INK, MUTED, SNN, SNN_LIGHT, save

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2330;background:#fff;max-width:1120px;margin:2em auto;padding:0 1em}
h1{font-size:1.5em}h2{font-size:1.1em;margin-top:1.6em}li{margin:.2em 0;overflow-wrap:anywhere}
.wide{overflow-x:auto}img{width:100%;min-width:760px}
table{border-collapse:collapse;font-size:14px}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #e4e7ec}
.verdict{background:#f4f7f6;border-left:4px solid #1f9e77;padding:.6em 1em}
"""


def report_figure(report: TrainingReport) -> Any:
    """Curves, confusion, baselines, firing rates, and strips of clips, as a figure of matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 10.5), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    upper, lower = parts
    (loss, accuracy, beside), (confusion, firing, words) = upper.subplots(2, 3)
    _losses(loss, report)
    _accuracy(accuracy, report)
    _beside(beside, report)
    _confusion(confusion, report)
    _firing(firing, report)
    words.axis("off")
    words.text(0, 1, _wrapped(report), va="top", fontsize=8.5, color=INK, transform=words.transAxes)
    _strips(lower, report)
    figure.suptitle(f"{report.name}: {report.top1:.0f} % of {report.clips} held-out clips", fontsize=13, color=INK)
    return figure


def write_report(report: TrainingReport, folder: str | PathLike) -> tuple[Path, Path]:
    """`report.html`, which needs no other file, and `report.png`. Raises ConfigError where they cannot be written."""
    page, picture = Path(folder) / "report.html", Path(folder) / "report.png"
    save(report_figure(report), picture, dpi=90)
    write_text(page, report_page(report, picture.read_bytes()))
    return page, picture


def report_page(report: TrainingReport, picture: bytes) -> str:
    """HTML with the picture inside."""
    image = base64.b64encode(picture).decode()
    facts = [
        f"Training took {report.seconds:.0f} s.",
        f"A clip costs {report.energy['snn']:.4g} mJ as a spiking network and {report.energy['ann']:.4g} mJ as an ANN, "
        "as the papers count.",
        f"Accuracy on training clips without random changes: {report.trained:.0f} %.",
        f"Mean firing rate {_mean(report.firing):.1f} %; silent layers: {', '.join(report.silent) or 'none'}.",
        *(f"Left out: {path}: {reason}" for path, reason in report.skipped),
        *report.notes,
    ]
    parts = [
        f"<h1>{html.escape(report.name)}: what the training came to</h1>",
        f"<div class=verdict>{''.join(f'<p>{html.escape(line)}</p>' for line in report.verdict())}</div>",
        _list("What to try next", report.advice()),
        f'<div class=wide><img alt="curves, confusion and clips" src="data:image/png;base64,{image}"></div>',
        _list("Facts", facts),
        _list("Settings", report.settings),
        _table(report),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(report.name)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _list(title: str, lines: Any) -> str:
    items = "".join(f"<li>{html.escape(str(line))}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _table(report: TrainingReport) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(x.name)}</td><td>{html.escape(x.truth)}</td><td>{html.escape(x.guess)}</td>"
        f"<td>{100 * x.share:.0f} %</td></tr>"
        for x in dict.fromkeys((*report.worst, *report.best))
    )
    head = "<tr><th>file</th><th>is</th><th>taken for</th><th>given</th></tr>"
    return f"<h2>Clips shown</h2><div class=wide><table>{head}{rows}</table></div>"


def _losses(axes: Any, report: TrainingReport) -> None:
    axes.set_title("loss by step", fontsize=10)
    axes.plot(range(1, len(report.losses) + 1), report.losses, color=SNN_LIGHT, lw=1)
    width = max(len(report.losses) // 20, 1)
    means = [sum(report.losses[i : i + width]) / width for i in range(len(report.losses) - width + 1)]
    axes.plot(range(width, len(report.losses) + 1), means, color=SNN, lw=2)


def _accuracy(axes: Any, report: TrainingReport) -> None:
    axes.set_title("held-out accuracy and firing by step, %", fontsize=10)
    steps = [x["step"] for x in report.history]
    axes.plot(steps, [x.get("val_top1") for x in report.history], "o-", color=SNN, label="accuracy")
    axes.plot(steps, [100 * x["firing"] for x in report.history], ".--", color=MUTED, label="firing")
    axes.set_ylim(-3, 103)
    axes.legend(fontsize=8, frameon=False)


def _beside(axes: Any, report: TrainingReport) -> None:
    axes.set_title("beside simple models, %", fontsize=10)
    bars = {"network": (report.top1, SNN)}
    if report.beside is not None:
        bars["motion energy\n+ ridge"] = (report.beside.ridge, ANN)
        bars["commonest\nclass"] = (report.beside.majority, MUTED)
    axes.bar(list(bars), [x for x, _ in bars.values()], color=[c for _, c in bars.values()])
    for i, (value, _) in enumerate(bars.values()):
        axes.text(i, value + 1, f"{value:.0f}", ha="center", fontsize=9, color=INK)
    axes.set_ylim(0, 112)


def _confusion(axes: Any, report: TrainingReport) -> None:
    axes.set_title("confusion: rows are true", fontsize=10)
    axes.imshow([[x / max(sum(row), 1) for x in row] for row in report.confusion], cmap="Greens", vmin=0, vmax=1)
    many = len(report.classes) > 12
    if many:
        return
    axes.set_xticks(range(len(report.classes)), report.classes, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(report.classes)), report.classes, fontsize=8)
    for i, row in enumerate(report.confusion):
        for j, count in enumerate(row):
            if count:
                colour = "white" if count > sum(row) / 2 else INK
                axes.text(j, i, str(count), ha="center", va="center", fontsize=9, color=colour)


def _firing(axes: Any, report: TrainingReport) -> None:
    axes.set_title("firing rate by layer, first to last, %", fontsize=10)
    rates = [100 * x for x in report.firing.values()]
    axes.bar(range(len(rates)), rates, color=[SNN if x else BAD for x in rates], width=0.9)
    for i, rate in enumerate(rates):
        if not rate:
            axes.text(i, 0, "0", color=BAD, fontsize=7, ha="center", va="bottom")


def _strips(figure: Any, report: TrainingReport) -> None:
    rows = max(len(report.worst), len(report.best))
    columns = figure.subplots(rows, 2, squeeze=False)
    if report.trailed:
        figure.suptitle("red: the picture; green: became brighter; blue: became darker", fontsize=8, color=MUTED)
    for column, (clips, word) in enumerate(((report.worst, "worst"), (report.best, "best"))):
        for row in range(rows):
            axes = columns[row][column]
            axes.axis("off")
            if row < len(clips):
                _strip(axes, clips[row], word)


def _strip(axes: Any, clip: JudgedClip, word: str) -> None:
    axes.imshow(clip.strip.permute(2, 0, 3, 1).flatten(1, 2).numpy())
    right = clip.truth == clip.guess
    said = f"{clip.truth}, given {100 * clip.share:.0f} %" if right else f"{clip.truth}, taken for {clip.guess}"
    axes.set_title(f"{word}: {said} ({clip.name})", fontsize=8, color=GOOD if right else BAD, loc="left")


def _wrapped(report: TrainingReport) -> str:
    from textwrap import fill

    return "\n".join(fill(line, 62) for line in (*report.verdict(), "", "Next:", *report.advice()))


def _mean(firing: dict[str, float]) -> float:
    return 100 * sum(firing.values()) / max(len(firing), 1)
