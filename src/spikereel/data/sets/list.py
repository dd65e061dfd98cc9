"""A text list of video files with labels, as the papers' data lists."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.text import read_lines
from spikereel.data.video.clip import Reading
from spikereel.errors import DataError

_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST_CLASSES = 100_000


class VideoList(VideoFiles):
    """A text file of lines `path label`, as the papers' data lists; see `VideoFiles`.

    The label is what follows the last space, so paths may contain spaces; they are relative to the list's folder.
    Labels are all integers from 0 or all class names. Without `classes`, those are the sorted names, or "0" to the
    largest integer. Raises DataError, with the line's number, for a line without a label, a label out of range, and
    integers mixed with names.
    """

    def __init__(self, path: str | PathLike, reading: Reading, *, classes: Sequence[str] | None = None):
        path = Path(path)
        lines = _read_list(path)
        labels = _integer_labels(path, lines) or [label for _, _, label in lines]
        if classes is None:
            classes = _default_classes(labels)
        number_of = {name: i for i, name in enumerate(classes)} | {i: i for i in range(len(classes))}
        samples = []
        for (number, name, _), label in zip(lines, labels, strict=True):
            if label not in number_of:
                raise DataError(f"{path}:{number}: label {label!r} is none of the {len(classes)} classes; correct it")
            samples.append((path.parent / name, number_of[label]))
        super().__init__(samples, reading, classes=classes, root=path.parent)


def _integer_labels(path: Path, lines: list[tuple[int, str, str]]) -> list[int] | None:
    """The labels as integers; None if they are names."""
    integers = [_INTEGER.fullmatch(label) is not None for _, _, label in lines]
    if integers.count(integers[0]) < len(lines):
        number, _, label = lines[integers.index(not integers[0])]
        raise DataError(
            f"{path}:{number}: label {label!r} among labels of the other kind; use all integers or all names"
        )
    return [int(label) for _, _, label in lines] if integers[0] else None


def _default_classes(labels: Sequence[int] | Sequence[str]) -> list[str]:
    names = {label for label in labels if isinstance(label, str)}
    if names:
        return sorted(names)
    # A slip such as a number of bytes in the last column must not become a list of that many classes.
    return [str(i) for i in range(min(max(int(label) for label in labels) + 1, _MOST_CLASSES))]


def _read_list(path: Path) -> list[tuple[int, str, str]]:
    """(line number, file name, label) of every line that is not blank."""
    lines = []
    for number, line in read_lines(path, "a text file of lines 'path label'"):
        fields = line.rsplit(maxsplit=1)
        if len(fields) == 1:
            raise DataError(f"{path}:{number}: no label after {fields[0]!r}; write 'path label'")
        lines.append((number, fields[0], fields[1]))
    return lines
