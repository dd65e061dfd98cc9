"""The one writer of results: whole or not at all, refused before any work where they cannot be written, and never over
what is read."""

import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spikereel.errors import ConfigError

_DESCRIPTORS = re.compile(r"/dev/fd|/proc/(self|\d+)/fd")
_MOST_LINKS = 40


def expand(path: str | Path, *, home: bool = False) -> str:
    """A path with the home folder in the place of a leading tilde, which no shell expands inside `key=value`, or of a
    leading $HOME, which none expands in single quotes.

    A file that is there under the very name is meant itself, as a pattern of the shell may have found it; with `home`,
    for what is written and what is assigned, it never is. Raises ConfigError for a home folder that is not known.
    """
    text = str(path)
    if not home and os.path.lexists(text):
        return text
    text = re.sub(r"^\$(HOME|\{HOME\})(?=/|$)", "~", text)
    # a name such as ~backup, which is no user's, stays what it is
    if not text.startswith("~") or (os.path.lexists(text) and text != "~" and not text.startswith("~/")):
        return text
    expanded = os.path.expanduser(text)
    if expanded == text and (text == "~" or "/" in text):
        raise ConfigError(f"{text}: the home folder of {text.partition('/')[0]} is not known; write the path in full")
    return expanded


@contextmanager
def whole(path: str | Path) -> Generator[Path, None, None]:
    """Where to write a file that is to be at `path`: `with whole(path) as part: part.write_bytes(content)`.

    The file has its name when the block ends, and is on the disk then. If the block fails, or the program is stopped,
    what was at `path` is still there, and no other program sees a half of anything. Several may write one path at once:
    the last one stays. The folder must be there. `part` is empty at first and ends in .part whatever the file is.
    A link stays a link, and the file that it leads to is written; a file that is there keeps its permissions. Pipes,
    devices and open descriptors such as /dev/stdout get the content when the block ends.
    Raises OSError where it cannot be written.
    """
    path = Path(path)
    if _is_stream(path):
        with TemporaryDirectory() as folder:
            part = Path(folder, f"{path.name[:40]}.part")
            part.touch()
            yield part
            _pour(part, path)
        return
    # a link to nothing gives the name that the file will have
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    part = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")
    try:
        # Not by tempfile, whose files nobody else may read.
        part.open("xb").close()
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if path.exists():
            # who may read it stays as it was
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file and its folder, whole or not at all. Raises OSError where it cannot be."""
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() and not _is_stream(path) else path
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, whole or not at all. Raises ConfigError where it cannot be."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all. Raises ConfigError where it cannot be.

    Names of files that are no text, which Python holds as lone surrogates, become question marks.
    """
    write_bytes(path, text.encode(errors="replace"))


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises ConfigError where it cannot be."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place") from None


def writable(path: str | Path | None) -> None:
    """Raises ConfigError where no file of that name can be made; asked before any work is done."""
    if path is None:
        return
    path = Path(path)
    try:
        if _is_stream(path):
            if _descriptor(path) is None and not os.access(path, os.W_OK):
                raise ConfigError(f"cannot write {path}: it takes no output; choose another place")
            return
        target = Path(os.path.realpath(path)) if path.is_symlink() else path.absolute()
        parent = next(p for p in target.parents if p.exists())
        refused = target.is_dir() or target.is_symlink() or not parent.is_dir() or not os.access(parent, os.W_OK)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place") from None
    if refused:
        raise ConfigError(f"cannot write {path}: it is a folder, or {parent} takes no files; choose another place")


def keep_inputs(outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Raises ConfigError for an output that is an input, or another output, by any name, or a file inside a folder that
    is read.

    outputs: {what to call it: path}; None is no output. A new file may be put beside what is read.
    """
    read = [Path(path) for path in inputs if path is not None and os.path.exists(path)]
    seen: dict[str, str] = {}
    for what, path in outputs.items():
        if path is None or _is_stream(Path(path)):
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise ConfigError(f"{what} and {seen[real]} are one file, {path}; give each a name of its own")
        seen[real] = what
        for source in read:
            # a path may lead there only once its folders are made
            same = real == os.path.realpath(source) or (os.path.exists(path) and os.path.samefile(path, source))
            if same or (os.path.exists(path) and _within(os.path.realpath(source), path)):
                raise ConfigError(f"{what} {path} would overwrite the input {source}; choose another place")
            if source.is_dir() and os.path.lexists(real) and not os.path.isdir(real) and _within(real, source):
                raise ConfigError(f"{what} {path} would overwrite a file of the input {source}; choose another place")


def _within(real: str, folder: str | Path) -> bool:
    return Path(real).is_relative_to(os.path.realpath(folder))


def _is_stream(path: Path) -> bool:
    """Whether a path leads to a pipe, a device or an open descriptor, which are written through and never replaced."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a path names, such as /dev/stdout, also through links."""
    for _ in range(_MOST_LINKS):
        if _DESCRIPTORS.fullmatch(str(path.parent)) and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _pour(part: Path, path: Path) -> None:
    """What a file holds, into a pipe, a device or a descriptor."""
    number = _descriptor(path)
    if number is not None and sys.stdout is not None:
        # what was printed before comes first
        sys.stdout.flush()
    with os.fdopen(os.dup(number), "wb") if number is not None else path.open("wb") as out:
        out.write(part.read_bytes())
