"""Kinetics-400 and Kinetics-600 (Kay et al. 2017, Carreira et al. 2018): ten-second clips that vanish over time."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.sets.folder import VideoFiles, videos_by_name
from spikereel.data.text import read_rows, require_choice
from spikereel.data.video.clip import Reading
from spikereel.errors import DataError

SPLITS = ("train", "val", "test")
_LISTS = {"train": ("train",), "val": ("val", "validate", "validation"), "test": ("test",)}
_HINT = "take the official list"
_COLUMNS = ("youtube_id", "time_start", "time_end")


class Kinetics(VideoFiles):
    """The clips of an official list that are on this disk; see `VideoFiles`.

    The lists are train.csv, val.csv (or validate.csv) and test.csv, with the columns label, youtube_id, time_start and
    time_end; they stand in root, or in a folder annotations/, kinetics400/ or kinetics600/ of it. The clips are
    anywhere under root, named `<youtube_id>_<start>_<end>.mp4` with six digits each, as the official crawler does.
    Clips that are listed and not there are no error: they stand in `missing`, and in the fingerprint.
    The classes are the labels of train.csv in alphabetical order, unless given. Raises DataError for a missing list,
    with the line's number for a row without label, name or seconds, for a list without labels, an unknown label, and no
    clip at all.
    """

    def __init__(
        self,
        root: str | PathLike,
        reading: Reading,
        *,
        split: Literal["train", "val", "test"],
        classes: Sequence[str] | None = None,
    ):
        require_choice("split", split, SPLITS)
        root = Path(root)
        path = _list(root, split)
        rows = _rows(path)
        known = _rows(_list(root, "train")) if classes is None and split != "train" else rows
        names = tuple(sorted({label for _, label, _ in known}) if classes is None else classes)
        number_of = {name: i for i, name in enumerate(names)}
        found = videos_by_name(root)
        samples, missing = [], []
        for line, label, name in rows:
            if label not in number_of:
                raise DataError(f"{path}:{line}: {label!r} is none of the {len(names)} classes; take the official list")
            if name in found:
                samples.append((found[name], number_of[label]))
            else:
                missing.append(name)
        if not samples:
            raise DataError(f"{root}: has none of the {len(rows)} clips of {path.name}, such as {missing[0]}.mp4")
        super().__init__(samples, reading, classes=names, root=root, missing=missing)


def clip_names(path: Path) -> list[str]:
    """The names, without ending, of the clips in a list. Raises DataError as `Kinetics`."""
    return [name for _, _, name in _rows(path, "youtube_id")]


def _list(root: Path, split: str) -> Path:
    folders = [root / name for name in (".", "annotations", "kinetics400", "kinetics600")]
    for path in (folder / f"{name}.csv" for folder in folders for name in _LISTS[split]):
        if path.is_file():
            return path
    raise DataError(f"{root}: no {split}.csv in it or in annotations/; copy the official lists there")


def _rows(path: Path, label: str = "label") -> list[tuple[int, str, str]]:
    """(line, label, name of the clip's file without ending) of every row; `label` is the column to take it from."""
    (_, columns), *rows = read_rows(path, _HINT) or [(1, [])]
    if not set(columns).issuperset(_COLUMNS):
        raise DataError(f"{path}:1: lacks one of the columns {', '.join(_COLUMNS)}; {_HINT}")
    if label not in columns:
        raise DataError(f"{path}: has no labels, as some test lists; judge on another list with split=val")
    if not rows:
        raise DataError(f"{path}: lists no clips; {_HINT}")
    return [(line, *_clip(path, line, dict(zip(columns, row, strict=False)), label)) for line, row in rows]


def _clip(path: Path, line: int, row: dict[str, str], label: str) -> tuple[str, str]:
    """The label and the name of a row, which lacks columns where it is short."""
    start, end = (row.get(column) for column in ("time_start", "time_end"))
    try:
        seconds = [int(float(time or "")) for time in (start, end)]
    except (ValueError, OverflowError):
        seconds = [-1]
    if min(seconds) < 0:
        raise DataError(f"{path}:{line}: {start!r} to {end!r} are not seconds; {_HINT}")
    for column in (label, "youtube_id"):
        if not row.get(column):
            raise DataError(f"{path}:{line}: has no {column}; {_HINT}")
    return row[label], f"{row['youtube_id']}_{seconds[0]:06}_{seconds[1]:06}"
