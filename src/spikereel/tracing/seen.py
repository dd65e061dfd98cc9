"""What a network saw, as small pictures to look at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 112
"""Of the longer side at most, in pixels."""


def seen_as_pictures(video: Tensor, seen: Mapping[str, Any]) -> np.ndarray:
    """uint8 [T, 3, h, w] of what goes into a network, float [T, C, H, W].

    seen: mean and std that pixels were normalised with; without them -1 to 1, or 0 to 1 where nothing is below 0.
    Two channels are ON and OFF events; of other numbers the mean is shown.
    """
    x = video.detach().cpu().float()
    if x.shape[1] == 2:
        x = 0.5 + 0.5 * (x[:, :1].clamp(0, 1) - x[:, 1:].clamp(0, 1))
    elif x.shape[1] == 3 and seen.get("mean") and seen.get("std"):
        mean, std = (torch.as_tensor(seen[name]).reshape(1, -1, 1, 1) for name in ("mean", "std"))
        x = x * std + mean
    else:
        x = x if x.shape[1] == 3 else x.mean(1, keepdim=True)
        low, high = float(x.min()), float(x.max())
        bottom, top = (0.0, max(high, 1.0)) if low >= 0 else (min(low, -1.0), max(high, 1.0))
        x = (x - bottom) / (top - bottom)
    size = small(x.shape[2], x.shape[3])
    if size != tuple(x.shape[2:]):
        x = F.interpolate(x, size=list(size), mode="bilinear", antialias=True, align_corners=False)
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous().numpy()


def small(height: int, width: int) -> tuple[int, int]:
    """Height and width of the picture that is kept of a frame."""
    scale = min(SIDE / max(height, width), 1.0)
    return max(round(height * scale), 1), max(round(width * scale), 1)
