"""Films for the studio's tests: every frame says its own number in black and white squares."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikereel.data.video.write import write_video

BITS, CELL = 16, 8
"""Squares in the top row of a frame, the lowest bit first, and their pixels."""


def frame(number: int, height: int = 96, width: int = 128) -> Tensor:
    """uint8 [3, H, W]: a disc that goes round over a slanted ground, and the number on top."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = 90 + 25 * np.sin((x + 0.6 * y) / 9.0)
    angle = 2 * np.pi * number / 48
    near = (x - width * (0.5 + 0.28 * np.cos(angle))) ** 2 + (y - height * (0.58 + 0.25 * np.sin(angle))) ** 2
    picture = np.stack([ground, ground, ground + 20])
    picture[:, near < (height / 7) ** 2] = np.array([235, 200, 80])[:, None]
    for bit in range(BITS):
        level = 235 if number >> bit & 1 else 20
        picture[:, :CELL, bit * CELL : (bit + 1) * CELL] = level
    return torch.from_numpy(picture.clip(0, 255).astype(np.uint8))


def told(picture: np.ndarray) -> int:
    """The number of a frame uint8 [H, W, 3 or 4]."""
    row = picture[CELL // 2, :, 0]
    return sum(int(row[bit * CELL + CELL // 2] > 127) << bit for bit in range(BITS))


def film(path: Path, frames: int = 96, fps: float = 30, **options: object) -> Path:
    """A film of constant rate, or with `times` of any."""
    write_video(path, _frames(frames), fps, **options)
    return path


def uneven(frames: int) -> np.ndarray:
    """[N + 1] seconds: most frames a thirtieth, some far longer."""
    steps = np.full(frames, 1 / 30)
    steps[5::17] = 0.4
    steps[11::23] = 1 / 120
    return np.concatenate([[0.0], np.cumsum(steps)])


def _frames(count: int) -> Iterator[Tensor]:
    return (frame(number) for number in range(count))
