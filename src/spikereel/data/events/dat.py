"""Prophesee DAT: rows of a time and an address, whose place in the file says which event they are.

Source: the description of the format in the Metavision SDK's documentation.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from spikereel.cores import cores
from spikereel.data.events.decoders import look, native, sound
from spikereel.data.events.prophesee import stated_sensor, stated_start
from spikereel.data.events.recording import Events
from spikereel.data.events.source import (
    HEAD,
    Sensor,
    content,
    header,
    require_events,
    require_inside,
    require_sensor,
    unwrap,
)
from spikereel.data.events.stream import Columns, Parts, Room, Stream, empty, number_of, parts_of, placed, too_large
from spikereel.errors import DataError

_ATIS = (304, 240)
_LATEST = 2
_ROW = 8
"""Bytes."""
_TURN = 1 << 32
"""Microseconds until the clock of 32 bits begins again."""

SPLIT = 1 << 22
"""Events of a file from which on several cores read it."""
_MOST = 4
"""Cores: more of them wait for the memory."""


@dataclass(frozen=True, kw_only=True)
class _File:
    """What the header says, and where the rows begin."""

    path: Path
    start: int
    width: int
    height: int
    version: int
    moved: int
    """Microseconds that were taken off all times."""
    assumed: bool
    """Whether nobody has stated the size of the sensor."""

    @property
    def bits(self) -> tuple[int, int, bool]:
        """Of x and y, and whether one bit above them is the polarity; else all there count, as they always did here."""
        return (9, 8, True) if self.version < _LATEST else (14, 14, False)

    @property
    def format(self) -> str:
        return "DAT" if self.version >= _LATEST else f"DAT version {self.version}"


def read_dat(path: Path, *, sensor: Sensor | None = None) -> Events:
    """All events of `stream_dat`; several cores read a large file. Raises DataError as `read_events`."""
    file = _opened(path, sensor)
    count = (path.stat().st_size - file.start) // _ROW
    shares = min(cores(), _MOST)
    if native() is None or count < SPLIT or shares < 2:
        return _stream(file).whole()
    return together(file, count, shares)


def stream_dat(path: Path, *, sensor: Sensor | None = None) -> Stream:
    """8 bytes an event, little-endian: microseconds in 32 bits, which may wrap, then 14 bits x, 14 y, 1 polarity.

    Versions below 2 ("% Version 1") have 9 bits x, 8 y, 1 polarity, as Prophesee's own Matlab reader says. A header
    without a version is read as version 2, as Prophesee's Python reader does.
    Files without a size are of the ATIS, 304 x 240 (N-Cars, GEN1), unless it is given. Raises DataError as
    `read_events`, and for events of another type than 0 and 12 or another size.
    """
    return _stream(_opened(path, sensor))


def _opened(path: Path, sensor: Sensor | None) -> _File:
    data = content(path, HEAD)
    text, start = header(data, b"%", last=b"% end")
    if len(data) - start < 2:
        require_events(path, 0)
    kind, size = data[start], data[start + 1]
    if kind not in (0, 12) or size != _ROW:
        raise DataError(f"{path}: holds events of type {kind} and {size} bytes, not 0 or 12 and 8; convert it to RAW")
    stated = stated_sensor(text)
    width, height = require_sensor(path, stated, sensor or _ATIS if stated is None else sensor)
    return _File(
        path=path,
        start=start + 2,
        width=width,
        height=height,
        version=_version(text),
        moved=stated_start(text),
        assumed=stated is sensor is None,
    )


def _stream(file: _File) -> Stream:
    words = parts_of(file.path, file.start, "<u4", columns=2)

    def parts(room: Room) -> Iterator[tuple[int, bool]]:
        if native():
            return natively(words, *file.bits, room, file.moved, look(file.width, file.height))
        plain = plainly(words, *file.bits)
        return placed(((t + file.moved, x, y, p) for t, x, y, p in plain), room)

    return Stream(
        path=file.path,
        width=file.width,
        height=file.height,
        format=file.format,
        parts=partial(_inside, file.path, parts, _ATIS) if file.assumed else parts,
        number=partial(number_of, file.path, file.start, _ROW),
    )


def together(file: _File, count: int, shares: int) -> Events:
    """All events, each core a share of the file; the clock goes on from share to share once all are read."""
    edges = [count * i // shares for i in range(shares + 1)]
    spans = list(pairwise(edges))
    try:
        columns = empty(count)
    except MemoryError:
        raise too_large(file.path) from None
    with ThreadPoolExecutor(shares) as pool:
        found = list(pool.map(partial(_share, file, columns), spans))
    (t, x, y, p), good, added = columns, all(ok for *_, ok in found), 0
    for (last, clock, _), (a, b) in zip(found, spans[1:], strict=False):
        added += clock - file.moved
        first = int(t[a]) - file.moved
        if last - first > _TURN // 2:
            added += _TURN
        elif first < last:
            good = False
        if added:
            t[a:b] += added
    if not good and file.assumed:
        require_inside(file.path, x, y, _ATIS)
    size = {"width": file.width, "height": file.height}
    return Events(t=t, x=x, y=y, p=p, **size, format=file.format, source=str(file.path), seen=good)


def _share(file: _File, columns: Columns, span: tuple[int, int]) -> tuple[int, int, bool]:
    """Reads rows into their places; the last tick, what was added to it, and whether all events are good."""
    at, end = span
    clock, seen = np.array([-1, file.moved]), look(file.width, file.height)
    for words in parts_of(file.path, file.start + _ROW * at, "<u4", columns=2, most=end - at):
        t, x, y, p = (column[at : at + len(words)] for column in columns)
        native().dat(words, *file.bits, clock, seen, t, x, y, p)
        at += len(words)
    if at < end:
        raise DataError(f"{file.path}: became shorter while it was read; read it again when nobody writes to it")
    return int(clock[0]), int(clock[1]), sound(seen)


def natively(
    parts: Iterator[np.ndarray], bits_x: int, bits_y: int, one_bit: bool, room: Room, moved: int, seen: np.ndarray
) -> Iterator[tuple[int, bool]]:
    """The same as `plainly`, by the native decoder, `moved` microseconds later."""
    clock = np.array([-1, moved])
    for words in parts:
        native().dat(words, bits_x, bits_y, one_bit, clock, seen, *room(len(words)))
        yield len(words), sound(seen)


def plainly(parts: Iterator[np.ndarray], bits_x: int, bits_y: int, one_bit: bool) -> Iterator[Columns]:
    """`one_bit`: polarity is one bit above y; else all bits there count, as they always did here."""
    tick, time = None, 0
    for words in parts:
        ticks, events = words[:, 0], words[:, 1]
        # Where the part before ended, and what its clock then was.
        t = unwrap(ticks if tick is None else np.concatenate([[tick], ticks]), 32)
        t = t if tick is None else t[1:] + (time - int(tick))
        tick, time = ticks[-1], int(t[-1])
        above = events >> np.uint32(bits_x + bits_y)
        x = (events & np.uint32((1 << bits_x) - 1)).astype(np.uint16)
        y = (events >> np.uint32(bits_x) & np.uint32((1 << bits_y) - 1)).astype(np.uint16)
        yield t, x, y, (above & 1 if one_bit else above) != 0


def _inside(path: Path, parts: Parts, assumed: Sensor, room: Room) -> Iterator[tuple[int, bool]]:
    """`parts`, of which an event outside a sensor that nobody stated is said to be so."""
    before, last = 0, empty(0)

    def kept(size: int) -> Columns:
        nonlocal last
        last = room(size)
        return last

    for count, seen in parts(kept):
        if not seen:
            require_inside(path, last[1][:count], last[2][:count], assumed, before)
        before += count
        yield count, seen


def _version(text: str) -> int:
    found = re.search(r"^%\s*Version[ \t:]+(\d+)", text, re.MULTILINE | re.IGNORECASE)
    return int(found[1][:9]) if found else _LATEST
