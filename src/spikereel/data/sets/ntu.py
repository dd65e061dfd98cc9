"""NTU RGB+D 60 (Shahroudy et al. 2016) and 120 (Liu et al. 2020), the colour videos."""

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles
from spikereel.data.text import require_choice
from spikereel.data.video.clip import Reading
from spikereel.data.walk import walk
from spikereel.errors import DataError

TRAINING_SUBJECTS = frozenset({1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38})
"""The 20 of 40 subjects of NTU RGB+D 60."""

TRAINING_SUBJECTS_120 = TRAINING_SUBJECTS | {
    45,
    46,
    47,
    49,
    50,
    *range(52, 60),
    70,
    74,
    78,
    *range(80, 87),
    89,
    *range(91, 96),
    97,
    98,
    100,
    103,
}
"""The 53 of 106 subjects of NTU RGB+D 120."""

_NAME = re.compile(
    r"S(?P<setup>\d{3})C(?P<camera>\d{3})P(?P<subject>\d{3})R\d{3}A(?P<action>\d{3})_rgb\.(?i:avi)", re.ASCII
)

Protocol = Literal["cross_subject", "cross_view", "cross_setup"]


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One of the two data sets: numbers go from 1 to these, and a protocol trains on these values of one of them."""

    name: str
    most: dict[str, int]
    protocols: dict[str, tuple[str, frozenset[int]]]

    @property
    def classes(self) -> tuple[str, ...]:
        """ "A001" and so on."""
        return tuple(f"A{action:03}" for action in range(1, self.most["action"] + 1))


EDITION_60 = Edition(
    name="NTU RGB+D 60",
    most={"setup": 17, "camera": 3, "subject": 40, "action": 60},
    protocols={"cross_subject": ("subject", TRAINING_SUBJECTS), "cross_view": ("camera", frozenset({2, 3}))},
)
EDITION_120 = Edition(
    name="NTU RGB+D 120",
    most={"setup": 32, "camera": 3, "subject": 106, "action": 120},
    protocols={
        "cross_subject": ("subject", TRAINING_SUBJECTS_120),
        "cross_setup": ("setup", frozenset(range(2, 33, 2))),
    },
)

CLASSES = EDITION_60.classes


class NTU(VideoFiles):
    """The videos `SxxxCxxxPxxxRxxxAxxx_rgb.avi` anywhere under root; see `VideoFiles`.

    The protocol says what training sees: half of the subjects ("cross_subject"), cameras 2 and 3 ("cross_view", the 60
    only) or the setups of even number ("cross_setup", the 120 only); the test is the rest. The label is the number of
    the action less 1. Infrared videos (_ir.avi) are passed over, and of several of a name all but the first by path.
    Raises DataError for a folder without such videos or with other .avi files, for a setup, camera, subject or action
    out of range, for two files of a name and different sizes, and for a split without videos; ConfigError for other
    splits and protocols.
    """

    edition: Edition

    def __init__(
        self,
        root: str | PathLike,
        reading: Reading,
        *,
        split: Literal["train", "test"],
        protocol: Protocol = "cross_subject",
    ):
        require_choice("split", split, ("train", "test"))
        require_choice("protocol", protocol, self.edition.protocols)
        root = Path(root)
        part, training = self.edition.protocols[protocol]
        samples = [
            (path, numbers["action"] - 1)
            for path, numbers in _videos(root, self.edition)
            if (numbers[part] in training) == (split == "train")
        ]
        if not samples:
            raise DataError(f"{root}: none of its videos is in the {split} split of {protocol}; add the missing ones")
        super().__init__(samples, reading, classes=self.edition.classes, root=root)


class NTU60(NTU):
    """NTU RGB+D 60; see `NTU`."""

    edition = EDITION_60


class NTU120(NTU):
    """NTU RGB+D 120, with the videos of the 60 among them; see `NTU`."""

    edition = EDITION_120


def _videos(root: Path, edition: Edition) -> list[tuple[Path, dict[str, int]]]:
    """(path, its numbers) of every colour video under root, once each."""
    by_name: dict[str, Path] = {}
    for path in walk(root) if root.is_dir() else ():
        if path.suffix.lower() != ".avi" or path.stem.endswith("_ir"):
            continue
        first = by_name.setdefault(path.name, path)
        if path != first and _size(path) != _size(first):
            raise DataError(f"{path}: is not of the size of {first}; remove the one of them that is broken")
    if not by_name:
        raise DataError(f"{root}: has no videos SxxxCxxxPxxxRxxxAxxx_rgb.avi; give the folder they were unpacked in")
    return [(path, _numbers(path, edition)) for path in by_name.values()]


def _size(path: Path) -> int:
    """In bytes; -1 for a link to nothing."""
    return path.stat().st_size if path.exists() else -1


def _numbers(path: Path, edition: Edition) -> dict[str, int]:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise DataError(f"{path}: is not named SxxxCxxxPxxxRxxxAxxx_rgb.avi; remove or rename it")
    numbers = {part: int(name[part]) for part in edition.most}
    for part, most in edition.most.items():
        if not 1 <= numbers[part] <= most:
            raise DataError(
                f"{path}: {part} {numbers[part]} is not 1 to {most} as in {edition.name}; move it elsewhere"
            )
    return numbers
