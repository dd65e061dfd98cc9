"""SL-Animals-DVS (Vasudevan et al. 2022): 19 signs of 59 people before a DVS128."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np

from spikereel.data.events.readers import read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.events.source import content, header, records
from spikereel.data.sets.events import EventRows, OnError, Row, chosen, good_files
from spikereel.data.text import read_rows
from spikereel.data.walk import find
from spikereel.errors import ConfigError, DataError

CLASSES = (
    *("cat", "dog", "camel", "cow", "sheep", "goat", "wolf", "squirrel", "mouse", "dolphin", "shark", "lion"),
    *("monkey", "snake", "spider", "butterfly", "bird", "duck", "zebra"),
)

SENSOR = (128, 128)

TURNS: dict[str, Callable[[Events], Events]] = {
    "address": lambda e: e,
    "upright": lambda e: replace(e, y=SENSOR[1] - 1 - e.y),
    "jaer": lambda e: replace(e, x=SENSOR[0] - 1 - e.x, y=SENSOR[1] - 1 - e.y),
    "tonic": lambda e: replace(e, x=e.y, y=e.x),
}
"""From x in bits 1 to 7 of an address and y in bits 8 to 14 to those of a loader."""

RULES = {"four_sets": (), "without_s3": ("indoor",)}
"""Ends of the names of the recordings that are left out, by `split_rule`."""

FOLDS = 4

_AGAIN = "copy it from the dataset"
_NAME = re.compile(r"user(\d+)_(\w+)", re.IGNORECASE)
_COLUMNS = ("class", "startTime_ev", "endTime_ev")
_EXTERNAL = 0x8000


@dataclass(frozen=True)
class _Numbered:
    """A recording, and how many of its events stand before each place in the file."""

    events: Events
    before: np.ndarray


class SLAnimals(EventRows):
    """The signs `recordings/userNN_<set>.aedat` of one split; see `EventRows`. An item is one row of a tag file.

    `tags/userNN_<set>.csv` has the columns class (1 to 19), startTime_ev and endTime_ev: numbers of events, counted
    over all events of the file, external ones too, which are dropped after the cut.
    There is no official split. Persons, in the order of their numbers, go to four folds in turn; `fold` 1 to 4 is for
    "test". That is ours. `split_rule`: "four_sets" takes all recordings, "without_s3" leaves out set S3 (`_indoor`), as
    the smaller of the two figures in use does.
    `axes`: "address", x in bits 1 to 7 of an address and y in bits 8 to 14; "upright", y = 127 - y; "jaer", x = 127 - x
    too; "tonic", x and y exchanged. `on_error="skip"` as in `DVS128Gesture`.
    Raises DataError for another layout, a recording without tags, a row that makes no sense, with its line, and a row
    without events; ConfigError for a choice that does not exist.
    """

    classes = CLASSES

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        fold: int = 1,
        split_rule: str | None = None,
        axes: str | None = None,
        cache: str | PathLike | None = None,
        on_error: OnError = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        if not 1 <= fold <= FOLDS:
            raise ConfigError(f"fold is {fold}: choose 1 to {FOLDS}")
        rule = chosen("split_rule", split_rule, RULES, "SL-Animals-DVS")
        self.axes, root = chosen("axes", axes, TURNS, "SL-Animals-DVS"), Path(root)
        people = _people(root, RULES[rule])
        test = set(sorted(people)[fold - 1 :: FOLDS])
        paths = [path for person in sorted(people) if (person in test) == (split == "test") for path in people[person]]
        paths, self.skipped = good_files(paths, on_error)
        if not paths:
            raise DataError(
                f"{root}: has recordings of {len(people)} people, of which fold {fold} has none for {split}"
            )
        super().__init__(reading, [row for path in paths for row in _rows(path)], root=root, cache=cache)
        self.choices = {"split_rule": f"{rule}, fold {fold} by person (ours)", "axes": self.axes}

    def load(self, path: Path) -> _Numbered:
        """A recording and its numbering."""
        data = content(path)
        _, start = header(data, b"#", last=b"#end of ascii header")
        address = records(path, data, start, ">u4", columns=2)[:, 0]
        before = np.concatenate([[0], np.cumsum((address & _EXTERNAL) == 0)])
        return _Numbered(read_events(path, sensor=SENSOR), before)

    def cut(self, recording: _Numbered, trial: Row) -> Events:
        """The events of one row."""
        last = len(recording.before) - 1
        if trial.stop > last:
            raise DataError(
                f"{trial.path}: has {last} events, its tags go to {trial.stop}; {_AGAIN}, or check that they are of it"
            )
        first, stop = (int(recording.before[number]) for number in (trial.start, trial.stop))
        if first == stop:
            raise DataError(f"{trial.path}: has no events from number {trial.start} to {trial.stop}; check its tags")
        return turn(recording.events.take(slice(first, stop)), self.axes)

    @property
    def cached_as(self) -> str:
        """Rows are cached as they are turned."""
        return f"_{self.axes}"


def turn(events: Events, axes: str | None) -> Events:
    """x and y as `axes` says."""
    return TURNS[chosen("axes", axes, TURNS, "SL-Animals-DVS")](events)


def _people(root: Path, left_out: tuple[str, ...]) -> dict[int, list[Path]]:
    """The recordings of each person. Raises DataError for another layout."""
    folder = root / "recordings"
    if not folder.is_dir() or not (root / "tags").is_dir():
        raise DataError(f"{root}: has no folders recordings and tags; give the folder of SL-Animals-DVS")
    people: dict[int, list[Path]] = {}
    for path in find(folder, {".aedat"}).files:
        name = _NAME.fullmatch(path.stem)
        if name is None or len(name[1]) > 6:
            raise DataError(f"{path}: is not named userNN_<set>; rename or remove it")
        if name[2].lower() not in left_out:
            people.setdefault(int(name[1]), []).append(path)
    if not people:
        raise DataError(f"{folder}: has no recordings userNN_<set>.aedat; {_AGAIN}")
    return people


def _rows(recording: Path) -> list[Row]:
    """The rows of the tag file of a recording."""
    path = recording.parent.parent / "tags" / f"{recording.stem}.csv"
    if not path.is_file():
        raise DataError(f"{path}: no such tag file; {_AGAIN}")
    (_, names), *lines = read_rows(path, _AGAIN) or [(1, [])]
    names = [name.strip() for name in names]
    if not set(_COLUMNS) <= set(names):
        raise DataError(f"{path}:1: lacks one of the columns {', '.join(_COLUMNS)}; {_AGAIN}")
    places, rows = [names.index(name) for name in _COLUMNS], []
    for number, fields in lines:
        try:
            label, start, stop = (int(fields[place]) for place in places)
        except (ValueError, IndexError):
            raise DataError(f"{path}:{number}: {','.join(fields)!r} is not three whole numbers; correct it") from None
        if not 1 <= label <= len(CLASSES) or not 0 <= start < stop:
            raise DataError(
                f"{path}:{number}: class {label} from event {start} to {stop}; classes are 1 to {len(CLASSES)} and the "
                "start comes first"
            )
        rows.append(Row(recording, start, stop, label - 1))
    if not rows:
        raise DataError(f"{path}: has no rows; {_AGAIN}")
    return rows
