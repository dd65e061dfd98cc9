"""What a pickle would make, seen without making any of it: for messages about files that are not opened."""

import pickletools
import zipfile
from collections.abc import Set
from pathlib import Path

TENSORS = ("torch.", "torch._utils.", "collections.OrderedDict", "_codecs.encode", "numpy.")
"""Beginnings of the names that checkpoints always hold."""

MOST = 2**26
"""Bytes of a pickle that are looked through."""


def refused_entries(path: Path, *, allowed: Set[str]) -> list[tuple[str, str]]:
    """(key before it, type) of every class or function that a checkpoint names, but for those of tensors and of
    `allowed`; once each, in order. Empty for a file that is no pickle.
    """
    found: dict[str, str] = {}
    strings: list[str] = []
    key = ""
    try:
        for code, argument, _ in pickletools.genops(_pickle_of(path)):
            if code.name in ("GLOBAL", "INST"):
                kind = str(argument).replace(" ", ".")
            elif code.name == "STACK_GLOBAL" and len(strings) > 1:
                kind = f"{strings[-2]}.{strings[-1]}"
                key = strings[-3] if len(strings) > 2 else ""
            else:
                if isinstance(argument, str) and "UNICODE" in code.name:
                    strings.append(argument)
                continue
            if code.name == "GLOBAL":
                key = strings[-1] if strings else ""
            if kind not in allowed and not kind.startswith(TENSORS):
                found.setdefault(kind, key)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile):
        return []
    return [(key, kind) for kind, key in found.items()]


def _pickle_of(path: Path) -> bytes:
    """The instructions in an archive of PyTorch, or the file itself."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return file.read(MOST)
    with zipfile.ZipFile(path) as archive:
        name = next(x for x in archive.namelist() if x.endswith("data.pkl"))
        with archive.open(name) as file:
            return file.read(MOST)
