"""N-MNIST and N-Caltech101: 40 bits an event (Orchard et al. 2015)."""

from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, records, require_events, require_inside, require_sensor

_SENSOR = (34, 34)
_OVERFLOW_ROW, _OVERFLOW_US = 240, 1 << 13


def read_nmnist(path: Path, *, sensor: Sensor | None = None) -> Events:
    """5 bytes an event: x, y, then 1 bit polarity and 23 bits of microseconds, big-endian.

    The file states nothing about itself: the sensor is 34 x 34 unless given, such as (240, 180) for N-Caltech101. An
    event in row 240 is no event but adds 2^13 us to all times after it, as in the authors' reader.
    A file that is cut between two events cannot be told from a shorter one. Raises DataError as `read_events`.
    """
    width, height = require_sensor(path, None, sensor or _SENSOR)
    rows = records(path, content(path), 0, "u1", columns=5)
    low = np.ascontiguousarray(rows[:, 3:]).view(">u2")[:, 0]
    time = (rows[:, 2] & 0x7F).astype(np.int64) << 16
    time |= low
    overflow = rows[:, 1] == _OVERFLOW_ROW
    if overflow.any():
        time += np.cumsum(overflow) * _OVERFLOW_US
        rows, time = rows[~overflow], time[~overflow]
    require_events(path, len(rows))
    if sensor is None:
        require_inside(path, rows[:, 0], rows[:, 1], _SENSOR)
    return Events(
        t=time,
        x=rows[:, 0].astype(np.uint16),
        y=rows[:, 1].astype(np.uint16),
        p=rows[:, 2] >= 0x80,
        width=width,
        height=height,
        format="N-MNIST",
        source=str(path),
    )
