"""Prophesee RAW in the encoding EVT 3.0: words of 16 bits that build on those before them.

Source: the data encoding formats of the Metavision SDK's documentation. Triggers and vendor words are passed over.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from spikereel.data.events.decoders import look, native, sound
from spikereel.data.events.prophesee import raw_header, stated_sensor, stated_start
from spikereel.data.events.recording import Events
from spikereel.data.events.source import HEAD, Sensor, content, require_sensor, unwrap
from spikereel.data.events.stream import PART, Columns, Room, Stream, number_of, parts_of, placed

_CHUNK = PART
"""Words decoded at a time."""
_MOST = 12
"""Events of a word."""
_ROW, _ONE, _BASE, _VECTOR_12, _VECTOR_8, _LOW, _HIGH = 0, 2, 3, 4, 5, 6, 8


def read_evt3(path: Path, *, sensor: Sensor | None = None) -> Events:
    """All events of `stream_evt3`. Raises DataError as `read_events`."""
    return stream_evt3(path, sensor=sensor).whole()


def stream_evt3(path: Path, *, sensor: Sensor | None = None) -> Stream:
    """Words of 16 bits, little-endian: kind in the top 4, value in the others; row, time and base carry over.

    0 row; 2 one event (bit 11 polarity, 0-10 x); 3 base of vectors (as 2); 4 and 5 vectors of 12 and 8 events, a bit
    for each, after which the base moves on by as many; 6 and 8 bits 0-11 and 12-23 of the microseconds, which wrap
    after 16.8 s. A new high part sets the low one to 0. Events before the first high part, row or base are left out.
    Raises DataError as `read_events`.
    """
    text, start = raw_header(content(path, HEAD))
    width, height = require_sensor(path, stated_sensor(text), sensor)
    words, moved = parts_of(path, start, "<u2", part=_CHUNK), stated_start(text)

    def parts(room: Room) -> Iterator[tuple[int, bool]]:
        if native():
            return _natively(words, room, moved, look(width, height))
        return placed(((t + moved, x, y, p) for t, x, y, p in _plainly(words)), room)

    number = partial(number_of, path, start, 2)
    return Stream(path=path, width=width, height=height, format="EVT3", parts=parts, number=number)


def _natively(words: Iterator[np.ndarray], room: Room, moved: int, seen: np.ndarray) -> Iterator[tuple[int, bool]]:
    """The same as `_plainly`, by the native decoder, `moved` microseconds later."""
    state = np.array([-1, 0, 0, -1, -1])
    for part in words:
        count = native().evt3(part, state, moved, seen, *room(_MOST * len(part) + 1))
        yield count, sound(seen)


def _plainly(words: Iterator[np.ndarray]) -> Iterator[Columns]:
    state, high = np.empty(0, "<u2"), 0
    for part in words:
        columns, state, high = _decode(np.concatenate([state, part]), high)
        yield columns


def _decode(words: np.ndarray, high: int) -> tuple[Columns, np.ndarray, int]:
    """The events of some words, the words that set the state in which they end, and the high part of the time there.

    The first words set the state at the start, if there is one; `high` is the unwrapped form of its high part.
    """
    kind = (words >> 12).astype(np.uint8)
    is_row, is_time = kind == _ROW, (kind == _LOW) | (kind == _HIGH)
    rows = words.take(np.flatnonzero(is_row)) & 0x7FF
    clock, high = _clock(words.take(np.flatnonzero(is_time)), high)
    vector_at, base, bits = _vectors(words, kind)
    known = max(_first(is_row), _first(kind == _HIGH))
    bits[vector_at < known] = 0
    one = np.flatnonzero(kind == _ONE)
    one = one[np.searchsorted(one, known) :]

    # The number of a bit, over 16, is its vector.
    bit = np.flatnonzero(np.unpackbits(bits.astype("<u2").view(np.uint8), bitorder="little"))
    from_vector = vector_at[bit >> 4]
    place = np.searchsorted(one, from_vector)
    at = np.insert(one, place, from_vector) if len(bit) else one
    x = words.take(at)
    x[place + np.arange(len(bit))] = base[bit >> 4] + (bit & 15).astype(np.uint16)
    t, y = clock.take(_before(is_time, at)), rows.take(_before(is_row, at))
    return (t, x & 0x7FF, y, (x & 0x800) != 0), _state(clock, rows, base), high


def _before(mask: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The number, among the words of a mask, of the last one before each position; there is one."""
    return np.cumsum(mask.astype(np.int32), dtype=np.int32).take(at) - 1


def _clock(words: np.ndarray, high: int) -> tuple[np.ndarray, int]:
    """Microseconds after each time word, of no meaning before the first high part, and none without one; and the last
    high part."""
    low = (words & 0xFFF).astype(np.int64)
    at = np.flatnonzero(words >> 12 == _HIGH)
    if not len(at):
        return low[:0], high
    highs = unwrap(words[at] & 0xFFF, 12) + (high & ~0xFFF)
    changed = np.diff(highs, prepend=-1) != 0
    # A high part that repeats keeps the low part of the word before it.
    source = np.where(changed | (np.diff(at, prepend=-2) > 1), np.arange(len(at)), 0)
    low[at] = np.where(changed, 0, low[at - 1])[np.maximum.accumulate(source)]
    lasts = np.diff(at, append=len(low))
    lasts[0] += at[0]
    return low | np.repeat(highs << 12, lasts), int(highs[-1])


def _vectors(words: np.ndarray, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every vector after the first base: where it is, its base with x moved on, and its bits.

    One more base stands at the end, that of a next vector, if any is known.
    """
    chosen = np.flatnonzero((kind >= _BASE) & (kind <= _VECTOR_8))
    chosen = chosen[_first(kind[chosen] == _BASE) :]
    part, kind = words[chosen], kind[chosen]
    if not len(part):
        return chosen, part, part
    moved = np.cumsum(np.array([0, 12, 8])[kind - _BASE])
    is_base = kind == _BASE
    number = np.cumsum(is_base) - 1
    after = (part[is_base] & 0xFFF)[number] + (moved - moved[is_base][number]).astype(np.uint16)
    vector = np.flatnonzero(~is_base)
    bits = part[vector] & np.array([0xFFF, 0xFF], np.uint16)[kind[vector] - _VECTOR_12]
    return chosen[vector], np.append(after[vector - 1], after[-1]), bits


def _state(clock: np.ndarray, rows: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The fewest words that bring a decoder into the state it has after these: the last of each, if there is one."""
    state = []
    if len(clock):
        state += [_HIGH << 12 | int(clock[-1]) >> 12 & 0xFFF, _LOW << 12 | int(clock[-1]) & 0xFFF]
    if len(rows):
        state.append(int(rows[-1]))
    if len(base):
        state.append(_BASE << 12 | int(base[-1]) & 0xFFF)
    return np.array(state, "<u2")


def _first(mask: np.ndarray) -> int:
    """Position of the first of a mask, or one past any."""
    return int(np.argmax(mask)) if mask.any() else np.iinfo(np.int64).max
