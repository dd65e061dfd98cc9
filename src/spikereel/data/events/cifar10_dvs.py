"""CIFAR10-DVS (Li et al. 2017): 10,000 recordings of moving CIFAR-10 images before a DVS128."""

import re
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.events.files import EventFiles, EventReading, folder_samples
from spikereel.errors import ConfigError, DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

TRAINING = 0.9
"""Share of each class, the lowest numbers, that is for training."""


class CIFAR10DVS(EventFiles):
    """The recordings `<class>/cifar10_<class>_<number>.aedat` (or .aedat4) of one split; see `EventFiles`.

    There is no official split. As most of the literature does, the first nine tenths of each class by number (0 to 899
    of 1,000) are "train" and the others "test". Errors: DataError for another layout or a class that is missing.
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
        root, samples = Path(root), []
        _, found = folder_samples(root, CLASSES)
        for label, name in enumerate(CLASSES):
            paths = sorted((path for path, of in found if of == label), key=_number)
            if not paths:
                raise DataError(f"{root / name}: no such folder; unpack {name}.zip into {root}")
            border = round(TRAINING * len(paths))
            samples += [(path, label) for path in (paths[:border] if split == "train" else paths[border:])]
        # Those files whose header names no camera are of a DVS128 too.
        super().__init__(samples, reading, classes=CLASSES, root=root, sensor=(128, 128), on_error=on_error)


def _number(path: Path) -> int:
    number = re.search(r"_(\d+)$", path.stem)
    if number is None:
        raise DataError(f"{path}: is not named cifar10_<class>_<number>; rename or remove it")
    return int(number[1])
