"""VSPW: videos in the wild with all frames labelled, 124 classes, 15 frames a second.

Source: Miao et al., CVPR 2021; masks hold 0 for what is left out and 1 to 124 for classes.
"""

from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.mask_clips import IGNORE, LabelSet, MaskClips, MaskReading, bit_palette
from spikereel.data.sets.masks import masked_video
from spikereel.data.text import read_json, read_text
from spikereel.errors import DataError

RATE = 15.0
"""Frames a second."""

COUNT = 124
NAMES = "label_num_dic_final.json"


class VSPW(MaskClips):
    """Clips of the videos of an official list: items as of `MaskClips`, one for every frame.

    Folders as published, VSPW_480p or the full size: `root`/<split>.txt names videos, data/<video>/origin/<number>.jpg
    are frames, data/<video>/mask/<number>.png masks, and label_num_dic_final.json names the classes (numbers do,
    without it). Raises DataError for a missing list, video or mask; more in `MaskClips`.
    """

    def __init__(self, root: str | PathLike, reading: MaskReading, *, split: Literal["train", "val"]):
        root = Path(root)
        videos = [
            masked_video(root / "data" / name / "origin", root / "data" / name / "mask", name, whole=True)
            for name in read_list(root / f"{split}.txt")
        ]
        super().__init__(root, videos, _labels(root), reading)


def read_list(path: Path) -> list[str]:
    """Names of videos, one a line. Raises DataError for a missing or empty list."""
    if not path.is_file():
        raise DataError(f"{path}: no such list; give the folder that has data/, train.txt and val.txt")
    names = read_text(path, "copy it again").split()
    if not names:
        raise DataError(f"{path}: names no video; copy it again")
    return names


def _labels(root: Path) -> LabelSet:
    path = root / NAMES
    named = read_json(path, object, "copy it again") if path.is_file() else {}
    try:
        # the published file has its numbers as text
        numbers = {int(number): name for name, number in named.items()}
    except (TypeError, AttributeError, ValueError):
        raise DataError(f"{path}: is not JSON of class names and numbers; copy it again") from None
    return LabelSet(
        classes=tuple(str(numbers.get(i, i)) for i in range(1, COUNT + 1)),
        palette=bit_palette(COUNT),
        values={0: IGNORE, **{i: i - 1 for i in range(1, COUNT + 1)}, IGNORE: IGNORE},
    )
