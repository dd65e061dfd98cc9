"""Which files of a folder count: one rule for all data sets, for `data check`, `data pack` and `predict FOLDER`.

Links are followed, to folders too, and one that leads back to a folder above itself ends there. What operating systems
leave behind is passed over: names that begin with a dot, such as `._clip.mp4`, and those of LITTER. Endings are read in
any case. A file without an ending counts as a video where its first bytes are those of one.
"""

import os
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.errors import DataError

LITTER = frozenset({"__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini", "lost+found", "$RECYCLE.BIN"})
"""Names that operating systems and storage boxes make by themselves."""

SAID = 3
"""Names that are shown of what was left out."""

_NUMBERED = re.compile(r"\d+\.jpg", re.I)
_TEXT = frozenset({".csv", ".json", ".txt", ".md", ".xml", ".yaml", ".yml", ".tsv", ".log", ".pdf", ".html"})
"""Endings of lists and notes, which nobody expects to be read as clips."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Outcome of `find`."""

    files: tuple[Path, ...]
    """What counts, sorted: files, and folders of pictures 00001.jpg, ... that stand for a video."""
    left_out: tuple[Path, ...]
    """Other files, but for lists and notes."""


def visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted, without hidden names and litter. Raises DataError where it cannot be read."""
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in LITTER)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check the path and its permissions") from None


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, also those behind links."""
    return [path for path in visible(folder) if path.is_dir()]


def walk(root: Path) -> Iterator[Path]:
    """Every file below a folder, sorted by path; links to nothing are files too, which are not there."""
    yield from sorted(_files(root, ()))


def find(root: Path, suffixes: Set[str]) -> Found:
    """The files below a folder that have one of these endings, and what was left out.

    Where videos are looked for, also files without an ending that are one, and folders of numbered .jpg pictures.
    """
    wanted, left_out = [], []
    videos = not VIDEOS.isdisjoint(suffixes)
    pictures: set[Path] = set()
    for path in walk(root):
        if path.suffix.lower() in suffixes or (videos and not path.suffix and looks_like_video(path)):
            wanted.append(path)
        elif videos and _NUMBERED.fullmatch(path.name) and path.parent != root:
            pictures.add(path.parent)
        elif path.suffix.lower() not in _TEXT:
            left_out.append(path)
    return Found(files=tuple(sorted([*wanted, *pictures])), left_out=tuple(left_out))


def looks_like_video(path: Path) -> bool:
    """Whether the first bytes of a file are those of a container of video."""
    try:
        with path.open("rb") as file:
            head = file.read(189)
    except OSError:
        return False
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat")
        or head.startswith((b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\x30\x26\xb2\x75", b"\0\0\1\xba", b"\0\0\1\xb3"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or (len(head) == 189 and head[0] == head[188] == 0x47)
    )


def said(left_out: Sequence[str | Path], root: str | Path | None = None) -> str:
    """How many files were left out, with the first names; empty for none."""
    if not left_out:
        return ""
    names = [os.path.relpath(path, root) if root else str(path) for path in left_out[:SAID]]
    count = f"{len(left_out)} file{'s' if len(left_out) > 1 else ''} left out"
    return f"{count} ({', '.join(names)}{', ...' if len(left_out) > SAID else ''})"


def _files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); check the path and its permissions") from None
    own = (status.st_dev, status.st_ino)
    if own in above:
        return
    for path in visible(folder):
        if path.is_dir():
            yield from _files(path, (*above, own))
        else:
            yield path
