"""Arrays in one safetensors file: written part by part, and mapped when they are read."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikereel.errors import DataError
from spikereel.files import whole

KEY = "spikereel_trace"
VERSION = 1
TYPES = {
    "U8": np.uint8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
}
AT_ONCE = 2**24
"""Bytes that are copied at a time."""

Arrays = Mapping[str, np.ndarray]


def write(path: str | Path, parts: Mapping[str, Iterable[np.ndarray]], about: Mapping[str, Any]) -> None:
    """Write arrays, each given in parts that follow each other along the first axis; whole or not at all.

    Parts that are mapped are read as they are written, so that memory holds none of them whole. Raises OSError where
    the file cannot be written.
    """
    listed = {name: list(arrays) for name, arrays in parts.items()}
    # wide numbers first, so that all lie at multiples of their size
    order = sorted(listed, key=lambda name: (-listed[name][0].dtype.itemsize, name))
    head: dict[str, Any] = {"__metadata__": {KEY: json.dumps({"version": VERSION, **about})}}
    position = 0
    for name in order:
        first = listed[name][0]
        size = sum(x.nbytes for x in listed[name])
        shape = [sum(len(x) for x in listed[name]), *first.shape[1:]] if first.ndim else []
        kind = next(kind for kind, dtype in TYPES.items() if first.dtype == dtype)
        head[name] = {"dtype": kind, "shape": shape, "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with whole(path) as part, part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            for array in listed[name]:
                for piece in _pieces(array):
                    file.write(np.ascontiguousarray(piece).tobytes())


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file, mapped, and what it says of them. Raises DataError for a file that is no trace."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            said = (file.metadata() or {}).get(KEY)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read a trace from {path}: {' '.join(str(error).split())}") from None
    about = json.loads(said) if said else {}
    if about.get("version") != VERSION:
        raise DataError(f"{path}: is no trace of this version; write one with trace.save(path)")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(length))
    return {name: _mapped(path, 8 + length, x) for name, x in head.items() if name != "__metadata__"}, about


def _mapped(path: str | Path, start: int, entry: Mapping[str, Any]) -> np.ndarray:
    dtype, shape = TYPES[entry["dtype"]], tuple(entry["shape"])
    first, last = entry["data_offsets"]
    if first == last:
        # nothing can be mapped of no bytes
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=start + first, shape=shape)


def _pieces(array: np.ndarray) -> Iterable[np.ndarray]:
    if array.ndim == 0 or array.nbytes <= AT_ONCE:
        return [array]
    rows = max(AT_ONCE * len(array) // array.nbytes, 1)
    return (array[i : i + rows] for i in range(0, len(array), rows))
