"""The two data sets of 20BN: Something-Something v2 (Goyal et al. 2017) and Jester (Materzynska et al. 2019)."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles, videos_by_name
from spikereel.data.text import read_json, read_lines, read_rows, require_choice
from spikereel.data.video.clip import Reading
from spikereel.errors import DataError

SPLITS = ("train", "val", "test")
_SOMETHING = "the official lists of Something-Something v2"
_JESTER = "the official lists of Jester"
_FILES = {"train": "train", "val": "validation", "test": "test"}


class SomethingV2(VideoFiles):
    """The videos `<id>.webm` that an official list names, anywhere under root; see `VideoFiles`.

    The lists stand in root or in its folder labels/, with or without "something-something-v2-" before their names:
    labels.json has the classes, train.json and validation.json the ids and templates. The official test.json has ids
    alone; its labels are test-answers.csv, where that is there. Errors: DataError for missing lists or videos, for
    JSON of another form, an unknown template, and a test list without answers.
    """

    def __init__(self, root: str | PathLike, reading: Reading, *, split: Literal["train", "val", "test"]):
        require_choice("split", split, SPLITS)
        root = Path(root)
        classes = _classes(root)
        answers = _answers(root) if split == "test" else {}
        path = _find(root, f"{_FILES[split]}.json", _SOMETHING)
        found, samples = videos_by_name(root), []
        for entry in read_json(path, list, f"take {_SOMETHING}"):
            try:
                name = str(entry["id"])
                label = answers[name] if split == "test" else entry["template"]
                number = classes[_plain(label)]
            except (KeyError, TypeError, AttributeError):
                raise DataError(f"{path}: {entry!r} has no known id and template; take {_SOMETHING}") from None
            samples.append((found.get(name, root / f"{name}.webm"), number))
        super().__init__(samples, reading, classes=tuple(classes), root=root)


class Jester(VideoFiles):
    """The folders `<id>/00001.jpg, ...` of frames that an official list names; see `VideoFiles`.

    The folders stand in root or in its folder 20bn-jester-v1/ or videos/; the lists in root or in labels/, with or
    without "jester-v1-" before their names: labels.csv has a class a line, train.csv and validation.csv the lines
    `id;class`. The official test.csv has ids alone and cannot be judged on. Errors: DataError for missing lists or
    folders, and with the line's number for a line of another form or an unknown class.
    """

    def __init__(self, root: str | PathLike, reading: Reading, *, split: Literal["train", "val", "test"]):
        require_choice("split", split, SPLITS)
        root = Path(root)
        classes = [line for _, line in read_lines(_find(root, "labels.csv", _JESTER), _JESTER)]
        path = _find(root, f"{_FILES[split]}.csv", _JESTER)
        folder = next((root / x for x in ("20bn-jester-v1", "videos") if (root / x).is_dir()), root)
        samples = []
        for number, line in read_lines(path, _JESTER):
            name, _, label = line.partition(";")
            if not label:
                raise DataError(f"{path}:{number}: {line!r} has no class, as the official test list; use split=val")
            if label not in classes:
                raise DataError(f"{path}:{number}: {label!r} is not a class of labels.csv; take {_JESTER}")
            samples.append((folder / name, classes.index(label)))
        super().__init__(samples, reading, classes=classes, root=root)


def _find(root: Path, name: str, form: str) -> Path:
    for folder in (root, root / "labels"):
        for prefix in ("", "something-something-v2-", "jester-v1-"):
            if (folder / (prefix + name)).is_file():
                return folder / (prefix + name)
    raise DataError(f"{root}: no {name} in it or in labels/; unpack {form} there")


def _classes(root: Path) -> dict[str, int]:
    """The number of each class, in the order of the numbers, which go from 0."""
    path = _find(root, "labels.json", _SOMETHING)
    labels = read_json(path, dict, f"take {_SOMETHING}")
    try:
        numbers = {_plain(name): int(str(number)) for name, number in labels.items()}
    except ValueError:
        numbers = {}
    if sorted(numbers.values()) != list(range(len(labels))) or not numbers:
        raise DataError(f"{path}: is no table from class to number, from 0; take {_SOMETHING}")
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _answers(root: Path) -> dict[str, str]:
    path = _find(root, "test-answers.csv", _SOMETHING)
    rows = read_rows(path, f"take {_SOMETHING}", delimiter=";")
    return {row[0]: row[1] for _, row in rows if len(row) == 2}


def _plain(template: str) -> str:
    """Templates mark what fills them, "Holding [something]"; classes do not."""
    return template.replace("[", "").replace("]", "")
