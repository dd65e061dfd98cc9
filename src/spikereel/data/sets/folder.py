"""Data sets of video files: any list of labelled files, and folders with a subfolder per class."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from torch import Tensor

from spikereel.cores import cores
from spikereel.data.clips import SeededClips, class_files, fingerprint
from spikereel.data.video.clip import SUFFIXES, Progress, Reading, read_clip
from spikereel.data.video.read import Timeline, probe, timeline
from spikereel.data.walk import find
from spikereel.errors import DataError


@dataclass(frozen=True)
class Scan:
    """Outcome of decoding every file once."""

    frames: dict[Path, int]
    """Good files and their true numbers of frames."""
    bad: list[tuple[Path, str]]
    """The others, each with its reason."""


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


class VideoFiles(SeededClips[int]):
    """Labelled video files; item i is `(video, label)`, video float32 as the transform gives it: [T, C, H, W].

    With several views - `reading.clips` in time times the crops of an `EvalTransform(crops=3)` - it is
    [views, T, C, H, W], the crops of a clip next to each other. With `reading.train` an item is random, see
    `SeededClips`; with `reading.copies` above 1 it is [copies, T, C, H, W], the same frames transformed by independent
    draws.

    `on_error="raise"`: a bad file is a DataError when it is reached. `on_error="skip"`: all files are decoded once at
    construction (`progress(done, total)` after each), bad ones leave the dataset and stand in `skipped` as
    (path, reason). `missing` names files that a data set is known to lack. Raises DataError for no files, missing
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
        super().__init__(reading.seed)
        self.samples, self.reading, self.classes, self.root = list(samples), reading, tuple(classes), root
        self.missing = tuple(missing)
        self._timelines: dict[Path, Timeline] = {}
        if not self.samples:
            raise DataError(f"{root}: no video files; supported are {' '.join(sorted(SUFFIXES))}")
        if reading.on_error == "skip":
            self._drop_bad()
        else:
            self._require_all()

    def __len__(self) -> int:
        return len(self.samples)

    def item(self, index: int) -> tuple[Tensor, int]:
        """The clip of a file and its label."""
        path, label = self.samples[index]
        # frames that are kept are at equal times; only trails ask how fast those were
        if path not in self._timelines and (self.reading.trails or not self.reading.cache):
            self._timelines[path] = timeline(path)
        generator = self.torch_random(index) if self.reading.train else None
        return read_clip(path, self.reading, generator, self._timelines.get(path)), label

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, label) of all files and of the names of missing
        ones: the data hash of a run.
        """
        return fingerprint(self.root, self.samples, self.missing)

    def _require_all(self) -> None:
        for path, _ in self.samples:
            if not path.exists():
                raise DataError(f"{path}: no such file; check the path, or skip bad files with on_error='skip'")

    def _drop_bad(self) -> None:
        paths = (path for path, _ in self.samples)
        report = scan(paths, workers=cores(), progress=self.reading.progress)
        self.skipped = report.bad
        self.samples = [(path, label) for path, label in self.samples if path in report.frames]
        if not self.samples:
            raise DataError(f"{self.root}: none of {len(report.bad)} files is a good video; first: {report.bad[0][1]}")


class VideoFolder(VideoFiles):
    """`root/<class>/<any name>.mp4`, in folders below that too; see `spikereel.data.walk` for what counts, and
    `VideoFiles`. `left_out` has the other files.

    Labels are the positions of the subfolders' names in `classes`, which are all of them in alphabetical order unless
    given - give the training set's to a test folder that may lack some. A link to a file that is gone is a bad file.
    Raises DataError for a missing or empty folder, a class without files, and a subfolder that is not among the given
    classes.
    """

    def __init__(self, root: str | PathLike, reading: Reading, *, classes: Sequence[str] | None = None):
        root = Path(root)
        names, samples, left_out = class_files(root, classes, suffixes=SUFFIXES, what="video files")
        super().__init__(samples, reading, classes=names, root=root)
        self.left_out = tuple(left_out)


def videos_by_name(root: Path) -> dict[str, Path]:
    """Every video file under root, by its name without ending. Raises DataError for a folder that is not there.

    Of several of a name it is the last by path, but one below a folder `replacement...` goes before others: there the
    mirror of Kinetics has good copies of what is broken in train/.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one that was unpacked")

    def replaces(path: Path) -> bool:
        return any(folder.startswith("replacement") for folder in path.relative_to(root).parts[:-1])

    paths = sorted(find(root, SUFFIXES).files, key=lambda path: (replaces(path), path))
    return {path.stem: path for path in paths}
