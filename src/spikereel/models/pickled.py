"""What a pickle would make, seen without making any of it: for messages about files that are not opened."""

import pickletools
import re
import zipfile
from collections.abc import Set
from pathlib import Path

TENSORS = ("torch.", "torch._utils.", "collections.OrderedDict", "_codecs.encode")
"""Beginnings of the names that checkpoints always hold."""

NUMPY = ("numpy.dtype", "numpy.dtypes.", "numpy.core.multiarray.", "numpy._core.multiarray.")
"""How numbers of numpy are made; arrays go through these too, and are known by `numpy.ndarray`."""

NO_NUMBER = re.compile(r"[cmMOSUV]\d+")
"""Codes of numpy's types that are no plain numbers: complex, dates, objects, text."""

MOST = 2**26
"""Bytes of a pickle that are looked through."""


def refused_entries(path: Path, *, allowed: Set[str]) -> list[tuple[str, str]]:
    """(key before it, type) of every class or function that a checkpoint names, but for those of tensors and of
    `allowed`; once each, in order. Empty for a file that is no pickle.
    """
    found: dict[str, str] = {}
    strings: list[str] = []
    key, typed = "", False
    try:
        for code, argument, _ in pickletools.genops(_pickle_of(path)):
            if code.name in ("GLOBAL", "INST"):
                kind = str(argument).replace(" ", ".")
            elif code.name == "STACK_GLOBAL" and len(strings) > 1:
                kind = f"{strings[-2]}.{strings[-1]}"
                key = strings[-3] if len(strings) > 2 else ""
            else:
                if isinstance(argument, str) and "UNICODE" in code.name:
                    if typed and "numpy.ndarray" not in found and NO_NUMBER.fullmatch(argument):
                        found.setdefault(f"numpy.dtype {argument}", strings[-1] if strings else "")
                    strings.append(argument)
                continue
            if code.name == "GLOBAL":
                key = strings[-1] if strings else ""
            typed |= kind == "numpy.dtype"
            if kind not in allowed and not kind.startswith((*TENSORS, *NUMPY)):
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
