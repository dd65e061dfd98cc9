"""Results on disk: whole or not at all, and refused before any work where they cannot be written."""

import json
import os
from pathlib import Path
from typing import Any

from spikereel.errors import ConfigError


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, whole or not at all; ConfigError where it cannot be."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all; ConfigError where it cannot be."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file and its folder; an interruption leaves no half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def writable(path: str | Path | None) -> None:
    """ConfigError where no file of that name can be made; asked before any work is done."""
    if path is None:
        return
    path = Path(path)
    parent = next(p for p in path.absolute().parents if p.exists())
    if path.is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"cannot write {path}: it is a folder, or {parent} takes no files; choose another place")
