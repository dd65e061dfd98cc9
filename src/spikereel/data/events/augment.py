"""Changes to events for training: pure functions, and `EventAugment`, which draws them at random.

What is random takes a numpy Generator; the same generator state gives the same events.
"""

from dataclasses import dataclass, replace

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError

_HOUR_US = 3.6e9


def flip_horizontal(events: Events) -> Events:
    """Left and right exchanged: x becomes width - 1 - x."""
    return replace(events, x=np.uint16(events.width - 1) - events.x)


def flip_polarity(events: Events) -> Events:
    """ON and OFF exchanged."""
    return replace(events, p=~events.p)


def shift(events: Events, dx: int, dy: int) -> Events:
    """Every event dx columns to the right and dy rows down; those that leave the sensor are dropped."""
    return _moved(events, events.x.astype(np.int64) + dx, events.y.astype(np.int64) + dy)


def rotate_and_zoom(events: Events, degrees: float, factor: float) -> Events:
    """Turned clockwise and enlarged about the middle of the sensor, to the nearest pixel; what leaves it is dropped.

    Raises ConfigError for a factor of 0 or less, and what is not finite.
    """
    if not 0 < factor < np.inf or not np.isfinite(degrees):
        raise ConfigError(f"factor is {factor} and degrees {degrees}: the factor must be above 0, both finite")
    middle_x, middle_y = (events.width - 1) / 2, (events.height - 1) / 2
    right, down = events.x - middle_x, events.y - middle_y
    cos, sin = factor * np.cos(np.radians(degrees)), factor * np.sin(np.radians(degrees))
    return _moved(events, np.rint(middle_x + cos * right - sin * down), np.rint(middle_y + sin * right + cos * down))


def drop_events(events: Events, rate: float, generator: np.random.Generator) -> Events:
    """Each event left out with probability `rate`. Raises ConfigError outside [0, 1]."""
    if not 0 <= rate <= 1:
        raise ConfigError(f"rate is {rate}: it must be from 0 to 1")
    return events.take(generator.random(len(events)) >= rate)


def jitter_time(events: Events, sigma_us: float, generator: np.random.Generator) -> Events:
    """Normal noise on every time, rounded to microseconds; then sorted again, so the events change places.

    Raises ConfigError for a sigma below 0 or beyond an hour.
    """
    if not 0 <= sigma_us <= _HOUR_US:
        raise ConfigError(f"sigma_us is {sigma_us}: it must be from 0 to {_HOUR_US:.0f}, an hour")
    t = events.t + np.rint(generator.normal(0.0, sigma_us, len(events))).astype(np.int64)
    order = np.argsort(t, kind="stable")
    return replace(events, t=t[order], x=events.x[order], y=events.y[order], p=events.p[order])


@dataclass(frozen=True, kw_only=True)
class EventAugment:
    """What happens to the events of a training item; nothing by default. Raises ConfigError outside the ranges."""

    flip: float = 0.0
    """Probability of left and right exchanged; not for gestures of one hand."""
    polarity: float = 0.0
    """Probability of ON and OFF exchanged."""
    shift: int = 0
    """Pixels at most, in either direction, in x and y."""
    rotate: float = 0.0
    """Degrees at most, either way."""
    zoom: float = 0.0
    """The factor is log-uniform from 1 / (1 + zoom) to 1 + zoom."""
    drop: float = 0.0
    """The rate of each item is uniform from 0 to this."""
    jitter_us: float = 0.0
    """Standard deviation of the noise on times."""

    def __post_init__(self):
        for name, high in (
            ("flip", 1),
            ("polarity", 1),
            ("drop", 1),
            ("shift", 1 << 14),
            ("rotate", 180),
            ("zoom", 100),
            ("jitter_us", _HOUR_US),
        ):
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be from 0 to {high}")

    def __call__(self, events: Events, generator: np.random.Generator) -> Events:
        """The same draws in the same order whatever the options, so that one option does not disturb another."""
        flip, polarity, drop = generator.random(3)
        dx, dy = generator.integers(-self.shift, self.shift + 1, 2).tolist()
        turn, growth = generator.uniform(-1, 1, 2)
        if flip < self.flip:
            events = flip_horizontal(events)
        if polarity < self.polarity:
            events = flip_polarity(events)
        if self.rotate or self.zoom:
            events = rotate_and_zoom(events, turn * self.rotate, (1 + self.zoom) ** growth)
        if dx or dy:
            events = shift(events, dx, dy)
        if self.drop:
            events = drop_events(events, drop * self.drop, generator)
        if self.jitter_us:
            events = jitter_time(events, self.jitter_us, generator)
        return events


def _moved(events: Events, x: np.ndarray, y: np.ndarray) -> Events:
    """The events at other pixels; those outside the sensor are dropped."""
    kept = (x >= 0) & (x < events.width) & (y >= 0) & (y < events.height)
    return replace(events.take(kept), x=x[kept].astype(np.uint16), y=y[kept].astype(np.uint16))
