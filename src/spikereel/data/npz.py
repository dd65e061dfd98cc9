"""NPZ and NPY files, read without trusting them: nothing is unpickled, and no more memory taken than they fill."""

from lzma import LZMAError
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile, ZipFile
from zlib import error as DeflateError

import numpy as np
from numpy.lib import format as npy

from spikereel.data.pickled import read_packets
from spikereel.errors import DataError

NO_HEADER = (SyntaxError, TokenError, TypeError, LookupError, ArithmeticError, MemoryError, RecursionError)
"""What numpy's parser of headers, which evaluates Python literals, lets through besides ValueError."""


def load_arrays(path: Path, hint: str) -> dict[str, np.ndarray]:
    """Arrays of an NPZ file by name, or the one of an NPY file as "". `hint` ends the error: what to do instead.

    Of objects, packets of records are read, joined, without unpickling; see `spikereel.data.pickled`.
    Raises DataError for a file that is cut or damaged, objects, and an array that states another size than it has.
    """
    try:
        # Where numpy fails, it leaves a file open that it opened itself.
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                file.seek(0)
                return {"": _array(file, path.stat().st_size)}
            with ZipFile(file) as archive:
                arrays = {}
                for member in archive.infolist():
                    with archive.open(member) as stream:
                        arrays[member.filename.removesuffix(".npy")] = _array(stream, member.file_size)
                return arrays
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        BadZipFile,
        NotImplementedError,
        RuntimeError,
        DeflateError,
        LZMAError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else "it ends early"
        raise DataError(f"{path}: cannot be read as arrays ({reason}); {hint}") from error


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    """The array in a stream of `size` bytes."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"its header is of version {version[0]}.{version[1]}")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read_header(stream)
    except NO_HEADER as error:
        raise ValueError("its header makes no sense") from error
    if dtype.hasobject:
        return read_packets(stream.read(size))
    count = prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > size:
        raise ValueError(f"it states {list(shape)} of {dtype}, more than its {size} bytes")
    data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ValueError(f"it ends after {len(data)} of {count * dtype.itemsize} bytes")
    return np.frombuffer(data, dtype, count).reshape(shape, order="F" if fortran else "C")
