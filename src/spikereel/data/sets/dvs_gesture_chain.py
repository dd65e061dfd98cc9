"""DVS-Gesture-Chain: gestures of DVS128-Gesture one after the other, so that their order is the class; made on the fly.

Source: the published generator (dvsgc 0.1.2). Its chains, names, splits and frames are kept. Its durations are not:
they come from one global generator and the order of files on a disk, so that no two of its sets are equal.
"""

import hashlib
from dataclasses import replace
from itertools import pairwise
from os import PathLike
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spikereel.data.clips import SeededClips
from spikereel.data.events.augment import EventAugment
from spikereel.data.events.frames import to_frames
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.chains import durations, whole_frames, words
from spikereel.data.sets.dvs128_gesture import DVS128Gesture
from spikereel.errors import ConfigError, DataError

ALPHABET = (1, 3, 8, 7, 9, 0, 2, 4, 6, 5)
"""Labels of DVS128-Gesture in the order in which `gestures` takes them; "other gestures" is never used."""

_HELD_OUT = 0.2
"""Share of the training names, by name, that is for validation."""


class DVSGestureChain(SeededClips[int]):
    """Chains of one person, light and repetition: items `(video, label)`, float32 [T, 2, H, W] for T = `reading.bins`.

    `root` holds DVS128-Gesture as published. A class is a word of `length` letters, the first `gestures` of `ALPHABET`,
    such as "1838"; without `repeat` no letter follows itself. Labels are places in the order of text. Of each gesture
    int(T / (0.6 length)) frames of equal numbers of events are made, the rest of the events in the last, and the first
    few are kept. How many is drawn for each chain and name from `seed`, by the published rule.
    "test" is that of DVS128-Gesture; of the sorted names of its training rows the first four fifths are "train", the
    rest is "val". An item is (chain, name) where the name has every gesture of the chain. Frames have ON before OFF;
    the generator has OFF before ON. A gesture that comes twice is the same recording from its start both times.
    Raises ConfigError for a chain that T cannot hold, and readings that change more than the size or binary counts;
    DataError as `DVS128Gesture`, and for no chains.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "val", "test"] = "train",
        length: int = 4,
        gestures: int = 3,
        repeat: bool = True,
        seed: int = 0,
        cache: str | PathLike | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ):
        super().__init__(reading.seed)
        if split not in ("train", "val", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train', 'val' or 'test'")
        _require_plain(reading)
        if length < 1 or not 1 <= gestures <= len(ALPHABET):
            raise ConfigError(f"chains of {length} of {gestures} gestures: give 1 or more of 1 to {len(ALPHABET)}")
        assert reading.bins is not None
        self.reading, self.length, self.frames, self.draw = reading, length, reading.bins, seed
        self.whole = whole_frames(self.frames, length, "gestures")
        self.classes = tuple(
            sorted("".join(str(ALPHABET[i]) for i in word) for word in words(gestures, length, repeat=repeat))
        )
        own = "test" if split == "test" else "train"
        self.rows = DVS128Gesture(root, replace(reading, augment=None), split=own, cache=cache, on_error=on_error)
        if self.rows.tonic:
            raise DataError(f"{root}: holds tonic's cut; chains are made of DVS128-Gesture as published")
        self.skipped, self.missing = self.rows.skipped, self.rows.missing
        self.chains, self.labels = self._chains(split)
        self.choices = {"durations": f"drawn here, seed {seed}"}

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> tuple[Tensor, int]:
        """The frames of a chain, and its label."""
        name, rows = self.chains[index]
        counts = self.durations(self.classes[self.labels[index]], name)
        made = {row: self._gesture(row) for row in set(rows)}
        parts = [made[row][:count] for row, count in zip(rows, counts, strict=True)]
        return torch.from_numpy(np.concatenate(parts)), self.labels[index]

    def durations(self, word: str, name: str) -> list[int]:
        """Frames of each gesture of a chain; they add up to T. Raises ConfigError where a gesture would have none."""
        return durations(f"{self.draw} {word} {name}", self.frames, self.length)

    def fingerprint(self) -> str:
        """sha256 (hex) of the rows, the chains made of them and the seed of their durations."""
        facts = (self.rows.fingerprint(), self.frames, self.draw, self.classes, self.labels, self.chains)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def _chains(self, split: str) -> tuple[list[tuple[str, list[int]]], list[int]]:
        """(name, row of each gesture) of every item, and its label."""
        row_of = _named_rows(self.rows)
        names = sorted({name for name, _ in row_of}, key=lambda name: f"{name}.npz")
        border = int(len(names) * (1 - _HELD_OUT))
        names = {"train": names[:border], "val": names[border:], "test": names}[split]
        chains, labels = [], []
        for label, word in enumerate(self.classes):
            for name in names:
                rows = [row_of.get((name, int(letter))) for letter in word]
                if None not in rows:
                    chains.append((name, [row for row in rows if row is not None]))
                    labels.append(label)
        if not labels:
            raise DataError(f"{self.rows.root}: no row of the {split} split has all gestures of a chain; copy more")
        return chains, labels

    def _gesture(self, row: int) -> np.ndarray:
        """The frames of one whole gesture, float32 [G, 2, H, W]."""
        events = self.rows.events(row)
        each = len(events) // self.whole
        edges = [*(each * k for k in range(self.whole)), len(events)]
        parts = [events.take(slice(a, b)) for a, b in pairwise(edges)]
        values, size = self.reading.values, self.reading.size
        return np.concatenate([to_frames(part, 1, values=values, size=size) for part in parts])


def _named_rows(rows: DVS128Gesture) -> dict[tuple[str, int], int]:
    """The row of (name, label). A name is that of the recording and how many rows before have the label there."""
    row_of: dict[tuple[str, int], int] = {}
    for row, trial in enumerate(rows.trials):
        k = 0
        while (f"{trial.path.stem}_{k}", trial.label) in row_of:
            k += 1
        row_of[f"{trial.path.stem}_{k}", trial.label] = row
    return row_of


def _require_plain(reading: EventReading) -> None:
    plain = EventReading(
        bins=reading.bins or 1, values=reading.values, size=reading.size, train=reading.train, seed=reading.seed
    )
    if reading.augment not in (None, EventAugment()) or replace(reading, augment=None) != plain:
        raise ConfigError(
            "chains are frames of equal numbers of events, unchanged: leave out all options but frames, size and counts"
        )
