"""Which clips are for training, for choosing by and for test, where a dataset does not say."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from spikereel.data.clips import LabelledClips, Part
from spikereel.data.mask_clips import MaskClips
from spikereel.data.shard_index import INDEX
from spikereel.errors import ConfigError, DataError
from spikereel.runs.data import DataSpec, Split
from spikereel.runs.origins import Origin, labels_of, one_source, origins_of

HELD_OUT = 5
"""Without a val folder, every fifth video of each class of a folder or list is held out from training."""

CHOSEN_BY = 10
"""Of an official training list, every tenth video is held out to choose the best weights by."""

OwnSplit = Literal["train", "test"]


def root_of(spec: DataSpec) -> Path:
    """Where the files are; ConfigError where `data.root` is not given."""
    if spec.root is None:
        raise ConfigError(f"data.kind={spec.kind} needs data.root=FOLDER, the place of the files")
    return Path(spec.root)


NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What the folders of the parts of a data set are called, in any case of letters."""

_READ = "; ".join(f"{split}: {', '.join(names)}" for split, names in NAMES.items())


def parts_of(root: Path) -> dict[Split, Path]:
    """The sub-folders that are parts of a data set, by split; none where `root` has other folders, such as classes.

    A part has sub-folders, or the index of shards. Raises DataError for two folders of one part, and for a training
    part beside folders of other names alone.
    """
    if not root.is_dir():
        return {}
    called = {name: split for split, names in NAMES.items() for name in names}
    folders = [root / name for name in _subfolders(root)]
    parts: dict[Split, Path] = {}
    for folder in folders:
        split = called.get(folder.name.lower())
        if split is None or not (_subfolders(folder) or (folder / INDEX).is_file()):
            continue
        if split in parts:
            raise DataError(f"{root}: {parts[split].name} and {folder.name} are both for {split}; keep one of them")
        parts[split] = folder
    others = [folder.name for folder in folders if folder not in parts.values()]
    if "train" in parts and len(parts) == 1 and others:
        raise DataError(
            f"{root}: beside {parts['train'].name} stands {others[0]}, which is the name of no part; read are {_READ}"
        )
    return parts if "train" in parts or not others else {}


def folder_of(root: Path, split: Split) -> tuple[Path, bool] | None:
    """The folder that a split is read from, and whether it is a part of that; None where `root` has no such folders.

    Without a folder to choose by, a part of the training folder is held out. Raises DataError for training on a folder
    that has only others.
    """
    parts = parts_of(root)
    if not parts:
        return None
    if "train" not in parts:
        if split == "train":
            names = " and ".join(folder.name for folder in parts.values())
            raise DataError(
                f"{root}: has {names} but no train; give the folder that has all, or one of classes (read are {_READ})"
            )
        order: tuple[Split, ...] = ("val", "test") if split == "val" else ("test", "val")
        return next(parts[name] for name in order if name in parts), False
    if split == "test" and len(parts) > 1:
        return parts.get("test") or parts["val"], False
    return (parts[split], False) if split in parts and "val" in parts else (parts["train"], True)


def train_classes(root: Path) -> tuple[str, ...] | None:
    """Names of the sub-folders of the training part; None where there is no such folder."""
    parts = parts_of(root)
    return _subfolders(parts["train"]) if "train" in parts else None


