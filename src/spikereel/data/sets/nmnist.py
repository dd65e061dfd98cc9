"""N-MNIST (Orchard et al. 2015): 34 x 34 recordings of the ten digits, made by three movements of the camera."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles
from spikereel.data.text import read_lines
from spikereel.data.walk import visible
from spikereel.errors import ConfigError, DataError

CLASSES = tuple("0123456789")

_FOLDERS = {"train": "Train", "test": "Test"}


class NMNIST(EventFiles):
    """Recordings of one of two layouts; see `EventFiles`.

    As published: Train/<digit>/*.bin and Test/<digit>/*.bin; `split` chooses between them.
    As a list: text files with lines `number digit` (the first line may be a header starting with #), and beside them
    <number>.bs2 or .bin; `root` is the folder, and then all its lists count of which any recording is there, or one
    list. Or a folder with a sub-folder for each digit. `split` is to be None for these two. Raises DataError for a
    folder of neither layout, a line that makes no sense, and a listed recording that is missing; ConfigError for a
    split that the layout does not have.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ):
        root = Path(root)
        if (split in _FOLDERS) != has_folders(root) or split not in (None, *_FOLDERS):
            raise ConfigError(
                f"split is {split!r}: 'train' and 'test' are for folders Train/ and Test/, None for a list; see {root}"
            )
        samples = _listed(root) if split is None else _digits(root / _FOLDERS[split])
        folder = root if root.is_dir() else root.parent
        super().__init__(samples, reading, classes=CLASSES, root=folder, on_error=on_error)


def has_folders(root: str | PathLike) -> bool:
    """Whether N-MNIST lies there as published, or one of its two halves."""
    return any((Path(root) / name).is_dir() for name in _FOLDERS.values())


def _digits(root: Path) -> list[tuple[Path, int]]:
    """(path, digit) of every recording in a folder with a subfolder for each digit."""
    return folder_samples(root, CLASSES, suffixes=SUFFIXES)[1]


def _listed(root: Path) -> list[tuple[Path, int]]:
    """(path, digit) of every line of one list, or of the lists of a folder."""
    if not root.is_dir():
        return [_required(root, number, sample) for number, sample in _lines(root)]
    if any((root / digit).is_dir() for digit in CLASSES):
        return _digits(root)
    samples = []
    for path in [p for p in visible(root) if p.suffix.lower() == ".txt"]:
        lines = _lines(path)
        if any(recording.is_file() for _, (recording, _) in lines):
            samples += [_required(path, number, sample) for number, sample in lines]
    if not samples:
        raise DataError(f"{root}: has neither Train/ and Test/ nor a list 'number digit' of recordings there")
    return samples


def _lines(path: Path) -> list[tuple[int, tuple[Path, int]]]:
    """(line number, (path of the recording, digit)) of every line but a header."""
    samples = []
    for number, line in read_lines(path, "a list of lines 'number digit'"):
        if line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 2 or not fields[0].isdecimal() or fields[1] not in CLASSES:
            raise DataError(f"{path}:{number}: {line!r} is not 'number digit'; correct it")
        found = [path.with_name(fields[0] + suffix) for suffix in (".bs2", ".bin")]
        samples.append((number, (next((p for p in found if p.is_file()), found[0]), int(fields[1]))))
    return samples


def _required(path: Path, number: int, sample: tuple[Path, int]) -> tuple[Path, int]:
    if not sample[0].is_file():
        raise DataError(f"{path}:{number}: {sample[0].name} is not there; copy it from the dataset")
    return sample
