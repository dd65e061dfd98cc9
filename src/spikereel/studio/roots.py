"""Which files the studio may read: those inside named folders, links followed to their end first."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError, DataError
from spikereel.studio.uploads import ROOT, TAKEN

CLIPS = TAKEN | {".mat", ".trace"}
"""Endings of files that may be opened."""

MOST_LISTED = 2000
"""Entries of a folder that the page shows."""


@dataclass(frozen=True)
class Roots:
    """Folders by name. A place is written "name:path/below", with slashes."""

    folders: Mapping[str, Path]

    @classmethod
    def of(cls, given: Sequence[str]) -> "Roots":
        """Of "NAME=FOLDER" or "FOLDER", which is named for itself.

        Raises ConfigError for what is no folder, for a name that comes twice, and for that of the uploads.
        """
        found: dict[str, Path] = {}
        for text in given:
            name, equals, folder = text.partition("=")
            named = bool(equals) and not os.path.isdir(text)
            path = Path(folder if named else text)
            name = name if named else re.sub(r"[^\w.-]", "_", path.resolve().name) or "root"
            if not path.is_dir():
                raise ConfigError(f"{path}: is no folder; give --root NAME=FOLDER of one that is there")
            if not re.fullmatch(r"[\w.-]+", name):
                raise ConfigError(f"root is called {name!r}; use letters, digits, - _ and .")
            if name == ROOT:
                raise ConfigError(f"a root is called {ROOT}, the name of where uploads lie; give --root OTHER={path}")
            if found.get(name, path.resolve()) != path.resolve():
                raise ConfigError(f"two roots are called {name}; give --root OTHER={path}")
            found[name] = path.resolve()
        return cls(found)

    def path(self, place: str) -> Path:
        """The file or folder of a place. Raises DataError for one outside every root, wherever links lead, or that is
        not there; the message is the same for both, so that nobody learns what lies outside."""
        name, _, below = place.partition(":")
        folder = self.folders.get(name)
        if folder is None:
            raise DataError(f"{name!r} is no folder of this studio; there are {', '.join(self.folders)}")
        try:
            path = Path(os.path.realpath(folder / below, strict=True))
        except (OSError, ValueError):
            path = None
        if path is None or not path.is_relative_to(folder):
            raise DataError(f"{place}: no such file inside the folders of this studio")
        return path

    def place(self, path: str | Path) -> str | None:
        """How a path is written as a place; None for one outside every root."""
        real = Path(os.path.realpath(path))
        inside = [(name, folder) for name, folder in self.folders.items() if real.is_relative_to(folder)]
        if not inside:
            return None
        name, folder = max(inside, key=lambda pair: len(pair[1].parts))
        return f"{name}:{real.relative_to(folder).as_posix()}"

    def listing(self, place: str) -> list[dict[str, Any]]:
        """What lies in a folder: {name, place, folder, bytes, kind}, folders first; hidden files are left out."""
        if not place:
            return [_row(name, f"{name}:", folder=True) for name in self.folders]
        path = self.path(place)
        if not path.is_dir():
            raise DataError(f"{place}: is no folder")
        rows: list[dict[str, Any]] = []
        for entry in sorted(path.iterdir(), key=lambda x: x.name)[:MOST_LISTED]:
            own = self.place(entry)
            # links that lead out of all roots are not shown
            if entry.name.startswith(".") or own is None or not entry.exists():
                continue
            folder = entry.is_dir()
            rows.append(_row(entry.name, own, folder=folder, size=0 if folder else entry.stat().st_size))
        return sorted(rows, key=lambda row: not row["folder"])


def _row(name: str, place: str, *, folder: bool, size: int = 0) -> dict[str, Any]:
    """kind: what a file may be by its ending, "clip", "weights" or ""."""
    suffix = Path(name).suffix.lower()
    kind = "weights" if suffix == ".safetensors" else "clip" if suffix in CLIPS else ""
    return {"name": name, "place": place, "folder": folder, "bytes": size, "kind": "" if folder else kind}