def _subfolders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def held_out(
    origins: Sequence[Origin], labels: Sequence[int], *, every: int = HELD_OUT, fold: int = 0, seed: int = 0
) -> set[int]:
    """Numbers of the clips to hold out: of the sources of each class about every so many, in a seeded order.

    A source, all clips of one file or video, is held out whole or not at all. A class of few sources has one held out;
    of a single source it has none.
    """
    clips: dict[int, list[int]] = {}
    for i, source in enumerate(one_source(origins)):
        clips.setdefault(source, []).append(i)
    shown = {source: frozenset(labels[i] for i in own) for source, own in clips.items()}
    strata: dict[frozenset[int], list[int]] = {}
    for source, own in shown.items():
        strata.setdefault(own, []).append(source)
    # sources of several classes may be of one of a kind each: those are one group, where others show their classes
    counts = Counter(label for own in shown.values() for label in own)
    alone = [x for x, own in strata.items() if len(own) == 1 and all(counts[label] > 1 for label in x)]
    groups = [own for x, own in strata.items() if x not in alone] + [[strata[x][0] for x in alone]]

    def place(source: int) -> str:
        content = min(origins[i].content() for i in clips[source])
        return hashlib.sha256(f"{seed} {content}".encode()).hexdigest()

    held: list[int] = []
    for group in groups:
        order, step = sorted(group, key=place), min(every, len(group))
        held += order[fold % step :: every] if step > 1 else []
    left = Counter(label for source, own in shown.items() if source not in held for label in own)
    for source in list(held):
        if any(not left[label] for label in shown[source]):
            held.remove(source)
            left.update(shown[source])
    return {i for source in held for i in clips[source]}


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
    """All files for test, and where none are held out; else the held-out fifth of each class or the others."""
    if split == "test" or not spec.hold_out:
        return files
    rule = (
        f"every {HELD_OUT}th of a class is held out, whole sources (of one person, scene or content) together; add "
        "videos, or choose another data.fold"
    )
    return _some(files, spec, split, rule, every=HELD_OUT, fold=spec.fold, seed=spec.seed)


def official(spec: DataSpec, split: Split, load: Callable[[OwnSplit], LabelledClips]) -> LabelledClips:
    """Data with official training and test lists; to choose by, part of the training list, or the test list."""
    own = own_split(spec, split)
    files = load(own)
    if own == "test" or spec.select_on_test:
        return files
    rule = f"every {CHOSEN_BY}th of a class is held out to choose by; add videos, or data.select_on_test=true"
    return _some(files, spec, split, rule, every=CHOSEN_BY)


def recordings_of(paths: Sequence[Path], labels: Sequence[int], split: Split) -> Callable[[int], bool]:
    """Whether the recording of a number is of `split`, where every tenth of a class is there to choose by."""
    held = held_out([Origin(str(path)) for path in paths], labels, every=CHOSEN_BY)
    return lambda number: (number in held) == (split == "val")


def videos_of(clips: MaskClips, spec: DataSpec, split: Split) -> Callable[[int], bool]:
    """Whether the video of a number is of `split`, where about every fifth is held out; copies stay together."""
    # what a video shows is told by the frame in its middle
    origins = [Origin(str(x.frames[len(x.frames) // 2])) for x in clips.videos]
    held = held_out(origins, [0] * len(origins), fold=spec.fold, seed=spec.seed)
    return lambda number: (number in held) == (split == "val")


def _some(files: LabelledClips, spec: DataSpec, split: Split, rule: str, **how: int) -> Part:
    """The clips of a split; DataError for none, which says why that is."""
    origins, labels = origins_of(files), labels_of(files)
    assert origins is not None
    assert labels is not None
    held = held_out(origins, labels, **how)
    kept = [i for i in range(len(files)) if (i in held) == (split == "val")]
    if not kept:
        raise DataError(f"{spec.root}: none of its {len(files)} clip(s) is left for the {split} split: {rule}")
    part = Part(files, kept)
    if split == "val":
        part.notes = (*part.notes, *_lacking(files.classes, labels, held))
    return part


def _lacking(classes: Sequence[str], labels: Sequence[int], held: set[int]) -> list[str]:
    """A line on the classes that have clips, of which none is held out."""
    missing = sorted(set(labels) - {labels[i] for i in held})
    if not missing:
        return []
    names = named([classes[label] for label in missing])
    return [f"no clip is held out of class {names}: too few videos; validation is without it"]


def named(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def in_words(seconds: float) -> str:
    """A time, such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
