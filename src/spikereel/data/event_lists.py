"""Lists of recordings and their labels, as event data sets publish them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from spikereel.data.text import read_lines
from spikereel.data.walk import walk
from spikereel.errors import DataError

COUNTING = {"from_zero": 0, "from_one": 1}
"""The number that a list gives to the first class, by `labels`."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the lines of a list are."""

    of: str
    """The lists, for errors, such as "the lists of HARDVS"."""
    classes: int
    mark: str = r"\s+"
    """Between a path and its label, as a regular expression."""
    frames: bool = False
    """Whether a number of frames may stand between the two."""


@dataclass(frozen=True)
class Listed:
    """What a list names."""

    samples: list[tuple[Path, int]]
    missing: tuple[str, ...]
    """Recordings that are not there, as the list writes them."""
    notes: tuple[str, ...]


def read_list(
    path: Path, form: Form, place: Callable[[str], Path | str], *, labels: str = "from_zero", on_error: str = "raise"
) -> Listed:
    """The recordings of the lines `path label`, with labels from 0.

    place: where the recording of a name is, or what is wrong with it. labels: a key of COUNTING. on_error="skip":
    recordings that are not there stand in `missing`. Blank lines, a mark at the start of the file and any ends of lines
    are passed over; a backslash in a path is a slash. Raises DataError, with the line's number, for a line of another
    form, a label out of range, and a recording that is not there; and where none is.
    """
    first, samples, missing, complaint = COUNTING[labels], [], [], ""
    frames = rf"(?:{form.mark}\d+)?" if form.frames else ""
    shape = re.compile(rf"(.+?){frames}\s*{form.mark}\s*(\d{{1,9}})")
    for number, line in read_lines(path, f"{form.of}, lines 'path label'"):
        found = shape.fullmatch(line)
        label = int(found[2]) - first if found else -1
        if found is None or not 0 <= label < form.classes:
            known = f"{first} to {form.classes - 1 + first}"
            more = "; of a list that counts from 1 say so: data.labels=from_one" if label == form.classes else ""
            raise DataError(f"{path}:{number}: {line!r} is not 'path label' with a label of {known}; correct it{more}")
        name = found[1].strip().replace("\\", "/")
        where = place(name)
        if isinstance(where, Path):
            samples.append((where, label))
            continue
        missing.append(name)
        complaint = complaint or f"{path}:{number}: {where}; copy it from the dataset"
        if on_error == "raise":
            raise DataError(complaint)
    if not samples:
        raise DataError(complaint)
    return Listed(samples, tuple(missing), _notes(path, samples, labels))


def _notes(path: Path, samples: list[tuple[Path, int]], labels: str) -> tuple[str, ...]:
    numbers = {label for _, label in samples}
    if labels != "from_zero" or 0 in numbers or len(numbers) < 2:
        return ()
    return (f"{path.name}: no line has the label 0; if the list counts from 1, give data.labels=from_one",)


class ByName:
    """Every recording below a folder, by the name of its file; looked up once, when first asked for."""

    def __init__(self, root: Path, suffixes: Iterable[str]):
        self.root, self.suffixes = root, frozenset(suffixes)
        self._found: dict[str, list[Path]] | None = None

    def __call__(self, name: str) -> list[Path]:
        """All files of a name, in any case of letters."""
        if self._found is None:
            self._found = {}
            for path in walk(self.root):
                if path.suffix.lower() in self.suffixes and path.is_file():
                    self._found.setdefault(path.name.casefold(), []).append(path)
        return self._found.get(name.casefold(), [])

    def only(self, name: str) -> Path | str:
        """The file at a path below the folder, else the only one of that name; or what is wrong."""
        path = self.root / name
        if path.is_file():
            return path
        found = self(path.name)
        if len(found) == 1:
            return found[0]
        return f"{name} is not there" if not found else f"{name} is there {len(found)} times, but not at that path"
