"""Event Stream files (.es) of DVS and ATIS cameras.

Source: the Event Stream specification, version 2 (github.com/neuromorphicsystems/event_stream).
"""

from functools import cache
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, require_events, require_sensor
from spikereel.errors import DataError

MAGIC = b"Event Stream"
_HEAD = len(MAGIC) + 8
"""Three bytes of version, one of the type, two numbers of 16 bits for the size."""
_TYPES = {0: "generic data", 1: "DVS", 2: "ATIS", 3: "asynchronous ATIS", 4: "colour"}
_DVS, _ATIS = 1, 2
_BYTES = 5
"""Of an event: what it is and how long after the one before, then x and y in 16 bits each."""
_LANE = 64
"""Groups of eight bytes that are stepped through, many such lanes side by side."""


def read_es(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Of DVS files every event; of ATIS files those of brightness, without the exposures. Times start at 0.

    First byte of a DVS event: bit 0 polarity, 1-7 microseconds since the event before; 0xFF adds 127 of them and 0xFE
    none, and no event. ATIS: bit 0 exposure, 1 polarity, 2-7 microseconds; 0xFC + n adds 63 n. Then x and y.
    The files count rows from the bottom, as their specification says; y is turned to count from the top.
    Raises DataError as `read_events`, for other types and for versions other than 2.
    """
    data = content(path)
    if len(data) < _HEAD:
        raise DataError(f"{path}: ends inside its header; copy or download it again")
    major, minor, patch, kind = data[len(MAGIC) : len(MAGIC) + 4]
    if major != 2:
        raise DataError(f"{path}: is Event Stream {major}.{minor}.{patch}; version 2 is read, so convert it")
    if kind not in (_DVS, _ATIS):
        name = _TYPES.get(kind, f"type {kind}")
        raise DataError(f"{path}: holds {name}; Event Stream files of DVS and ATIS are read, so convert it")
    stated = tuple(np.frombuffer(data, "<u2", 2, _HEAD - 4).tolist())
    width, height = require_sensor(path, (stated[0], stated[1]), sensor)
    body = np.frombuffer(data, np.uint8, offset=_HEAD)
    long = body >= (0xFE if kind == _DVS else 0xFC)
    start = np.flatnonzero(_starts(long))
    first, is_long = body[start], long[start]
    if kind == _DVS:
        passed, counts, on = np.where(is_long, 127 * (first & 1), first >> 1), ~is_long, first & 1
    else:
        passed = np.where(is_long, 63 * (first & 3), first >> 2)
        counts, on = ~is_long & (first & 1 == 0), first >> 1 & 1
    if len(start) and not is_long[-1] and start[-1] + _BYTES > len(body):
        raise DataError(f"{path}: ends inside an event; copy or download it again")
    t = np.cumsum(passed, dtype=np.int64)[counts]
    at = start[counts]
    require_events(path, len(at))
    x, y = (body[at + i] | body[at + i + 1].astype(np.uint16) << 8 for i in (1, 3))
    # A row outside the sensor stays outside.
    y = np.where(y < height, height - 1 - y, y).astype(np.uint16)
    name = f"Event Stream {_TYPES[kind]}"
    return Events(t=t, x=x, y=y, p=on[counts] > 0, width=width, height=height, format=name, source=str(path))


def _starts(long: np.ndarray) -> np.ndarray:
    """Which bytes begin something, where `long` ones that do are alone, and others have four more bytes.

    Each start depends on the one before. So lanes of bytes are run through for every state in which they could begin,
    all at a time; then it is known how each one begins.
    """
    after, begin = _tables()
    groups = np.packbits(long)
    lanes = np.pad(groups, (0, -len(groups) % _LANE)).reshape(-1, _LANE)
    states = np.tile(np.arange(_BYTES, dtype=np.uint8), (len(lanes), 1))
    for i in range(_LANE):
        states = after[states, lanes[:, i, None]]
    entry, state = [], 0
    for lane in states.tolist():
        entry.append(state)
        state = lane[state]
    state, found = np.array(entry, np.uint8), np.empty_like(lanes)
    for i in range(_LANE):
        found[:, i] = begin[state, lanes[:, i]]
        state = after[state, lanes[:, i]]
    return np.unpackbits(found.ravel(), count=len(long))


@cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """By state, how many bytes of an event are still to come, and by which of eight bytes are long: the state after
    them, and which of them begin something."""
    left, pattern = np.mgrid[:_BYTES, :256]
    begin = np.zeros_like(left)
    for bit in range(7, -1, -1):
        starts = left == 0
        begin |= starts << bit
        left = np.where(starts, np.where(pattern >> bit & 1, 0, _BYTES - 1), left - 1)
    return left.astype(np.uint8), begin.astype(np.uint8)
