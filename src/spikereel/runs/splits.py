"""Which clips are for training, for choosing by and for test, where a dataset does not say."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from spikereel.data.clips import LabelledClips, Part
from spikereel.data.events.reading import EventReading
from spikereel.data.events.source import Sensor
from spikereel.data.sets.shards import PackedClips
from spikereel.data.shard_index import INDEX
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError
from spikereel.runs.config import DataSpec

Split = Literal["train", "val", "test"]


HELD_OUT = 5
"""Without a val folder, every fifth file of a video folder or list is held out from training."""

CHOSEN_BY = 10
"""Of an official training list, every tenth video is held out to choose the best weights by."""


def root_of(spec: DataSpec) -> Path:
    if spec.root is None:
        raise ConfigError(f"data.kind={spec.kind} needs data.root=FOLDER, the place of the files")
    return Path(spec.root)


def split_folder(root: Path, split: Split) -> Path | None:
    """The sub-folder of a split, where there is one for training, or where all are named for splits.

    Errors: DataError for training on a folder that has only others.
    """
    names = _subfolders(root) if root.is_dir() else ()
    if not names or not ("train" in names or {"val", "test"}.issuperset(names)):
        return None
    for name in {"train": ("train",), "val": ("val", "test"), "test": ("test", "val")}[split]:
        if name in names:
            return root / name
    if "train" in names:
        return None
    raise DataError(f"{root}: has {' and '.join(names)} but no train; give the folder that has all, or one of classes")


def train_classes(root: Path) -> tuple[str, ...] | None:
    """Names of the sub-folders of train/; None where there is no such folder."""
    return _subfolders(root / "train") if (root / "train").is_dir() else None


def _subfolders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def part_of(files: LabelledClips, spec: DataSpec, split: Split) -> LabelledClips:
    """All files for test; else the held-out fifth or the others."""
    if split == "test":
        return files
    kept = [i for i in range(len(files)) if ((i - spec.fold) % HELD_OUT == 0) == (split == "val")]
    return _some(files, kept, spec, split, f"every {HELD_OUT}th is held out; add videos, or choose another data.fold")


def official(spec: DataSpec, split: Split, load: Callable[[Literal["train", "test"]], LabelledClips]) -> LabelledClips:
    """Data with official training and test lists; to choose by, part of the training list, or the test list."""
    if split == "test" or (split == "val" and spec.select_on_test):
        return load("test")
    if spec.select_on_test:
        return load("train")
    files = load("train")
    kept = [i for i in range(len(files)) if (i % CHOSEN_BY == 0) == (split == "val")]
    return _some(
        files,
        kept,
        spec,
        split,
        f"every {CHOSEN_BY}th is held out to choose by; add videos, or data.select_on_test=true",
    )


def _some(files: LabelledClips, kept: list[int], spec: DataSpec, split: Split, rule: str) -> Part:
    """These items; DataError for none, which says why that is."""
    if not kept:
        raise DataError(f"{spec.root}: none of its {len(files)} clip(s) is left for the {split} split: {rule}")
    return Part(files, kept)


def packed(
    spec: DataSpec,
    split: Split,
    reading: Reading | EventReading,
    classes: tuple[str, ...] | None,
    sensor: Sensor | None = None,
) -> LabelledClips:
    """Shards, which may be a URL: those of the split where they are packed apart in a folder, else by a fifth."""
    if spec.on_error == "skip":
        raise ConfigError("data.on_error=skip cannot look into shards; leave bad files out when packing")
    if spec.modality not in ("rgb", "events"):
        raise ConfigError(f"data.modality is {spec.modality}: shards have rgb and events")
    assert spec.root is not None
    folder = split_folder(Path(spec.root), split)
    if folder is not None and (folder / INDEX).is_file():
        return PackedClips(folder, reading, classes=classes, sensor=sensor)
    return part_of(PackedClips(spec.root, reading, classes=classes, sensor=sensor), spec, split)
