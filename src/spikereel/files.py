"""The one writer of results: whole or not at all, and refused before any work where they cannot be written."""

import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError


@contextmanager
def whole(path: str | Path) -> Generator[Path, None, None]:
    """Where to write a file that is to be at `path`: `with whole(path) as part: part.write_bytes(content)`.

    The file has its name when the block ends, and is on the disk then. If the block fails, or the program is stopped,
    what was at `path` is still there, and no other program sees a half of anything. Several may write one path at once:
    the last one stays. The folder must be there. `part` is empty at first and ends in .part whatever the file is.
    Raises OSError where it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        # Not by tempfile, whose files nobody else may read.
        part.open("xb").close()
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file and its folder, whole or not at all. Raises OSError where it cannot be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, whole or not at all. Raises ConfigError where it cannot be."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises ConfigError where it cannot be."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place") from None


def writable(path: str | Path | None) -> None:
    """Raises ConfigError where no file of that name can be made; asked before any work is done."""
    if path is None:
        return
    path = Path(path)
    parent = next(p for p in path.absolute().parents if p.exists())
    if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"cannot write {path}: it is a folder, or {parent} takes no files; choose another place")
