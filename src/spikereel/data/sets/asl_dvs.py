"""ASL-DVS (Bi et al. 2019): 100,800 recordings of 24 letters of the American sign language before a DAVIS240C."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.mat import SUFFIX
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventFiles, last_tenths
from spikereel.errors import ConfigError

CLASSES = tuple("abcdefghiklmnopqrstuvwxy")
"""No j and no z: their signs move."""

SENSOR = (240, 180)

_TURNS: dict[str, Callable[[Events], Events]] = {
    "spikingjelly": lambda e: replace(e, x=SENSOR[0] - 1 - e.x, y=SENSOR[1] - 1 - e.y),
    "tonic": lambda e: replace(e, y=SENSOR[1] - 1 - e.y),
    "address": lambda e: e,
}


class ASLDVS(EventFiles):
    """The recordings `<letter>/<letter>_0001.mat` of one split; see `EventFiles`.

    Labels are 0 to 23 in the order of `CLASSES`. There is no official split: of each letter the last tenth of the names
    is "test", as SpikingJelly's `split_to_train_test_set(0.9, ...)` cuts it. `axes`: "spikingjelly", x = 239 - x and
    y = 179 - y; "tonic", y = 179 - y; "address", as in the file.
    Raises ConfigError for another choice, and without scipy; DataError for another layout, and no recordings for the
    split.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        split_rule: str = "spikingjelly",
        axes: str = "spikingjelly",
        on_error: Literal["raise", "skip"] = "raise",
    ):
        if split_rule != "spikingjelly":
            raise ConfigError(f"split_rule is {split_rule!r}, which ASL-DVS has not: choose 'spikingjelly'")
        if axes not in _TURNS:
            raise ConfigError(f"axes is {axes!r}: choose {', '.join(_TURNS)}")
        _, found = folder_samples(Path(root), CLASSES, suffixes={SUFFIX})
        samples = last_tenths(found, split, root=Path(root))
        self.axes = axes
        super().__init__(samples, reading, classes=CLASSES, root=Path(root), sensor=SENSOR, on_error=on_error)
        self.choices = {"split_rule": split_rule, "axes": axes}

    def events(self, index: int) -> Events:
        """All events of one file, x and y as `axes` says. Raises DataError as `read_events`."""
        return _TURNS[self.axes](super().events(index))
