"""A tracked person drawn: the skeleton over the video, and in three dimensions."""

from collections.abc import Iterable
from fractions import Fraction
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.video.write import write_video
from spikereel.extras import need
from spikereel.inference.track import Track
from spikereel.show.style import BOX, LEFT, MIDDLE, MIDDLE_DARK, RIGHT, TRUTH, Colour, save, unit

_LEAST_HEIGHT = 480
_PANELS = 6


def overlay(path: str | PathLike, track: Track, pictures: Iterable[Tensor]) -> None:
    """Write an mp4 of the frames, uint8 [3, H, W] each, with the skeleton over them: left orange, right blue.

    Raises ConfigError without the extra "draw"; else as `write_video`.
    """
    need("draw")
    drawn = (_drawn(*frame, track) for frame in zip(pictures, track.points, track.box, strict=True))
    frames = track.frames
    times, aspect = (None, Fraction(1)) if frames is None else (frames.during(), frames.info.aspect)
    write_video(path, drawn, track.fps, times=times, aspect=aspect)


def _drawn(picture: Tensor, points: np.ndarray, box: np.ndarray, track: Track) -> Tensor:
    """One frame, enlarged: uint8 [3, H, W]."""
    from PIL import Image, ImageDraw

    height, width = picture.shape[1:]
    factor = max(round(_LEAST_HEIGHT / height), 1)
    size, line = (width * factor, height * factor), max(factor, 2)
    canvas = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    at = (points * factor).clip(-1e4, 1e4)
    for a, b in track.skeleton.bones:
        pen.line([*at[a], *at[b]], fill=_colour(track.skeleton.joints[b]), width=line)
    for x, y in at:
        pen.ellipse([x - line, y - line, x + line, y + line], fill=MIDDLE)
    left, top, side = (factor * float(x) for x in box)
    pen.rectangle([left, top, left + side, top + side], outline=BOX)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


def strip(path: str | PathLike, track: Track, truth: np.ndarray | None = None) -> None:
    """Write a PNG of the skeleton in three dimensions at six instants, seen from above the camera's right.

    truth: joints [N, J, 3] to draw in grey beside. Raises ConfigError without the extra "draw".
    """
    need("draw")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * _PANELS, 3.6), layout="constrained")
    root = track.skeleton.root
    numbers = np.linspace(0, len(track.joints) - 1, min(_PANELS, len(track.joints))).round().astype(int)
    for i, number in enumerate(numbers):
        axes: Any = figure.add_subplot(1, _PANELS, i + 1, projection="3d")
        for joints, colour in ((truth, TRUTH), (track.joints, None)):
            if joints is not None:
                _bones(axes, track, joints[number] - joints[number, root], colour)
        axes.set(xlim=(-0.9, 0.9), ylim=(-0.9, 0.9), zlim=(-1.1, 0.9), title=f"frame {number}")
        axes.set_box_aspect((1.8, 1.8, 2.0), zoom=1.4)
        axes.view_init(elev=12, azim=-65)
        axes.tick_params(labelbottom=False, labelleft=False, labelright=False)
    save(figure, path, dpi=80)


def _bones(axes: Any, track: Track, joints: np.ndarray, colour: str | None) -> None:
    for a, b in track.skeleton.bones:
        own = colour or unit(_colour(track.skeleton.joints[b], middle=MIDDLE_DARK))
        x, y, z = joints[[a, b]].T
        # matplotlib's z is up, its y goes away from who looks
        axes.plot(x, z, -y, color=own, linewidth=2 if colour is None else 4)


def _colour(joint: str, middle: Colour = MIDDLE) -> Colour:
    return LEFT if joint.startswith("left_") else RIGHT if joint.startswith("right_") else middle
