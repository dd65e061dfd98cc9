"""Data sets of event recordings: any list of labelled files, and folders with a subfolder per class."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from spikereel.data.clips import SeededClips, class_files, fingerprint
from spikereel.data.events.arrays import read_npz
from spikereel.data.events.mat import SUFFIX as MAT
from spikereel.data.events.readers import SUFFIXES, read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.events.source import UNTOLD, Sensor, Told
from spikereel.data.events.text import SUFFIXES as TEXTS
from spikereel.errors import ConfigError, DataError
from spikereel.files import whole

OnError = Literal["raise", "skip"]


def pad_clips(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of clips of various lengths, for `DataLoader(collate_fn=pad_clips)`.

    Items `(video [T, C, H, W], label)` -> (videos [B, T, C, H, W] for the longest T, zeros after the end of each;
    mask bool [B, T], True where a clip has frames; labels int64 [B]).
    """
    videos = [video for video, _ in items]
    lengths = torch.tensor([len(video) for video in videos])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return pad_sequence(videos, batch_first=True), mask, torch.tensor([label for _, label in items])


class EventItems(SeededClips[int]):
    """The base of data sets of events: items `(video, label)`, float32 [T, 2, H, W] as `reading` says, and an int.

    With `reading.train` an item is random, see `SeededClips`.
    """

    labels: list[int]
    """Of all items."""

    def __init__(self, reading: EventReading):
        super().__init__(reading.seed)
        self.reading = reading

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> tuple[Tensor, int]:
        """The events of an item, as an array."""
        generator = self.random(index) if self.reading.train else None
        return self.reading(self.events(index), generator), self.labels[index]

    def events(self, index: int) -> Events:
        """The events of an item, before anything random."""
        raise NotImplementedError


class EventFiles(EventItems):
    """Labelled event files, `samples` of (path, label); see `EventItems`.

    `sensor=(width, height)` and `told` are for files that do not state it. `on_error="raise"`: a bad file is an error
    when it is reached; "skip": all files are read once at construction, bad ones leave the dataset and stand in
    `skipped` as (path, reason). `missing` names files that a list has and this disk has not. Raises DataError for no
    good file.
    """

    def __init__(
        self,
        samples: Sequence[tuple[Path, int]],
        reading: EventReading,
        *,
        classes: Sequence[str],
        root: Path,
        sensor: Sensor | None = None,
        told: Told = UNTOLD,
        on_error: OnError = "raise",
        missing: Sequence[str] = (),
    ):
        super().__init__(reading)
        self.root, self.sensor, self.told, self.classes = root, sensor, told, tuple(classes)
        self.missing = tuple(missing)
        paths, self.skipped = good_files([path for path, _ in samples], on_error, read=self.read)
        good = set(paths)
        self.samples = [(path, label) for path, label in samples if path in good]
        self.labels = [label for _, label in self.samples]

    def read(self, path: Path) -> Events:
        """All events of a file, as this data set has them. Raises DataError as `read_events`."""
        return read_events(path, sensor=self.sensor, told=self.told)

    def events(self, index: int) -> Events:
        """All events of one item's file. Raises DataError as `read_events`."""
        return self.read(self.samples[index][0])

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all files and of the names of missing
        ones: the data hash of a run."""
        return fingerprint(self.root, self.samples, self.missing)


@dataclass(frozen=True)
class Row:
    """One item of a recording that holds several."""

    path: Path
    """The recording."""
    start: int
    stop: int
    """Of what is not included any more, in the unit of the data set."""
    label: int


class EventRows(EventItems):
    """Items cut out of recordings, `trials`; see `EventItems`. Subclasses say how one is cut.

    A recording is read once for many rows: the last one stays in memory, and with `cache`, a folder, every row of it is
    written there as an NPZ file the first time (some 13 bytes an event) and read from there ever after. Give one
    wherever items are shuffled, or every item reads a whole recording.
    """

    def __init__(
        self, reading: EventReading, trials: Sequence[Row], *, root: Path, cache: str | PathLike | None = None
    ):
        super().__init__(reading)
        self.root, self.cache = root, None if cache is None else Path(cache)
        self.trials = list(trials)
        self.labels = [trial.label for trial in self.trials]
        self._last: tuple[Path, Any] | None = None

    def load(self, path: Path) -> Any:
        """What `cut` takes of a recording; one is kept."""
        return read_events(path)

    def cut(self, recording: Any, trial: Row) -> Events:
        """The events of a row, of which there must be some."""
        raise NotImplementedError

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
        return fingerprint(self.root, [(t.path, t.start, t.stop, t.label) for t in self.trials], self.missing)

    def _cut(self, trial: Row) -> Events:
        if self._last is None or self._last[0] != trial.path:
            self._last = (trial.path, self.load(trial.path))
        return self.cut(self._last[1], trial)

    def _cached(self, trial: Row) -> Path:
        """Named for all that its content depends on."""
        assert self.cache is not None
        file = trial.path.stat()
        version = f"{file.st_size}_{file.st_mtime_ns}{self.cached_as}"
        return self.cache / f"{trial.path.stem}_{version}_{trial.start}_{trial.stop}.npz"

    @property
    def cached_as(self) -> str:
        """What tells cached rows of one recording apart, where there are several readings of it."""
        return ""


class EventFolder(EventFiles):
    """`root/<class>/<any name>.bin` (or another of SUFFIXES, such as .aedat, .raw, .npz, or .mat); see `EventFiles`.

    Where `told` names their columns, .csv and .txt files are recordings too. Labels are the positions of the
    subfolders' names in `classes`, which are all of them in alphabetical order unless given. Raises DataError for a
    missing or empty folder, a class without files, and a subfolder that is not among the given classes.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        classes: Sequence[str] | None = None,
        sensor: Sensor | None = None,
        told: Told = UNTOLD,
        on_error: OnError = "raise",
    ):
        names, samples, left_out = class_files(
            Path(root), classes, suffixes=SUFFIXES | {MAT} | (TEXTS if told.columns else set())
        )
        super().__init__(samples, reading, classes=names, root=Path(root), sensor=sensor, told=told, on_error=on_error)
        self.left_out = tuple(left_out)


