"""Memory that the system has to clear first, asked for ahead of whoever fills it."""

import ctypes
import sys
from collections.abc import Iterable
from threading import Thread

import numpy as np

from spikereel.cores import cores

LARGE = 1 << 26
"""Bytes of columns from which on it pays."""

_POPULATE_WRITE = 23
"""Of Linux 5.14 and later: takes pages as a write would, and leaves what they hold."""
_STEP, _PAGE = 1 << 25, 1 << 12


def ahead(columns: Iterable[np.ndarray], share: float = 1.0) -> None:
    """Have a thread take the pages of columns, or of the first share of each, while they are filled from the front.

    Clearing 13 bytes an event takes as long as decoding it, and another core may do it. Where the system cannot, pages
    are taken as they are written, as ever.
    """
    spans = [(x.ctypes.data, int(share * x.nbytes)) for x in columns]
    if sys.platform != "linux" or sum(size for _, size in spans) < LARGE or cores() < 2:
        return
    # the thread holds the columns, so that their memory is theirs while it runs
    Thread(target=_take, args=(spans, list(columns)), daemon=True).start()


def _take(spans: list[tuple[int, int]], _held: list[np.ndarray]) -> None:
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    parts = max(size for _, size in spans) // _STEP + 1
    for i in range(parts):
        for start, size in spans:
            first, last = (-(-(start + size * j // parts) // _PAGE) * _PAGE for j in (i, i + 1))
            if last > first and madvise(first, min(last, start + size) - first, _POPULATE_WRITE):
                return
