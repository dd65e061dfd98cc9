"""A recording in parts, of a reader that needs no more than one of them in memory, and how parts become `Events`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

import numpy as np

from spikereel.data.events.pages import ahead
from spikereel.data.events.recording import Events
from spikereel.data.events.source import require_events
from spikereel.errors import DataError

PART = 1 << 16
"""Words decoded at a time, so that the columns in between stay in the cache."""

SPARE = 1.1
"""Room for so many times the events that are expected."""

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of t, x, y and p."""


Room = Callable[[int], Columns]
"""Columns in which so many events can be written, and maybe more."""

Parts = Callable[[Room], Iterator[tuple[int, bool]]]
"""Writes part after part into what it is given for each. Of every part: its number of events, and whether all so far
were seen to be in the order of their times and inside the sensor; if not, they are looked at again."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The events of a file in parts, in their order, and what its header says."""

    path: Path
    width: int
    height: int
    format: str
    parts: Parts
    number: Callable[[], int]
    """Of the parts, about: memory is taken once, for as many events in each as in the first."""

    def whole(self) -> Events:
        """All of them. Raises DataError as `read_events`."""
        columns, seen = _Gathered(self.number()), True
        try:
            for count, sound in self.parts(columns.room):
                columns.add(count)
                seen = sound
        except MemoryError:
            raise too_large(self.path) from None
        require_events(self.path, columns.count)
        return self._events(columns.first(columns.count), str(self.path), seen)

    def __iter__(self) -> Iterator[Events]:
        """Part by part, each checked as a recording of its own and against the one before it. Raises DataError."""
        number, last, part = 0, None, _Gathered(1)
        for count, seen in self.parts(part.room):
            if not count:
                continue
            source = f"{self.path}, from event {number} on" if number else str(self.path)
            events = self._events(_copied(part.first(count)), source, seen)
            if last is not None and int(events.t[0]) < last:
                raise DataError(
                    f"{self.path}: time goes backwards at event {number}, {events.t[0]} us after {last} us; "
                    f"sort the events with `spikereel data repair`, or cut the recording there"
                )
            number, last = number + len(events), int(events.t[-1])
            yield events
        require_events(self.path, number)

    def _events(self, columns: Columns, source: str, seen: bool) -> Events:
        t, x, y, p = columns
        size = {"width": self.width, "height": self.height}
        return Events(t=t, x=x, y=y, p=p, **size, format=self.format, source=source, seen=seen)


class _Gathered:
    """Columns that grow as parts come, of a file of so many."""

    def __init__(self, number: int):
        self.number, self.done, self.count = number, 0, 0
        self.columns = empty(0)

    def room(self, size: int) -> Columns:
        """The columns after all events that were added."""
        if self.count + size > len(self.columns[0]):
            expected = int(SPARE * self.count / self.done * self.number) if self.done else 0
            grown = empty(max(expected, self.count + self.count // 4) + size)
            for column, new in zip(self.columns, grown, strict=True):
                new[: self.count] = column[: self.count]
            self.columns = grown
            ahead(grown, 1 / SPARE)
        t, x, y, p = (column[self.count :] for column in self.columns)
        return t, x, y, p

    def add(self, count: int) -> None:
        self.count, self.done = self.count + count, self.done + 1

    def first(self, count: int) -> Columns:
        t, x, y, p = (column[:count] for column in self.columns)
        return t, x, y, p


def placed(parts: Iterator[Columns], room: Room) -> Iterator[tuple[int, bool]]:
    """`Parts` of columns that were made elsewhere and that nobody has looked at."""
    for part in parts:
        size = len(part[0])
        for column, new in zip(room(size), part, strict=True):
            column[:size] = new
        yield size, False


def _copied(columns: Columns) -> Columns:
    t, x, y, p = (column.copy() for column in columns)
    return t, x, y, p


def empty(size: int) -> Columns:
    """Columns to be filled."""
    return np.empty(size, np.int64), np.empty(size, np.uint16), np.empty(size, np.uint16), np.empty(size, np.bool_)


def too_large(path: Path) -> DataError:
    """For a file whose events have no room."""
    return DataError(f"{path}: does not fit into the memory; read it part by part with stream_events")


def number_of(path: Path, start: int, size: int) -> int:
    """Of the parts that `parts_of` gives of words or rows of `size` bytes."""
    return -(-(path.stat().st_size - start) // (size * PART))


def parts_of(
    path: Path, start: int, kind: str, columns: int = 1, part: int | None = None, most: int | None = None
) -> Iterator[np.ndarray]:
    """Everything after `start`, or the first `most`, as numbers of a type, [n] or [n, columns], PART (or `part`) of
    them at a time.

    Each overwrites the last. Raises DataError, before the first part, if the last number or row is cut, and where the
    file cannot be read.
    """
    size = np.dtype(kind).itemsize * columns
    found = path.stat().st_size - start
    if rest := found % size:
        raise DataError(f"{path}: ends inside an event, after {rest} of {size} bytes; copy or download it again")
    return _parts(path, start, kind, columns, part or PART, None if most is None else most * size)


def _parts(path: Path, start: int, kind: str, columns: int, part: int, left: int | None) -> Iterator[np.ndarray]:
    words = np.empty(part * columns, kind)
    room = words.view(np.uint8).data
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while size := _filled(file, room if left is None else room[:left]):
                left = None if left is None else left - size
                found = words[: size // words.itemsize]
                yield found.reshape(-1, columns) if columns > 1 else found
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _filled(file: RawIOBase, room: memoryview) -> int:
    """Bytes read: as many as there is room for, or to the end of the file."""
    count = 0
    while size := file.readinto(room[count:]):
        count += size
    return count
