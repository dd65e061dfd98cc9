"""The index of packed shards: where each sample lies, checked before anything is read or written by what it says."""

import json
import re
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from spikereel.data.remote import fetch_part, is_remote
from spikereel.errors import DataError, SpikereelError

INDEX = "index.json"
VERSION = 1

# Names become paths, and an index may come from anywhere: no separators, no leading dot, nothing that escapes.
_SHARD_NAME = re.compile(r"\w[\w.~+ -]{0,200}")
_SAMPLE_NAME = re.compile(r"[0-9]{1,20}(\.[\w~+ -]{1,30})?")
_LARGEST = 2**62
"""Bytes that a seek can take."""


def read_index(source: str) -> dict[str, Any]:
    """The index of the shards in a folder or at a URL.

    `version`, `classes` (names), `samples` (their number), and `shards`, each with `file`, `bytes`, `sha256` and
    `samples`, rows of name, offset, bytes and label; in newer ones `called`, the names that the files had. Raises
    DataError for one that is missing, damaged, of another version, or that names files which are not plain.
    """
    place = f"{source}/{INDEX}"
    data = read_part(place)
    try:
        index = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: is no index of shards ({error}); pack again") from error
    if fault := _fault(index):
        raise DataError(f"{place}: is no index of shards ({fault}); pack again")
    return index


def is_sample_name(name: Any) -> bool:
    """Whether it is a number and at most a suffix, such as "00000012.mp4"."""
    return isinstance(name, str) and _SAMPLE_NAME.fullmatch(name) is not None


def read_part(place: str, start: int = 0, stop: int | None = None) -> bytes:
    """Bytes of a file or URL, fewer where it ends before `stop`. Raises DataError for what cannot be read."""
    count = -1 if stop is None else stop - start
    try:
        if is_remote(place) and not place.startswith(("http://", "https://")):
            return fetch_part(place, start, stop)
        if not is_remote(place):
            with Path(place).open("rb") as file:
                # Memory is taken for what is asked for, so ask for no more than there is.
                left = max(file.seek(0, 2) - start, 0)
                file.seek(start)
                return file.read(left if count < 0 else min(count, left))
        asked = {"Range": f"bytes={start}-{stop - 1}"} if stop is not None else {}
        with urllib.request.urlopen(urllib.request.Request(place, headers=asked), timeout=60) as answer:
            if answer.status != 206:
                # A server that knows no ranges sends all.
                answer.read(start)
            return answer.read() if count < 0 else answer.read(count)
    except SpikereelError:
        raise
    except (OSError, HTTPException, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise DataError(f"{place}: cannot be read ({reason}); check the path, or finish packing") from error


def _fault(index: Any) -> str | None:
    """The first thing that is wrong with an index."""
    if not isinstance(index, dict):
        return f"a {type(index).__name__}"
    if index.get("version") != VERSION:
        return f"version {_short(index.get('version'))}, not {VERSION}"
    classes, shards, samples = (index.get(name) for name in ("classes", "shards", "samples"))
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        return f"classes is {_short(classes)}, not a list of names"
    if not isinstance(shards, list) or not shards:
        return f"shards is {_short(shards)}, not a list of shards"
    for number, shard in enumerate(shards):
        if fault := _shard_fault(shard, len(classes)):
            return f"shard {number}: {fault}"
    counted = sum(len(shard["samples"]) for shard in shards)
    if not _is_count(samples) or samples != counted:
        return f"{counted} of {_short(samples)} samples"
    return None


def _shard_fault(shard: Any, classes: int) -> str | None:
    if not isinstance(shard, dict):
        return f"{_short(shard)} is no table"
    file, size, digest, samples = (shard.get(name) for name in ("file", "bytes", "sha256", "samples"))
    if not isinstance(file, str) or not _SHARD_NAME.fullmatch(file):
        return f"file is {_short(file)}, not a plain name such as 'shard-000000.tar'"
    if not _is_count(size) or size > _LARGEST:
        return f"bytes is {_short(size)}, not a number of bytes"
    if not isinstance(digest, str):
        return f"sha256 is {_short(digest)}, not a hash"
    if not isinstance(samples, list):
        return f"samples is {_short(samples)}, not a list of samples"
    called = shard.get("called", [])
    if not isinstance(called, list) or len(called) not in (0, len(samples)) or not all(type(x) is str for x in called):
        return f"called is {_short(called)}, not a name for each sample"
    return next((fault for row in samples if (fault := _row_fault(row, size, classes))), None)


def _row_fault(row: Any, shard_bytes: int, classes: int) -> str | None:
    if not isinstance(row, list) or len(row) != 4:
        return f"{_short(row)} is not [name, offset, bytes, label]"
    name, offset, size, label = row
    if not is_sample_name(name):
        return f"a sample is named {_short(name)}, not by a number and a suffix such as '00000012.mp4'"
    if not (_is_count(offset) and _is_count(size) and offset + size <= shard_bytes):
        return f"{name} has {_short(size)} bytes from {_short(offset)} on, in a shard of {shard_bytes}"
    if not _is_count(label) or label >= classes:
        return f"{name} has the label {_short(label)}, not 0 to {classes - 1}"
    return None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
