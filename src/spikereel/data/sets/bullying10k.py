"""Bullying10K (Dong et al. 2023): 10,000 recordings of ten actions before a DAVIS346."""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.clips import folder_samples
from spikereel.data.events.readers import SUFFIXES
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.events import EventFiles, OnError, chosen
from spikereel.errors import ConfigError, DataError

SENSOR = (346, 260)

CLASSES = (
    *("handshake", "slapping", "punching", "walking", "fingerguess", "strangling", "greeting", "pushing"),
    *("hairgrabs", "kicking"),
)
"""In the order of SpikingJelly."""

LABELS = {"spikingjelly": CLASSES, "alphabetical": tuple(sorted(CLASSES))}
RULES = ("every_fifth",)
_FIFTH = 5


class Bullying10K(EventFiles):
    """The recordings `<class>/<folder>/<name>.npy` of one split; see `EventFiles`.

    A file is a pickled list of packets, which is read without unpickling; one of AEDAT4 is read too.
    The published rule tests on every fifth file in the order in which the disk lists them, which differs from disk to
    disk. `split_rule="every_fifth"` takes them in the order of their paths: it is ours.
    `labels`: the order of the classes, "spikingjelly" or "alphabetical" (BrainCog). The authors' is that of the disk.
    Raises DataError for another layout and no recordings for the split; ConfigError for a choice that does not exist.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: EventReading,
        *,
        split: Literal["train", "test"] = "train",
        split_rule: str | None = None,
        labels: str | None = None,
        on_error: OnError = "raise",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        rule = chosen("split_rule", split_rule, RULES, "Bullying10K")
        order, root = chosen("labels", labels, LABELS, "Bullying10K"), Path(root)
        classes = LABELS[order]
        _, found = folder_samples(root, classes, suffixes=SUFFIXES, any_case=True)
        samples = [x for number, x in enumerate(found) if (number % _FIFTH == 0) == (split == "test")]
        if not samples:
            raise DataError(f"{root}: has {len(found)} recordings, of which every fifth is for test; copy the rest")
        super().__init__(samples, reading, classes=classes, root=root, sensor=SENSOR, on_error=on_error)
        self.choices = {"split_rule": f"{rule} by path (ours)", "labels": order}
