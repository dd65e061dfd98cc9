"""The pictures of the demos: a clip, what the network says of it, and what is true."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.body.skeletons import Skeleton
from spikereel.data.mask_clips import Colour
from spikereel.extras import need
from spikereel.show.segmentation import coloured
from spikereel.show.style import GRID, INK, MUTED, SERIES, TRUTH, save, unit
from spikereel.show.style import LEFT as LEFT_SIDE
from spikereel.show.style import MIDDLE_DARK as MIDDLE
from spikereel.show.style import RIGHT as RIGHT_SIDE

_MOST = 8
"""Frames that are drawn."""
_DPI = 90


def draw_poses(
    path: str | PathLike, pictures: Tensor, found: np.ndarray, truth: np.ndarray, skeleton: Skeleton
) -> None:
    """Write a PNG: frames [T, H, W], below each the joints [T, J, 3] that were found, over the true ones in grey.

    Metres; x to the right, y down. Raises ConfigError without the extra "draw".
    """
    need("draw")
    from matplotlib.figure import Figure

    chosen = _chosen(len(pictures))
    figure = Figure(figsize=(1.9 * len(chosen), 5.0), layout="constrained")
    rows: Any = figure.subplots(2, len(chosen), squeeze=False)
    for column, t in enumerate(chosen):
        seen, drawn = rows[0][column], rows[1][column]
        seen.imshow(pictures[t].numpy(), cmap="gray")
        seen.set_title(f"frame {t + 1}", color=MUTED, fontsize=10)
        for joints, colour in ((truth[t], TRUTH), (found[t], None)):
            for a, b in skeleton.bones:
                ink = colour or unit(_side(skeleton.joints[b]))
                drawn.plot(joints[[a, b], 0], -joints[[a, b], 1], color=ink, linewidth=5 if colour else 2)
        drawn.set(xlim=(-0.9, 0.9), ylim=(-1.2, 1.0), aspect="equal")
        for axes in (seen, drawn):
            axes.set_axis_off()
    figure.suptitle("what the network sees; the pose it finds, over the true one in grey", color=INK, fontsize=11)
    save(figure, path, dpi=_DPI)


def draw_masks(
    path: str | PathLike,
    pictures: Tensor,
    found: Tensor,
    truth: Tensor,
    palette: Sequence[Colour],
    classes: Sequence[str],
) -> None:
    """Write a PNG: frames uint8 [T, 3, H, W], labels [T, H, W] that were found, and the true ones.

    Raises ConfigError without the extra "draw".
    """
    need("draw")
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    chosen = _chosen(len(pictures))
    figure = Figure(figsize=(1.9 * len(chosen) + 1.2, 6.4), layout="constrained")
    rows: Any = figure.subplots(3, len(chosen), squeeze=False)
    for column, t in enumerate(chosen):
        shown = (pictures[t], coloured(found[t], palette), coloured(truth[t], palette))
        for name, axes, picture in zip(("seen", "found", "true"), rows[:, column], shown, strict=True):
            axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(name, fontsize=12, color=INK)
        rows[0][column].set_title(f"frame {t + 1}", color=MUTED, fontsize=10)
    names = [Patch(color=unit(colour), label=name) for name, colour in zip(classes, palette, strict=False)]
    figure.legend(handles=names, loc="outside lower center", ncols=len(names), frameon=False)
    save(figure, path, dpi=_DPI)


def draw_stream(
    path: str | PathLike,
    video: Tensor,
    probabilities: np.ndarray,
    truth: Sequence[int],
    classes: Sequence[str],
    lasts: int,
) -> None:
    """Write a PNG: frames [N, C, H, W] now and then, and the probability [N, classes] of the true and other classes.

    lasts: frames of each true class. Raises ConfigError without the extra "draw".
    """
    need("draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, len(truth) // lasts, height_ratios=(1, 2.4))
    for k, first in enumerate(range(0, len(truth), lasts)):
        axes: Any = figure.add_subplot(grid[0, k])
        frame = video[first + lasts // 2]
        picture = torch.cat([frame, frame.new_zeros(3 - len(frame), *frame.shape[1:])])
        axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy())
        axes.set_axis_off()
    axes = figure.add_subplot(grid[1, :])
    own = probabilities[np.arange(len(truth)), truth]
    axes.fill_between(np.arange(len(truth)), own, step="post", color=SERIES[0], alpha=0.35, linewidth=0)
    axes.step(np.arange(len(truth)), own, where="post", color=SERIES[0], label="probability of the true motion")
    other = probabilities.copy()
    other[np.arange(len(truth)), truth] = 0
    axes.step(np.arange(len(truth)), other.max(1), where="post", color=MUTED, lw=1, label="of the best other one")
    for first in range(0, len(truth), lasts):
        axes.axvline(first, color=GRID)
        axes.text(first + 0.5, 1.02, classes[truth[first]], color=INK, fontsize=10)
    axes.set(xlim=(0, len(truth)), ylim=(0, 1), xlabel="frame")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    save(figure, path, dpi=_DPI)


def _chosen(frames: int) -> list[int]:
    return np.linspace(0, frames - 1, min(frames, _MOST)).round().astype(int).tolist()


def _side(joint: str) -> Colour:
    return LEFT_SIDE if joint.startswith("left_") else RIGHT_SIDE if joint.startswith("right_") else MIDDLE
