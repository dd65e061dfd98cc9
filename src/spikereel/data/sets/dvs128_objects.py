"""DVS128 objects (BioLab, UFU Brazil): long recordings of hand-held objects, one object each, cut into windows."""

import re
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import fingerprint
from spikereel.data.events.readers import SUFFIXES, read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import EventItems, good_files
from spikereel.data.walk import find
from spikereel.errors import ConfigError, DataError

CLASSES = ("Caixa", "Caneca", "Cubo", "Estilete", "Lapiseira", "Tesoura")
"""Box, mug, cube, box cutter, mechanical pencil, scissors."""

WINDOW_US = 500_000
EARLIER = 0.75
"""Share of each recording, from its start, that is for training."""

_REPEAT = re.compile(r"[ _-]*\d*$")


class DVS128Objects(EventItems):
    """Windows of half a second of all recordings `<object>.aedat` or `<object>_<number>.aedat` in a folder.

    `part` is of each recording: "earlier", the first three quarters, is for training; "later" the rest, which no
    training window reaches into; "all" is for another session. Windows follow each other from the start of the part; a
    rest below half a second is left out, and so is a window without events. In training (`reading.train`) an item is a
    random half second of its window and the next one. Classes are `classes` if given, else those of the dataset; names
    are compared without regard to case.
    All recordings are kept in memory, 13 bytes an event. `on_error` as in `EventFiles`. Raises DataError for a folder
    without recordings, and one of an object that is no class; ConfigError for a reading with `bin_us`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        part: Literal["earlier", "later", "all"] = "all",
        classes: Sequence[str] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ):
        if reading.bin_us:
            raise ConfigError(f"bin_us is {reading.bin_us}: windows are of {WINDOW_US} us here; choose the bins alone")
        super().__init__(replace(reading, window_us=WINDOW_US))
        if part not in ("earlier", "later", "all"):
            raise ConfigError(f"part is {part!r}: choose 'earlier', 'later' or 'all'")
        self.root, self.classes = Path(root), tuple(classes or CLASSES)
        # Recording, start and end of what an item may reach, in us.
        self.windows: list[tuple[Path, int, int]] = []
        self.labels = []
        self._recordings: dict[Path, Events] = {}
        label_of = dict(_recordings(self.root, self.classes))
        paths, self.skipped = good_files(list(label_of), on_error)
        for path in paths:
            label, events = label_of[path], read_events(path)
            self._recordings[path] = events
            for start, stop in _windows(events, part, reach=2 if reading.train else 1):
                self.windows.append((path, start, stop))
                self.labels.append(label)
        if not self.windows:
            raise DataError(f"{self.root}: part {part!r} of no recording lasts {WINDOW_US} us; record longer ones")

    def events(self, index: int) -> Events:
        """What item `index` is taken from: its window, and in training the next one too."""
        path, start, stop = self.windows[index]
        return self._recordings[path].between(start, stop)

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (recording, bytes, start, stop, label) of all windows: the data hash of a run."""
        return fingerprint(self.root, [(*w, label) for w, label in zip(self.windows, self.labels, strict=True)])


def _recordings(root: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """(path, label) of every recording in a folder."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one of recordings <object>.aedat")
    numbers, found = {name.casefold(): i for i, name in enumerate(classes)}, []
    for path in find(root, SUFFIXES).files:
        name = _REPEAT.sub("", path.stem).casefold()
        if name not in numbers:
            raise DataError(f"{path}: is of none of the objects {', '.join(classes)}; rename or remove it")
        found.append((path, numbers[name]))
    if not found:
        raise DataError(f"{root}: has no recordings <object>.aedat; give the folder of a session")
    return found


def _windows(events: Events, part: str, *, reach: int) -> list[tuple[int, int]]:
    """(start, stop) in us of every window of a part; `stop` is `reach` windows on, but inside the part."""
    first, last = int(events.t[0]), int(events.t[-1]) + 1
    border = first + int((last - first) * EARLIER)
    first, last = {"earlier": (first, border), "later": (border, last), "all": (first, last)}[part]
    starts = range(first, last - WINDOW_US + 1, WINDOW_US)
    return [
        (start, min(start + reach * WINDOW_US, last))
        for start in starts
        if len(events.between(start, start + WINDOW_US))
    ]
