"""Your own videos with masks: a folder of frames, a folder of masks, and a list of classes with their colours."""

from itertools import pairwise
from os import PathLike
from pathlib import Path

from spikereel.data.mask_clips import IGNORE, Colour, LabelSet, MaskClips, MaskedVideo, MaskReading, number_of
from spikereel.data.pictures import PICTURES
from spikereel.data.text import read_text
from spikereel.data.walk import subfolders, visible
from spikereel.errors import DataError

CLASS_LIST = "classes.txt"


class MaskFolder(MaskClips):
    """Clips of the videos in a folder: items as of `MaskClips`, one for every frame with a mask.

    `root`/frames/<video>/<number>.jpg (or .png), any name that ends in the number; masks of the same name and size in
    `root`/masks/<video>/<number>.png, for all frames or for some. Masks are grey or palette PNG whose value is the
    class, 255 to ignore, or PNG in the colours of the classes.
    classes: the list of classes, `read_classes`; its default is `root`/classes.txt.
    Raises DataError for a folder without frames, a mask without a frame, a list that makes no sense; more in
    `MaskClips`.
    """

    def __init__(self, root: str | PathLike, reading: MaskReading, *, classes: str | PathLike | None = None):
        root = Path(root)
        folders = subfolders(root / "frames") if (root / "frames").is_dir() else []
        if not folders:
            raise DataError(f"{root / 'frames'}: no folder of a video in it; put frames in frames/<video>/")
        labels = read_classes(Path(classes) if classes is not None else root / CLASS_LIST)
        videos = [masked_video(folder, root / "masks" / folder.name, folder.name) for folder in folders]
        super().__init__(root, videos, labels, reading)


def read_classes(path: Path) -> LabelSet:
    """Classes from a text file: `name red green blue`, one a line, the first is class 0; the name `ignore` is for
    colours to ignore. Raises DataError for another form, or a name or colour that comes twice."""
    if not path.is_file():
        raise DataError(f"{path}: no such list; write one line `name red green blue` for each class")
    colours: dict[Colour, int] = {}
    names: dict[str, Colour] = {}
    for number, line in enumerate(read_text(path, "save it as UTF-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        *words, red, green, blue = ["", "", "", *line.split()]
        name = " ".join(words).strip()
        if not name or not all(x.isdecimal() and int(x) < 256 for x in (red, green, blue)):
            raise DataError(f"{path}, line {number}: {line!r}; write `name red green blue`, colours from 0 to 255")
        colour = int(red), int(green), int(blue)
        if colour in colours or name in names:
            raise DataError(f"{path}, line {number}: {name} or its colour is there already; make both its own")
        colours[colour] = IGNORE if name == "ignore" else len(names)
        if name != "ignore":
            names[name] = colour
    if not 0 < len(names) < IGNORE:
        raise DataError(f"{path}: names {len(names)} classes; from 1 to {IGNORE - 1} can be")
    return LabelSet(
        classes=tuple(names),
        palette=list(names.values()),
        colours=colours,
        values={**{i: i for i in range(len(names))}, IGNORE: IGNORE},
    )


def masked_video(frames: Path, masks: Path, name: str, *, whole: bool = False) -> MaskedVideo:
    """The frames of a folder in the order of their numbers, with the masks of the same names.

    whole: every frame must have one. Raises DataError for no frames, no masks, one number twice, or what lacks its
    other half.
    """
    pictures = sorted((number_of(p), p) for p in visible(frames) if p.suffix.lower() in PICTURES)
    if not pictures:
        raise DataError(f"{frames}: no frames in it; copy the video {name} again, or leave it out")
    numbers, paths = zip(*pictures, strict=True)
    if len(set(numbers)) < len(numbers):
        twice = next(b for a, b in pairwise(pictures) if a[0] == b[0])
        raise DataError(f"{twice[1]}: another frame has the number {twice[0]} too; number the frames in order of time")
    there = {p.stem: p for p in visible(masks) if p.suffix.lower() == ".png"} if masks.is_dir() else {}
    if alone := sorted(there.keys() - {p.stem for p in paths}):
        raise DataError(f"{there[alone[0]]}: there is no frame of that name in {frames}; remove it, or copy the frame")
    if not there:
        raise DataError(f"{masks}: no frame of {name} has a mask <name of the frame>.png; label some, or leave it out")
    absent = [p for p in paths if p.stem not in there]
    if whole and absent:
        raise DataError(f"{absent[0]}: has no mask in {masks}; copy the video again")
    return MaskedVideo(
        name=name,
        frames=paths,
        masks=tuple(there.get(p.stem) for p in paths),
        numbers=numbers,
        dense=not absent and len(paths) > 1,
    )
