"""MATLAB 5 files of events, as ASL-DVS, UCF101-DVS and HMDB51-DVS have them. scipy comes with the extra "mat"."""

from pathlib import Path
from zlib import error as DeflateError

import numpy as np

from spikereel.data.events.arrays import (
    COLUMNS,
    all_columns,
    column_names,
    events_of,
    flat,
    one_array,
    require_untold,
    stated_size,
)
from spikereel.data.events.recording import Events
from spikereel.data.events.source import UNTOLD, Sensor, Told, content
from spikereel.errors import ConfigError, DataError

SUFFIX = ".mat"

_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, IndexError, MemoryError, NotImplementedError),
    *(OverflowError, DeflateError),
)
"""What scipy's reader lets through for damaged files."""


def read_mat(path: Path, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> Events:
    """Variables ts, x, y and pol (or others of `COLUMNS`), each [N, 1], [1, N] or [N]; others are passed over.

    With columns told, the one variable that is a table [N, columns]. Times are microseconds, or of the unit that is
    told. The size is that of `width` and `height`, if they are there. Raises DataError as `read_events`, and for other
    variables; ConfigError without scipy.
    """
    content(path, 1)
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise ConfigError(f"{path}: is a MATLAB file, which needs scipy; run pip install 'spikereel[mat]'") from None
    wanted = [*(alias for aliases in COLUMNS.values() for alias in aliases), "width", "height"]
    try:
        found = loadmat(path, variable_names=None if told.columns else wanted)
    except (*_UNREADABLE, MatReadError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as MATLAB ({reason}); copy it again") from error
    arrays = {name: array for name, array in found.items() if isinstance(array, np.ndarray)}
    stated = stated_size(path, arrays)
    named = _table(path, arrays, told) if told.columns else arrays
    columns = {column: flat(named[name]) for column, name in column_names(path, named).items()}
    return events_of(path, columns, "MATLAB", stated, sensor, unit=told.time_unit, sign="sign" in told.names)


def holds_events(path: Path) -> bool:
    """Whether a file is MATLAB's and has the variables of events, or cannot be looked into."""
    with path.open("rb") as file:
        if file.read(6) != b"MATLAB":
            return False
    try:
        from scipy.io import whosmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        return True
    try:
        return all_columns([name for name, *_ in whosmat(path)])
    except (*_UNREADABLE, MatReadError):
        return True


def _table(path: Path, arrays: dict[str, np.ndarray], told: Told) -> dict[str, np.ndarray]:
    tables = [array for array in arrays.values() if array.ndim == 2 and array.shape[1] == len(told.names)]
    if len(tables) == 1:
        return one_array(path, tables[0], told)
    if not tables and all_columns(arrays):
        require_untold(path, told)
    raise DataError(
        f"{path}: has {len(tables)} variables [N, {len(told.names)}], and one is read with columns="
        f"{told.columns}; keep one of them"
    )
