"""What every data set of clips offers, the base of those whose items are random, and what wraps them."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikereel.data.walk import find, said, subfolders, visible
from spikereel.errors import DataError

T_co = TypeVar("T_co", covariant=True)


class Clips(Protocol[T_co]):
    """What training and evaluation ask of a data set; items are `(video, target)`."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes; none where targets are no classes."""
        ...

    @property
    def skipped(self) -> Sequence[tuple[Path, str]]:
        """(path, reason) of broken files that are left out."""
        ...

    @property
    def missing(self) -> Sequence[str]:
        """Names of clips that are on the official list and not on this disk."""
        ...

    @property
    def left_out(self) -> Sequence[Path]:
        """Files in the folders of the data set that do not count by their names; see `spikereel.data.walk`."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether events are made from video, not recorded."""
        ...

    @property
    def choices(self) -> Mapping[str, str]:
        """Which of several published readings of the data set it has, by option."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, T_co]: ...

    def set_epoch(self, epoch: int) -> None:
        """Choose the random clips and changes of the items that are read from now on."""
        ...

    def fingerprint(self) -> str:
        """sha256 (hex) of all that the items depend on: the data hash of a run."""
        ...


LabelledClips = Clips[int]
"""Clips of classes; items are `(video, label)`."""


class SeededClips(Dataset[tuple[Tensor, T_co]]):
    """The base of data sets: an item depends on (seed, epoch, index), never on the worker or the order.

    Subclasses give `__len__`, `item` and `fingerprint`. Call `set_epoch` before each epoch; it reaches workers that are
    already running.
    """

    classes: Sequence[str] = ()
    skipped: Sequence[tuple[Path, str]] = ()
    missing: Sequence[str] = ()
    left_out: Sequence[Path] = ()
    simulated: bool = False
    notes: Sequence[str] = ()
    """What is worth a look about these clips, a line each."""
    choices: Mapping[str, str] = {}
    """Which of several published readings of the data set it has, by option."""

    def __init__(self, seed: int = 0):
        self.seed = seed
        # In shared memory, because persistent workers hold a copy of the data set that no attribute of ours reaches.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The one that was chosen last; at first 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the random clips and changes of the items that are read from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Tensor, T_co]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return self.item(index % len(self))

    def item(self, index: int) -> tuple[Tensor, T_co]:
        """The item of an index from 0 to the length."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """sha256 (hex) of all that the items depend on: the data hash of a run."""
        raise NotImplementedError

    def random(self, index: int) -> np.random.Generator:
        """The randomness of an item, by numpy."""
        return random_of(self.seed, self.epoch, index)

    def torch_random(self, index: int) -> torch.Generator:
        """The randomness of an item, by torch."""
        entropy = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(entropy[0] >> np.uint64(1)))


def random_of(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The randomness of one item, by numpy."""
    return np.random.default_rng(np.random.SeedSequence([seed, epoch, index]))


class WrappedClips(SeededClips[T_co]):
    """The base of data sets that are made of another one, with all that is said of its files."""

    def __init__(self, clips: Clips, seed: int = 0):
        super().__init__(seed)
        self.clips, self.classes = clips, tuple(clips.classes)
        # A data set that says nothing of them has left nothing out.
        self.skipped, self.missing = getattr(clips, "skipped", ()), getattr(clips, "missing", ())
        self.left_out = getattr(clips, "left_out", ())
        self.simulated, self.notes = getattr(clips, "simulated", False), tuple(getattr(clips, "notes", ()))
        self.choices = getattr(clips, "choices", {})

    def set_epoch(self, epoch: int) -> None:
        """Choose the random clips and changes, here and in the other data set."""
        super().set_epoch(epoch)
        self.clips.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.clips)


class Part(WrappedClips[T_co]):
    """Some items of a data set, under their own numbers there."""

    def __init__(self, clips: Clips[T_co], kept: Sequence[int]):
        super().__init__(clips)
        self.kept = list(kept)

    @property
    def whole(self) -> Clips[T_co]:
        """The old name of `clips`."""
        return self.clips

    def __len__(self) -> int:
        return len(self.kept)

    def item(self, index: int) -> tuple[Tensor, T_co]:
        """The item of that number among those kept."""
        return self.clips[self.kept[index]]

    def fingerprint(self) -> str:
        """sha256 (hex) of the data set's fingerprint and the numbers of the items."""
        return hashlib.sha256(f"{self.clips.fingerprint()} {self.kept}".encode()).hexdigest()


def fingerprint(root: Path, items: Sequence[tuple], missing: Sequence[str] = ()) -> str:
    """sha256 (hex) of the sorted lines (path relative to the root, bytes, then the rest of each item), and of the names
    of missing ones. Of a folder of pictures the bytes are those of all of them.
    """
    lines = sorted(
        "\t".join(map(str, (Path(os.path.relpath(path, root)).as_posix(), _bytes(path), *rest))) + "\n"
        for path, *rest in items
    )
    lines += sorted(f"missing\t{name}\n" for name in missing)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def folder_samples(
    root: Path, classes: Sequence[str] | None, *, suffixes: Set[str], what: str = "files", any_case: bool = False
) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """The names of the classes, and (path, label) of every file, of a folder with a subfolder for each class.

    classes: all subfolders in alphabetical order, unless given. any_case: given names are found in other cases of
    letters too. what: the files, for the errors. Raises DataError for a
    missing or empty folder, a class without files, and a subfolder that is not among the given classes.
    """
    names, samples, _ = class_files(root, classes, suffixes=suffixes, what=what, any_case=any_case)
    return names, samples


def differ_in_case(classes: Iterable[str]) -> list[str]:
    """Lines on names of classes that are one name where case is ignored, as on disks of Windows and macOS."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(name.casefold(), []).append(name)
    return [f"{' and '.join(x)} differ in case alone: meant as one class?" for x in groups.values() if len(x) > 1]


def class_files(
    root: Path, classes: Sequence[str] | None, *, suffixes: Set[str], what: str = "files", any_case: bool = False
) -> tuple[tuple[str, ...], list[tuple[Path, int]], list[Path]]:
    """`folder_samples`, and the files that were left out. Files in folders below that of a class are of it too."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one with a subfolder per class")
    found = [folder.name for folder in subfolders(root)]
    if not found:
        raise DataError(f"{root}: has no subfolders; put the {what} of each class into one named for it")
    names, samples = tuple(found if classes is None else classes), []
    left_out = [path for path in visible(root) if path.is_file() and path.suffix.lower() in suffixes]
    numbers = {name: number for number, name in enumerate(names)}
    if any_case:
        numbers |= {name: numbers[own] for name in found for own in names if name.casefold() == own.casefold()}
    for name in found:
        if name not in numbers:
            raise DataError(f"{root / name}: is not among the classes {', '.join(names)}; rename or remove it")
        own = find(root / name, suffixes)
        left_out += own.left_out
        if not own.files:
            endings, others = " ".join(sorted(suffixes)), said(own.left_out, root / name)
            raise DataError(
                f"{root / name}: class without {what} ({endings}); add some or remove the folder"
                + (f"; {others}" if others else "")
            )
        samples += [(path, numbers[name]) for path in own.files]
    return names, samples, left_out


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else path.stat().st_size
