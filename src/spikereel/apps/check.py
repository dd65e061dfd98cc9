"""`spikereel data`: what one file is, and what is wrong with a folder of files."""

import dataclasses
import hashlib
import json
import re
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spikereel.cores import cores
from spikereel.data.clips import differ_in_case
from spikereel.data.events.arrays import may_be_events
from spikereel.data.events.mat import SUFFIX as MAT
from spikereel.data.events.mat import holds_events
from spikereel.data.events.readers import SUFFIXES as RECORDINGS
from spikereel.data.events.readers import EventInfo, info
from spikereel.data.events.source import UNTOLD, OtherSensor, Sensor, Told
from spikereel.data.events.text import SUFFIXES as TEXTS
from spikereel.data.npz import NO_HEADER
from spikereel.data.sets.kinetics import clip_names
from spikereel.data.sets.utd_mhad import depth_info, is_clip_name, read_depth_and_joints
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.data.video.read import VideoInfo, probe
from spikereel.data.walk import find, said, subfolders, walk
from spikereel.errors import DataError, SpikereelError

LISTS = frozenset({".csv", ".json", ".txt"})
BESIDE = ("ucfTrainTestlist", "testTrainMulti_7030_splits")
"""Folders of lists that may lie beside the videos."""
TAGGED = frozenset({"recordings", "tags"})
"""Folders of recordings and of the tables that cut them, as of SL-Animals-DVS."""
PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
"""Names, in small letters, of folders that hold the class folders of a part."""
ALIKE = 3
"""Files with the same trouble that are named one by one."""
SHOWN = 20
"""Lines of each kind that the table has; the JSON report has all."""

_SUFFIX = "(?:" + "|".join(map(re.escape, sorted(VIDEOS | RECORDINGS | {MAT, ".csv"}))) + ")"
_LABELLED = re.compile(rf'([^";]+{_SUFFIX})\s+[^\s,;]+', re.I)  # of such names commas may be a part
_NAMED = re.compile(rf'^"?([^",;]+?{_SUFFIX})(?=$|["\s,;])', re.I)
_PICTURE = re.compile(r"\d{5}\.jpg")
_NUMBERED = re.compile(r"(\d+);")
_BARE = re.compile(r"(\S+/\S+)(?:\s+\d+){1,2}$")
_DIGIT = re.compile(r"(\d+)\s+\d$")


