"""CIFAR10-DVS (Li et al. 2017): 10,000 recordings of moving CIFAR-10 images before a DVS128."""

import re
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles
from spikereel.errors import ConfigError, DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SENSOR = (128, 128)
"""Of those files too whose header names no camera."""

FIRST_TEST = 900
"""Of each class, the lowest number that is for test."""


class CIFAR10DVS(EventFiles):
    """The recordings `<class>/cifar10_<class>_<number>.aedat` (or .aedat4) of one split; see `EventFiles`.

    There is no official split. As most of the literature does, numbers 0 to 899 of each class are "train" and those
    from 900 on "test", whichever of them are there. Raises DataError for another layout, a class without recordings to
    train on, and no recordings to test on.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        on_error: Literal["raise", "skip"] = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        root = Path(root)
        _, found = folder_samples(root, CLASSES, suffixes=SUFFIXES)
        numbered = sorted((label, _number(path), path) for path, label in found)
        samples = [(path, label) for label, number, path in numbered if (number >= FIRST_TEST) == (split == "test")]
        there = {CLASSES[label] for _, label in samples}
        if not there or (split == "train" and len(there) < len(CLASSES)):
            numbers = f"{FIRST_TEST} and above" if split == "test" else f"below {FIRST_TEST}"
            lacking = next(name for name in CLASSES if name not in there)
            raise DataError(
                f"{root / lacking}: has no recordings with numbers {numbers}, which {split} is of; unpack {lacking}.zip"
            )
        super().__init__(samples, reading, classes=CLASSES, root=root, sensor=SENSOR, on_error=on_error)


def _number(path: Path) -> int:
    number = re.search(r"_(\d+)$", path.stem)
    if number is None:
        raise DataError(f"{path}: is not named cifar10_<class>_<number>; rename or remove it")
    return int(number[1])
