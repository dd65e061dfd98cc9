"""Events as float32 arrays [T, 2, H, W], channel 0 ON and 1 OFF: frames, voxel grids and time surfaces.

All of them take `size=(H, W)`, another grid than the sensor's: pixel (x, y) goes to (x W // width, y H // height), and
what meets there is added up. A grid larger than the sensor stays empty between the pixels.
"""

from typing import Literal

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError

Size = tuple[int, int]
"""Height and width in pixels."""


def to_frames(
    events: Events,
    bins: int,
    *,
    by: Literal["time", "count"] = "time",
    values: Literal["count", "binary"] = "count",
    size: Size | None = None,
) -> np.ndarray:
    """Events of each pixel, polarity and bin: float32 [T, 2, H, W] for T = bins; "binary" is 1 where there are any.

    By "time", with t0 the first and t1 the last of the times, bin k holds t0 + k (t1 - t0) / T <= t < the same of
    k + 1, and the last one t1 as well: exact, in integers. Where t0 = t1 all events are in the last.
    By "count", bin k of N events holds those from k N // T up to, without, (k + 1) N // T.
    The counts add up to N. No events give zeros. Raises ConfigError for an option out of range.
    """
    if values not in ("count", "binary"):
        raise ConfigError(f"values is {values!r}: choose 'count' or 'binary'")
    bounds, (height, width) = _bounds(events, bins, by), _size(events, size)
    pixel = _pixels(events, height, width)
    frames = np.stack([np.bincount(pixel[a:b], minlength=2 * height * width) for a, b in bounds])
    frames = frames.reshape(bins, 2, height, width)
    return (frames if values == "count" else frames > 0).astype(np.float32)


def to_voxels(events: Events, bins: int, *, size: Size | None = None) -> np.ndarray:
    """Each event shared between two bins, linearly in time: float32 [T, 2, H, W] for T = bins.

    With s = (T - 1) (t - t0) / (t1 - t0), bin k takes max(0, 1 - |k - s|) of an event; where t0 = t1, s = 0. The grid
    adds up to the number of events; ON minus OFF is the signed grid of the source: Zhu et al. 2019, equations 1 to 3.
    Raises ConfigError for an option out of range.
    """
    _require("bins", bins, 1)
    height, width = _size(events, size)
    pixel, cells = _pixels(events, height, width), 2 * height * width
    when = _elapsed(events) * ((bins - 1) / max(_duration(events), 1))
    left = np.minimum(when.astype(np.int64), bins - 1)
    share = when - left
    # The share of the bin past the last is 0, but it needs a place.
    flat = left * cells + pixel
    grid = np.bincount(flat, 1 - share, minlength=(bins + 1) * cells)
    grid += np.bincount(flat + cells, share, minlength=(bins + 1) * cells)
    return grid[: bins * cells].reshape(bins, 2, height, width).astype(np.float32)


def to_surface(events: Events, bins: int, *, tau_us: float = 50_000.0, size: Size | None = None) -> np.ndarray:
    """How recent the last event of each pixel and polarity is at the end of each bin: float32 [T, 2, H, W] in [0, 1].

    At the end e of a bin of `to_frames` by time, exp(-(e - t) / tau_us) with t the last event before e; 0 if there was
    none since the start. The last bin counts t1 as well. With a smaller `size` the most recent event of all pixels that
    meet is taken. Source: Lagorce et al. 2017 (HOTS). Raises ConfigError for an option out of range.
    """
    if not tau_us > 0:
        raise ConfigError(f"tau_us is {tau_us}: it must be above 0")
    bounds, (height, width) = _bounds(events, bins, "time"), _size(events, size)
    pixel, elapsed = _pixels(events, height, width), _elapsed(events)
    last = np.full(2 * height * width, -np.inf)
    surface = np.empty((bins, 2 * height * width), np.float32)
    for k, (a, b) in enumerate(bounds):
        # Of equal indices the last one stays.
        last[pixel[a:b]] = elapsed[a:b]
        surface[k] = np.exp((last - (k + 1) * _duration(events) / bins) / tau_us)
    return surface.reshape(bins, 2, height, width)


def _bounds(events: Events, bins: int, by: str) -> list[tuple[int, int]]:
    """First event, and one past the last, of each bin."""
    _require("bins", bins, 1)
    if by == "count":
        edges = np.arange(bins + 1) * len(events) // bins
    elif by == "time":
        # An integer t is at or past a fraction just when it is at or past its ceiling.
        starts = -(-np.arange(bins) * _duration(events) // bins)
        edges = np.append(np.searchsorted(events.t, starts + _start(events)), len(events))
    else:
        raise ConfigError(f"by is {by!r}: choose 'time' or 'count'")
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _pixels(events: Events, height: int, width: int) -> np.ndarray:
    """Flat index of each event in [2, H, W]."""
    row = np.arange(events.height) * height // events.height * width
    column = np.arange(events.width) * width // events.width
    return row[events.y] + column[events.x] + np.where(events.p, 0, height * width)


def _start(events: Events) -> int:
    return int(events.t[0]) if len(events) else 0


def _duration(events: Events) -> int:
    """Microseconds from the first to the last event."""
    return int(events.t[-1]) - _start(events) if len(events) else 0


def _elapsed(events: Events) -> np.ndarray:
    """Microseconds since the first event."""
    return events.t - _start(events)


def _size(events: Events, size: Size | None) -> Size:
    height, width = size or (events.height, events.width)
    _require("height", height, 1)
    _require("width", width, 1)
    return height, width


def _require(name: str, value: int, low: int) -> None:
    if value < low:
        raise ConfigError(f"{name} is {value}: it must be at least {low}")
