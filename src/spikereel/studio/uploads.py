"""Files that a page sends: in a folder of this process, under names of our own, limited, and gone at the end."""

import secrets
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from spikereel.data.events.readers import SUFFIXES as RECORDINGS
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.errors import DataError

TAKEN = VIDEOS | RECORDINGS | {".npy", ".npz"}
"""Endings of files that may be sent."""

ROOT = "upload"
"""Name of the root that uploads lie in."""


class TooLarge(DataError):
    """More bytes than are taken."""


@dataclass
class Uploads:
    """A folder that only this user reads; call `clear` at the end."""

    each: int
    """Bytes of one file."""
    all: int
    """Bytes of all files together."""
    folder: Path = field(init=False)
    names: dict[str, str] = field(default_factory=dict)
    """What files were called where they came from, by the names that they have here."""
    _bytes: dict[str, int] = field(default_factory=dict)
    """Of each file, by the name that it has here."""
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spikereel-studio-")).resolve()

    async def take(self, name: str, chunks: AsyncIterator[bytes]) -> str:
        """Write a file; its place. What was written is removed where the sender stops or sends too much.

        Raises DataError for another kind of file, TooLarge for too many bytes.
        """
        suffix = Path(name).suffix.lower()
        if suffix not in TAKEN:
            raise DataError(
                f"{shown(name)}: is no video or recording by its ending; taken are {' '.join(sorted(TAKEN))}"
            )
        path = self.folder / f"{secrets.token_hex(8)}{suffix}"
        done = False
        try:
            with path.open("xb") as file:
                async for chunk in chunks:
                    if not self._reserve(path.name, len(chunk)):
                        raise TooLarge(
                            f"{shown(name)}: is too large; a file may have {self.each} bytes, all {self.all}"
                        )
                    file.write(chunk)
                if not file.tell():
                    raise DataError(f"{shown(name)}: is empty")
            done = True
        finally:
            if not done:
                self._remove(path.name)
        self.names[path.name] = shown(name)
        return f"{ROOT}:{path.name}"

    def used(self) -> int:
        """Bytes that lie here, and those that are about to be written."""
        with self._counting:
            return sum(self._bytes.values())

    def _reserve(self, name: str, count: int) -> bool:
        """Room for more of a file, counted before it is written: several may come at once."""
        with self._counting:
            own = self._bytes.get(name, 0) + count
            if own > self.each or sum(self._bytes.values()) + count > self.all:
                return False
            self._bytes[name] = own
            return True

    def _remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        with self._counting:
            self._bytes.pop(name, None)

    def drop(self, place: str) -> None:
        """Remove one file. Raises DataError for what is no upload."""
        name = place.removeprefix(f"{ROOT}:")
        if name not in self.names:
            raise DataError(f"{place[:80]}: is no upload")
        self._remove(name)
        del self.names[name]

    def clear(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def shown(name: str) -> str:
    """A name as it may be printed: its last part, without control and direction characters, cut to 80."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if unicodedata.category(c)[0] != "C" and unicodedata.category(c) not in ("Zl", "Zp"))
    return kept[:80] or "file"
