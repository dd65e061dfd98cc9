"""CIFAR10-DVS (Li et al. 2017): 10,000 recordings of moving CIFAR-10 images before a DVS128."""

import re
from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.errors import ConfigError, DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SENSOR = (128, 128)
"""Of those files too whose header names no camera."""

_NUMBERS = 1000
"""Recordings of each class."""

TEST_NUMBERS: dict[str, frozenset[int]] = {
    "spikingjelly": frozenset(sorted(range(_NUMBERS), key=str)[_NUMBERS * 9 // 10 :]),
    "tebn": frozenset(range(100)),
    "last_hundred": frozenset(range(900, _NUMBERS)),
}
"""Of each class, the numbers that are for test, by `split_rule`: of spikingjelly 91 to 99 and 909 to 999."""

TURNS: dict[str, Callable[[Events], Events]] = {
    "spikingjelly": lambda e: replace(e, x=SENSOR[0] - 1 - e.y, y=SENSOR[1] - 1 - e.x),
    "tonic": lambda e: replace(e, x=e.y, y=e.x),
    "address": lambda e: e,
}
"""From x in bits 1 to 7 of an AEDAT 2.0 address and y in bits 8 to 14 to those of a loader."""


class CIFAR10DVS(EventFiles):
    """The recordings `<class>/cifar10_<class>_<number>.aedat` (or .aedat4) of one split; see `EventFiles`.

    There is no official split. `split_rule` says which numbers of each class are "test", whichever of them are there:
    "spikingjelly", the last tenth of the names in the order of text, as its `split_to_train_test_set(0.9, ...)`;
    "tebn", 0 to 99, as its `CIFAR10DVSTEBNSplit`; "last_hundred", 900 to 999, which no published loader has.
    `axes` says where x and y of AEDAT 2.0 addresses go, with a for bits 1 to 7 and b for bits 8 to 14: "spikingjelly",
    x = 127 - b and y = 127 - a; "tonic", x = b and y = a; "address", x = a and y = b. Files of other formats state x
    and y themselves, and keep them.
    Raises DataError for another layout, a number above 999, a class without recordings to train on, and no recordings
    to test on; ConfigError for a choice that does not exist.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        split_rule: str | None = None,
        axes: str | None = None,
        on_error: OnError = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        root, rule = Path(root), chosen("split_rule", split_rule, TEST_NUMBERS, "CIFAR10-DVS")
        self.axes, test = chosen("axes", axes, TURNS, "CIFAR10-DVS"), TEST_NUMBERS[rule]
        _, found = folder_samples(root, CLASSES, suffixes=SUFFIXES, any_case=True)
        numbered = sorted((label, _number(path), path) for path, label in found)
        samples = [(path, label) for label, number, path in numbered if (number in test) == (split == "test")]
        there = {CLASSES[label] for _, label in samples}
        if not there or (split == "train" and len(there) < len(CLASSES)):
            lacking = next(name for name in CLASSES if name not in there)
            raise DataError(
                f"{root / lacking}: has no recordings for {split} by the rule {rule}, which tests on numbers "
                f"{_ranges(test)}; unpack {lacking}.zip"
            )
        super().__init__(samples, reading, classes=CLASSES, root=root, sensor=SENSOR, on_error=on_error)
        self.choices = {"split_rule": rule, "axes": self.axes}

    def read(self, path: Path) -> Events:
        """All events of a file, x and y as `axes` says. Raises DataError as `read_events`."""
        return turn(super().read(path), self.axes)


def turn(events: Events, axes: str | None) -> Events:
    """x and y of an AEDAT 2.0 file as `axes` says; files of other formats keep theirs."""
    own = TURNS[chosen("axes", axes, TURNS, "CIFAR10-DVS")]
    return own(events) if events.format == "AEDAT 2.0" else events


def _number(path: Path) -> int:
    number = re.search(r"_(\d+)$", path.stem)
    if number is None:
        raise DataError(f"{path}: is not named cifar10_<class>_<number>; rename or remove it")
    if len(number[1]) > 9 or int(number[1]) >= _NUMBERS:
        raise DataError(f"{path}: its number is {number[1]}, not one of 0 to 999; rename or remove it")
    return int(number[1])


def _ranges(numbers: frozenset[int]) -> str:
    """Such as "91 to 99, 909 to 999"."""
    starts = [n for n in sorted(numbers) if n - 1 not in numbers]
    stops = [n for n in sorted(numbers) if n + 1 not in numbers]
    return ", ".join(f"{a} to {b}" for a, b in zip(starts, stops, strict=True))
