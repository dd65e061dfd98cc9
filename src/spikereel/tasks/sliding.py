"""Segmentation of pictures of any size: whole, or in windows that overlap."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.errors import ConfigError

_AT_ONCE = 8
"""Classes."""


def segment(
    model: nn.Module, video: Float[Tensor, "T B C H W"], *, window: Sequence[int] = (), overlap: float = 0.5
) -> Float[Tensor, "T B K H W"]:
    """Logits of every pixel of every frame. The model answers `(logits, state)` and pads sides that it cannot divide.

    window: height and width of the boxes the pictures are seen in, all of them at once if empty. Boxes overlap by the
    share `overlap` at least, cover everything, and their logits are averaged; a side shorter than the window is seen
    whole. Raises ConfigError for a window or an overlap out of range.
    """
    if not window:
        return model(video)[0]
    check_window(window, overlap)
    size = video.shape[-2:]
    rows, columns = (window_starts(own, side, overlap) for own, side in zip(size, window, strict=True))
    sums: Any = 0.0
    counts = video.new_zeros(size)
    for top in rows:
        for left in columns:
            box = (..., slice(top, top + window[0]), slice(left, left + window[1]))
            logits = model(video[box])[0]
            if isinstance(sums, float):
                sums = logits.new_zeros(*logits.shape[:3], *size)
            sums[box] += logits
            counts[box] += 1
    return sums / counts


def check_window(window: Sequence[int], overlap: float) -> None:
    """Raises ConfigError for a window that is neither empty nor height and width, or an overlap outside [0, 1)."""
    if (window and (len(window) != 2 or min(window) < 1)) or not 0.0 <= overlap < 1.0:
        raise ConfigError(f"window {list(window)}, overlap {overlap}: height and width in pixels, a share below 1")


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First pixels of windows along one side, evenly apart, with the share `overlap` or more in common."""
    if window >= length:
        return [0]
    hop = max(int(window * (1 - overlap)), 1)
    steps = -(-(length - window) // hop)
    return [round(i * (length - window) / steps) for i in range(steps + 1)]


def labels_at(logits: Float[Tensor, "K h w"], size: Sequence[int]) -> UInt8[Tensor, "H W"]:
    """The class of every pixel after bilinear enlargement to `size`; a few classes at a time, for memory's sake."""
    best: Tensor | None = None
    labels = torch.zeros(*size, dtype=torch.uint8, device=logits.device)
    for first, part in zip(range(0, len(logits), _AT_ONCE), logits.split(_AT_ONCE), strict=True):
        value, which = F.interpolate(part[None], tuple(size), mode="bilinear", align_corners=False)[0].max(0)
        if best is None:
            best, labels = value, which.to(torch.uint8)
            continue
        labels = torch.where(value > best, (which + first).to(torch.uint8), labels)
        best = torch.maximum(value, best)
    return labels
