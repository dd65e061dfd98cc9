"""A recording in parts, of a reader that needs no more than one of them in memory, and how parts become `Events`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import require_events
from spikereel.errors import DataError

PART = 1 << 18
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

    def whole(self) -> Events:
        """All of them. Raises DataError as `read_events`."""
        parts = [part for part in self.parts if len(part[0])]
        require_events(self.path, len(parts))
        t, x, y, p = (np.concatenate(column) for column in zip(*parts, strict=True))
        return self._events((t, x, y, p), str(self.path))

    def __iter__(self) -> Iterator[Events]:
        """Part by part, each checked as a recording of its own and against the one before it. Raises DataError."""
        count, last = 0, None
        for part in self.parts:
            if not len(part[0]):
                continue
            events = self._events(part, f"{self.path}, from event {count} on" if count else str(self.path))
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


def parts_of(path: Path, start: int, kind: str, columns: int = 1) -> Iterator[np.ndarray]:
    """Everything after `start` as numbers of a type, [n] or [n, columns], PART at a time.

    Raises DataError, before the first part, if the last number or row is cut, and where the file cannot be read.
    """
    size = np.dtype(kind).itemsize * columns
    if rest := (path.stat().st_size - start) % size:
        raise DataError(f"{path}: ends inside an event, after {rest} of {size} bytes; copy or download it again")
    return _parts(path, start, kind, columns)


def _parts(path: Path, start: int, kind: str, columns: int) -> Iterator[np.ndarray]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            while len(words := np.fromfile(file, kind, PART * columns)):
                yield words.reshape(-1, columns) if columns > 1 else words
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
