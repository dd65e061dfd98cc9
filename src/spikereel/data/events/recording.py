"""A recording of an event camera: four columns and the size of the sensor."""

from dataclasses import InitVar, dataclass, replace

import numpy as np

from spikereel.errors import ConfigError, DataError

_BLOCK = 1 << 16
"""Events looked at together."""


class MisplacedEvents(DataError):
    """Events outside the sensor or not in the order of their times: what `spikereel data repair` can mend."""

    columns: dict[str, np.ndarray] | None = None
    """t, x, y and p as they were read."""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Events:
    """N events in the order of their times; checked when made, never sorted.

    Raises DataError, with `source` and the number of the first event at fault, for columns of other types or unequal
    lengths; MisplacedEvents, a DataError, for an event outside the sensor, and a time that goes backwards.
    """

    t: np.ndarray
    """int64 [N], microseconds; the zero is the camera's."""
    x: np.ndarray
    """uint16 [N], column, from 0 at the left."""
    y: np.ndarray
    """uint16 [N], row, from 0 at the top (from the first row of the file where it counts otherwise)."""
    p: np.ndarray
    """bool [N], True for ON: the pixel became brighter."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    format: str = "events"
    """What it was read as, such as "EVT3"."""
    source: str = "events"
    """The file; only for messages."""
    seen: InitVar[bool] = False
    """Whether whoever made the columns looked at every event, so that it is not done again."""

    def __post_init__(self, seen: bool):
        for name, kind in (("t", np.int64), ("x", np.uint16), ("y", np.uint16), ("p", np.bool_)):
            column = getattr(self, name)
            if column.dtype != kind or column.shape != self.t.shape or column.ndim != 1:
                raise DataError(
                    f"{self.source}: {name} is {column.dtype} {list(column.shape)}; "
                    f"make it {np.dtype(kind)} [{len(self.t)}]"
                )
        if seen:
            return
        self._require_inside("x", self.width)
        self._require_inside("y", self.height)
        if i := self._first_backwards():
            raise self._misplaced(
                f"time goes backwards at event {i}, {self.t[i]} us after {self.t[i - 1]} us; "
                f"sort the events with `spikereel data repair`, or cut the recording there"
            )

    def __len__(self) -> int:
        return len(self.t)

    def take(self, which: np.ndarray | slice) -> "Events":
        """The events of a slice, mask or index array, which must keep their order."""
        return replace(self, t=self.t[which], x=self.x[which], y=self.y[which], p=self.p[which])

    def between(self, start_us: int, stop_us: int) -> "Events":
        """The events with start_us <= t < stop_us, as views. Raises ConfigError where start_us > stop_us."""
        if start_us > stop_us:
            raise ConfigError(f"start_us is {start_us} and stop_us {stop_us}: the start comes first")
        a, b = np.searchsorted(self.t, [start_us, stop_us])
        return replace(self, t=self.t[a:b], x=self.x[a:b], y=self.y[a:b], p=self.p[a:b], seen=True)

    def _first_backwards(self) -> int:
        """The first event that is earlier than the one before it, or 0; block by block, which stays in the cache."""
        for at in range(0, len(self.t), _BLOCK):
            t = self.t[at : at + _BLOCK + 1]
            if (falls := t[1:] < t[:-1]).any():
                return at + int(np.argmax(falls)) + 1
        return 0

    def _require_inside(self, name: str, size: int) -> None:
        column = getattr(self, name)
        if len(column) and int(column.max()) >= size:
            i = int(np.argmax(column >= size))
            raise self._misplaced(
                f"event {i} has {name} {column[i]}, outside the sensor of {self.width} x {self.height}; check the size "
                f"if you gave one, copy the file again, or drop such events with `spikereel data repair`"
            )

    def _misplaced(self, reason: str) -> MisplacedEvents:
        # Made of its message alone, as workers of a loader make errors again.
        error = MisplacedEvents(f"{self.source}: {reason}")
        error.columns = {"t": self.t, "x": self.x, "y": self.y, "p": self.p}
        error.width, error.height = self.width, self.height
        return error
