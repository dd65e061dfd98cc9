"""Cityscapes video: snippets of 30 frames whose 20th has a label.

Source: Cordts et al., CVPR 2016; ids and colours are those of the authors' scripts.
"""

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.mask_clips import IGNORE, Colour, LabelSet, MaskClips, MaskedVideo, MaskReading
from spikereel.errors import ConfigError, DataError

RATE = 17.0
"""Frames a second of the snippets."""

BEFORE, AFTER = 19, 10
"""Frames of a snippet before and after the labelled one."""

LAST_ID = 33

_CLASSES: dict[str, tuple[int, Colour]] = {
    "road": (7, (128, 64, 128)),
    "sidewalk": (8, (244, 35, 232)),
    "building": (11, (70, 70, 70)),
    "wall": (12, (102, 102, 156)),
    "fence": (13, (190, 153, 153)),
    "pole": (17, (153, 153, 153)),
    "traffic light": (19, (250, 170, 30)),
    "traffic sign": (20, (220, 220, 0)),
    "vegetation": (21, (107, 142, 35)),
    "terrain": (22, (152, 251, 152)),
    "sky": (23, (70, 130, 180)),
    "person": (24, (220, 20, 60)),
    "rider": (25, (255, 0, 0)),
    "car": (26, (0, 0, 142)),
    "truck": (27, (0, 0, 70)),
    "bus": (28, (0, 60, 100)),
    "train": (31, (0, 80, 100)),
    "motorcycle": (32, (0, 0, 230)),
    "bicycle": (33, (119, 11, 32)),
}
_IDS = {number: label for label, (number, _) in enumerate(_CLASSES.values())}
CLASSES, PALETTE = tuple(_CLASSES), [colour for _, colour in _CLASSES.values()]

LABEL_IDS = LabelSet(
    classes=CLASSES, palette=PALETTE, values={**{i: _IDS.get(i, IGNORE) for i in range(LAST_ID + 1)}, IGNORE: IGNORE}
)
"""Of `..._gtFine_labelIds.png`: 19 of 34 ids are classes, the others are ignored."""
TRAIN_IDS = LabelSet(classes=CLASSES, palette=PALETTE, values={**{i: i for i in range(len(CLASSES))}, IGNORE: IGNORE})
"""Of `..._gtFine_labelTrainIds.png`, which the authors' scripts make; read where there are no label ids."""


class Cityscapes(MaskClips):
    """Clips of the snippets of an official split: items as of `MaskClips`, one for each labelled frame.

    Folders as published: gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png, and the frames in
    leftImg8bit_sequence/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png; for clips of the labelled frame alone
    leftImg8bit/ does as well. Offsets count frames of the snippet.
    Raises DataError for a missing folder or frame, ConfigError for offsets beyond the snippet; more in `MaskClips`.
    """

    def __init__(self, root: str | PathLike, reading: MaskReading, *, split: Literal["train", "val"]):
        root = Path(root)
        steps = sorted(set(reading.offsets))
        if steps[0] < -BEFORE or steps[-1] > AFTER:
            raise ConfigError(f"offsets are {steps}: snippets reach from {-BEFORE} to {AFTER} around the label")
        masks, labels = find_masks(root, split)
        pictures = _pictures(root, split, alone=steps == [0])
        videos = [_snippet(mask, pictures, steps) for mask in masks]
        super().__init__(root, videos, labels, replace(reading, unit="numbers"))


def find_masks(root: Path, split: str) -> tuple[list[Path], LabelSet]:
    """The masks of a split by name, and what their values mean. Raises DataError for none."""
    for kind, labels in (("labelIds", LABEL_IDS), ("labelTrainIds", TRAIN_IDS)):
        if masks := sorted((root / "gtFine" / split).glob(f"*/*_gtFine_{kind}.png")):
            return masks, labels
    raise DataError(f"{root / 'gtFine' / split}: no <city>/..._gtFine_labelIds.png; give the folder that has gtFine/")


def _pictures(root: Path, split: str, *, alone: bool) -> Path:
    video, single = root / "leftImg8bit_sequence" / split, root / "leftImg8bit" / split
    if video.is_dir():
        return video
    if alone and single.is_dir():
        return single
    raise DataError(f"{video}: no such folder; unpack leftImg8bit_sequence, or give data.frames=1 and leftImg8bit")


def _snippet(mask: Path, pictures: Path, steps: list[int]) -> MaskedVideo:
    city, sequence, frame, *_ = mask.name.split("_")
    numbers = [int(frame) + step for step in steps]
    frames = [
        pictures / mask.parent.name / f"{city}_{sequence}_{number:0{len(frame)}}_leftImg8bit.png" for number in numbers
    ]
    if absent := [path for path in frames if not path.is_file()]:
        raise DataError(f"{absent[0]}: no such frame, and {mask.name} needs it; copy the snippet again")
    masks = [mask if step == 0 else None for step in steps]
    name = f"{city}_{sequence}_{frame}"
    return MaskedVideo(name=name, frames=tuple(frames), masks=tuple(masks), numbers=tuple(numbers))