class TenthFiles(EventFiles):
    """The recordings of one split of a data set without an official one, a folder for each class; see `EventFiles`.

    `split_rule`: "spikingjelly" alone, of each class the last tenth of the names is "test", see `last_tenths`. `axes`
    and `labels`: published readings, of which a subclass says what they are. Raises ConfigError for another choice;
    DataError for another layout, and no recordings for the split.
    """

    NAME: ClassVar[str]
    """Of the data set, in messages."""
    SIZE: ClassVar[Sensor]
    AXES: ClassVar[Collection[str]]
    """What `axes` may be, the one taken where none is asked for first."""
    LABELS: ClassVar[Collection[str]]
    """What `labels` may be, as AXES."""

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        split_rule: str | None = None,
        axes: str | None = None,
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        rule = chosen("split_rule", split_rule, ("spikingjelly",), self.NAME)
        self.axes = chosen("axes", axes, self.AXES, self.NAME)
        order = chosen("labels", labels, self.LABELS, self.NAME)
        folder, classes, found = self.find(Path(root), order)
        samples = last_tenths(found, split, root=folder)
        super().__init__(samples, reading, classes=classes, root=folder, sensor=self.SIZE, on_error=on_error)
        self.choices = {"split_rule": rule, "axes": self.axes, "labels": order}

    def find(self, root: Path, labels: str) -> tuple[Path, Sequence[str], Sequence[tuple[Path, int]]]:
        """The folder of the classes, what they are called, and all recordings with their labels."""
        raise NotImplementedError

    def turn(self, events: Events) -> Events:
        """x and y as `axes` says."""
        raise NotImplementedError

    def read(self, path: Path) -> Events:
        """All events of a file, x and y as `axes` says. Raises DataError as `read_events`."""
        return self.turn(super().read(path))


def last_tenths(samples: Sequence[tuple[Path, int]], split: str, *, root: Path) -> list[tuple[Path, int]]:
    """Of (path, label), those of a split where the last tenth of each label's names, as text, is for "test".

    Of n recordings the first ceil(0.9 n) are "train", as in SpikingJelly's `split_to_train_test_set(0.9, ...)`.
    Raises ConfigError for another split; DataError where it has none.
    """
    if split not in ("train", "test"):
        raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
    chosen = []
    for label in sorted({label for _, label in samples}):
        own = sorted((path for path, other in samples if other == label), key=lambda path: path.name)
        border = ceil(len(own) * 0.9)
        chosen += [(path, label) for path in (own[border:] if split == "test" else own[:border])]
    if not chosen:
        raise DataError(f"{root}: no class has 10 recordings, of which the last is for test; copy the rest")
    return chosen


def good_files(
    paths: Sequence[Path], on_error: OnError, *, read: Callable[[Path], object] = read_events
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """With "skip", the recordings that can be read, and (path, reason) of the others; else all of them, unread.

    Raises ConfigError for another `on_error`; DataError where none is good.
    """
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error is {on_error!r}: choose 'raise' or 'skip'")
    if on_error == "raise":
        return list(paths), []
    good, bad = [], []
    for path in paths:
        try:
            read(path)
            good.append(path)
        except DataError as error:
            bad.append((path, str(error)))
    if bad and not good:
        raise DataError(f"{bad[0][0].parent}: none of {len(bad)} files is good; first: {bad[0][1]}")
    return good, bad


def chosen(name: str, value: str | None, known: Iterable[str], of: str) -> str:
    """One of several published readings of a data set: the first where none is asked for. Raises ConfigError."""
    known = list(known)
    if value is None:
        return known[0]
    if value not in known:
        raise ConfigError(f"{name} is {value!r}, which {of} has not: choose {' or '.join(map(repr, known))}")
    return value


def _save(path: Path, events: Events) -> None:
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, t=events.t, x=events.x, y=events.y, p=events.p, width=events.width, height=events.height)
