"""Arrays out of a pickle file without running anything that is in it."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

from spikereel.errors import DataError

_REBUILD = "_reconstruct"


class _Attributes:
    """Stands for an object of a foreign class: it keeps what was stored in it, and can do nothing."""

    def __init__(self, *_arguments: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        self.stored = state[0] if isinstance(state, tuple) else state


class _Sparse(_Attributes):
    """A compressed matrix of scipy."""

    by_row = False

    def dense(self) -> np.ndarray:
        s = {key.lstrip("_"): value for key, value in self.stored.items()}
        rows, columns = s["shape"]
        out = np.zeros((rows, columns), np.asarray(s["data"]).dtype)
        lines = np.repeat(np.arange(len(s["indptr"]) - 1), np.diff(s["indptr"]))
        np.add.at(out, (lines, s["indices"]) if self.by_row else (s["indices"], lines), s["data"])
        return out


class _SparseRows(_Sparse):
    by_row = True


class _Chumpy(_Attributes):
    """An array of chumpy, or a selection from one."""

    def dense(self) -> np.ndarray:
        s = self.stored
        if "x" in s:
            return np.asarray(_array(s["x"]))
        chosen = np.asarray(_array(s["a"])).ravel()[np.asarray(s["idxs"]).ravel()]
        return chosen.reshape(s["preferred_shape"]) if "preferred_shape" in s else chosen


def _blank(cls: type, _base: type = object, _state: Any = None) -> Any:
    if not (isinstance(cls, type) and issubclass(cls, _Attributes)):
        raise pickle.UnpicklingError(f"would make a {cls!r}")
    return cls()


def _latin1(text: str, _encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


class _ArraysOnly(pickle.Unpickler):
    """Knows arrays, sparse matrices and chumpy's arrays, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        top = module.split(".")[0]
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in (_REBUILD, "scalar"):
            return getattr(multiarray, name)
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if top == "scipy" and name in ("csc_matrix", "csc_array"):
            return _Sparse
        if top == "scipy" and name in ("csr_matrix", "csr_array"):
            return _SparseRows
        if top == "chumpy":
            return _Chumpy
        known: dict[tuple[str, str], Callable] = {
            ("copy_reg", "_reconstructor"): _blank,
            ("copyreg", "_reconstructor"): _blank,
            ("__builtin__", "object"): object,
            ("builtins", "object"): object,
            ("_codecs", "encode"): _latin1,
        }
        if (module, name) in known:
            return known[module, name]
        raise pickle.UnpicklingError(f"it would run {module}.{name}")


def read_pickled_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a pickled dict, by key: those of numpy, scipy's compressed matrices made dense, and chumpy's.

    No name of the file is imported or called but what rebuilds a numpy array. Raises DataError for a file that is
    broken, or that asks for anything else.
    """
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, fix_imports=False, encoding="latin1").load()
        items = content.items()
        return {key: x for key, x in ((key, _array(value)) for key, value in items) if isinstance(x, np.ndarray)}
    except (
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        OSError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{path}: is no pickle of plain arrays ({error}); fetch the file again from where it is published"
        ) from None


def _array(value: Any) -> Any:
    return value.dense() if isinstance(value, _Sparse | _Chumpy) else value
