"""DailyDVS-200 (Wang et al. 2024): 22,046 recordings of 200 daily actions of 47 people before a DVXplorer Lite."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles
from spikereel.data.text import read_lines
from spikereel.errors import ConfigError, DataError

SENSOR = (320, 240)

_CLASSES = 200


class DailyDVS200(EventFiles):
    """The recordings of one of the lists train.txt, val.txt and test.txt; see `EventFiles`.

    A line is `path label`, with labels 0 to 199. The path is relative to the list's folder. Where no file is there, the
    only recording of that name anywhere under the folder is taken, because the archives are unpacked into folders of
    actions, `action_001/C0P3M0S1_20231111_09_11_23.aedat4`, or of days. The classes are "0" to "199".
    Raises DataError for a list or a recording that is missing, a name that is there twice, and a line that makes no
    sense, with its number.
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
        samples = _samples(root / f"{split}.txt")
        classes = tuple(map(str, range(_CLASSES)))
        super().__init__(samples, reading, classes=classes, root=root, sensor=SENSOR, on_error=on_error)


def _samples(path: Path) -> list[tuple[Path, int]]:
    samples, elsewhere = [], None
    for number, line in read_lines(path, "the lists of DailyDVS-200, lines 'path label'"):
        name, _, label = line.rpartition(" ")
        if not name.strip() or not label.isdecimal() or len(label) > 3 or int(label) >= _CLASSES:
            raise DataError(f"{path}:{number}: {line!r} is not 'path label' with a label of 0 to 199; correct it")
        recording = path.parent / name.strip()
        if not recording.is_file():
            elsewhere = _by_name(path.parent) if elsewhere is None else elsewhere
            found = elsewhere.get(recording.name, [])
            if len(found) != 1:
                how = "is not there" if not found else f"is there {len(found)} times, but not at that path"
                raise DataError(f"{path}:{number}: {name.strip()} {how}; copy it from the dataset")
            recording = found[0]
        samples.append((recording, int(label)))
    return samples


def _by_name(root: Path) -> dict[str, list[Path]]:
    """Every recording under a folder."""
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            found.setdefault(path.name, []).append(path)
    return found
