"""DVS128-Gesture (Amir et al. 2017): 11 gestures of 29 people before a DVS128, under up to 5 lightings."""

import csv
import io
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.events.readers import read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Told
from spikereel.data.sets.events import EventRows, OnError, Row, good_files
from spikereel.data.text import read_text
from spikereel.data.walk import find
from spikereel.errors import ConfigError, DataError

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

SENSOR = (128, 128)

_AGAIN = "copy it from the dataset"
_CUT_TOLD = Told(columns="x,y,p,t", time_unit="ms")
_CUT = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
_COLUMNS = ("class", "startTime_usec", "endTime_usec")


@dataclass(frozen=True)
class Trial(Row):
    """One gesture: a row of a label file, from `start` to `stop` in microseconds."""

    @property
    def start_us(self) -> int:
        """Its first instant."""
        return self.start

    @property
    def stop_us(self) -> int:
        """Of the first event that is not included."""
        return self.stop


class DVS128Gesture(EventRows):
    """The gestures of one split, in the layout as published; see `EventRows`. Frames are [T, 2, 128, 128] or resized.

    `root` holds trials_to_train.txt and trials_to_test.txt, which list recordings `userXX_lighting.aedat`, and beside
    each recording `userXX_lighting_labels.csv` with the columns class (1 to 11), startTime_usec and endTime_usec. An
    item is one row.
    Or it holds the cut that tonic has, ibmGestureTrain and ibmGestureTest: `userXX_lighting/<label>.npy`, labels 0 to
    10, [N, 4] of x, y, p and milliseconds. Its test is another: `choices` says which it is, and one root is not both.
    `on_error="skip"`: all recordings are read once at construction; the rows of bad ones leave the dataset, which has
    them in `skipped` as (path, reason); recordings that are not there stand in `missing`.
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
        on_error: OnError = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        root, self.split = Path(root), split
        self.tonic = cuts_of(root, split)
        if self.tonic is None:
            recordings, self.missing = _recordings(root / f"trials_to_{split}.txt", on_error)
            recordings, self.skipped = good_files(recordings, on_error)
            trials: list[Row] = [trial for path in recordings for trial in _trials(path)]
        else:
            paths, self.skipped = good_files([row.path for row in self.tonic], on_error, read=_read_cut)
            trials = [row for row in self.tonic if row.path in set(paths)]
        super().__init__(reading, trials, root=root, cache=None if self.tonic else cache)
        self.choices = {"rows": "tonic's cut" if self.tonic else "published"}

    def load(self, path: Path) -> Events:
        """A recording, or a gesture that was cut out before."""
        return _read_cut(path) if self.tonic else read_events(path)

    def cut(self, recording: Events, trial: Row) -> Events:
        """The events of one row."""
        if self.tonic:
            return recording
        events = recording.between(trial.start, trial.stop)
        if not len(events):
            raise DataError(
                f"{trial.path}: has no events from {trial.start} to {trial.stop} us; check its labels, or copy it again"
            )
        return events


def cuts_of(root: Path, split: str) -> list[Row] | None:
    """Gestures that were cut out before, as tonic has them; None where there is no folder of them.

    Raises DataError for an empty one, a file of another name, and where the lists as published lie there too.
    """
    folder = root / _CUT[split]
    if not folder.is_dir():
        return None
    if (root / f"trials_to_{split}.txt").is_file():
        raise DataError(
            f"{root}: has both {folder.name} and trials_to_{split}.txt, whose tests differ; keep one of them"
        )
    rows = []
    for path in find(folder, {".npy"}).files:
        if not path.stem.isdecimal() or len(path.stem) > 2 or int(path.stem) >= len(CLASSES):
            raise DataError(f"{path}: is not named for a label of 0 to {len(CLASSES) - 1}; rename or remove it")
        rows.append(Row(path, 0, 0, int(path.stem)))
    if not rows:
        raise DataError(f"{folder}: has no gestures userXX_lighting/<label>.npy; {_AGAIN}")
    return rows


def _read_cut(path: Path) -> Events:
    return read_events(path, sensor=SENSOR, told=_CUT_TOLD)


def _recordings(path: Path, on_error: OnError) -> tuple[list[Path], tuple[str, ...]]:
    """The recordings that a list names, in its order, and those that are not there, which may be passed over."""
    if not path.is_file():
        raise DataError(f"{path}: no such list; give the folder of DVS128-Gesture as published")
    names = read_text(path, _AGAIN).split()
    if not names:
        raise DataError(f"{path}: lists no recordings; copy it again")
    missing = tuple(name for name in names if not (path.parent / name).is_file())
    if missing and (on_error == "raise" or len(missing) == len(names)):
        raise DataError(f"{path.parent / missing[0]}: no such recording, though {path.name} lists it; copy it again")
    return [path.parent / name for name in names if name not in missing], missing


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
