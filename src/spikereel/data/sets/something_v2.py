"""Something-Something v2 (Goyal et al. 2017): 174 actions with objects."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles, videos_by_name
from spikereel.data.text import find_list, read_json, read_rows, require_choice
from spikereel.data.video.clip import Reading
from spikereel.errors import DataError

_FORM = "the official lists of Something-Something v2"
_PREFIX = "something-something-v2-"
_FILES = {"train": "train", "val": "validation", "test": "test"}


class SomethingV2(VideoFiles):
    """The videos `<id>.webm` that an official list names, anywhere under root; see `VideoFiles`.

    The lists stand in root or in its folder labels/, with or without "something-something-v2-" before their names:
    labels.json has the classes, train.json and validation.json the ids and templates. The official test.json has ids
    alone; its labels are test-answers.csv, where that is there. Raises DataError for missing lists or videos, for
    JSON of another form, an unknown template, and a test list without answers.
    """

    def __init__(self, root: str | PathLike, reading: Reading, *, split: Literal["train", "val", "test"]):
        require_choice("split", split, _FILES)
        root = Path(root)
        classes = _classes(root)
        answers = _answers(root) if split == "test" else {}
        path = find_list(root, f"{_FILES[split]}.json", _PREFIX, _FORM)
        found, samples = videos_by_name(root), []
        for entry in read_json(path, list, f"take {_FORM}"):
            try:
                name = str(entry["id"])
                label = answers[name] if split == "test" else entry["template"]
                number = classes[_plain(label)]
            except (KeyError, TypeError, AttributeError):
                raise DataError(f"{path}: {entry!r} has no known id and template; take {_FORM}") from None
            samples.append((found.get(name, root / f"{name}.webm"), number))
        super().__init__(samples, reading, classes=tuple(classes), root=root)


def _classes(root: Path) -> dict[str, int]:
    """The number of each class, in the order of the numbers, which go from 0."""
    path = find_list(root, "labels.json", _PREFIX, _FORM)
    labels = read_json(path, dict, f"take {_FORM}")
    try:
        numbers = {_plain(name): int(str(number)) for name, number in labels.items()}
    except ValueError:
        numbers = {}
    if sorted(numbers.values()) != list(range(len(labels))) or not numbers:
        raise DataError(f"{path}: is no table from class to number, from 0; take {_FORM}")
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _answers(root: Path) -> dict[str, str]:
    path = find_list(root, "test-answers.csv", _PREFIX, _FORM)
    rows = read_rows(path, f"take {_FORM}", delimiter=";")
    return {row[0]: row[1] for _, row in rows if len(row) == 2}


def _plain(template: str) -> str:
    """Templates mark what fills them, "Holding [something]"; classes do not."""
    return template.replace("[", "").replace("]", "")
