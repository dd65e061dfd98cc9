"""DailyDVS-200 (Wang et al. 2024): 22,046 recordings of 200 daily actions of 47 people before a DVXplorer Lite."""

import re
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.event_lists import COUNTING, ByName, Form, Listed, read_list
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.errors import ConfigError, DataError

SENSOR = (320, 240)

RULES = ("lists", "persons_once")
VAL_LIST = "val.txt"

_CLASSES = 200
_FORM = Form(of="the lists of DailyDVS-200", classes=_CLASSES)
_PERSON = re.compile(r"C\d+P(\d+)M", re.IGNORECASE)
_ORDER = ("test", "val", "train")
"""A person of several lists is left to the first of them."""


class DailyDVS200(EventFiles):
    """The recordings of one of the lists train.txt, val.txt and test.txt; see `EventFiles`.

    A line is `path label`, with labels 0 to 199, or 1 to 200 with `labels="from_one"`. The path is relative to the
    list's folder. Where no file is there, the only recording of that name anywhere under the folder is taken, because
    the archives are unpacked into folders of actions, `action_001/C0P3M0S1_20231111_09_11_23.aedat4`, or of days. The
    classes are "0" to "199".
    `split_rule`: "lists" takes them as they are; "persons_once" leaves out of "train" whoever is in the lists of "val"
    or "test", and out of "val" whoever is in that of "test", by the P of the file names. Persons that two lists share
    stand in `notes`.
    Raises DataError for a list or a recording that is missing, a name that is there twice, and a line that makes no
    sense, with its number; ConfigError for a choice that does not exist. With `on_error="skip"` missing recordings
    stand in `missing`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "val", "test"] = "train",
        split_rule: str | None = None,
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        if split not in _ORDER:
            raise ConfigError(f"split is {split!r}: choose 'train', 'val' or 'test'")
        rule = chosen("split_rule", split_rule, RULES, "DailyDVS-200")
        counting = chosen("labels", labels, COUNTING, "DailyDVS-200")
        root = Path(root)
        place = ByName(root, SUFFIXES)
        listed = read_list(root / f"{split}.txt", _FORM, place.only, labels=counting, on_error=on_error)
        others = _persons_of(root, _ORDER[: _ORDER.index(split)], counting)
        shared = _persons(listed) & others
        samples = listed.samples
        if shared and rule == "persons_once":
            samples = [(path, label) for path, label in samples if _person(path) not in others]
        if not samples:
            raise DataError(f"{root}: {split}.txt has no person of its own; give data.split_rule=lists")
        super().__init__(
            samples,
            reading,
            classes=tuple(map(str, range(_CLASSES))),
            root=root,
            sensor=SENSOR,
            on_error=on_error,
            missing=listed.missing,
        )
        self.notes = listed.notes
        if shared and rule == "lists":
            names = ", ".join(sorted(shared, key=int))
            self.notes += (
                f"{split}.txt shares persons with other lists: {names}; data.split_rule=persons_once has none",
            )
        self.choices = {"split_rule": rule, "labels": counting}


def _persons_of(root: Path, splits: tuple[str, ...], labels: str) -> set[str]:
    """The persons in the lists that are there."""
    paths = [root / f"{split}.txt" for split in splits]
    return set().union(*(_persons(read_list(path, _FORM, Path, labels=labels)) for path in paths if path.is_file()))


def _persons(listed: Listed) -> set[str]:
    return {person for path, _ in listed.samples if (person := _person(path))}


def _person(path: Path) -> str | None:
    found = _PERSON.match(path.name)
    return found[1] if found else None
