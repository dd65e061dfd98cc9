"""A stream as it goes: a panel in the terminal, and answers drawn over frames."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.extras import need
from spikereel.models.base import VideoModel
from spikereel.runs.config import data_spec_of
from spikereel.runs.kinds import KINDS, palette_of
from spikereel.show.segmentation import overlay
from spikereel.show.style import BACK, FAINT, MIDDLE, PANEL, SNN_ON_BLACK, TEXT

_BAR = 34
_LEAST = 240
"""Pixels of the short side of an overlay."""


def painter(model: VideoModel) -> Callable[[Any], Tensor]:
    """`picture = paint(answer)`, uint8 [H, W, 3]. Raises ConfigError without the extra "draw"."""
    need("draw")
    return {"classification": _classes, "segmentation": _masks(model), "pose": _pose(model)}[model.task]


def _enlarged(answer: Any) -> Tensor:
    from spikereel.streaming.feeds import as_picture

    picture = as_picture(answer.content)
    factor = max(-(-_LEAST // min(picture.shape[:2])), 1)
    return picture.repeat_interleave(factor, 0).repeat_interleave(factor, 1) if factor > 1 else picture


def _classes(answer: Any) -> Tensor:
    """The frame under a bar with the class, its probability and the age of the answer."""
    from PIL import Image, ImageDraw

    from spikereel.show.annotate import _font

    picture = np.ascontiguousarray(_enlarged(answer).numpy())
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, height + _BAR), BACK)
    canvas.paste(Image.fromarray(picture), (0, _BAR))
    pen = ImageDraw.Draw(canvas)
    name, p = answer.top[0]
    pen.text((8, 18), name, font=_font(16), fill=TEXT, anchor="ls")
    right = f"{100 * p:.0f} %  {answer.time:.1f} s"
    pen.text((width - 8, 18), right, font=_font(13), fill=FAINT, anchor="rs")
    pen.rectangle((8, 24, width - 8, 29), fill=PANEL)
    pen.rectangle((8, 24, 8 + max(round((width - 16) * p), 1), 29), fill=SNN_ON_BLACK)
    return torch.from_numpy(np.array(canvas))


def _masks(model: VideoModel) -> Callable[[Any], Tensor]:
    def paint(answer: Any) -> Tensor:
        from spikereel.streaming.feeds import as_picture
        from spikereel.tasks.sliding import labels_at

        picture = as_picture(answer.content).permute(2, 0, 1)
        labels = labels_at(answer.output.float(), picture.shape[1:]).cpu()
        names = tuple(model.metadata.classes) or tuple(map(str, range(model.config.num_classes)))
        return overlay(picture, labels, palette_of(data_spec_of(model.metadata), names)).permute(1, 2, 0)

    return paint


def _pose(model: VideoModel) -> Callable[[Any], Tensor]:
    """The skeleton where the camera that training knew sees it, in the square around the frame."""

    def paint(answer: Any) -> Tensor:
        from PIL import Image, ImageDraw

        picture = np.ascontiguousarray(_enlarged(answer).numpy())
        height, width = picture.shape[:2]
        row = KINDS[data_spec_of(model.metadata).kind]
        joints, where = answer.output[0].float(), answer.output[-1].float()
        side = max(height, width)
        points = row.camera.project(joints + where) * side + torch.tensor([(width - side) / 2, (height - side) / 2])
        canvas = Image.fromarray(picture)
        pen = ImageDraw.Draw(canvas)
        at = points.numpy().clip(-1e4, 1e4)
        for a, b in row.skeleton.bones if row.skeleton is not None else ():
            pen.line([*at[a], *at[b]], fill=SNN_ON_BLACK, width=3)
        for x, y in at:
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=MIDDLE)
        return torch.from_numpy(np.array(canvas))

    return paint


def panel(settings: str, channels: Sequence[Any]) -> Any:
    """A table of all sources, for `rich.live`: one column each up to two, else one row each."""
    from rich.console import Group
    from rich.text import Text

    from spikereel.streaming.live import counts_of

    known = [(channel, counts_of(channel)) for channel in channels]
    body = _columns(known) if len(known) <= 2 else _rows(known)
    return Group(Text(settings, style="bold", overflow="fold"), body)


def _said(channel: Any) -> tuple[str, str]:
    answer = channel.last
    if answer is None:
        return "...", ""
    if answer.top:
        return answer.top[0][0], f"{100 * answer.top[0][1]:.0f} %"
    return ("joints", "") if not isinstance(answer.output, Tensor) else ("mask", "")


def _columns(known: list[tuple[Any, dict[str, Any]]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for channel, _ in known:
        table.add_column(channel.name, overflow="fold")
    lines = [_lines(channel, counts) for channel, counts in known]
    for i, (name, _) in enumerate(lines[0]):
        table.add_row(name, *(own[i][1] for own in lines))
    return table


def _lines(channel: Any, counts: dict[str, Any]) -> list[tuple[str, str]]:
    label, sure = _said(channel)
    fps, late = counts["frames_per_second"], counts["latency_ms"]
    troubles = ", ".join(f"{name} {n}" for name, n in counts["troubles"].items())
    return [
        ("answer", f"{label} {sure}".strip()),
        ("frames/s", f"{fps['answered']:.1f} answered, {fps['arrived']:.1f} arrived, {fps['declared']:.1f} declared"),
        *((f"{stage}, ms", _three(late[stage])) for stage in late),
        ("firing rate", "..." if counts["firing_rate"] is None else f"{100 * counts['firing_rate']:.1f} %"),
        ("energy", _energy(counts)),
        ("answers", f"{counts['answers']} of {counts['frames']} frames{_thinned(channel)}"),
        ("dropped", _dropped(counts)),
        ("reconnects", f"{counts['reconnects']}" + (f" ({troubles})" if troubles else "")),
        ("gaps", f"{counts['gaps']}, {counts['holes']} short"),
        *([("last error", counts["last_error"])] if counts["last_error"] else []),
    ][: 14 if counts["last_error"] else 13]


def _thinned(channel: Any) -> str:
    """Which of the frames the network sees, where that is not every one."""
    if channel.seer.rate is not None:
        return f", {channel.seer.rate:g} a second are seen"
    return f", one in {channel.seer.stride} is seen" if channel.seer.stride > 1 else ""


def _rows(known: list[tuple[Any, dict[str, Any]]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("source", "answer", "", "frames/s", "age p50/95/99 ms", "firing", "energy", "dropped", "lost"):
        table.add_column(name, justify="left", overflow="ellipsis", no_wrap=True)
    for channel, counts in known:
        label, sure = _said(channel)
        rate = "..." if counts["firing_rate"] is None else f"{100 * counts['firing_rate']:.1f} %"
        fps = f"{counts['frames_per_second']['answered']:.1f}"
        lost = str(sum(counts["troubles"].values()))
        drops = str(sum(counts["dropped"].values()))
        table.add_row(
            channel.name, label, sure, fps, _three(counts["latency_ms"]["age"]), rate, _energy(counts), drops, lost
        )
    return table


def _three(percentiles: dict[str, float]) -> str:
    return " / ".join(f"{percentiles[name]:.1f}" for name in ("p50", "p95", "p99")) if percentiles else "..."


def _energy(counts: dict[str, Any]) -> str:
    if counts["mj_per_frame"] is None:
        return "..."
    return f"{counts['mj_per_second']:.3g} mJ/s, {counts['mj_per_frame']:.3g} a frame (counted)"


def _dropped(counts: dict[str, Any]) -> str:
    total = sum(counts["dropped"].values())
    why = ", ".join(f"{n} {reason}" for reason, n in counts["dropped"].items())
    return f"{total}" + (f" ({why})" if why else "")
