"""`spikereel data repair`: events in the order of their times and inside the sensor, of a recording that is not so."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from spikereel.data.events.readers import read_events
from spikereel.data.events.recording import Events, MisplacedEvents
from spikereel.data.events.source import UNTOLD, Sensor, Told
from spikereel.errors import ConfigError, DataError
from spikereel.files import whole, writable


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What was done."""

    events: int
    """Kept."""
    dropped: int
    """Outside the sensor."""
    backwards: int
    """How many times an event was earlier than the one before it; then all are sorted."""


def repair(path: str | PathLike, out: str | PathLike, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> Repair:
    """Write the events of a file, sorted by time and without those outside the sensor, as an NPZ file.

    Events of one time keep their order. Nothing else of the file is changed, and the file itself never is. `sensor` and
    `told` are as in `read_events`. Raises ConfigError for an `out` that is not .npz, is the file itself or cannot be
    written; DataError as `read_events` for all that is wrong beside that, and where no event is inside.
    """
    path, out = Path(path), Path(out)
    if out.suffix.lower() != ".npz":
        raise ConfigError(f"{out}: repaired events are written as .npz; name it so")
    if out.exists() and path.exists() and out.samefile(path):
        raise ConfigError(f"{out}: is the recording itself; name another file")
    writable(out)
    try:
        events, done = read_events(path, sensor=sensor, told=told), (0, 0)
    except MisplacedEvents as error:
        if error.columns is None:
            raise
        events, *done = _mended(error.columns, error.width, error.height, str(path))
    with whole(out) as part, part.open("wb") as file:
        np.savez(file, t=events.t, x=events.x, y=events.y, p=events.p, width=events.width, height=events.height)
    return Repair(events=len(events), dropped=done[0], backwards=done[1])


def _mended(columns: dict[str, np.ndarray], width: int, height: int, source: str) -> tuple[Events, int, int]:
    """The events; how many were dropped, and how often time went backwards."""
    inside = (columns["x"] < width) & (columns["y"] < height)
    if not inside.any():
        raise DataError(f"{source}: no event is inside the sensor of {width} x {height}; check the size")
    t = columns["t"]
    backwards = int((t[1:] < t[:-1]).sum())
    order = np.flatnonzero(inside)
    order = order[np.argsort(t[order], kind="stable")]
    t, x, y, p = (columns[name][order] for name in "txyp")
    events = Events(t=t, x=x, y=y, p=p, width=width, height=height, source=source)
    return events, int((~inside).sum()), backwards
