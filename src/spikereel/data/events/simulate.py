"""Events made from video: a simulator after ESIM, and clips of any dataset as simulated events.

What comes from here is labelled "simulated": the format of its events, the name and the `simulated` of its datasets.
Source: Rebecq, Gehrig, Scaramuzza 2018 (ESIM); leak and shot noise after Hu, Liu, Delbruck 2021 (v2e).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spikereel.data.clips import LabelledClips, WrappedClips, random_of
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError

FRAME_US = 40_000
"""Time between frames where nothing else is known: 25 frames a second."""

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
DARK = np.float32(0.05)
_FASTEST_HZ = 1e6
"""An event every microsecond."""


def log_intensity(video: np.ndarray) -> np.ndarray:
    """log(luma + 0.05) of rgb or grey frames in [0, 1]: float32 [T, C, H, W] -> [T, H, W]. Raises ConfigError."""
    if video.ndim != 4 or video.shape[1] not in (1, 3) or not video.size:
        raise ConfigError(f"the clip is {list(video.shape)}: give [T, C, H, W] with 1 or 3 channels and some pixels")
    luma = np.einsum("tchw,c->thw", video, _LUMA) if video.shape[1] == 3 else video[:, 0]
    return np.log(luma + DARK)


@dataclass(frozen=True, kw_only=True)
class EventSimulator:
    """A sensor whose pixels fire where log intensity, linear between frames, moved by a threshold since they last did.

    Raises ConfigError for values out of range.
    """

    threshold: float = 0.25
    """Of log intensity, the mean of all pixels, ON and OFF alike."""
    spread: float = 0.03
    """Standard deviation of the thresholds, one draw a pixel and polarity; 1/10 threshold at least."""
    refractory_us: int = 0
    """A pixel that fired is blind for so long; what it misses is lost."""
    leak_hz: float = 0.0
    """ON events a second of every pixel that sees no change."""
    shot_hz: float = 0.0
    """Random events a second of every pixel, ON or OFF alike."""

    def __post_init__(self):
        rates = (self.leak_hz, self.shot_hz)
        others = (self.spread, self.refractory_us, *rates)
        known = all(map(np.isfinite, (self.threshold, *others)))
        if not known or self.threshold <= 0 or min(others) < 0 or max(rates) > _FASTEST_HZ:
            raise ConfigError(f"{self}: threshold is above 0, the others not below, rates up to {_FASTEST_HZ:.0f} Hz")

    def __call__(self, video: np.ndarray, times_us: Sequence[int], generator: np.random.Generator) -> Events:
        """Frames in [0, 1], [T, C, H, W] with C 1 or 3, and their times -> events in the order of time.

        The first frame sets the references, so a still clip gives noise at most. Raises ConfigError for another shape,
        fewer than 2 frames, values outside [0, 1] or not finite, and times that do not rise.
        """
        given = np.asarray(times_us)
        known = bool((np.abs(given) < 2.0**62).all())
        times = given.astype(np.int64) if known else given
        if not known or len(video) < 2 or len(video) != len(times) or (np.diff(times) <= 0).any():
            raise ConfigError(f"{len(video)} frames at {given.tolist()}: give two or more, each with a later time")
        level = log_intensity(video).reshape(len(video), -1)
        if not (video.min() >= 0 and video.max() <= 1):
            raise ConfigError(f"the frames go from {video.min()} to {video.max()}: scale them to [0, 1]")
        height, width = video.shape[-2:]
        on, off = np.maximum(generator.normal(self.threshold, self.spread, (2, level.shape[1])), self.threshold / 10)
        # The change since the reference of each pixel.
        moved = np.zeros(level.shape[1])
        last = np.full(level.shape[1], np.iinfo(np.int64).min // 2)
        parts = []
        for k in range(len(times) - 1):
            duration = int(times[k + 1] - times[k])
            after = moved + (level[k + 1] - level[k]) + self.leak_hz * duration / 1e6 * on
            pixel, share, p = _crossings(moved, after, on, off)
            moved = after - np.bincount(pixel, np.where(p, on[pixel], -off[pixel]), len(after))
            noise = self._noise(duration, len(after), generator)
            pixel, share, p = (np.concatenate(pair) for pair in zip((pixel, share, p), noise, strict=True))
            t = times[k] + np.rint(share * duration).astype(np.int64)
            order = np.lexsort((pixel, t))
            t, pixel, p = t[order], pixel[order], p[order]
            kept = self._ready(t, pixel, last)
            parts.append((t[kept], pixel[kept], p[kept]))
        t, pixel, p = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Events(
            t=t,
            x=(pixel % width).astype(np.uint16),
            y=(pixel // width).astype(np.uint16),
            p=p,
            width=width,
            height=height,
            format="simulated",
            source="simulated events",
        )

    def _noise(self, duration: int, pixels: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Pixel, share of the duration, and polarity of shot noise."""
        count = generator.poisson(self.shot_hz * duration / 1e6 * pixels)
        return generator.integers(0, pixels, count), generator.random(count), generator.random(count) < 0.5

    def _ready(self, t: np.ndarray, pixel: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Which events find their pixel ready; `last`, when each pixel last fired, is brought up to date."""
        kept = np.ones(len(t), bool)
        if not self.refractory_us:
            return kept
        order = np.argsort(pixel, kind="stable")
        fresh = np.diff(pixel[order], prepend=-1) != 0
        number = np.arange(len(order)) - np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))
        for n in range(int(number.max(initial=-1)) + 1):
            # These are the n-th events of their pixels.
            those = order[number == n]
            ready = t[those] - last[pixel[those]] >= self.refractory_us
            kept[those] = ready
            last[pixel[those[ready]]] = t[those[ready]]
        return kept


def _crossings(
    before: np.ndarray, after: np.ndarray, on: np.ndarray, off: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every crossing of a multiple of the thresholds on the way from `before` to `after`: pixel, when, polarity.

    When is the share of the way, in (0, 1]. `before` is less than a threshold away from the reference.
    """
    p = after > 0
    step = np.where(p, on, -off)
    count = np.floor(after / step).astype(np.int64)
    pixel = np.repeat(np.arange(len(after)), count)
    number = np.arange(len(pixel)) - np.repeat(np.cumsum(count) - count, count) + 1
    share = (number * step[pixel] - before[pixel]) / (after - before)[pixel]
    return pixel, share, p[pixel]


def simulated_clip(
    video: Tensor,
    reading: EventReading,
    simulator: EventSimulator,
    generator: np.random.Generator,
    *,
    frame_us: int = FRAME_US,
) -> Tensor:
    """Float video about [0, 1], [T', C, H, W] with frames `frame_us` apart -> float32 [T, 2, H, W], as `reading` says;
    with `reading.train` that is random too."""
    events = simulator(video.clamp(0, 1).numpy(), range(0, len(video) * frame_us, frame_us), generator)
    return reading(events, generator if reading.train else None)


class SimulatedEvents(WrappedClips[int]):
    """The clips of any dataset as simulated events: items `(video, label)`, float32 [T, 2, H, W] as `reading` says.

    `clips` gives float videos in [0, 1], [T', C, H, W] with frames `frame_us` apart, or several views of a video
    [views, T', C, H, W], which come out as [views, T, 2, H, W]. All noise is random, see
    `SeededClips`; where `reading.train` is not set, the same in all epochs.
    """

    def __init__(
        self, clips: LabelledClips, reading: EventReading, simulator: EventSimulator, *, frame_us: int = FRAME_US
    ):
        super().__init__(clips, reading.seed)
        self.reading, self.simulator, self.frame_us, self.simulated = reading, simulator, frame_us, True
        self.name = f"simulated events of {getattr(clips, 'name', type(clips).__name__)}"

    def item(self, index: int) -> tuple[Tensor, int]:
        """The events of a clip, as an array, and its label."""
        video, label = self.clips[index]
        generator = self.random(index)
        views = [
            simulated_clip(view, self.reading, self.simulator, generator, frame_us=self.frame_us)
            for view in (video if video.ndim == 5 else video[None])
        ]
        return torch.stack(views) if video.ndim == 5 else views[0], label

    def random(self, index: int) -> np.random.Generator:
        """The noise of an item; outside training it is the same in all epochs."""
        return random_of(self.seed, self.epoch if self.reading.train else 0, index)

    def fingerprint(self) -> str:
        """sha256 (hex) of the clips' fingerprint and the simulator: the data hash of a run."""
        text = f"{self.name} {self.simulator} {self.frame_us} {self.clips.fingerprint()}"
        return hashlib.sha256(text.encode()).hexdigest()
