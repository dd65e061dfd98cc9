"""Jester (Materzynska et al. 2019): 27 gestures of the hand before a camera."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.text import find_list, read_lines, require_choice
from spikereel.data.video.clip import Reading
from spikereel.errors import DataError

_FORM = "the official lists of Jester"
_PREFIX = "jester-v1-"
_FILES = {"train": "train", "val": "validation", "test": "test"}


class Jester(VideoFiles):
    """The folders `<id>/00001.jpg, ...` of frames that an official list names; see `VideoFiles`.

    The folders stand in root or in its folder 20bn-jester-v1/ or videos/; the lists in root or in labels/, with or
    without "jester-v1-" before their names: labels.csv has a class a line, train.csv and validation.csv the lines
    `id;class`. The official test.csv has ids alone and cannot be judged on. Raises DataError for missing lists or
    folders, and with the line's number for a line of another form or an unknown class.
    """

    def __init__(self, root: str | PathLike, reading: Reading, *, split: Literal["train", "val", "test"]):
        require_choice("split", split, _FILES)
        root = Path(root)
        classes = [line for _, line in read_lines(find_list(root, "labels.csv", _PREFIX, _FORM), _FORM)]
        path = find_list(root, f"{_FILES[split]}.csv", _PREFIX, _FORM)
        folder = next((root / x for x in ("20bn-jester-v1", "videos") if (root / x).is_dir()), root)
        samples = []
        for number, line in read_lines(path, _FORM):
            name, _, label = line.partition(";")
            if not label:
                raise DataError(f"{path}:{number}: {line!r} has no class, as the official test list; use split=val")
            if label not in classes:
                raise DataError(f"{path}:{number}: {label!r} is not a class of labels.csv; take {_FORM}")
            samples.append((folder / name, classes.index(label)))
        super().__init__(samples, reading, classes=classes, root=root)
