"""UCF101 (Soomro, Zamir and Shah 2012): 101 actions, three official splits."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.text import read_lines, require_choice
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

_FORM = "the official lists of UCF101"


class UCF101(VideoFiles):
    """The videos that an official list names; see `VideoFiles`.

    root holds the class folders, or a folder UCF-101/ or videos/ that does. The lists stand in `ucfTrainTestlist/`, in
    root or beside it: classInd.txt names the classes in order, trainlist0<fold>.txt and testlist0<fold>.txt the videos.
    With `on_error="skip"` videos that are listed and missing stand in `skipped` too. Raises DataError for missing
    folders or lists, and, with the line's number, for a line of another form, an unknown class, or a label that is not
    that of the class; ConfigError for other splits and folds.
    """

    def __init__(
        self, root: str | PathLike, reading: Reading, *, split: Literal["train", "test"], fold: Literal[1, 2, 3] = 1
    ):
        require_split(split, fold)
        videos, lists = find_folders(Path(root), videos=("UCF-101", "videos"), lists="ucfTrainTestlist")
        classes = read_classes(lists / "classInd.txt")
        samples = read_samples(lists / f"{split}list0{fold}.txt", videos, classes)
        super().__init__(samples, reading, classes=classes, root=videos)


def require_split(split: str, fold: int) -> None:
    """Raises ConfigError unless the split is "train" or "test" and the fold 1, 2 or 3."""
    require_choice("split", split, ("train", "test"))
    if fold not in (1, 2, 3):
        raise ConfigError(f"fold is {fold}: choose 1, 2 or 3")


def find_folders(root: Path, *, videos: tuple[str, ...], lists: str) -> tuple[Path, Path]:
    """The folder of the class folders - one of `videos` in root, or root - and that of the lists, in root or beside it.

    Raises DataError for a root or lists that do not exist.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one that was unpacked")
    for folder in (root / lists, root.absolute().parent / lists):
        if folder.is_dir():
            return next((root / name for name in videos if (root / name).is_dir()), root), folder
    raise DataError(f"{root}: no folder {lists} in it or beside it; unpack the official lists there")


def read_classes(path: Path) -> list[str]:
    """The names in the lines `<number from 1> <name>`."""
    names = []
    for number, line in read_lines(path, _FORM):
        fields = line.split()
        if len(fields) != 2 or fields[0] != str(len(names) + 1):
            raise DataError(f"{path}:{number}: {line!r} is not '{len(names) + 1} <class>'; take {_FORM}")
        names.append(fields[1])
    return names


def read_samples(path: Path, videos: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """(path, label) of the lines `<class>/<file>`, which end with the label from 1 in the lists for training."""
    label_of = {name: label for label, name in enumerate(classes)}
    samples = []
    for number, line in read_lines(path, _FORM):
        name, *labels = line.split()
        folder = name.partition("/")[0]
        if folder not in label_of:
            raise DataError(f"{path}:{number}: {folder!r} is not a class of classInd.txt; take {_FORM}")
        if labels not in ([], [str(label_of[folder] + 1)]):
            raise DataError(
                f"{path}:{number}: label {' '.join(labels)!r}, but {folder} is {label_of[folder] + 1}; take {_FORM}"
            )
        samples.append((videos / name, label_of[folder]))
    return samples
