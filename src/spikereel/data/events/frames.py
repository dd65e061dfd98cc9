"""Events as float32 arrays [T, 2, H, W], channel 0 ON and 1 OFF: frames, voxel grids and time surfaces.

All of them take a `Convention`, for another order of channels, or one channel, and for other edges of bins; and
`size=(H, W)`, another grid than the sensor's: pixel (x, y) goes to (x W // width, y H // height), and what meets there
is added up. A grid larger than the sensor stays empty between the pixels.
"""

from typing import Literal

import numpy as np

from spikereel.data.events.conventions import FORMULA, Convention
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
    convention: Convention = FORMULA,
) -> np.ndarray:
    """Events of each pixel, polarity and bin: float32 [T, 2, H, W] for T = bins; "binary" is 1 where there are any.

    By "time", with t0 the first and t1 the last of the times, bin k holds t0 + k (t1 - t0) / T <= t < the same of
    k + 1, and the last one t1 as well: exact, in integers. Where t0 = t1 all events are in the last.
    By "count", bin k of N events holds those from k N // T up to, without, (k + 1) N // T.
    The counts add up to N. With the edges "floor" a bin lasts (t1 - t0) // T, or holds N // T events; what is left
    over, by time always the event at t1, is in the last bin or dropped, as `rest` says. No events give zeros. Raises
    ConfigError for an option out of range.
    """
    if values not in ("count", "binary"):
        raise ConfigError(f"values is {values!r}: choose 'count' or 'binary'")
    bounds, (height, width) = _bounds(events, bins, by, convention), _size(events, size)
    pixel = _pixels(events, height, width)
    frames = np.stack([np.bincount(pixel[a:b], minlength=2 * height * width) for a, b in bounds])
    frames = frames.reshape(bins, 2, height, width)
    return convention.arranged((frames if values == "count" else frames > 0).astype(np.float32))


def to_voxels(events: Events, bins: int, *, size: Size | None = None, convention: Convention = FORMULA) -> np.ndarray:
    """Each event shared between two bins, linearly in time: float32 [T, 2, H, W] for T = bins.

    With s = (T - 1) (t - t0) / (t1 - t0), bin k takes max(0, 1 - |k - s|) of an event; where t0 = t1, s = 0. The grid
    adds up to the number of events; ON minus OFF is the signed grid of the source: Zhu et al. 2019, equations 1 to 3.
    With the span "T", s = T (t - t0) / (t1 - t0), and what falls beyond the last bin is lost: half of the events there,
    and the last one. Raises ConfigError for an option out of range.
    """
    _require("bins", bins, 1)
    height, width = _size(events, size)
    pixel, cells = _pixels(events, height, width), 2 * height * width
    steps = bins - 1 if convention.span == "T-1" else bins
    # The order of the operations is the libraries': the last bit decides where a whole number ends.
    when = (steps * _elapsed(events).astype(np.float64)) / max(_duration(events), 1)
    left = when.astype(np.int64)
    share = when - left
    # What is beyond the last bin needs a place.
    flat = left * cells + pixel
    grid = np.bincount(flat, 1 - share, minlength=(bins + 2) * cells)
    grid += np.bincount(flat + cells, share, minlength=(bins + 2) * cells)
    return convention.arranged(grid[: bins * cells].reshape(bins, 2, height, width)).astype(np.float32)


def to_surface(
    events: Events, bins: int, *, tau_us: float = 50_000.0, size: Size | None = None, convention: Convention = FORMULA
) -> np.ndarray:
    """How recent the last event of each pixel and polarity is at the end of each bin: float32 [T, 2, H, W] in [0, 1].

    At the end e of a bin of `to_frames` by time, exp(-(e - t) / tau_us) with t the last event before e; 0 if there was
    none since the start. The last bin counts t1 as well. With a smaller `size` the most recent event of all pixels that
    meet is taken. With the edges "floor" a bin lasts (t1 - t0) // T. Source: Lagorce et al. 2017 (HOTS). Raises
    ConfigError for an option out of range.
    """
    if not tau_us > 0:
        raise ConfigError(f"tau_us is {tau_us}: it must be above 0")
    bounds, (height, width) = _bounds(events, bins, "time", convention), _size(events, size)
    lasts = _duration(events) / bins if convention.edges == "exact" else _duration(events) // bins
    pixel, elapsed = _pixels(events, height, width), _elapsed(events)
    last = np.full(2 * height * width, -np.inf)
    surface = np.empty((bins, 2 * height * width), np.float32)
    for k, (a, b) in enumerate(bounds):
        # Of equal indices the last one stays.
        last[pixel[a:b]] = elapsed[a:b]
        surface[k] = np.exp((last - (k + 1) * lasts) / tau_us)
    return convention.arranged(surface.reshape(bins, 2, height, width))


def _bounds(events: Events, bins: int, by: str, convention: Convention) -> list[tuple[int, int]]:
    """First event, and one past the last, of each bin."""
    _require("bins", bins, 1)
    steps, exact = np.arange(bins + 1), convention.edges == "exact"
    if by == "count":
        edges = steps * len(events) // bins if exact else steps * (len(events) // bins)
    elif by == "time":
        # An integer t is at or past a fraction just when it is at or past its ceiling.
        starts = -(-steps * _duration(events) // bins) if exact else steps * (_duration(events) // bins)
        edges = np.searchsorted(events.t, starts + _start(events))
    else:
        raise ConfigError(f"by is {by!r}: choose 'time' or 'count'")
    if convention.rest == "last_bin":
        edges[-1] = len(events)
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
