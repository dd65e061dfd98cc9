"""Kinetics-400 and Kinetics-600 (Kay et al. 2017, Carreira et al. 2018): ten-second clips that vanish over time."""

import csv
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from spikereel.data.folder import Reading, VideoFiles, require_choice, videos_by_name
from spikereel.errors import DataError

SPLITS = ("train", "val", "test")
_LISTS = {"train": ("train",), "val": ("val", "validate", "validation"), "test": ("test",)}
_COLUMNS = ("youtube_id", "time_start", "time_end")


class Kinetics(VideoFiles):
    """The clips of an official list that are on this disk; see `VideoFiles`.

    The lists are train.csv, val.csv (or validate.csv) and test.csv, with the columns label, youtube_id, time_start and
    time_end; they stand in root, or in a folder annotations/, kinetics400/ or kinetics600/ of it. The clips are
    anywhere under root, named `<youtube_id>_<start>_<end>.mp4` with six digits each, as the official crawler does.
    Clips that are listed and not there are no error: they stand in `missing`, and in the fingerprint.
    The classes are the labels of train.csv in alphabetical order, unless given. Errors: DataError for a missing list,
    with the line's number for a malformed row, for a list without labels, an unknown label, and no clip at all.
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
    """The names, without ending, of the clips in a list. Errors: DataError as `Kinetics`."""
    return [name for _, _, name in _rows(path, "youtube_id")]


def _list(root: Path, split: str) -> Path:
    folders = [root / name for name in (".", "annotations", "kinetics400", "kinetics600")]
    for path in (folder / f"{name}.csv" for folder in folders for name in _LISTS[split]):
        if path.is_file():
            return path
    raise DataError(f"{root}: no {split}.csv in it or in annotations/; copy the official lists there")


def _rows(path: Path, label: str = "label") -> list[tuple[int, str, str]]:
    """(line, label, name of the clip's file without ending) of every row; `label` is the column to take it from."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        columns = set(rows.fieldnames or ())
        if not columns.issuperset(_COLUMNS):
            raise DataError(f"{path}:1: lacks one of the columns {', '.join(_COLUMNS)}; take the official list")
        if label not in columns:
            raise DataError(f"{path}: has no labels, as some test lists; judge on another list with split=val")
        found = [(rows.line_num, row[label], _name(path, rows.line_num, row)) for row in rows]
    if not found:
        raise DataError(f"{path}: lists no clips; take the official list")
    return found


def _name(path: Path, line: int, row: dict[str, str]) -> str:
    try:
        start, end = (int(float(row[column])) for column in ("time_start", "time_end"))
    except (TypeError, ValueError):
        raise DataError(f"{path}:{line}: {row['time_start']!r} to {row['time_end']!r} are not seconds") from None
    return f"{row['youtube_id']}_{start:06}_{end:06}"
