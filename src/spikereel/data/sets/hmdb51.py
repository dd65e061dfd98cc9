"""HMDB51 (Kuehne et al. 2011): 51 actions, three official splits."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.sets.ucf101 import find_folders, require_split
from spikereel.data.text import read_lines
from spikereel.data.video.clip import Reading
from spikereel.data.walk import visible
from spikereel.errors import DataError

_FORM = "the official lists of HMDB51"
_MARKS = {"0": None, "1": "train", "2": "test"}
"""Videos marked 0 are in neither split."""


class HMDB51(VideoFiles):
    """The videos that the official lists mark for a split; see `VideoFiles`.

    root holds the class folders, or a folder hmdb51_org/ or videos/ that does. The lists stand in
    `testTrainMulti_7030_splits/`, in root or beside it: <class>_test_split<fold>.txt for each class, whose names in
    alphabetical order are the labels from 0. With `on_error="skip"` videos that are listed and missing stand in
    `skipped` too. Raises DataError for missing folders or lists, and, with the line's number, for a line that is not
    a file and 0, 1 or 2; ConfigError for other splits and folds.
    """

    def __init__(
        self, root: str | PathLike, reading: Reading, *, split: Literal["train", "test"], fold: Literal[1, 2, 3] = 1
    ):
        require_split(split, fold)
        videos, folder = find_folders(Path(root), videos=("hmdb51_org", "videos"), lists="testTrainMulti_7030_splits")
        lists = find_lists(folder, fold)
        classes = sorted(lists)
        samples = [
            (videos / name / file, label)
            for label, name in enumerate(classes)
            for file, mark in read_marks(lists[name])
            if mark == split
        ]
        super().__init__(samples, reading, classes=classes, root=videos)


def find_lists(folder: Path, fold: int) -> dict[str, Path]:
    """The list of a fold of every class. Raises DataError for none."""
    ending = f"_test_split{fold}.txt"
    lists = {path.name.removesuffix(ending): path for path in visible(folder) if path.name.endswith(ending)}
    if not lists:
        raise DataError(f"{folder}: no lists *{ending}; unpack {_FORM} there")
    return lists


def read_marks(path: Path) -> list[tuple[str, str | None]]:
    """(file, its split or None) of the lines `<file> <mark>`."""
    marks = []
    for number, line in read_lines(path, _FORM):
        file, _, mark = line.rpartition(" ")
        if not file.strip() or mark not in _MARKS:
            raise DataError(f"{path}:{number}: {line!r} is not '<file> <0, 1 or 2>'; take {_FORM}")
        marks.append((file.strip(), _MARKS[mark]))
    return marks
