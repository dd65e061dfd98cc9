"""A recording in parts, of a reader that needs no more than one of them in memory, and how parts become `Events`."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import require_events
from spikereel.errors import DataError

PART = 1 << 16
"""Words decoded at a time, so that the columns in between stay in the cache."""

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of t, x, y and p."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The events of a file in parts, in their order, and what its header says."""

    path: Path
    width: int
    height: int
    format: str
    parts: Iterator[Columns]
    """A part may overwrite the one before it."""
    number: int = 0
    """Of the parts, where it is known: then memory is taken once, for as many events in each as in the first."""

    def whole(self) -> Events:
        """All of them. Raises DataError as `read_events`."""
        columns, count = self._gathered()
        require_events(self.path, count)
        return self._events(columns, str(self.path))

    def _gathered(self) -> tuple[Columns, int]:
        """Part after part into columns that are long enough, or as far as they are, and how many events there are."""
        found, room, count = list[Columns](), None, 0
        for part in self.parts:
            size = len(part[0])
            if room is None:
                room = empty(min(int(1.1 * size * self.number), 2 * PART * self.number))
            if count + size > len(room[0]) or found:
                found.append(_copied(part))
                continue
            for column, new in zip(room, part, strict=True):
                column[count : count + size] = new
            count += size
        first = tuple(column[:count] for column in room or empty(0))
        t, x, y, p = (np.concatenate(column) for column in zip(first, *found, strict=True)) if found else first
        return (t, x, y, p), len(t)

    def __iter__(self) -> Iterator[Events]:
        """Part by part, each checked as a recording of its own and against the one before it. Raises DataError."""
        count, last = 0, None
        for part in self.parts:
            if not len(part[0]):
                continue
            events = self._events(_copied(part), f"{self.path}, from event {count} on" if count else str(self.path))
            if last is not None and int(events.t[0]) < last:
                raise DataError(
                    f"{self.path}: time goes backwards at event {count}, {events.t[0]} us after {last} us; "
                    f"sort the events with `spikereel data repair`, or cut the recording there"
                )
            count, last = count + len(events), int(events.t[-1])
            yield events
        require_events(self.path, count)

    def _events(self, columns: Columns, source: str) -> Events:
        t, x, y, p = columns
        return Events(t=t, x=x, y=y, p=p, width=self.width, height=self.height, format=self.format, source=source)


def _copied(columns: Columns) -> Columns:
    t, x, y, p = (column.copy() for column in columns)
    return t, x, y, p


def empty(size: int) -> Columns:
    """Columns to be filled."""
    return np.empty(size, np.int64), np.empty(size, np.uint16), np.empty(size, np.uint16), np.empty(size, np.bool_)


def number_of(path: Path, start: int, size: int) -> int:
    """Of the parts that `parts_of` gives of words or rows of `size` bytes."""
    return -(-(path.stat().st_size - start) // (size * PART))


def parts_of(path: Path, start: int, kind: str, columns: int = 1, part: int | None = None) -> Iterator[np.ndarray]:
    """Everything after `start` as numbers of a type, [n] or [n, columns], PART (or `part`) of them at a time.

    Each overwrites the last. Raises DataError, before the first part, if the last number or row is cut, and where the
    file cannot be read.
    """
    size = np.dtype(kind).itemsize * columns
    if rest := (path.stat().st_size - start) % size:
        raise DataError(f"{path}: ends inside an event, after {rest} of {size} bytes; copy or download it again")
    return _parts(path, start, kind, columns, part or PART)


def _parts(path: Path, start: int, kind: str, columns: int, most: int) -> Iterator[np.ndarray]:
    words = np.empty(most * columns, kind)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while size := _filled(file, words.view(np.uint8).data):
                part = words[: size // words.itemsize]
                yield part.reshape(-1, columns) if columns > 1 else part
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _filled(file: RawIOBase, room: memoryview) -> int:
    """Bytes read: as many as there is room for, or to the end of the file."""
    count = 0
    while size := file.readinto(room[count:]):
        count += size
    return count
