"""N-Cars (Sironi et al. 2018): cuts of 100 ms from an ATIS in a car, with a car or without."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.errors import ConfigError, DataError

CLASSES = ("cars", "background")

LABELS = {"cars_first": CLASSES, "alphabetical": tuple(sorted(CLASSES))}

SENSOR = (120, 100)
"""The largest cut; the files do not state it."""


class NCars(EventFiles):
    """The recordings `n-cars_train/{cars,background}/*.dat`, and those of n-cars_test; see `EventFiles`.

    A folder `train` or `test` may lie between, as in one of the published archives. Labels are 0 for cars and 1 for
    background, as public readers have them; the order of the alphabet is the reverse. Raises DataError for another
    layout; ConfigError for other choices. `labels`: "cars_first", or "alphabetical", background 0 and cars 1.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        folder = Path(root) / f"n-cars_{split}"
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder; give the folder that has n-cars_train and n-cars_test")
        folder = folder / split if (folder / split).is_dir() else folder
        order = chosen("labels", labels, LABELS, "N-Cars")
        _, samples = folder_samples(folder, LABELS[order], suffixes=SUFFIXES, any_case=True)
        super().__init__(samples, reading, classes=LABELS[order], root=Path(root), sensor=SENSOR, on_error=on_error)
        self.choices = {"labels": order}
