"""CamVid: streets from a driving car, one labelled frame a second, and a stretch with every second frame labelled.

Source: Brostow, Fauqueur, Cipolla 2009; the 11 classes are those of SegNet (Badrinarayanan et al. 2017).
"""

from collections import defaultdict
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.mask_clips import IGNORE, LabelSet, MaskClips, MaskedVideo, MaskReading, number_of, split_at_gaps
from spikereel.data.pictures import PICTURES
from spikereel.data.walk import visible
from spikereel.errors import ConfigError, DataError

RATE = 30.0
"""Frames a second that the numbers in names count."""

HELD_OUT_SEQUENCE = "0001TP"
"""The sequence of the training frames that is kept for validation: 62 of 367, at dusk where the others are by day."""

MARGIN = 150
"""Frames of the 30 Hz recording, 5 s, around the frames of `val` that training leaves out of the same sequence."""

GAP = 60
"""Frames of the recording; clips do not reach over longer gaps."""

DENSE = 3
"""Frames of the recording between labelled ones at most, for consistency to mean anything."""

_COLOURS = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
_UNLABELLED = len(_COLOURS)
LABELS = LabelSet(
    classes=tuple(_COLOURS),
    palette=list(_COLOURS.values()),
    values={**{i: i for i in range(_UNLABELLED)}, _UNLABELLED: IGNORE, IGNORE: IGNORE},
)

Found = list[tuple[int, Path, Path]]
"""Number, frame and mask, in the order of time."""


class CamVid(MaskClips):
    """Clips of CamVid: items as of `MaskClips`.

    Folders as of SegNet: frames `<sequence>_<number>.jpg` (or .png) in train/ and val/, masks `<sequence>_<number>.png`
    in trainannot/ and valannot/. Splits go by sequence:
        "train"  the frames of train/ but those of the sequence `held_out`, and but those less than MARGIN from a frame
                 of val/ in the same sequence
        "val"    the frames of train/ of the sequence `held_out`; without one, as "test"
        "test"   the frames of test/ where that is there, otherwise of val/.
    Offsets of clips in "frames" count the frames of the folder: seconds in train/, fifteenths of a second in val/.
    Raises DataError for a missing folder or mask, ConfigError for a sequence that is not there; more in `MaskClips`.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: MaskReading,
        *,
        split: Literal["train", "val", "test"],
        held_out: str = HELD_OUT_SEQUENCE,
    ):
        root = Path(root)
        if split == "test" or (split == "val" and not held_out):
            found = find_frames(root, "test" if (root / "test").is_dir() else "val")
        else:
            found = find_frames(root, "train")
            if held_out and held_out not in found:
                raise ConfigError(f"held-out sequence {held_out}: {root / 'train'} has {', '.join(sorted(found))}")
            found = {held_out: found[held_out]} if split == "val" else _for_training(root, found, held_out)
        super().__init__(root, _videos(found), LABELS, reading)


def find_frames(root: Path, folder: str) -> dict[str, Found]:
    """The labelled frames of a folder, by sequence. Raises DataError for none, and for a frame without a mask."""
    frames = [p for p in visible(root / folder) if p.suffix.lower() in PICTURES] if (root / folder).is_dir() else []
    if not frames:
        raise DataError(f"{root / folder}: no frames <sequence>_<number>.jpg; give the folder that has train/ and val/")
    found: dict[str, Found] = defaultdict(list)
    for path in frames:
        mask = root / f"{folder}annot" / f"{path.stem}.png"
        if not mask.is_file():
            raise DataError(f"{path}: has no mask {mask}; copy it there, or remove the frame")
        found[path.stem.rpartition("_")[0]].append((number_of(path), path, mask))
    return {sequence: sorted(items) for sequence, items in found.items()}


def _for_training(root: Path, found: dict[str, Found], held_out: str) -> dict[str, Found]:
    judged = find_frames(root, "val") if (root / "val").is_dir() else {}
    kept = {}
    for sequence, items in found.items():
        near = [number for number, _, _ in judged.get(sequence, [])]
        clear = [x for x in items if not near or not near[0] - MARGIN < x[0] < near[-1] + MARGIN]
        if sequence != held_out and clear:
            kept[sequence] = clear
    if not kept:
        raise ConfigError(f"held-out sequence {held_out}: nothing else is in {root / 'train'} to train on")
    return kept


def _videos(found: dict[str, Found]) -> list[MaskedVideo]:
    videos = []
    for sequence, items in found.items():
        for stretch in split_at_gaps([number for number, _, _ in items], GAP):
            numbers, frames, masks = zip(*(items[i] for i in stretch), strict=True)
            dense = len(numbers) > 1 and (numbers[-1] - numbers[0]) / (len(numbers) - 1) <= DENSE
            videos.append(
                MaskedVideo(name=f"{sequence}_{numbers[0]}", frames=frames, masks=masks, numbers=numbers, dense=dense)
            )
    return videos
