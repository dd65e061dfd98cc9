"""VSPW: videos in the wild with all frames labelled, 124 classes, 15 frames a second.

Source: Miao et al., CVPR 2021; masks hold 0 for what is left out and 1 to 124 for classes.
"""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Literal

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
    numbers = _numbered(path) if path.is_file() else {}
    return LabelSet(
        classes=tuple(str(numbers.get(i, i)) for i in range(1, COUNT + 1)),
        palette=bit_palette(COUNT),
        values={0: IGNORE, **{i: i - 1 for i in range(1, COUNT + 1)}, IGNORE: IGNORE},
    )


def _numbered(path: Path) -> dict[int, str]:
    """{number in a mask: name}, of a table of names and numbers either way round, of a list of {id, name}, alone or
    under "categories", or of all names in order.

    Raises DataError for anything else, a number with two names, and a file that counts its 124 classes from 0.
    """
    content = read_json(path, object, "copy it again")
    if isinstance(content, dict) and isinstance(content.get("categories"), list):
        content = content["categories"]
    try:
        # the published file has names first, and its numbers as text
        found = [(int(str(number)), name) for number, name in _pairs(content)]
        whole = all(isinstance(name, str) for _, name in found)
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise DataError(f"{path}: is not JSON of class names and numbers; copy it again")
    numbers = dict(found)
    if len(numbers) < len(set(found)):
        twice = next(number for number, name in found if numbers[number] != name)
        raise DataError(f"{path}: number {twice} has two names; copy it again")
    if 0 in numbers and len(numbers) >= COUNT and COUNT not in numbers:
        raise DataError(f"{path}: counts its classes from 0, and masks count them from 1 to {COUNT}; add 1 to each")
    return numbers


def _pairs(content: Any) -> Iterable[tuple[Any, Any]]:
    """(number, name), as they are written."""
    if isinstance(content, dict):
        numbered = all(str(key).isdecimal() for key in content)
        return content.items() if numbered else [(number, name) for name, number in content.items()]
    if isinstance(content, list) and all(isinstance(x, str) for x in content) and len(content) in (COUNT, COUNT + 1):
        return enumerate(content, start=COUNT + 1 - len(content))
    return [(x["id"], x["name"]) for x in content]
