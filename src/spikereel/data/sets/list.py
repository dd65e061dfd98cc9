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


class VideoList(VideoFiles):
    """A text file of lines `path label`, as the papers' data lists; see `VideoFiles`.

    The label is what follows the last space, so paths may contain spaces; they are relative to the list's folder.
    Labels are all integers or all class names. Without `classes`, those are the labels that occur, sorted: 5 and 900
    are two classes. With `classes`, a label is the class of that name; integers count them from 0 where no class is
    called by an integer. Labels from 1 on and gaps stand in `notes`. Raises DataError, with the line's number, for a
    line without a label, a label that is no class, and integers mixed with names.
    """

    def __init__(self, path: str | PathLike, reading: Reading, *, classes: Sequence[str] | None = None):
        path = Path(path)
        lines = _read_list(path)
        integers = _integer_labels(path, lines)
        labels = [label for _, _, label in lines] if integers is None else [str(label) for label in integers]
        if integers is not None and classes is None and min(integers) < 0:
            number, _, label = lines[integers.index(min(integers))]
            raise DataError(f"{path}:{number}: label {label} is below 0; leave out clips without a class")
        if classes is None:
            classes = sorted(set(labels), key=None if integers is None else int)
        number_of: dict[str, int] = {name: i for i, name in enumerate(classes)}
        counted = integers is not None and not any(_INTEGER.fullmatch(name) for name in classes)
        if counted:
            number_of |= {str(i): i for i in range(len(classes))}
        samples = []
        for (number, name, written), label in zip(lines, labels, strict=True):
            found = number_of.get(written, number_of.get(label))
            if found is None:
                said = written if integers is not None else repr(written)
                raise DataError(f"{path}:{number}: label {said} is none of the {len(classes)} classes; correct it")
            samples.append((path.parent / name, found))
        if integers:
            self.notes = _numbering(path, sorted(set(integers)), classes if counted else None)
        super().__init__(samples, reading, classes=classes, root=path.parent)


def _numbering(path: Path, labels: Sequence[int], classes: Sequence[str] | None) -> tuple[str, ...]:
    """A line where integer labels do not count from 0 on without a gap."""
    if list(labels) == list(range(len(labels))):
        return ()
    if classes is not None:
        off = f"; if it counts from 1, every class is one off (1 is {classes[1]} here)" if labels[0] == 1 else ""
        return (f"{path.name}: no line has the label {_gap(labels)}, which is {classes[_gap(labels)]}{off}",) * (
            _gap(labels) < len(classes)
        )
    if list(labels) == list(range(1, len(labels) + 1)):
        return (f"{path.name}: labels count from 1; classes are called 1 to {labels[-1]}, as they are there",)
    first = ", ".join(map(str, labels[:5]))
    more = ", ..." if len(labels) > 5 else ""
    return (f"{path.name}: labels have gaps; the {len(labels)} that occur are classes of their own: {first}{more}",)


def _gap(labels: Sequence[int]) -> int:
    """The first number from 0 on that is no label."""
    return next(i for i in range(len(labels) + 1) if i not in set(labels))


def _integer_labels(path: Path, lines: list[tuple[int, str, str]]) -> list[int] | None:
    """The labels as integers; None if they are names."""
    integers = [_INTEGER.fullmatch(label) is not None for _, _, label in lines]
    if integers.count(integers[0]) < len(lines):
        number, _, label = lines[integers.index(not integers[0])]
        raise DataError(
            f"{path}:{number}: label {label!r} among labels of the other kind; use all integers or all names"
        )
    return [int(label) for _, _, label in lines] if integers[0] else None


def _read_list(path: Path) -> list[tuple[int, str, str]]:
    """(line number, file name, label) of every line that is not blank."""
    lines = []
    for number, line in read_lines(path, "a text file of lines 'path label'"):
        fields = line.rsplit(maxsplit=1)
        if len(fields) == 1:
            raise DataError(f"{path}:{number}: no label after {fields[0]!r}; write 'path label'")
        lines.append((number, fields[0], fields[1]))
    return lines
