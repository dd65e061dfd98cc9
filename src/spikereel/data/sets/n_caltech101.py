"""N-Caltech101 (Orchard et al. 2015): the pictures of Caltech101 recorded by an ATIS that moves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.recording import Events
from spikereel.data.sets.events import TenthFiles, chosen

SENSOR = (240, 180)
_FOLDER = "Caltech101"

AXES = ("spikingjelly", "tonic", "address")
LABELS = ("with_background", "without_background")
_BACKGROUND = "background_google"


class NCaltech101(TenthFiles):
    """The recordings `Caltech101/<class>/image_0001.bin` of one split; see `TenthFiles`.

    `root` holds Caltech101, or is it. The classes are the subfolders in the order of ASCII, capitals first; `labels`:
    "with_background", as public loaders have it, or "without_background", which leaves BACKGROUND_Google out.
    `axes`: "spikingjelly" and "address" take x and y as they stand on the sensor, "tonic" moves every recording so that
    its least x and its least y are 0.
    """

    NAME, SIZE, AXES, LABELS = "N-Caltech101", SENSOR, AXES, LABELS

    def find(self, root: Path, labels: str) -> tuple[Path, Sequence[str], Sequence[tuple[Path, int]]]:
        """All recordings, by the names of their folders."""
        root = root / _FOLDER if (root / _FOLDER).is_dir() else root
        classes, found = folder_samples(root, None, suffixes=SUFFIXES)
        if labels == "with_background":
            return root, classes, found
        kept = tuple(name for name in classes if name.lower() != _BACKGROUND)
        return root, kept, [(path, kept.index(classes[label])) for path, label in found if classes[label] in kept]

    def turn(self, events: Events) -> Events:
        """x and y as `axes` says."""
        return turn(events, self.axes)


def turn(events: Events, axes: str | None) -> Events:
    """x and y as `axes` says."""
    if chosen("axes", axes, AXES, "N-Caltech101") != "tonic":
        return events
    return replace(events, x=events.x - events.x.min(), y=events.y - events.y.min())
