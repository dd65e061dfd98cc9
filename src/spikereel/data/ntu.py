"""NTU RGB+D 60 (Shahroudy et al. 2016), the colour videos: 60 actions, by 40 subjects, before 3 cameras."""

import re
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.folder import Reading, VideoFiles
from spikereel.errors import ConfigError, DataError

CLASSES = tuple(f"A{action:03}" for action in range(1, 61))
TRAINING_SUBJECTS = frozenset({1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38})
TRAINING_CAMERAS = frozenset({2, 3})

_NAME = re.compile(r"S\d{3}C(?P<camera>\d{3})P(?P<subject>\d{3})R\d{3}A(?P<action>\d{3})_rgb\.avi", re.ASCII)
_MOST = {"camera": 3, "subject": 40, "action": 60}


class NTU60(VideoFiles):
    """The videos `SxxxCxxxPxxxRxxxAxxx_rgb.avi` anywhere under root; see `VideoFiles`.

    "cross_subject" trains on the 20 subjects in TRAINING_SUBJECTS and tests on the others, "cross_view" trains on
    cameras 2 and 3 and tests on camera 1. The label is the number of the action less 1. Infrared videos (_ir.avi) are
    passed over. Errors: DataError for a folder without such videos or with other .avi files, for a camera, subject or
    action out of range, and for a split without videos; ConfigError for other splits and protocols.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: Reading,
        *,
        split: Literal["train", "test"],
        protocol: Literal["cross_subject", "cross_view"] = "cross_subject",
    ):
        if split not in ("train", "test"):
            raise ConfigError(f"split is {split!r}: choose 'train' or 'test'")
        if protocol not in ("cross_subject", "cross_view"):
            raise ConfigError(f"protocol is {protocol!r}: choose 'cross_subject' or 'cross_view'")
        root = Path(root)
        samples = []
        for path, numbers in _videos(root):
            trains = (
                numbers["subject"] in TRAINING_SUBJECTS
                if protocol == "cross_subject"
                else numbers["camera"] in TRAINING_CAMERAS
            )
            if trains == (split == "train"):
                samples.append((path, numbers["action"] - 1))
        if not samples:
            raise DataError(f"{root}: none of its videos is in the {split} split of {protocol}; add the missing ones")
        super().__init__(samples, reading, classes=CLASSES, root=root)


def _videos(root: Path) -> list[tuple[Path, dict[str, int]]]:
    """(path, its camera, subject and action) of every colour video under root."""
    videos = [(path, _numbers(path)) for path in sorted(root.rglob("*.avi")) if not path.name.endswith("_ir.avi")]
    if not videos:
        raise DataError(f"{root}: has no videos SxxxCxxxPxxxRxxxAxxx_rgb.avi; give the folder they were unpacked in")
    return videos


def _numbers(path: Path) -> dict[str, int]:
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise DataError(f"{path}: is not named SxxxCxxxPxxxRxxxAxxx_rgb.avi; remove or rename it")
    numbers = {part: int(name[part]) for part in _MOST}
    for part, most in _MOST.items():
        if not 1 <= numbers[part] <= most:
            raise DataError(f"{path}: {part} {numbers[part]} is not 1 to {most} as in NTU RGB+D 60; move it elsewhere")
    return numbers
