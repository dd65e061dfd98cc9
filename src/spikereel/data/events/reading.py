"""Datasets of event recordings: how events become items, and folders with a subfolder per class."""

import hashlib
import os
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.frames import to_frames, to_surface, to_voxels
from spikereel.data.events.readers import SUFFIXES, read_events
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor
from spikereel.errors import ConfigError, DataError

_SPREADS = 4  # standard deviations beyond which next to nothing jitters


@dataclass(frozen=True, kw_only=True)
class EventReading:
    """How events become arrays [T, 2, H, W]. Errors: ConfigError for values that do not exist or do not go together."""

    bins: int | None = None  # T
    bin_us: int | None = None  # or as many equal bins as it takes for none to be longer: T varies, see `pad_clips`;
    # with both, each of the `bins` lasts just `bin_us`: a random part of the recording in training, else its middle
    form: Literal["frames", "voxels", "surface"] = "frames"  # see `to_frames`, `to_voxels`, `to_surface`
    by: Literal["time", "count"] = "time"  # of frames: bins of equal time, or of equal numbers of events
    values: Literal["count", "binary"] = "count"  # of frames
    tau_us: float = 50_000.0  # of the surface
    size: tuple[int, int] | None = None  # (H, W); None keeps the sensor's
    window_us: int | None = None  # take so long a part: a random one in training, else the middle; None takes all
    augment: EventAugment | None = None  # of training items
    train: bool = False  # random windows and augmentation
    seed: int = 0  # of everything random

    def __post_init__(self):
        for name, known in (
            ("form", ("frames", "voxels", "surface")),
            ("by", ("time", "count")),
            ("values", ("count", "binary")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: choose {', '.join(known)}")
        if self.form != "frames" and (self.by, self.values) != ("time", "count"):
            raise ConfigError(f"form is {self.form!r}: by and values are for 'frames'")
        given = [value for value in (self.bins, self.bin_us) if value is not None]
        if not given or min(given) < 1:
            raise ConfigError(f"bins is {self.bins} and bin_us {self.bin_us}: give one of them or both, at least 1")
        if len(given) == 2 and (self.form, self.by, self.window_us) != ("frames", "time", None):
            raise ConfigError(
                f"bin_us is {self.bin_us}: bins of fixed duration are for form='frames' by='time' without window_us"
            )
        if not self.tau_us > 0 or self.seed < 0 or min(self.size or (1, 1)) < 1:
            raise ConfigError(
                f"tau_us {self.tau_us}, seed {self.seed}, size {self.size}: the seed is at least 0, the others above 0"
            )
        if self.window_us is not None and self.window_us < 1:
            raise ConfigError(f"window_us is {self.window_us}: it must be at least 1, or None for the whole recording")
        if self.augment and not self.train:
            raise ConfigError("augment is for training: set train=True or leave it out")

    def __call__(self, events: Events, generator: np.random.Generator | None = None) -> Tensor:
        """float32 [T, 2, H, W]; random with a generator, which training items need."""
        start, stop = self._span(events, generator)
        margin = 0
        if self.augment and generator and self.bins and self.bin_us:
            margin = ceil(_SPREADS * self.augment.jitter_us)  # events that jitter moves into the first and last bin
        events = events.between(start - margin, stop + margin)
        if self.augment and generator:
            events = self.augment(events, generator)
        if self.bins and self.bin_us:
            edges = [start + k * self.bin_us for k in range(self.bins + 1)]
            parts = [events.between(a, b) for a, b in pairwise(edges)]
            frames = [to_frames(part, 1, values=self.values, size=self.size) for part in parts]
            return torch.from_numpy(np.concatenate(frames))
        bins = self._bins(events)
        if self.form == "frames":
            array = to_frames(events, bins, by=self.by, values=self.values, size=self.size)
        elif self.form == "voxels":
            array = to_voxels(events, bins, size=self.size)
        else:
            array = to_surface(events, bins, tau_us=self.tau_us, size=self.size)
        return torch.from_numpy(array)

    def _bins(self, events: Events) -> int:
        if self.bins is not None:
            return self.bins
        assert self.bin_us is not None
        duration = int(events.t[-1]) - int(events.t[0]) if len(events) else 0
        return max(-(-duration // self.bin_us), 1)

    def _span(self, events: Events, generator: np.random.Generator | None) -> tuple[int, int]:
        """From when, and until before when, events are taken."""
        if not len(events):
            return 0, 0
        first, last = int(events.t[0]), int(events.t[-1])
        window_us = self.bins * self.bin_us if self.bins and self.bin_us else self.window_us
        if window_us is None:
            return first, last + 1
        spare = max(last - first + 1 - window_us, 0)
        start = first + (spare // 2 if generator is None else int(generator.integers(spare + 1)))
        return start, start + window_us


def pad_clips(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of clips of various lengths, for `DataLoader(collate_fn=pad_clips)`.

    Items `(video [T, C, H, W], label)` -> (videos [B, T, C, H, W] for the longest T, zeros after the end of each;
    mask bool [B, T], True where a clip has frames; labels int64 [B]).
    """
    videos = [video for video, _ in items]
    lengths = torch.tensor([len(video) for video in videos])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return pad_sequence(videos, batch_first=True), mask, torch.tensor([label for _, label in items])


class EventItems(Dataset):
    """The base of datasets of events: items `(video, label)`, float32 [T, 2, H, W] as `reading` says, and an int.

    With `reading.train` an item is random, seeded by (seed, epoch, index): the same whatever the worker or the order.
    Call `set_epoch` before each epoch; it reaches workers that are already running.
    """

    classes: tuple[str, ...]
    labels: list[int]  # of all items

    def __init__(self, reading: EventReading):
        self.reading = reading
        # In shared memory, because persistent workers hold a copy of the dataset that no attribute of ours reaches.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the random windows and augmentations of the items that are read from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        index %= len(self)
        generator = None
        if self.reading.train:
            generator = np.random.default_rng(np.random.SeedSequence([self.reading.seed, int(self._epoch), index]))
        return self.reading(self.events(index), generator), self.labels[index]

    def events(self, index: int) -> Events:
        """The events of an item, before anything random."""
        raise NotImplementedError


class EventFiles(EventItems):
    """Labelled event files, `samples` of (path, label); see `EventItems`.

    `sensor=(width, height)` is for files that do not state it. `on_error="raise"`: a bad file is a DataError when it is
    reached; "skip": all files are read once at construction, bad ones leave the dataset and stand in `skipped` as
    (path, reason). Errors: DataError for no good file.
    """

    def __init__(
        self,
        samples: Sequence[tuple[Path, int]],
        reading: EventReading,
        *,
        classes: Sequence[str],
        root: Path,
        sensor: Sensor | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ):
        super().__init__(reading)
        self.root, self.sensor, self.classes = root, sensor, tuple(classes)
        paths, self.skipped = good_files([path for path, _ in samples], on_error, sensor=sensor)
        good = set(paths)
        self.samples = [(path, label) for path, label in samples if path in good]
        self.labels = [label for _, label in self.samples]

    def events(self, index: int) -> Events:
        """All events of one file. Errors: DataError as `read_events`."""
        return read_events(self.samples[index][0], sensor=self.sensor)

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all files: the data hash of a run."""
        return fingerprint(self.root, [(path, label) for path, label in self.samples])


class EventFolder(EventFiles):
    """`root/<class>/<any name>.bin` (or another of SUFFIXES, such as .aedat, .raw, .npz); see `EventFiles`.

    Labels are the positions of the subfolders' names in `classes`, which are all of them in alphabetical order unless
    given. Errors: DataError for a missing or empty folder, a class without files, and a subfolder that is not among the
    given classes.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        classes: Sequence[str] | None = None,
        sensor: Sensor | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ):
        names, samples = folder_samples(Path(root), classes)
        super().__init__(samples, reading, classes=names, root=Path(root), sensor=sensor, on_error=on_error)


def good_files(
    paths: Sequence[Path], on_error: Literal["raise", "skip"], *, sensor: Sensor | None = None
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """With "skip", the recordings that can be read, and (path, reason) of the others; else all of them, unread.

    Errors: ConfigError for another `on_error`; DataError where none is good.
    """
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error is {on_error!r}: choose 'raise' or 'skip'")
    if on_error == "raise":
        return list(paths), []
    good, bad = [], []
    for path in paths:
        try:
            read_events(path, sensor=sensor)
            good.append(path)
        except DataError as error:
            bad.append((path, str(error)))
    if bad and not good:
        raise DataError(f"{bad[0][0].parent}: none of {len(bad)} files is good; first: {bad[0][1]}")
    return good, bad


def fingerprint(root: Path, items: Sequence[tuple]) -> str:
    """sha256 (hex) of the sorted lines (path relative to the root, bytes, then the rest of each item)."""
    lines = sorted(
        "\t".join(map(str, (Path(os.path.relpath(path, root)).as_posix(), path.stat().st_size, *rest))) + "\n"
        for path, *rest in items
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_samples(
    root: Path, classes: Sequence[str] | None, *, suffixes: Set[str] = SUFFIXES
) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """The names of the classes, and (path, label) of every file; errors as `EventFolder`."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one with a subfolder per class")
    found = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not found:
        raise DataError(f"{root}: has no subfolders; put the recordings of each class into one named for it")
    names, samples = tuple(found if classes is None else classes), []
    for name in found:
        if name not in names:
            raise DataError(f"{root / name}: is not among the classes {', '.join(names)}; rename or remove it")
        files = sorted(p for p in (root / name).iterdir() if p.suffix.lower() in suffixes and not p.is_dir())
        if not files:
            raise DataError(f"{root / name}: class without files ({' '.join(sorted(suffixes))}); add some or remove it")
        samples += [(path, names.index(name)) for path in files]
    return names, samples