def inspect(path: str | Path, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> VideoInfo | EventInfo:
    """What one file is. `sensor`, (width, height), and `told` are for recordings that do not state it.

    Raises DataError for a file that is neither a good video nor a good recording.
    """
    path = Path(path)
    if _is_depth(path):
        return depth_info(read_depth_and_joints(path)[0])
    if not _is_recording(path):
        return probe(path)
    read = info if told == UNTOLD else partial(info, told=told)
    try:
        return read(path, sensor=sensor)
    except OtherSensor:
        return read(path)


@dataclass(kw_only=True)
class Report:
    """Outcome of `check`; paths are relative to the root."""

    root: str
    videos: int = 0
    """Of pixels, or of depth as in UTD-MHAD."""
    recordings: int = 0
    others: int = 0
    """Files that are neither, which nobody looked into."""
    left_out: list[str] = field(default_factory=list)
    """Those of them that are no lists or notes: no data set reads them either."""
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    """{part: {class: files}} of a folder with a subfolder for each class; the part is "" where there are none."""
    stops: list[str] = field(default_factory=list)
    """What training on these classes would stop at."""
    doubtful: list[str] = field(default_factory=list)
    """What training on these classes would say, and go on."""
    broken: list[tuple[str, str]] = field(default_factory=list)
    """(file, reason)."""
    short: list[tuple[str, int]] = field(default_factory=list)
    """(video, frames)."""
    duplicate: list[list[str]] = field(default_factory=list)
    """Groups of files with the same bytes."""
    missing: list[str] = field(default_factory=list)
    """Named in a list and not there."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {**dataclasses.asdict(self), "ok": self.ok}

    @property
    def ok(self) -> bool:
        """Whether nothing is broken, and nothing would stop training."""
        return not (self.broken or self.stops)


def check(
    root: str | Path,
    *,
    sensor: Sensor | None = None,
    told: Told = UNTOLD,
    min_frames: int = 8,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Decode every video and recording under a folder, several at a time, and say which are broken, short or double.

    Folders of pictures 00001.jpg, ... and depth clips of UTD-MHAD are videos too. Lists of UCF101 and HMDB51 may lie
    beside the folder. sensor: (width, height) of recordings that do not state it. told: what arrays and text do not
    say; where their columns are told, .csv and .txt files are recordings too.
    min_frames: videos below are short. workers: threads; None is one for each processor. Raises DataError for a folder
    that is missing or without such files.
    """
    started, root = time.monotonic(), Path(root)
    if root.is_file():
        raise DataError(f"{root}: is a file; give its folder, or write `spikereel data inspect {root}`")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one with videos or recordings")
    known = VIDEOS | RECORDINGS | {MAT} | (TEXTS if told.columns else frozenset())
    files, found = list(walk(root)), find(root, known)
    named = {path for path in found.files if not (path.suffix.lower() in TEXTS and _names_files(path))}
    folders = {p for p in named if p.is_dir()} | {p.parent for p in files if _PICTURE.fullmatch(p.name)}
    data = [p for p in files if (p in named and _counts(p)) or _is_depth(p)] + sorted(folders)
    others = {p for p in files if p.parent not in folders} - set(data)
    left_out = [p.relative_to(root).as_posix() for p in found.left_out if p in others]
    report = Report(root=str(root), others=len(others), left_out=left_out)
    report.missing, report.broken = _missing(root, files)
    if not data:
        more = f"; {said(left_out)}" if left_out else ""
        if not told.columns and any(p.suffix.lower() in TEXTS for p in files):
            more += "; .csv and .txt hold recordings if you name their columns: --columns t,x,y,p"
        raise DataError(f"{root}: no videos or recordings in it; known are {' '.join(sorted(known))}{more}")
    report.classes, report.stops = _classes(root, data, files)
    report.doubtful = _doubtful(report.classes)
    look = partial(_look, sensor=sensor, told=told)
    with ThreadPoolExecutor(workers or cores()) as pool:
        for done, (path, found) in enumerate(zip(data, pool.map(look, data), strict=True), start=1):
            name = path.relative_to(root).as_posix()
            if isinstance(found, str):
                report.broken.append((name, found))
            elif isinstance(found, VideoInfo):
                report.videos += 1
                if found.frames < min_frames:
                    report.short.append((name, found.frames))
            else:
                report.recordings += 1
            if progress:
                progress(done, len(data))
    report.duplicate = [[p.relative_to(root).as_posix() for p in group] for group in _duplicates(data)]
    report.seconds = time.monotonic() - started
    return report


def info_table(path: str, found: VideoInfo | EventInfo) -> RenderableType:
    """What `inspect` found."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    fields = described(found)
    for name, value in (fields | (fields.pop("assumed", None) or {})).items():
        shown = "; ".join(value) if name == "notes" else f"{value:,.6g}" if isinstance(value, float) else str(value)
        if shown:
            table.add_row(name, Text(shown))
    return Group(Text(path, overflow="fold"), table)


def described(found: VideoInfo | EventInfo) -> dict[str, Any]:
    """Plain types, for `json.dump`."""
    fields = dataclasses.asdict(found)
    # in words among what was assumed
    fields.pop("aspect", None)
    return fields


def report_table(report: Report) -> RenderableType:
    """Counts, and the first files of each kind of trouble."""
    good = report.videos + report.recordings
    head = (
        f"{report.root}: {report.videos} good videos, {report.recordings} good recordings, {report.others} other files"
    )
    lines: list[RenderableType] = [Text(f"{head}, in {report.seconds:.1f} s")]
    troubles = {
        "broken": _reasons(report.broken),
        "short": [f"{name}: {frames} frames" for name, frames in report.short],
        "duplicate": [" = ".join(group) for group in report.duplicate],
        "missing": report.missing,
        "stops training": report.stops,
        "look at classes": report.doubtful,
    }
    if report.left_out:
        lines.append(Text(said(report.left_out), "yellow"))
    for name, texts in troubles.items():
        style = "bold red" if name in ("broken", "stops training") else "yellow"
        if texts:
            more = [f"... and {len(texts) - SHOWN} more; --json has all"] if len(texts) > SHOWN else []
            count = len(report.broken) if name == "broken" else len(texts)
            lines += [Text(f"{name}: {count}", style), *(Text(f"  {x}") for x in [*texts[:SHOWN], *more])]
    if not any(troubles.values()):
        lines.append(Text(f"nothing wrong with any of {good} files", "green"))
    for part, counts in report.classes.items():
        lines.append(_class_table(part, counts))
    return Group(*lines)


def _reasons(broken: list[tuple[str, str]]) -> list[str]:
    """What is wrong with each file; what is wrong with several in the same words is said once."""
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, reason in broken:
        alike[reason.split(f"{name}: ", 1)[-1]].append((name, reason))
    texts = []
    for words, files in alike.items():
        first = f"{len(files)} files, first {files[0][0]}: {words}"
        texts += [first] if len(files) > ALIKE else [reason for _, reason in files]
    return texts


def _class_table(part: str, counts: dict[str, int]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(f"class of {part}/" if part else "class"), overflow="fold")
    table.add_column("files", justify="right", no_wrap=True)
    for name, count in list(counts.items())[:SHOWN]:
        table.add_row(Text(name), str(count))
    if len(counts) > SHOWN:
        table.add_row(f"... and {len(counts) - SHOWN} more; --json has all", "")
    return table


def _counts(path: Path) -> bool:
    """Of files whose names data sets take: arrays may be no recordings."""
    return path.suffix.lower() not in (".npz", ".npy", MAT) or _is_recording(path)


def _classes(root: Path, data: list[Path], files: list[Path]) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Files of every class, as training sees them, and what it would stop at; nothing of a data set with lists."""
    if any(p.suffix.lower() in LISTS and p.parent == root and _names_files(p) for p in files):
        return {}, []
    if any((folder / name).is_dir() for folder in (root, root.absolute().parent) for name in BESIDE):
        return {}, []
    if {folder.name.lower() for folder in subfolders(root)} >= TAGGED:
        return {}, []
    parts = [p for p in subfolders(root) if p.name.lower() in PARTS]
    counted, stops = {}, []
    for part in parts or [root]:
        name, folders = "" if part == root else part.name, subfolders(part)
        counts = Counter(p.relative_to(part).parts[0] for p in data if p.is_relative_to(part) and p != part)
        found = {folder.name: counts[folder.name] for folder in folders}
        if not any(found.values()) or not set(folders).isdisjoint(data):
            continue
        counted[name] = found
        stops += [f"{Path(name, x).as_posix()}: class without files" for x, count in found.items() if not count]
    training = next((x for name, x in counted.items() if name.lower().startswith("train")), None)
    for name, found in counted.items():
        strangers = [x for x in found if training is not None and x not in training]
        stops += [f"{name}/{x}: not among the classes of training" for x in strangers]
    return counted, stops


def _doubtful(classes: dict[str, dict[str, int]]) -> list[str]:
    """Lines on classes that are one where case is ignored, and on those too small to hold any of them out."""
    lines = [f"{Path(part, line).as_posix()}" for part, found in classes.items() for line in differ_in_case(found)]
    if len(classes) > 1:
        return lines
    return lines + [
        f"{Path(part, name).as_posix()}: one file, of which none can be held out to choose weights by"
        for part, found in classes.items()
        for name, count in found.items()
        if count == 1
    ]


def _names_files(path: Path) -> bool:
    try:
        return bool(_listed(path))
    except DataError:
        return True


def _is_depth(path: Path) -> bool:
    """By the name: a clip of UTD-MHAD."""
    return path.suffix in (".npz", ".mat") and is_clip_name(path.stem)


def _is_recording(path: Path) -> bool:
    """By the name; arrays also by whether they may be events, since clips are kept as arrays too."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return may_be_events({name.removesuffix(".npy") for name in archive.namelist()})
        if suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return array.dtype.names is not None or (array.ndim == 2 and array.shape[1] == 4)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, *NO_HEADER):
        return True
    if suffix == MAT:
        return path.is_file() and holds_events(path)
    return suffix in RECORDINGS | TEXTS


def _look(path: Path, sensor: Sensor | None, told: Told) -> VideoInfo | EventInfo | str:
    """What a file is, or why it is broken. One file that we did not foresee must not end the check of all others."""
    try:
        return inspect(path, sensor=sensor, told=told)
    except SpikereelError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001
        reason = (str(error).splitlines() or ["no message"])[0]
        return f"{path}: unexpected {type(error).__name__} ({reason}); please report it with the file"


def _duplicates(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of files, or of folders of pictures, with the same bytes; only those of the same size are read."""
    groups = [list(paths)]
    for key in (_bytes, _hash):
        split = defaultdict(list)
        for number, group in enumerate(groups):
            for path in group:
                if path.exists() and _bytes(path):
                    split[number, key(path)].append(path)
        groups = [group for group in split.values() if len(group) > 1]
    return groups


def _bytes(path: Path) -> int:
    return sum(p.stat().st_size for p in path.glob("*.jpg")) if path.is_dir() else path.stat().st_size


def _hash(path: Path) -> str:
    if path.is_dir():
        return " ".join(_hash(picture) for picture in sorted(path.glob("*.jpg")))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(root: Path, files: list[Path]) -> tuple[list[str], list[tuple[str, str]]]:
    """What a list names and is neither beside the list nor anywhere under root, with the list; and lists that cannot be
    read, with the reason.
    """
    relative = [path.relative_to(root) for path in files]
    known = {*relative, *(path.with_suffix("") for path in relative), *(path.parent for path in relative)}
    tails = {"/".join(path.parts[i:]) for path in known for i in range(len(path.parts))}
    own = RECORDINGS | {MAT, ".csv"}
    recordings = [path for path in relative if path.suffix.lower() in own]
    # Events of a data set of videos go by its lists, whose names have the endings of the videos; lists of recordings
    # may have paths of the machine that they were made on.
    named, stems = {path.name for path in recordings}, {path.stem for path in recordings}
    beside = defaultdict(set)
    for path in files:
        beside[path.parent].add(path.name)
    missing, broken = {}, []
    lists = [path for path in files if path.suffix.lower() in LISTS and path.is_file()]
    for path in lists + [x for name in BESIDE for x in sorted((root.absolute().parent / name).glob("*.txt"))]:
        place = path.relative_to(root).as_posix() if path.is_relative_to(root) else f"../{path.parent.name}/{path.name}"
        try:
            names = [x for x in _listed(path) if x not in tails and not (path.parent / x).exists()]
            names = [x for x in names if Path(x).suffix.lower() not in VIDEOS or Path(x).stem not in stems]
            names = [x for x in names if Path(x).name not in named]
        except DataError as error:
            broken.append((place, str(error)))
            continue
        for name in names + _unrecorded(path, beside[path.parent]):
            missing[f"{name} ({place})"] = None
    return list(missing), broken


def _unrecorded(path: Path, beside: set[str]) -> list[str]:
    """The recordings of N-MNIST that a list "number digit" names and that are not beside it, if any of them is."""
    if path.suffix.lower() != ".txt" or not any(name.endswith((".bs2", ".bin")) for name in beside):
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    numbers = [match[1] for line in lines if (match := _DIGIT.match(line.strip()))]
    absent = [f"{x}.bs2" for x in numbers if not beside & {f"{x}.bs2", f"{x}.bin"}]
    return absent if len(absent) < len(numbers) else []


def _listed(path: Path) -> list[str]:
    """The files that a list names: in full, "class/name.avi 3"; without a suffix, "class/name 3" (HARDVS); or by id, as
    Kinetics, Something-Something, Jester."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    if path.suffix.lower() == ".json":
        try:
            entries = json.loads(text)
        except ValueError:
            return []
        return [str(x["id"]) for x in entries if isinstance(x, dict) and "id" in x] if isinstance(entries, list) else []
    if lines and "youtube_id" in lines[0]:
        return clip_names(path)
    return [name for line in lines if (name := _named(line.strip()))]


def _named(line: str) -> str | None:
    match = _LABELLED.fullmatch(line) or _NAMED.match(line) or _NUMBERED.match(line) or _BARE.match(line)
    return match[1] if match else None
