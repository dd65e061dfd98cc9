"""Datasets of video files: folders with a subfolder per class, and text lists."""

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikereel.data.text import read_text
from spikereel.data.trails import bent, trail_frames, with_trails
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.video.cache import FrameCache
from spikereel.data.video.read import Timeline, glance, probe, read_frames, sample_indices, timeline
from spikereel.errors import ConfigError, DataError

SUFFIXES = frozenset({".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})

USUAL_FPS = 25.0
"""Of videos that do not say."""

TRIM = 0.1
"""Of a clip, what `time_warp` leaves out at either end at most."""

_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST_CLASSES = 100_000

Transform = Callable[[Tensor, torch.Generator | None], Tensor]
Progress = Callable[[int, int], None]  # (files done, files in all)


@dataclass(frozen=True)
class Scan:
    """Outcome of decoding every file once."""

    frames: dict[Path, int]  # good files and their true numbers of frames
    bad: list[tuple[Path, str]]  # the others, each with its reason


def scan(paths: Iterable[Path], *, workers: int = 1, progress: Progress | None = None) -> Scan:
    """Decode every file from end to end, once, and sort the good from the bad; `progress(done, total)` after each.

    `workers` files at a time, in threads: ffmpeg decodes beside Python.
    """
    paths = list(dict.fromkeys(paths))
    report = Scan({}, [])
    with ThreadPoolExecutor(workers) as pool:
        for done, (path, frames) in enumerate(zip(paths, pool.map(_frames_or_reason, paths), strict=True), start=1):
            if isinstance(frames, int):
                report.frames[path] = frames
            else:
                report.bad.append((path, frames))
            if progress:
                progress(done, len(paths))
    return report


def _frames_or_reason(path: Path) -> int | str:
    try:
        return probe(path).frames
    except DataError as error:
        return str(error)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How video files become clips. Errors: ConfigError for values that do not exist or do not go together."""

    frames: int  # T, frames of a clip
    transform: Transform  # (uint8 [T, C, H, W], generator or None) -> float32; TrainTransform or EvalTransform
    stride: float | None = None  # see `sample_indices`; None spreads the clip over the whole video
    trails: float = 0.0  # seconds; of the frames their grey, and where it is above and below the mean of their past:
    # of all frames of the video, see `with_trails`
    time_warp: float = 0.0  # in training: up to so much faster at one end, and up to a tenth left out at either
    clips: int = 1  # views in time, for evaluation
    copies: int = 1  # of a training clip, decoded once and transformed this many times
    train: bool = False  # draw a random clip, and hand the transform a generator
    seed: int = 0  # of everything random
    on_error: Literal["raise", "skip"] = "raise"  # what a bad file does, see `VideoFiles`
    cache: FrameCache | None = None  # keep decoded frames; whole clips then go through the transform at that size
    progress: Progress | None = None  # called while on_error="skip" looks at all files

    def __post_init__(self):
        if self.on_error not in ("raise", "skip"):
            raise ConfigError(f"on_error is {self.on_error!r}: choose 'raise' or 'skip'")
        if self.train and self.clips > 1:
            raise ConfigError(f"clips is {self.clips}: training takes one clip of a video at a time")
        if self.copies < 1:
            raise ConfigError(f"copies is {self.copies}: it must be at least 1")
        if self.copies > 1 and not self.train:
            raise ConfigError(f"copies is {self.copies}: only training draws several copies of a clip, give train=True")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}: it must be at least 0")
        if self.trails < 0 or not 0 <= self.time_warp < 1:
            raise ConfigError(f"trails is {self.trails}, at least 0; time_warp {self.time_warp}, from 0 to below 1")
        if self.trails and _by_frame(self.transform) is None:
            raise ConfigError("trails go with boxes and mirrors alone: no randaugment, jitter or erasing; antialias")
        # Other wrong combinations show here and not in a worker.
        sample_indices(1, self.frames, stride=self.stride, clip=self.clips - 1, clips=self.clips)

    @property
    def views(self) -> int:
        """Clips times the crops of the transform."""
        return self.clips * getattr(self.transform, "crops", 1)


def read_clip(
    path: Path, reading: Reading, generator: torch.Generator | None = None, known: Timeline | None = None
) -> Tensor:
    """One file as an item of `VideoFiles`; `generator` is for training, `known` the file's timeline if it is there."""
    if reading.trails:
        return _joined(
            [view for clip in range(reading.clips) for view in _moving(path, known, reading, clip, generator)]
        )
    if reading.cache:
        return _joined([view for clip in range(reading.clips) for view in _kept(path, reading, clip, generator)])
    known = known or timeline(path)
    return _joined([view for clip in range(reading.clips) for view in _views(path, known, reading, clip, generator)])


def _joined(views: list[Tensor]) -> Tensor:
    return views[0] if len(views) == 1 else torch.stack(views).flatten(0, views[0].ndim - 4)


def _kept(path: Path, how: Reading, clip: int, generator: torch.Generator | None) -> list[Tensor]:
    """As `_views`, of frames in the cache."""
    assert how.cache is not None
    spread = how.stride is None and not how.time_warp
    frames = how.cache.frames(path, how.frames if spread else None)
    if not spread:
        frames = frames[_chosen(len(frames), how, clip, generator)]
    return [how.transform(frames, generator) for _ in range(how.copies)]


def _views(path: Path, known: Timeline, how: Reading, clip: int, generator: torch.Generator | None) -> list[Tensor]:
    """The copies of one clip, which is decoded once."""
    numbers, transform = known.at_equal_times(_chosen(len(known), how, clip, generator)), how.transform
    steps = _by_frame(transform, generator) if how.copies == 1 else None
    if steps:
        each, finish = steps
        return [finish(read_frames(path, numbers, known, each=each))]
    frames = read_frames(path, numbers, known)
    return [transform(frames, generator) for _ in range(how.copies)]


def _moving(
    path: Path, known: Timeline | None, how: Reading, clip: int, generator: torch.Generator | None
) -> list[Tensor]:
    """The copies of one clip with trails, for which all frames up to its last are decoded, once."""
    info, known = glance(path, known)
    chosen = _chosen(len(known), how, clip, generator)
    constant = how.trails * (info.fps or USUAL_FPS)
    numbers = trail_frames(chosen, constant)
    steps = [_by_frame(how.transform, generator) for _ in range(how.copies)]
    copies = [step for step in steps if step]

    def cut(frames: Tensor) -> Tensor:
        return torch.cat([each(frames) for each, _ in copies], dim=1)

    if how.cache:
        small = cut(how.cache.frames(path, None)[numbers.start : numbers.stop])
    else:
        small = read_frames(path, known.at_equal_times(numbers), known, each=cut)
    picked = [number - numbers.start for number in chosen]
    parts = small.chunk(how.copies, dim=1)
    return [finish(with_trails(part, picked, constant)) for part, (_, finish) in zip(parts, copies, strict=True)]


def _by_frame(
    transform: Transform, generator: torch.Generator | None = None
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None:
    """What a transform does to every frame, and to the whole clip then; None where it needs the whole clip at once."""
    if not isinstance(transform, TrainTransform | EvalTransform):
        return None
    each = transform.by_frame(generator)
    return (each, transform.finish) if each else None


def _chosen(total: int, how: Reading, clip: int, generator: torch.Generator | None) -> list[int]:
    """Numbers of the frames of a clip, of a video of `total`."""
    indices = sample_indices(total, how.frames, stride=how.stride, clip=clip, clips=how.clips, generator=generator)
    if not how.time_warp or generator is None:
        return indices
    start, stop, bend = torch.rand(3, generator=generator).tolist()
    instants = bent(how.frames, TRIM * start, TRIM * stop, how.time_warp * (2 * bend - 1))
    return (indices[0] + instants * (indices[-1] - indices[0])).round().long().tolist()


def generator_of(seeds: Sequence[int]) -> torch.Generator:
    """Seeded by all of the numbers."""
    entropy = np.random.SeedSequence(seeds).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(entropy[0] >> np.uint64(1)))


class VideoFiles(Dataset):
    """Labelled video files; item i is `(video, label)`, video float32 as the transform gives it: [T, C, H, W].

    With several views - `reading.clips` in time times the crops of an `EvalTransform(crops=3)` - it is
    [views, T, C, H, W], the crops of a clip next to each other. With `reading.train` an item is random, seeded by
    (seed, epoch, index): the same whatever the worker or the order; with `reading.copies` above 1 it is
    [copies, T, C, H, W], the same frames transformed by independent draws. Call `set_epoch` before each
    epoch; it reaches workers that are already running.

    `on_error="raise"`: a bad file is a DataError when it is reached. `on_error="skip"`: all files are decoded once at
    construction (`progress(done, total)` after each), bad ones leave the dataset and stand in `skipped` as
    (path, reason). `missing` names files that a data set is known to lack. Errors: DataError for no files, missing
    files, or none that is good.
    """

    def __init__(
        self,
        samples: Sequence[tuple[Path, int]],
        reading: Reading,
        *,
        classes: Sequence[str],
        root: Path,
        missing: Sequence[str] = (),
    ):
        self.samples, self.reading, self.classes, self.root = list(samples), reading, tuple(classes), root
        self.missing = tuple(missing)
        self.skipped: list[tuple[Path, str]] = []
        self._timelines: dict[Path, Timeline] = {}
        # In shared memory, because persistent workers hold a copy of the dataset that no attribute of ours reaches.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        if not self.samples:
            raise DataError(f"{root}: no video files; supported are {' '.join(sorted(SUFFIXES))}")
        if reading.on_error == "skip":
            self._drop_bad()
        else:
            self._require_all()

    def set_epoch(self, epoch: int) -> None:
        """Choose the random clips and crops of the items that are read from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.samples[index]
        if path not in self._timelines and not self.reading.cache:
            self._timelines[path] = timeline(path)
        seeds = (self.reading.seed, int(self._epoch), index % len(self))
        generator = generator_of(seeds) if self.reading.train else None
        return read_clip(path, self.reading, generator, self._timelines.get(path)), label

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all files and of the names of missing
        ones: the data hash of a run.
        """
        lines = sorted(
            f"{Path(os.path.relpath(path, self.root)).as_posix()}\t{_bytes(path)}\t{label}\n"
            for path, label in self.samples
        )
        lines += sorted(f"missing\t{name}\n" for name in self.missing)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _require_all(self) -> None:
        for path, _ in self.samples:
            if not path.exists():
                raise DataError(f"{path}: no such file; check the path, or skip bad files with on_error='skip'")

    def _drop_bad(self) -> None:
        paths = (path for path, _ in self.samples)
        report = scan(paths, workers=os.cpu_count() or 1, progress=self.reading.progress)
        self.skipped = report.bad
        self.samples = [(path, label) for path, label in self.samples if path in report.frames]
        if not self.samples:
            raise DataError(f"{self.root}: none of {len(report.bad)} files is a good video; first: {report.bad[0][1]}")


class VideoFolder(VideoFiles):
    """`root/<class>/<any name>.mp4` (or another of SUFFIXES); see `VideoFiles`.

    Labels are the positions of the subfolders' names in `classes`, which are all of them in alphabetical order unless
    given - give the training set's to a test folder that may lack some. A link to a file that is gone is a bad file.
    Errors: DataError for a missing or empty folder, a class without files, and a subfolder that is not among the given
    classes.
    """

    def __init__(self, root: str | PathLike, reading: Reading, *, classes: Sequence[str] | None = None):
        root = Path(root)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; give one with a subfolder per class")
        found = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not found:
            raise DataError(f"{root}: has no subfolders; put the videos of each class into one named for it")
        names = tuple(found if classes is None else classes)
        samples = []
        for name in found:
            if name not in names:
                raise DataError(f"{root / name}: is not among the classes {', '.join(names)}; rename or remove it")
            files = sorted(p for p in (root / name).iterdir() if p.suffix.lower() in SUFFIXES and not p.is_dir())
            if not files:
                raise DataError(f"{root / name}: class without video files; add some or remove the folder")
            samples += [(path, names.index(name)) for path in files]
        super().__init__(samples, reading, classes=names, root=root)


class VideoList(VideoFiles):
    """A text file of lines `path label`, as the papers' data lists; see `VideoFiles`.

    The label is what follows the last space, so paths may contain spaces; they are relative to the list's folder.
    Labels are all integers from 0 or all class names. Without `classes`, those are the sorted names, or "0" to the
    largest integer. Errors: DataError, with the line's number, for a line without a label, a label out of range, and
    integers mixed with names.
    """

    def __init__(self, path: str | PathLike, reading: Reading, *, classes: Sequence[str] | None = None):
        path = Path(path)
        lines = _read_list(path)
        labels = _integer_labels(path, lines) or [label for _, _, label in lines]
        if classes is None:
            classes = _default_classes(labels)
        number_of = {name: i for i, name in enumerate(classes)} | {i: i for i in range(len(classes))}
        samples = []
        for (number, name, _), label in zip(lines, labels, strict=True):
            if label not in number_of:
                raise DataError(f"{path}:{number}: label {label!r} is none of the {len(classes)} classes; correct it")
            samples.append((path.parent / name, number_of[label]))
        super().__init__(samples, reading, classes=classes, root=path.parent)


def _integer_labels(path: Path, lines: list[tuple[int, str, str]]) -> list[int] | None:
    """The labels as integers; None if they are names."""
    integers = [_INTEGER.fullmatch(label) is not None for _, _, label in lines]
    if integers.count(integers[0]) < len(lines):
        number, _, label = lines[integers.index(not integers[0])]
        raise DataError(
            f"{path}:{number}: label {label!r} among labels of the other kind; use all integers or all names"
        )
    return [int(label) for _, _, label in lines] if integers[0] else None


def _default_classes(labels: Sequence[int] | Sequence[str]) -> list[str]:
    names = {label for label in labels if isinstance(label, str)}
    if names:
        return sorted(names)
    # A slip such as a number of bytes in the last column must not become a list of that many classes.
    return [str(i) for i in range(min(max(int(label) for label in labels) + 1, _MOST_CLASSES))]


def _read_list(path: Path) -> list[tuple[int, str, str]]:
    """(line number, file name, label) of every line that is not blank."""
    lines = []
    for number, line in read_lines(path, "a text file of lines 'path label'"):
        fields = line.rsplit(maxsplit=1)
        if len(fields) == 1:
            raise DataError(f"{path}:{number}: no label after {fields[0]!r}; write 'path label'")
        lines.append((number, fields[0], fields[1]))
    return lines


def read_lines(path: Path, form: str) -> list[tuple[int, str]]:
    """(line number, stripped line) of every line that is not blank; `form` says in the errors what the file should be.

    Errors: DataError for a file that is missing, not UTF-8 text, or blank.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such list; give {form}")
    text = read_text(path, f"give {form}")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: lists no files; give {form}")
    return lines


def require_choice(what: str, value: str, choices: Collection[str]) -> None:
    """ConfigError unless the value is one of the choices."""
    if value not in choices:
        raise ConfigError(f"{what} is {value!r}: choose {' or '.join(map(repr, choices))}")


def videos_by_name(root: Path) -> dict[str, Path]:
    """Every video file under root, by its name without ending. Errors: DataError for a folder that is not there.

    Of several of a name it is the last by path, but one below a folder `replacement...` goes before others: there the
    mirror of Kinetics has good copies of what is broken in train/.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one that was unpacked")

    def replaces(path: Path) -> bool:
        return any(folder.startswith("replacement") for folder in path.relative_to(root).parts[:-1])

    paths = sorted(root.rglob("*"), key=lambda path: (replaces(path), path))
    return {path.stem: path for path in paths if path.suffix.lower() in SUFFIXES}


def _bytes(path: Path) -> int:
    """Of a file, or of all pictures in a folder."""
    return sum(p.stat().st_size for p in path.iterdir()) if path.is_dir() else path.stat().st_size
