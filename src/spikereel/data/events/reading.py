"""How event recordings become clips."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.conventions import FORMULA, Convention
from spikereel.data.events.frames import to_frames, to_surface, to_voxels
from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError

_SPREADS = 4
"""Standard deviations beyond which next to nothing jitters."""


@dataclass(frozen=True, kw_only=True)
class EventReading:
    """How events become arrays [T, C, H, W]; C is 2, or 1 where the convention is signed.

    Raises ConfigError for values that do not exist or do not go together.
    """

    bins: int | None = None
    """Frames of a clip, T."""
    bin_us: int | None = None
    """Longest duration of a bin: it takes as many equal bins as that needs, so T varies, see `pad_clips`. With `bins`
    as well, each of them lasts just that long: of a random part of the recording in training, else of its middle."""
    form: Literal["frames", "voxels", "surface"] = "frames"
    """What a bin shows: see `to_frames`, `to_voxels` and `to_surface`."""
    by: Literal["time", "count"] = "time"
    """For frames: bins of equal time, or of equal numbers of events."""
    values: Literal["count", "binary"] = "count"
    """For frames: how many events a pixel had, or whether it had any."""
    convention: Convention = FORMULA
    """Order of channels, edges of bins, and where the last event goes; see `conventions`."""
    tau_us: float = 50_000.0
    """For the surface: how fast it fades, in microseconds."""
    size: tuple[int, int] | None = None
    """Height and width of the frames; None keeps those of the sensor."""
    window_us: int | None = None
    """Length of the part to take: a random one in training, else the middle; None takes all."""
    augment: EventAugment | None = None
    """Random changes of training items."""
    train: bool = False
    """Whether items are for training: random windows, and changed at random."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self):
        for name, known in (
            ("form", ("frames", "voxels", "surface")),
            ("by", ("time", "count")),
            ("values", ("count", "binary")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: choose {', '.join(known)}")
        if self.form != "frames" and (self.by, self.values) != ("time", "count"):
            raise ConfigError(f"form is {self.form!r}: by and values are for 'frames'")
        given = [value for value in (self.bins, self.bin_us) if value is not None]
        if not given or min(given) < 1:
            raise ConfigError(f"bins is {self.bins} and bin_us {self.bin_us}: give one of them or both, at least 1")
        if len(given) == 2 and (self.form, self.by, self.window_us) != ("frames", "time", None):
            raise ConfigError(
                f"bin_us is {self.bin_us}: bins of fixed duration are for form='frames' by='time' without window_us"
            )
        if not self.tau_us > 0 or self.seed < 0 or min(self.size or (1, 1)) < 1:
            raise ConfigError(
                f"tau_us {self.tau_us}, seed {self.seed}, size {self.size}: the seed is at least 0, the others above 0"
            )
        if self.window_us is not None and self.window_us < 1:
            raise ConfigError(f"window_us is {self.window_us}: it must be at least 1, or None for the whole recording")
        if self.augment and not self.train:
            raise ConfigError("augment is for training: set train=True or leave it out")

    def __call__(self, events: Events, generator: np.random.Generator | None = None) -> Tensor:
        """float32 [T, C, H, W]; random with a generator, which training items need."""
        start, stop = self._span(events, generator)
        margin = 0
        if self.augment and generator and self.bins and self.bin_us:
            # Jitter moves events into the first and last bin.
            margin = ceil(_SPREADS * self.augment.jitter_us)
        events = events.between(start - margin, stop + margin)
        if self.augment and generator:
            events = self.augment(events, generator)
        if self.bins and self.bin_us:
            edges = [start + k * self.bin_us for k in range(self.bins + 1)]
            parts = [events.between(a, b) for a, b in pairwise(edges)]
            frames = [to_frames(part, 1, values=self.values, size=self.size) for part in parts]
            return torch.from_numpy(self.convention.arranged(np.concatenate(frames)))
        bins, how = self._bins(events), self.convention
        if self.form == "frames":
            array = to_frames(events, bins, by=self.by, values=self.values, size=self.size, convention=how)
        elif self.form == "voxels":
            array = to_voxels(events, bins, size=self.size, convention=how)
        else:
            array = to_surface(events, bins, tau_us=self.tau_us, size=self.size, convention=how)
        return torch.from_numpy(array)

    def _bins(self, events: Events) -> int:
        if self.bins is not None:
            return self.bins
        assert self.bin_us is not None
        duration = int(events.t[-1]) - int(events.t[0]) if len(events) else 0
        return max(-(-duration // self.bin_us), 1)

    def _span(self, events: Events, generator: np.random.Generator | None) -> tuple[int, int]:
        """From when, and until before when, events are taken."""
        if not len(events):
            return 0, 0
        first, last = int(events.t[0]), int(events.t[-1])
        window_us = self.bins * self.bin_us if self.bins and self.bin_us else self.window_us
        if window_us is None:
            return first, last + 1
        spare = max(last - first + 1 - window_us, 0)
        start = first + (spare // 2 if generator is None else int(generator.integers(spare + 1)))
        return start, start + window_us
