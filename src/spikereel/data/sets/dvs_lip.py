"""DVS-Lip (Tan et al. 2022): 19,871 recordings of 100 spoken words, 128 x 128 pixels."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.data.walk import subfolders
from spikereel.errors import ConfigError, DataError

SENSOR = (128, 128)

AXES = ("whole", "official")

_FOLDER = "DVS-Lip"
_FIRST, _SIDE = 16, 96
"""Of the box that the authors' code sees: pixels 16 to 111 of both."""


class DVSLip(EventFiles):
    """The recordings `DVS-Lip/{train,test}/<word>/<number>.npy` of one split; see `EventFiles`.

    `root` holds DVS-Lip, or is it. The classes are the folders of train/ in alphabetical order. `axes`: "whole", all of
    128 x 128, as SpikingJelly and tonic have it; "official", the pixels 16 to 111 that the authors' code sees.
    Raises DataError for another layout, and a word of test/ that train/ has not; ConfigError for another choice.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        axes: str | None = None,
        on_error: OnError = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        self.axes, root = chosen("axes", axes, AXES, "DVS-Lip"), Path(root)
        root = root / _FOLDER if (root / _FOLDER).is_dir() else root
        for name in ("train", "test"):
            if not (root / name).is_dir():
                raise DataError(f"{root / name}: no such folder; give the folder that has train and test")
        classes = tuple(folder.name for folder in subfolders(root / "train"))
        _, samples = folder_samples(root / split, classes, suffixes={".npy", ".npz"}, any_case=True)
        super().__init__(samples, reading, classes=classes, root=root, sensor=SENSOR, on_error=on_error)
        self.choices = {"axes": self.axes}

    def read(self, path: Path) -> Events:
        """All events of a file, as `axes` says. Raises DataError as `read_events`, and for a box without events."""
        return turn(super().read(path), self.axes)


def turn(events: Events, axes: str | None) -> Events:
    """The pixels that `axes` takes. Raises DataError where they have no events."""
    if chosen("axes", axes, AXES, "DVS-Lip") == "whole" or (events.width, events.height) != SENSOR:
        return events
    inside = (events.x - _FIRST < _SIDE) & (events.y - _FIRST < _SIDE) & (events.x >= _FIRST) & (events.y >= _FIRST)
    if not inside.any():
        raise DataError(f"{events.source}: has no events in the box of the authors' code; give data.axes=whole")
    kept = events.take(inside)
    return replace(kept, x=kept.x - _FIRST, y=kept.y - _FIRST, width=_SIDE, height=_SIDE)
