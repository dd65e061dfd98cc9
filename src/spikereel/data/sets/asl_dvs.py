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
from spikereel.data.sets.events import EventFiles, OnError, chosen, last_tenths

CLASSES = tuple("abcdefghiklmnopqrstuvwxy")
"""No j and no z: their signs move."""

SENSOR = (240, 180)

TURNS: dict[str, Callable[[Events], Events]] = {
    "spikingjelly": lambda e: replace(e, x=SENSOR[0] - 1 - e.x, y=SENSOR[1] - 1 - e.y),
    "tonic": lambda e: replace(e, y=SENSOR[1] - 1 - e.y),
    "address": lambda e: e,
}

LABELS = {"spikingjelly": CLASSES, "tonic": tuple("abcdefghijklmnopqrstuvwxyz")}
"""The classes by `labels`: of tonic there are two without recordings."""


class ASLDVS(EventFiles):
    """The recordings `<letter>/<letter>_0001.mat` of one split; see `EventFiles`.

    `labels`: "spikingjelly", 0 to 23 in the order of `CLASSES`; "tonic", places in the alphabet, so that those of k to
    y are one higher. There is no official split: of each letter the last tenth of the names is "test", as
    SpikingJelly's `split_to_train_test_set(0.9, ...)` cuts it. `axes`: "spikingjelly", x = 239 - x and y = 179 - y;
    "tonic", y = 179 - y; "address", as in the file.
    Raises ConfigError for another choice, and without scipy; DataError for another layout, and no recordings for the
    split.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        split_rule: str | None = None,
        axes: str | None = None,
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        rule = chosen("split_rule", split_rule, ("spikingjelly",), "ASL-DVS")
        self.axes = chosen("axes", axes, TURNS, "ASL-DVS")
        order = chosen("labels", labels, LABELS, "ASL-DVS")
        _, found = folder_samples(Path(root), CLASSES, suffixes={SUFFIX}, any_case=True)
        classes = LABELS[order]
        samples = [(path, classes.index(CLASSES[label])) for path, label in last_tenths(found, split, root=Path(root))]
        super().__init__(samples, reading, classes=classes, root=Path(root), sensor=SENSOR, on_error=on_error)
        self.choices = {"split_rule": rule, "axes": self.axes, "labels": order}

    def read(self, path: Path) -> Events:
        """All events of a file, x and y as `axes` says. Raises DataError as `read_events`."""
        return turn(super().read(path), self.axes)


def turn(events: Events, axes: str | None) -> Events:
    """x and y of a MATLAB file as `axes` says; files of other formats keep theirs."""
    own = TURNS[chosen("axes", axes, TURNS, "ASL-DVS")]
    return own(events) if events.format == "MATLAB" else events
