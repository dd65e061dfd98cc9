"""DVS128-Gesture (Amir et al. 2017): 11 gestures of 29 people before a DVS128, under up to 5 lightings."""

import csv
import io
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np

from spikereel.data.clips import fingerprint
from spikereel.data.events.arrays import read_npz
from spikereel.data.events.readers import read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventItems, good_files
from spikereel.data.text import read_text
from spikereel.errors import ConfigError, DataError
from spikereel.files import whole

CLASSES = (
    "hand_clapping",
    "right_hand_wave",
    "left_hand_wave",
    "right_arm_clockwise",
    "right_arm_counter_clockwise",
    "left_arm_clockwise",
    "left_arm_counter_clockwise",
    "arm_roll",
    "air_drums",
    "air_guitar",
    "other_gestures",
)

_AGAIN = "copy it from the dataset"
_COLUMNS = ("class", "startTime_usec", "endTime_usec")


@dataclass(frozen=True)
class Trial:
    """One gesture: a row of a label file."""

    path: Path
    """The recording."""
    start_us: int
    stop_us: int
    """Of the first event that is not included."""
    label: int
    """0 to 10, one less than in the file."""


class DVS128Gesture(EventItems):
    """The gestures of one split, in the layout as published; see `EventItems`. Frames are [T, 2, 128, 128] or resized.

    `root` holds trials_to_train.txt and trials_to_test.txt, which list recordings `userXX_lighting.aedat`, and beside
    each recording `userXX_lighting_labels.csv` with the columns class (1 to 11), startTime_usec and endTime_usec. An
    item is one row.
    A recording is read once for many rows: the last one stays in memory, and with `cache`, a folder, every row of it is
    written there as an NPZ file the first time (some 13 bytes an event) and read from there ever after. Give one
    wherever items are shuffled, or every item reads a whole recording.
    `on_error="skip"`: all recordings are read once at construction; the rows of bad ones leave the dataset, which has
    them in `skipped` as (path, reason).
    Raises DataError for a missing file, a row that makes no sense, with its line, and a row without events.
    """

    classes = CLASSES

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        cache: str | PathLike | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ):
        super().__init__(reading)
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        self.root, self.split = Path(root), split
        self.cache = None if cache is None else Path(cache)
        recordings = _recordings(self.root / f"trials_to_{split}.txt")
        recordings, self.skipped = good_files(recordings, on_error)
        self.trials = [trial for path in recordings for trial in _trials(path)]
        self.labels = [trial.label for trial in self.trials]
        self._last: Events | None = None

    def events(self, index: int) -> Events:
        """The events of one row, with times as in the recording. Raises DataError as `read_events`, or for none."""
        trial = self.trials[index]
        if self.cache is None:
            return self._cut(trial)
        path = self._cached(trial)
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            for other in self.trials:
                if other.path == trial.path:
                    _save(self._cached(other), self._cut(other))
            self._last = None
        return read_npz(path)

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (recording, bytes, start, stop, label) of all rows: the data hash of a run."""
        return fingerprint(self.root, [(t.path, t.start_us, t.stop_us, t.label) for t in self.trials])

    def _cut(self, trial: Trial) -> Events:
        if self._last is None or self._last.source != str(trial.path):
            self._last = read_events(trial.path)
        events = self._last.between(trial.start_us, trial.stop_us)
        if not len(events):
            raise DataError(
                f"{trial.path}: has no events from {trial.start_us} to {trial.stop_us} us; "
                f"check its labels, or copy it again"
            )
        return events

    def _cached(self, trial: Trial) -> Path:
        """Named for all that its content depends on."""
        assert self.cache is not None
        file = trial.path.stat()
        version = f"{file.st_size}_{file.st_mtime_ns}"
        return self.cache / f"{trial.path.stem}_{version}_{trial.start_us}_{trial.stop_us}.npz"


def _recordings(path: Path) -> list[Path]:
    """The recordings that a list names, in its order."""
    if not path.is_file():
        raise DataError(f"{path}: no such list; give the folder of DVS128-Gesture as published")
    names = read_text(path, _AGAIN).split()
    if not names:
        raise DataError(f"{path}: lists no recordings; copy it again")
    for name in names:
        if not (path.parent / name).is_file():
            raise DataError(f"{path.parent / name}: no such recording, though {path.name} lists it; copy it again")
    return [path.parent / name for name in names]


def _trials(recording: Path) -> list[Trial]:
    """The rows of the label file of a recording."""
    path = recording.with_name(f"{recording.stem}_labels.csv")
    if not path.is_file():
        raise DataError(f"{path}: no such label file; copy it from the dataset")
    rows = csv.DictReader(io.StringIO(read_text(path, _AGAIN), newline=""), skipinitialspace=True)
    if not set(_COLUMNS) <= set(rows.fieldnames or ()):
        raise DataError(f"{path}:1: lacks one of the columns {', '.join(_COLUMNS)}; copy it again")
    trials = [_trial(path, rows.line_num, row, recording) for row in rows]
    if not trials:
        raise DataError(f"{path}: has no rows; copy it again")
    return trials


def _trial(path: Path, line: int, row: dict[str, str], recording: Path) -> Trial:
    try:
        number, start, stop = (int(row[name]) for name in _COLUMNS)
    except (TypeError, ValueError):
        raise DataError(
            f"{path}:{line}: {[row[name] for name in _COLUMNS]} are not three integers; correct it"
        ) from None
    if not 1 <= number <= len(CLASSES) or start >= stop:
        raise DataError(
            f"{path}:{line}: class {number} from {start} to {stop} us; "
            f"classes are 1 to {len(CLASSES)} and the start comes first"
        )
    return Trial(recording, start, stop, number - 1)


def _save(path: Path, events: Events) -> None:
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, t=events.t, x=events.x, y=events.y, p=events.p, width=events.width, height=events.height)
