"""What moved: trails of motion beside the picture, and clips that bend time. For depth videos and for colour ones."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from spikereel.data.transforms import to_float

REACH = 5.0
"""Time constants after which the past counts no more: its weight is below 1 %."""

FULL = 0.2
"""Change of the picture that counts as 1."""
LUMA = (0.299, 0.587, 0.114)


def past(pictures: Tensor, constant: float) -> Tensor:
    """Mean of all frames before each of [T, ...], weighted by exp(-age / constant), as if the first had always been.

    A picture minus this is a high-pass filter in time: what moved leaves a trail that fades. constant: in frames.
    """
    kept, mean, means = math.exp(-1 / constant), pictures[0], []
    for now in pictures:
        means.append(mean)
        mean = torch.lerp(now, mean, kept)
    return torch.stack(means)


def on_off(change: Tensor) -> tuple[Tensor, Tensor]:
    """What became brighter (or came closer), and the reverse, each from 0 to 1, which is a change of a fifth."""
    change = change / FULL
    return change.clamp(0, 1), (-change).clamp(0, 1)


def with_trails(video: Tensor, chosen: Sequence[int], constant: float) -> Tensor:
    """Some frames of a colour video: their grey, and how much brighter and darker they are than the past of all frames.

    video: uint8 or float [N, 3, H, W], RGB; constant: see `past` -> float32 [len(chosen), 3, H, W] in [0, 1].
    """
    red, green, blue = to_float(video).unbind(1)
    grey = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    picked = list(chosen)
    change = (grey - past(grey, constant))[picked]
    return torch.stack([grey[picked], *on_off(change)], dim=1)


def trail_frames(chosen: Sequence[int], constant: float) -> range:
    """Numbers of all frames that `with_trails` needs for those chosen, which ascend."""
    return range(max(chosen[0] - math.ceil(REACH * constant), 0), chosen[-1] + 1)


def bent(steps: int, start: float, stop: float, bend: float) -> Tensor:
    """Instants in [0, 1], evenly spread from `start` to 1 - `stop`, then moved: float32 [steps].

    With a bend of b the clip runs 1 + b times as fast at its start and 1 - b times at its end.
    """
    even = torch.linspace(0, 1, steps)
    return start + (1 - stop - start) * (even + bend * even * (1 - even))
