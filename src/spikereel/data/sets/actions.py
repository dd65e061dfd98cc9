"""People who do something, as procedural videos: `length` clips an epoch, every one of other people."""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from spikereel.data.clips import SeededClips
from spikereel.data.made.actions import CLASSES, draw_actions
from spikereel.data.made.filmed import FPS
from spikereel.data.trails import bent, with_trails
from spikereel.data.transforms import normalise
from spikereel.errors import ConfigError

# Part of the fingerprint: raise it whenever the same (seed, index) gives other pixels.
_CONTENT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class ActionReading:
    """How the videos become clips. Raises ConfigError for numbers out of range."""

    frames: int
    """Frames of a clip, spread over the video."""
    size: int
    """Side of the picture in pixels."""
    trails: float = 0.0
    """Seconds; 0 shows grey in three channels, else see `with_trails`."""
    time_warp: float = 0.0
    """Clips run up to so much faster at one end, and up to a tenth is left out at either."""
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if min(self.frames, self.size) < 1 or self.trails < 0 or not 0 <= self.time_warp < 1:
            raise ConfigError(f"{self}: frames and size are at least 1, trails at least 0, time_warp from 0 to below 1")


class ActionClips(SeededClips[int]):
    """`length` clips an epoch: items `(video float32 [T, 3, H, W], label)`, classes in turn; every item is random,
    see `SeededClips`. Raises ConfigError for no clips."""

    def __init__(self, length: int, reading: ActionReading, *, seed: int = 0):
        super().__init__(seed)
        if length < 1:
            raise ConfigError(f"a data set of {length} clips has nothing in it; at least 1")
        self.length, self.reading, self.classes = length, reading, CLASSES

    def __len__(self) -> int:
        return self.length

    def item(self, index: int) -> tuple[Tensor, int]:
        """A clip, made from nothing but numbers."""
        how, rng, label = self.reading, self.random(index), index % len(CLASSES)
        video = draw_actions(rng, label, how.size)
        chosen = _chosen(rng, how, len(video))
        if how.trails:
            clip = with_trails(video[:, None].expand(-1, 3, -1, -1), chosen, how.trails * FPS)
        else:
            clip = video[chosen][:, None].expand(-1, 3, -1, -1)
        return normalise(clip, how.mean, how.std), label

    def fingerprint(self) -> str:
        """sha256 (hex) of the options."""
        content = [_CONTENT_VERSION, self.length, self.seed, asdict(self.reading)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _chosen(rng: np.random.Generator, how: ActionReading, total: int) -> list[int]:
    """Numbers of the frames of a clip."""
    start, stop, bend = rng.random(3) if how.time_warp else (0.0, 0.0, 0.5)
    instants = bent(how.frames, 0.1 * start, 0.1 * stop, how.time_warp * (2 * bend - 1))
    return torch.round(instants * (total - 1)).long().tolist()
