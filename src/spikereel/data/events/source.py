"""What the readers of event files share: bytes, header lines, whole records, and clocks that wrap around."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from spikereel.errors import ConfigError, DataError

Sensor = tuple[int, int]
"""Width and height in pixels."""

GIVE_SENSOR = "sensor=(width, height), --sensor W,H or data.sensor=[W,H]"
"""How a size is given: in the library, on the command line of `spikereel data`, in training."""

HEAD = 1 << 16
"""Bytes; longer than any header of lines."""
_LARGEST = 16_384
"""Pixels a side, as many as 14 bits of DAT can address."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


TimeUnit = Literal["s", "ms", "us", "ns"]
TimeOrigin = Literal["camera", "first"]
PASSED_OVER = "-"
"""The name of a column that is no part of an event."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a file does not say of itself, and how its times count. Raises ConfigError for what cannot be."""

    columns: str = ""
    """Of one array or of text, in the order of the file, such as "x,y,t,p"; "-" is a column that is passed over. "sign"
    in place of p means 1 for ON, -1 for OFF, and 0 for no event."""
    time_unit: TimeUnit | None = None
    """Of the times of arrays and text; None is what the file states, or microseconds."""
    time_origin: TimeOrigin = "camera"
    """The times of the camera, with the start that a header states (`% t0` of Faery), or from the first event."""

    def __post_init__(self):
        for name, kind in (("time_unit", TimeUnit), ("time_origin", TimeOrigin)):
            if (value := getattr(self, name)) not in (None, *get_args(kind)):
                raise ConfigError(f"{name} is {value!r}: choose {', '.join(get_args(kind))}")
        wanted = sorted(("t", "x", "y", "sign" if "sign" in self.names else "p"))
        if self.names and sorted(name for name in self.names if name != PASSED_OVER) != wanted:
            raise ConfigError(
                f"columns is {self.columns!r}: name each of t, x, y, p once, in the order of the file, such as "
                f"x,y,t,p, with - for other columns; sign in place of p leaves out zeros"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The columns; none if none are told."""
        return tuple(name.strip() for name in self.columns.split(",")) if self.columns.strip() else ()


UNTOLD = Told()


class OtherSensor(DataError):
    """A file that states another size of its sensor than the one given."""


def content(path: Path, limit: int = -1) -> bytes:
    """All bytes of a file, or the first ones. Raises DataError if it is missing, no file, unreadable or empty."""
    if not path.exists():
        raise DataError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise DataError(f"{path}: is a folder or a device, not a recording; name a file in it")
    try:
        with path.open("rb") as file:
            data = file.read(limit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not data:
        raise DataError(f"{path}: is empty (0 bytes); copy or download it again")
    return data


def header(data: bytes, mark: bytes, *, last: bytes) -> tuple[str, int]:
    """The leading lines that start with `mark`, and where they end; the line that is `last` closes them.

    A line that only begins like `last`, such as "% endianness little", is one as any other.
    Where no such line comes, a line with control characters is taken for events that happen to start with the mark.
    """
    at = 0
    while data.startswith(mark, at):
        end = data.find(b"\n", at) + 1 or len(data)
        line = data[at:end]
        if _CONTROL.search(line):
            break
        at = end
        if line.strip().lower() == last:
            break
    return data[:at].decode("utf-8", errors="replace"), at


def records(path: Path, data: bytes, start: int, kind: str, columns: int = 1) -> np.ndarray:
    """Everything after `start` as numbers of a type: [n], or [n, columns]. Raises DataError if the last is cut."""
    size = np.dtype(kind).itemsize * columns
    if rest := (len(data) - start) % size:
        raise DataError(f"{path}: ends inside an event, after {rest} of {size} bytes; copy or download it again")
    words = np.frombuffer(data, kind, offset=start)
    return words.reshape(-1, columns) if columns > 1 else words


def unwrap(ticks: np.ndarray, bits: int) -> np.ndarray:
    """int64 times of a counter of `bits` bits: a fall by more than half its range is a wrap, any other stays a fall."""
    falls = np.flatnonzero(ticks[1:] < ticks[:-1])
    time = ticks.astype(np.int64)
    wraps = falls[time[falls] - time[falls + 1] > 1 << (bits - 1)]
    if len(wraps):
        turns = np.zeros(len(time), np.int64)
        turns[wraps + 1] = 1 << bits
        time += np.cumsum(turns)
    return time


def require_events(path: Path, count: int) -> None:
    """Raises DataError if there are none."""
    if not count:
        raise DataError(f"{path}: holds no events; record it again, or leave it out")


def require_sensor(path: Path, stated: Sensor | None, given: Sensor | None) -> Sensor:
    """The size that the file states, else the one given.

    Raises DataError without either and for a size that no sensor has; OtherSensor if they differ.
    """
    sensor = stated or given
    if sensor is None:
        raise DataError(f"{path}: does not state the size of its sensor; give {GIVE_SENSOR}")
    width, height = sensor
    if not (1 <= width <= _LARGEST and 1 <= height <= _LARGEST):
        raise DataError(
            f"{path}: its sensor is {width} x {height}; correct it in the file, or where it is given, "
            f"to sides of 1 to {_LARGEST} pixels"
        )
    if given is not None and tuple(given) != (width, height):
        raise OtherSensor(f"{path}: its sensor is {width} x {height}, not {given}; leave sensor out")
    return width, height


def require_inside(path: Path, x: np.ndarray, y: np.ndarray, assumed: Sensor, before: int = 0) -> None:
    """Raises DataError for an event outside a size that is assumed, because neither file nor caller states one.

    before: how many events of the file come before these.
    """
    for name, column, size in (("x", x, assumed[0]), ("y", y, assumed[1])):
        outside = column >= size
        if outside.any():
            i = int(np.argmax(outside))
            raise DataError(
                f"{path}: event {before + i} has {name} {column[i]}, outside the sensor of {assumed[0]} x {assumed[1]} "
                f"that is assumed where none is stated; give {GIVE_SENSOR}"
            )
