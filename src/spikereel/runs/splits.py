"""Which clips are for training, for choosing by and for test, where a dataset does not say."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from spikereel.data.clips import LabelledClips, Part
from spikereel.errors import ConfigError, DataError
from spikereel.runs.data import DataSpec, Split

HELD_OUT = 5
"""Without a val folder, every fifth file of a video folder or list is held out from training."""

CHOSEN_BY = 10
"""Of an official training list, every tenth video is held out to choose the best weights by."""

OwnSplit = Literal["train", "test"]


def root_of(spec: DataSpec) -> Path:
    """Where the files are; ConfigError where `data.root` is not given."""
    if spec.root is None:
        raise ConfigError(f"data.kind={spec.kind} needs data.root=FOLDER, the place of the files")
    return Path(spec.root)


def split_folder(root: Path, split: Split) -> Path | None:
    """The sub-folder of a split, where there is one for training, or where all are named for splits.

    Raises DataError for training on a folder that has only others.
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


def held_out(spec: DataSpec, split: Split) -> Callable[[int], bool]:
    """Whether the file of a number is of `split`, where every fifth, from `data.fold` on, is held out from training."""
    return lambda number: ((number - spec.fold) % HELD_OUT == 0) == (split == "val")


def chosen_by(split: Split) -> Callable[[int], bool]:
    """Whether the training file of a number is of `split`, where every tenth is there to choose by."""
    return lambda number: (number % CHOSEN_BY == 0) == (split == "val")


def everything(number: int) -> bool:
    """No file is left out."""
    return True


def own_split(spec: DataSpec, split: Split) -> OwnSplit:
    """Of data with official training and test lists, the list that a split is taken from."""
    return "test" if split == "test" or (split == "val" and spec.select_on_test) else "train"


def part_of(files: LabelledClips, spec: DataSpec, split: Split) -> LabelledClips:
    """All files for test; else the held-out fifth or the others."""
    if split == "test":
        return files
    rule = f"every {HELD_OUT}th is held out; add videos, or choose another data.fold"
    return _some(files, held_out(spec, split), spec, split, rule)


def official(spec: DataSpec, split: Split, load: Callable[[OwnSplit], LabelledClips]) -> LabelledClips:
    """Data with official training and test lists; to choose by, part of the training list, or the test list."""
    own = own_split(spec, split)
    files = load(own)
    if own == "test" or spec.select_on_test:
        return files
    rule = f"every {CHOSEN_BY}th is held out to choose by; add videos, or data.select_on_test=true"
    return _some(files, chosen_by(split), spec, split, rule)


def _some(files: LabelledClips, keep: Callable[[int], bool], spec: DataSpec, split: Split, rule: str) -> Part:
    """These items; DataError for none, which says why that is."""
    kept = [i for i in range(len(files)) if keep(i)]
    if not kept:
        raise DataError(f"{spec.root}: none of its {len(files)} clip(s) is left for the {split} split: {rule}")
    return Part(files, kept)
