"""UCF101-DVS and HMDB51-DVS (Bi et al. 2020): the videos of UCF101 and HMDB51 before a DAVIS240C."""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.event_lists import ByName
from spikereel.data.events.mat import SUFFIX as MAT
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.data.sets.hmdb51 import find_lists, read_marks
from spikereel.data.sets.ucf101 import find_folders, read_classes, read_samples, require_split
from spikereel.errors import DataError

SENSOR = (240, 180)

AXES = ("braincog", "address")

_EMPTY = 1024
"""Bytes below which a file holds no events."""


class _Recorded(EventFiles):
    """The recordings of the videos that an official list names; see `EventFiles`."""

    def __init__(
        self,
        root: Path,
        reading: EventReading,
        names: list[tuple[str, int]],
        *,
        classes: list[str],
        split_rule: str,
        axes: str | None,
        sensor: Sensor | None,
        on_error: OnError,
    ):
        self.axes = chosen("axes", axes, AXES, "UCF101-DVS, as HMDB51-DVS,")
        samples, missing, empty = _found(root, names)
        if missing and (on_error == "raise" or not samples):
            raise DataError(f"{root}: has no recording of {missing[0]}, which the official list names; copy it")
        if empty and not samples:
            raise DataError(
                f"{root}: all {len(empty)} recordings of the list are below {_EMPTY:,} bytes, which those without "
                f"events are; first: {empty[0][0]}; copy them again"
            )
        super().__init__(
            samples, reading, classes=classes, root=root, sensor=sensor or SENSOR, on_error=on_error, missing=missing
        )
        self.skipped = [*self.skipped, *empty]
        self.choices = {"split_rule": split_rule, "axes": self.axes}

    def read(self, path: Path) -> Events:
        """All events of a file, x and y as `axes` says. Raises DataError as `read_events`."""
        return turn(super().read(path), self.axes)


class UCF101DVS(_Recorded):
    """The recordings `<Class>/v_<Class>_gXX_cYY.mat` of the videos that an official list of UCF101 names.

    The lists stand in `ucfTrainTestlist/`, in root or beside it, as for `UCF101`; the ends of the names differ, and
    class folders are found in any case of letters. Files below 1,024 bytes hold no events: they are left out and stand
    in `skipped`. With `on_error="skip"` recordings that are not there stand in `missing`.
    `axes`: "braincog", y = 179 - y; "address", as in the file.
    Raises DataError as `UCF101`, and for a recording that is not there; ConfigError for a choice that does not exist.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        fold: Literal[1, 2, 3] = 1,
        axes: str | None = None,
        sensor: Sensor | None = None,
        on_error: OnError = "raise",
    ):
        require_split(split, fold)
        folder, lists = find_folders(Path(root), videos=("UCF101-DVS", "UCF101_DVS"), lists="ucfTrainTestlist")
        classes = read_classes(lists / "classInd.txt")
        listed = read_samples(lists / f"{split}list0{fold}.txt", Path(), classes)
        names = [(path.stem, label) for path, label in listed]
        rule = f"UCF101's split {fold}"
        super().__init__(
            folder, reading, names, classes=classes, split_rule=rule, axes=axes, sensor=sensor, on_error=on_error
        )


class HMDB51DVS(_Recorded):
    """The recordings `<class>/<name of the video>.mat` of the videos that the official lists of HMDB51 mark.

    No split of HMDB51-DVS is published; HMDB51's own lists are a sound one, which no public loader takes. They stand in
    `testTrainMulti_7030_splits/`, in root or beside it, as for `HMDB51`. All else is as in `UCF101DVS`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        fold: Literal[1, 2, 3] = 1,
        axes: str | None = None,
        sensor: Sensor | None = None,
        on_error: OnError = "raise",
    ):
        require_split(split, fold)
        folder, place = find_folders(
            Path(root), videos=("HMDB51-DVS", "HMDB51_DVS", "HMDB-DVS"), lists="testTrainMulti_7030_splits"
        )
        lists = find_lists(place, fold)
        classes = sorted(lists)
        names = [
            (Path(file).stem, label)
            for label, name in enumerate(classes)
            for file, mark in read_marks(lists[name])
            if mark == split
        ]
        rule = f"HMDB51's split {fold} (ours)"
        super().__init__(
            folder, reading, names, classes=classes, split_rule=rule, axes=axes, sensor=sensor, on_error=on_error
        )


def turn(events: Events, axes: str | None) -> Events:
    """x and y of a MATLAB file as `axes` says; files of other formats keep theirs."""
    if chosen("axes", axes, AXES, "UCF101-DVS") == "address" or events.format != "MATLAB":
        return events
    return replace(events, y=events.height - 1 - events.y)


def _found(
    root: Path, names: list[tuple[str, int]]
) -> tuple[list[tuple[Path, int]], list[str], list[tuple[Path, str]]]:
    """(path, label) of the recordings of some names, the names without one, and (path, reason) of the empty ones."""
    suffixes = sorted({MAT, *SUFFIXES}, key=lambda suffix: suffix != MAT)
    files = ByName(root, suffixes)
    samples, missing, empty = [], [], []
    for name, label in names:
        found = next((paths for suffix in suffixes if (paths := files(name + suffix))), [])
        if len(found) > 1:
            raise DataError(f"{found[1]}: {found[0]} is of that name too; keep one of them")
        if not found:
            missing.append(name)
        elif (size := found[0].stat().st_size) < _EMPTY:
            empty.append((found[0], f"{found[0]}: has {size} bytes, and no events, as published; it is left out"))
        else:
            samples.append((found[0], label))
    return samples, missing, empty
