"""HARDVS (Wang et al. 2024): some 107,000 recordings of 300 activities before a DAVIS346."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles
from spikereel.data.text import read_lines
from spikereel.errors import ConfigError, DataError

SENSOR = (346, 260)

_CLASSES = 300


class HARDVS(EventFiles):
    """The recordings of one of the lists train_label.txt, val_label.txt and test_label.txt; see `EventFiles`.

    A line is `path label` or `path frames label`, with labels 0 to 299; the path, relative to the list's folder, is
    that of an event file, with or without its suffix. The classes are "0" to "299". Raises DataError for a list or a
    recording that is missing, and a line that makes no sense, with its number.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "val", "test"] = "train",
        on_error: Literal["raise", "skip"] = "raise",
    ):
        if split not in ("train", "val", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train', 'val' or 'test'")
        root = Path(root)
        samples = _samples(root / f"{split}_label.txt")
        classes = tuple(map(str, range(_CLASSES)))
        super().__init__(samples, reading, classes=classes, root=root, sensor=SENSOR, on_error=on_error)


def _samples(path: Path) -> list[tuple[Path, int]]:
    samples = []
    for number, line in read_lines(path, "the lists of HARDVS, lines 'path label'"):
        fields = line.split()
        if not 2 <= len(fields) <= 3 or not fields[-1].isdecimal() or int(fields[-1]) >= _CLASSES:
            raise DataError(f"{path}:{number}: {line!r} is not 'path label' with a label of 0 to 299; correct it")
        samples.append((_recording(path, number, path.parent / fields[0]), int(fields[-1])))
    return samples


def _recording(path: Path, number: int, named: Path) -> Path:
    for candidate in (named, *(named.with_name(named.name + suffix) for suffix in sorted(SUFFIXES))):
        if candidate.is_file():
            return candidate
    raise DataError(f"{path}:{number}: {named} is no event file, with or without a suffix; copy it from the dataset")
