"""N-Caltech101 (Orchard et al. 2015): the pictures of Caltech101 recorded by an ATIS that moves."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventFiles, OnError, chosen, last_tenths

SENSOR = (240, 180)
_FOLDER = "Caltech101"


AXES = ("spikingjelly", "tonic", "address")
LABELS = ("with_background", "without_background")
_BACKGROUND = "background_google"


class NCaltech101(EventFiles):
    """The recordings `Caltech101/<class>/image_0001.bin` of one split; see `EventFiles`.

    `root` holds Caltech101, or is it. The classes are the subfolders in the order of ASCII, capitals first; `labels`:
    "with_background", as public loaders have it, or "without_background", which leaves BACKGROUND_Google out.
    There is no official split: of each class the last tenth of the names is "test", as in SpikingJelly's
    `split_to_train_test_set(0.9, ...)`. `axes`: "spikingjelly" and "address" take x and y as they stand on the sensor,
    "tonic" moves every recording so that its least x and its least y are 0.
    Raises ConfigError for another choice; DataError for another layout, and no recordings for the split.
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
        rule = chosen("split_rule", split_rule, ("spikingjelly",), "N-Caltech101")
        self.axes = chosen("axes", axes, AXES, "N-Caltech101")
        order, root = chosen("labels", labels, LABELS, "N-Caltech101"), Path(root)
        root = root / _FOLDER if (root / _FOLDER).is_dir() else root
        classes, found = folder_samples(root, None, suffixes=SUFFIXES)
        if order == "without_background":
            kept = tuple(name for name in classes if name.lower() != _BACKGROUND)
            found = [(path, kept.index(classes[label])) for path, label in found if classes[label] in kept]
            classes = kept
        samples = last_tenths(found, split, root=root)
        super().__init__(samples, reading, classes=classes, root=root, sensor=SENSOR, on_error=on_error)
        self.choices = {"split_rule": rule, "axes": self.axes, "labels": order}

    def read(self, path: Path) -> Events:
        """All events of a file, x and y as `axes` says. Raises DataError as `read_events`."""
        return turn(super().read(path), self.axes)


def turn(events: Events, axes: str | None) -> Events:
    """x and y as `axes` says."""
    if chosen("axes", axes, AXES, "N-Caltech101") != "tonic":
        return events
    return replace(events, x=events.x - events.x.min(), y=events.y - events.y.min())
