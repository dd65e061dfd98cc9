"""Data sets of event recordings: any list of labelled files, and folders with a subfolder per class."""

from collections.abc import Sequence
from math import ceil
from os import PathLike
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from spikereel.data.clips import SeededClips, class_files, fingerprint
from spikereel.data.events.mat import SUFFIX as MAT
from spikereel.data.events.readers import SUFFIXES, read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.events.source import UNTOLD, Sensor, Told
from spikereel.data.events.text import SUFFIXES as TEXTS
from spikereel.errors import ConfigError, DataError


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

    `sensor=(width, height)` and `told` are for files that do not say it. `on_error="raise"`: a bad file is a DataError
    when it is reached; "skip": all files are read once at construction, bad ones leave the dataset and stand in
    `skipped` as (path, reason). Raises DataError for no good file.
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
        on_error: Literal["raise", "skip"] = "raise",
    ):
        super().__init__(reading)
        self.root, self.sensor, self.told, self.classes = root, sensor, told, tuple(classes)
        paths, self.skipped = good_files([path for path, _ in samples], on_error, sensor=sensor, told=told)
        good = set(paths)
        self.samples = [(path, label) for path, label in samples if path in good]
        self.labels = [label for _, label in self.samples]

    def events(self, index: int) -> Events:
        """All events of one file. Raises DataError as `read_events`."""
        return read_events(self.samples[index][0], sensor=self.sensor, told=self.told)

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all files: the data hash of a run."""
        return fingerprint(self.root, self.samples)


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
        on_error: Literal["raise", "skip"] = "raise",
    ):
        names, samples, left_out = class_files(
            Path(root), classes, suffixes=SUFFIXES | {MAT} | (TEXTS if told.columns else set())
        )
        super().__init__(samples, reading, classes=names, root=Path(root), sensor=sensor, told=told, on_error=on_error)
        self.left_out = tuple(left_out)


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
    paths: Sequence[Path], on_error: Literal["raise", "skip"], *, sensor: Sensor | None = None, told: Told = UNTOLD
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
            read_events(path, sensor=sensor, told=told)
            good.append(path)
        except DataError as error:
            bad.append((path, str(error)))
    if bad and not good:
        raise DataError(f"{bad[0][0].parent}: none of {len(bad)} files is good; first: {bad[0][1]}")
    return good, bad
