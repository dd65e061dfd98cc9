"""MATLAB 5 files of events, as ASL-DVS, UCF101-DVS and HMDB51-DVS have them. scipy comes with the extra "mat"."""

from pathlib import Path
from zlib import error as DeflateError

import numpy as np

from spikereel.data.events.arrays import COLUMNS, column_names, events_of, stated_size
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content
from spikereel.errors import ConfigError, DataError

SUFFIX = ".mat"


def read_mat(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Variables ts, x, y and pol (or others of `COLUMNS`), each [N, 1], [1, N] or [N]; others are passed over.

    Times are microseconds. The size is that of `width` and `height`, if they are there. Raises DataError as
    `read_events`, and for other variables; ConfigError without scipy.
    """
    content(path, 1)
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise ConfigError(f"{path}: is a MATLAB file, which needs scipy; run pip install spikereel[mat]") from None
    wanted = [*(alias for aliases in COLUMNS.values() for alias in aliases), "width", "height"]
    try:
        found = loadmat(path, variable_names=wanted)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        IndexError,
        MemoryError,
        NotImplementedError,
        OverflowError,
        DeflateError,
        MatReadError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as MATLAB ({reason}); copy it again") from error
    arrays = {name: array for name, array in found.items() if isinstance(array, np.ndarray)}
    stated = stated_size(path, arrays)
    columns = {column: _column(arrays[name]) for column, name in column_names(path, arrays).items()}
    return events_of(path, columns, "MATLAB", stated, sensor)


def _column(array: np.ndarray) -> np.ndarray:
    """[N] of [N, 1] or [1, N]."""
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array
