"""ASL-DVS (Bi et al. 2019): 100,800 recordings of 24 letters of the American sign language before a DAVIS240C."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from spikereel.data.clips import folder_samples
from spikereel.data.events.mat import SUFFIX
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import TenthFiles, chosen

CLASSES = tuple("abcdefghiklmnopqrstuvwxy")
"""No j and no z: their signs move."""

SENSOR = (240, 180)

TURNS: dict[str, Callable[[Events], Events]] = {
    "spikingjelly": lambda e: replace(e, x=SENSOR[0] - 1 - e.x, y=SENSOR[1] - 1 - e.y),
    "tonic": lambda e: replace(e, y=SENSOR[1] - 1 - e.y),
    "address": lambda e: e,
}

LABELS = {"spikingjelly": CLASSES, "tonic": tuple("abcdefghijklmnopqrstuvwxyz")}
"""The classes by `labels`: of tonic there are two without recordings."""


class ASLDVS(TenthFiles):
    """The recordings `<letter>/<letter>_0001.mat` of one split; see `TenthFiles`.

    `labels`: "spikingjelly", 0 to 23 in the order of `CLASSES`; "tonic", places in the alphabet, so that those of k to
    y are one higher. `axes`: "spikingjelly", x = 239 - x and y = 179 - y; "tonic", y = 179 - y; "address", as in the
    file. Raises ConfigError as that does, and without scipy.
    """

    NAME, SIZE, AXES, LABELS = "ASL-DVS", SENSOR, TURNS, LABELS

    def find(self, root: Path, labels: str) -> tuple[Path, Sequence[str], Sequence[tuple[Path, int]]]:
        """All recordings, by the letters of their folders."""
        _, found = folder_samples(root, CLASSES, suffixes={SUFFIX}, any_case=True)
        classes = LABELS[labels]
        return root, classes, [(path, classes.index(CLASSES[label])) for path, label in found]

    def turn(self, events: Events) -> Events:
        """x and y as `axes` says."""
        return turn(events, self.axes)


def turn(events: Events, axes: str | None) -> Events:
    """x and y of a MATLAB file as `axes` says; files of other formats keep theirs."""
    own = TURNS[chosen("axes", axes, TURNS, "ASL-DVS")]
    return own(events) if events.format == "MATLAB" else events
