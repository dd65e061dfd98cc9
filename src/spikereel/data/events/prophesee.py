"""Prophesee recordings: RAW in the encoding EVT 2.0, and DAT; EVT 2.1 is in `evt21`, EVT 3.0 in `evt3`.

Source: the data encoding formats of the Metavision SDK's documentation. Triggers and vendor words are passed over.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from spikereel.data.events.decoders import look, native, sound
from spikereel.data.events.recording import Events
from spikereel.data.events.source import (
    HEAD,
    Sensor,
    content,
    header,
    records,
    require_events,
    require_inside,
    require_sensor,
    unwrap,
)
from spikereel.data.events.stream import Columns, Parts, Room, Stream, empty, number_of, parts_of, placed
from spikereel.errors import DataError

# Names that older headers hold instead of a size; the longer ones first.
_SENSORS = {
    "genx320": (320, 320),
    "imx636": (1280, 720),
    "gen41": (1280, 720),
    "gen4": (1280, 720),
    "gen31": (640, 480),
    "gen3": (640, 480),
}
_ATIS = (304, 240)
_HIGH = 8
_DAT_LATEST = 2


def read_evt2(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Words of 32 bits, little-endian: kind in the top 4 (0 OFF, 1 ON, 8 time), then 6 bits time, 11 x, 11 y.

    A time word carries bits 6 to 33 of the microseconds, which wrap after 4.8 hours. Events before the first time word
    are left out: their time is not known. Raises DataError as `read_events`.
    """
    data = content(path)
    text, start = raw_header(data)
    width, height = require_sensor(path, stated_sensor(text), sensor)
    words = records(path, data, start, "<u4")
    at, t = timed(words)
    require_events(path, len(at))
    events = words[at]
    return Events(
        t=t + stated_start(text),
        x=((events >> 11) & 0x7FF).astype(np.uint16),
        y=(events & 0x7FF).astype(np.uint16),
        p=events >= 0x1000_0000,
        width=width,
        height=height,
        format="EVT2",
        source=str(path),
    )


def timed(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the words of events are, and int64 microseconds of each; those before the first time word are left out."""
    highs = np.flatnonzero(words >> 28 == _HIGH)
    at = np.flatnonzero(words < 0x2000_0000)
    if not len(highs):
        return at[:0], np.empty(0, np.int64)
    first = np.searchsorted(at, highs)
    at = at[first[0] :]
    time = unwrap(words[highs] & 0xFFF_FFFF, 28) << 6
    t = np.repeat(time, np.diff(first, append=first[0] + len(at)))
    return at, t + (words[at] >> 22 & 0x3F)


def read_dat(path: Path, *, sensor: Sensor | None = None) -> Events:
    """All events of `stream_dat`. Raises DataError as `read_events`."""
    return stream_dat(path, sensor=sensor).whole()


def stream_dat(path: Path, *, sensor: Sensor | None = None) -> Stream:
    """8 bytes an event, little-endian: microseconds in 32 bits, which may wrap, then 14 bits x, 14 y, 1 polarity.

    Versions below 2 ("% Version 1") have 9 bits x, 8 y, 1 polarity, as Prophesee's own Matlab reader says. A header
    without a version is read as version 2, as Prophesee's Python reader does.
    Files without a size are of the ATIS, 304 x 240 (N-Cars, GEN1), unless it is given. Raises DataError as
    `read_events`, and for events of another type than 0 and 12 or another size.
    """
    data = content(path, HEAD)
    text, start = header(data, b"%", last=b"% end")
    if len(data) - start < 2:
        require_events(path, 0)
    kind, size = data[start], data[start + 1]
    if kind not in (0, 12) or size != 8:
        raise DataError(f"{path}: holds events of type {kind} and {size} bytes, not 0 or 12 and 8; convert it to RAW")
    stated = stated_sensor(text)
    width, height = require_sensor(path, stated, sensor or _ATIS if stated is None else sensor)
    version, words = _dat_version(text), parts_of(path, start + 2, "<u4", columns=2)
    bits, moved = (9, 8) if version < 2 else (14, 14), stated_start(text)

    def parts(room: Room) -> Iterator[tuple[int, bool]]:
        if native():
            return _dat_natively(words, *bits, version < 2, room, moved, look(width, height))
        plain = _dat_plainly(words, *bits, version < 2)
        return placed(((t + moved, x, y, p) for t, x, y, p in plain), room)

    assumed = partial(_inside, path, parts, _ATIS) if stated is sensor is None else parts
    name = "DAT" if version >= 2 else f"DAT version {version}"
    number = partial(number_of, path, start + 2, 8)
    return Stream(path=path, width=width, height=height, format=name, parts=assumed, number=number)


def _dat_natively(
    parts: Iterator[np.ndarray], bits_x: int, bits_y: int, one_bit: bool, room: Room, moved: int, seen: np.ndarray
) -> Iterator[tuple[int, bool]]:
    """The same as `_dat_plainly`, by the native decoder, `moved` microseconds later."""
    clock = np.array([-1, moved])
    for words in parts:
        native().dat(words, bits_x, bits_y, one_bit, clock, seen, *room(len(words)))
        yield len(words), sound(seen)


def _dat_plainly(parts: Iterator[np.ndarray], bits_x: int, bits_y: int, one_bit: bool) -> Iterator[Columns]:
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


def _dat_version(text: str) -> int:
    found = re.search(r"^%\s*Version[ \t:]+(\d+)", text, re.MULTILINE | re.IGNORECASE)
    return _pixels(found[1]) if found else _DAT_LATEST


def encoding(data: bytes) -> str:
    """The encoding that a header of `%` lines names, such as "2.0" or "EVT21"; "" if none (then it may be DAT)."""
    text, _ = raw_header(data)
    found = re.search(r"^% (?:evt|format) +([\w.]+)", text, re.MULTILINE | re.IGNORECASE)
    return found[1].upper() if found else ""


def raw_header(data: bytes) -> tuple[str, int]:
    return header(data, b"% ", last=b"% end")


def stated_sensor(text: str) -> Sensor | None:
    """The size in a header: `geometry`, `format EVT3;height=720;width=1280`, `Height` and `Width`, or a known name."""
    if found := re.search(r"^% geometry +(\d+)x(\d+)", text, re.MULTILINE):
        return _pixels(found[1]), _pixels(found[2])
    width, height = (re.search(rf"\b{key}[= ]+(\d+)", text, re.IGNORECASE) for key in ("width", "height"))
    if width and height:
        return _pixels(width[1]), _pixels(height[1])
    named = re.search("|".join(_SENSORS), text, re.IGNORECASE)
    return _SENSORS[named[0].lower()] if named else None


def stated_start(text: str) -> int:
    """Microseconds that Faery took off all times, as `% t0` says; 0 where no such line is."""
    found = re.search(r"^%\s*t0[ \t:]+(\d{1,18})\s*$", text, re.MULTILINE | re.IGNORECASE)
    return int(found[1]) if found else 0


def _pixels(digits: str) -> int:
    """Python refuses numbers of very many digits, and no sensor has one of ten."""
    return int(digits[:9])
