"""HARDVS (Wang et al. 2024): some 107,000 recordings of 300 activities before a DAVIS346."""

import re
from collections import Counter
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.event_lists import COUNTING, Form, read_list
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.data.text import read_lines
from spikereel.errors import ConfigError, DataError

SENSOR = (346, 260)

VAL_LIST = "val_label.txt"

_CLASSES = 300
_FORM = Form(of="the lists of HARDVS", classes=_CLASSES, frames=True)
_NAMES = "HARDVS_300_class.txt"
_NAME = re.compile(r"Action\s*(\d+)[\s_.-]*(\S.*)", re.IGNORECASE)


class HARDVS(EventFiles):
    """The recordings of one of the lists train_label.txt, val_label.txt and test_label.txt; see `EventFiles`.

    A line is `path label` or `path frames label`, with labels 0 to 299, or 1 to 300 with `labels="from_one"`; the path,
    relative to the list's folder, is that of an event file, with or without its suffix, or of a folder in which the
    file has the folder's name.
    The classes have the names of HARDVS_300_class.txt where it lies beside the lists, and Action001 is the first; else
    they are "0" to "299". Raises DataError for a list or a recording that is missing, and a line that makes no sense,
    with its number. With `on_error="skip"` missing recordings stand in `missing`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "val", "test"] = "train",
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        if split not in ("train", "val", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train', 'val' or 'test'")
        counting, root = chosen("labels", labels, COUNTING, "HARDVS"), Path(root)
        path = root / f"{split}_label.txt"
        listed = read_list(path, _FORM, lambda name: _recording(root / name), labels=counting, on_error=on_error)
        classes = _names(root / _NAMES)
        super().__init__(
            listed.samples,
            reading,
            classes=classes,
            root=root,
            sensor=SENSOR,
            on_error=on_error,
            missing=listed.missing,
        )
        self.notes, self.choices = listed.notes, {"labels": counting}


def _recording(named: Path) -> Path | str:
    """The file of a line: as named, with a suffix, or so in a folder of its name; or what is wrong."""
    suffixes = ("", *sorted(SUFFIXES))
    places = (named, named / named.name, named.with_suffix("") / named.name) if named.name else ()
    for place in places:
        for suffix in suffixes:
            candidate = place.with_name(place.name + suffix)
            if candidate.is_file():
                return candidate
    return f"{named} is no event file, with or without a suffix, nor a folder with one of its name"


def _names(path: Path) -> tuple[str, ...]:
    """The names of the classes, by label; their numbers where there is no such file."""
    if not path.exists():
        return tuple(map(str, range(_CLASSES)))
    names: dict[int, str] = {}
    for number, line in read_lines(path, "the names of HARDVS, lines 'Action001 name'"):
        found = _NAME.fullmatch(line.strip())
        label = int(found[1]) - 1 if found else -1
        if found is None or not 0 <= label < _CLASSES or label in names:
            raise DataError(
                f"{path}:{number}: {line!r} is not 'Action001 name' with a number of 1 to 300, each once; correct it"
            )
        names[label] = found[2].strip()
    if lacking := [label + 1 for label in range(_CLASSES) if label not in names]:
        raise DataError(f"{path}: has no name for Action{lacking[0]:03}; copy it from the dataset, or remove it")
    often = Counter(names.values())
    # Two classes of one name are told apart by the number.
    return tuple(n if often[n := names[k]] == 1 else f"{n} (Action{k + 1:03})" for k in range(_CLASSES))
