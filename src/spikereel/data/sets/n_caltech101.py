"""N-Caltech101 (Orchard et al. 2015): the pictures of Caltech101 recorded by an ATIS that moves."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventFiles, last_tenths
from spikereel.errors import ConfigError

SENSOR = (240, 180)
_FOLDER = "Caltech101"


class NCaltech101(EventFiles):
    """The recordings `Caltech101/<class>/image_0001.bin` of one split; see `EventFiles`.

    `root` holds Caltech101, or is it. The classes are the subfolders in the order of ASCII, capitals first, with
    BACKGROUND_Google where it is there.
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
        split_rule: str = "spikingjelly",
        axes: str = "spikingjelly",
        on_error: Literal["raise", "skip"] = "raise",
    ):
        if split_rule != "spikingjelly":
            raise ConfigError(f"split_rule is {split_rule!r}, which N-Caltech101 has not: choose 'spikingjelly'")
        if axes not in ("spikingjelly", "tonic", "address"):
            raise ConfigError(f"axes is {axes!r}: choose spikingjelly, tonic, address")
        root = Path(root)
        root = root / _FOLDER if (root / _FOLDER).is_dir() else root
        classes, found = folder_samples(root, None, suffixes=SUFFIXES)
        samples = last_tenths(found, split, root=root)
        self.axes = axes
        super().__init__(samples, reading, classes=classes, root=root, sensor=SENSOR, on_error=on_error)
        self.choices = {"split_rule": split_rule, "axes": axes}

    def events(self, index: int) -> Events:
        """All events of one file, x and y as `axes` says. Raises DataError as `read_events`."""
        events = super().events(index)
        if self.axes != "tonic":
            return events
        return replace(events, x=events.x - events.x.min(), y=events.y - events.y.min())
