"""Events kept as plain arrays: NPZ and NPY files, and what they share with HDF5."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import PASSED_OVER, UNTOLD, Sensor, Told, content, require_events, require_sensor
from spikereel.data.npz import load_arrays
from spikereel.errors import DataError

COLUMNS = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "on", "sign"),
}
"""Names that are in use for each column."""
UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1_000_000.0),
    **dict.fromkeys(("ms", "milliseconds"), 1_000.0),
    **dict.fromkeys(("us", "µs", "microseconds"), 1.0),
    **dict.fromkeys(("ns", "nanoseconds"), 0.001),
}
"""Microseconds in a unit of time."""
GIVE_COLUMNS = "columns, --columns x,y,t,p or data.columns=x,y,t,p"
GIVE_UNIT = "time_unit, --time-unit s or data.time_unit=s"
"""How they are given: in the library, on the command line of `spikereel data`, in training."""
_ONE = "events"


def read_npz(path: Path, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> Events:
    """Columns t, x, y, p (or ts, xs ..; timestamp, x, y, polarity), or one array: structured with such fields, or
    [N, 4] of t, x, y, p, or of the columns that are told. It may have others beside it if it is called `events`.

    Times are microseconds, or of the unit that is told. The size is that of `width` and `height`, if they are there.
    NPY files are read too. Nothing is ever unpickled. Raises DataError as `read_events`, for other layouts and for
    objects.
    """
    content(path, 1)
    arrays = load_arrays(path, "save t, x, y and p as numbers")
    stated = stated_size(path, arrays)
    named = {name: array for name, array in arrays.items() if name not in ("width", "height")}
    if len(named) == 1 or not all_columns(named):
        named = one_array(path, _the_one(path, named, len(told.names or COLUMNS)), told)
    else:
        require_untold(path, told)
    columns = {column: named[name] for column, name in column_names(path, named).items()}
    form = path.suffix.lower().lstrip(".").upper() or "NPZ"
    return events_of(path, columns, form, stated, sensor, unit=told.time_unit, sign="sign" in told.names)


def _the_one(path: Path, arrays: Mapping[str, np.ndarray], width: int) -> np.ndarray:
    """Of several arrays that are no columns the one called `events`, or the only table or structured one."""
    if _ONE in arrays or len(arrays) == 1:
        return arrays.get(_ONE, next(iter(arrays.values())))
    tables = [x for x in arrays.values() if x.dtype.names or (x.ndim == 2 and x.shape[1] == width)]
    if len(tables) != 1:
        column_names(path, arrays)
    return tables[0]


def may_be_events(names: Collection[str]) -> bool:
    """Whether an NPZ file of arrays with these names is for `read_npz`, if only to be told what is wrong with it."""
    columns = sum(any(alias in names for alias in aliases) for aliases in COLUMNS.values())
    return len(names) == 1 or _ONE in names or columns > 1


def one_array(
    path: Path, array: np.ndarray, told: Told = UNTOLD, *, usual: Iterable[str] = COLUMNS
) -> dict[str, np.ndarray]:
    """The columns of a structured array, by name and title, or of [N, 4] of the columns told, or of the usual ones.

    Raises DataError for other shapes.
    """
    if array.dtype.names:
        require_untold(path, told)
        # A title, such as `p` of a field called `on`, is a name too, and `dtype.fields` has both.
        return {name: array[name] for name in array.dtype.fields or () if name}
    columns = told.names or tuple(usual)
    if array.ndim != 2 or array.shape[1] != len(columns):
        raise DataError(
            f"{path}: holds one array {list(array.shape)}; make it [N, {len(columns)}] of {', '.join(columns)}, or "
            f"structured, or name its columns: {GIVE_COLUMNS}"
        )
    return {name: column for name, column in zip(columns, array.T, strict=True) if name != PASSED_OVER}


def flat(array: np.ndarray) -> np.ndarray:
    """[N] of [N, 1] or [1, N]; others as they are."""
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def require_untold(path: Path, told: Told) -> None:
    """Raises DataError for columns that are told of a file which names its own."""
    if told.columns:
        raise DataError(f"{path}: names its columns itself; leave columns={told.columns} out")


def column_names(path: Path, present: Iterable[str]) -> dict[str, str]:
    """The name that each of t, x, y, p has. Raises DataError, with what is there, if one is not."""
    present = list(present)
    if not all_columns(present):
        shown = sorted("".join(c if c.isprintable() else "?" for c in str(name)) for name in present)
        raise DataError(f"{path}: has no columns t, x, y, p but {', '.join(shown) or 'nothing'}; rename them")
    return {column: next(name for name in aliases if name in present) for column, aliases in COLUMNS.items()}


def all_columns(present: Collection[str]) -> bool:
    return all(any(alias in present for alias in aliases) for aliases in COLUMNS.values())


def stated_size(path: Path, values: Mapping[str, object]) -> Sensor | None:
    """Width and height among attributes or arrays. Raises DataError for anything but whole numbers."""
    if "width" in values and "height" in values:
        size = [np.asarray(values[name]).tolist() for name in ("width", "height")]
    elif "sensor_resolution" in values:
        size = np.asarray(values["sensor_resolution"]).ravel()[::-1].tolist()
    elif "geometry" in values:
        size = re.split("x", str(values["geometry"]))
    else:
        return None
    try:
        width, height = (float(np.asarray(number).item()) for number in size)
        if not (width.is_integer() and height.is_integer()):
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(f"{path}: the size of its sensor is {size}; make it two whole numbers") from None
    return int(width), int(height)


def events_of(
    path: Path,
    columns: Mapping[str, np.ndarray],
    form: str,
    stated: Sensor | None,
    sensor: Sensor | None,
    *,
    unit: str | None = None,
    offset: int = 0,
    sign: bool = False,
) -> Events:
    """Events of four columns, whose times are of a unit of UNITS (None: microseconds) and moved on by `offset`.

    sign: rows whose polarity is 0 are no events. Raises DataError.
    """
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "iufb":
            raise DataError(f"{path}: {name} is {column.dtype} {list(column.shape)}; save it as numbers [N]")
        if column.shape != columns["t"].shape:
            raise DataError(f"{path}: has {len(column)} {name} for {len(columns['t'])} t; save as many of each")
    if sign:
        columns = {name: column[columns["p"] != 0] for name, column in columns.items()}
    t = columns["t"]
    require_events(path, len(t))
    width, height = require_sensor(path, stated, sensor)
    return Events(
        t=_microseconds(path, t, unit) + offset,
        x=_whole(path, "x", columns["x"], np.uint16),
        y=_whole(path, "y", columns["y"], np.uint16),
        p=_polarity(path, columns["p"]),
        width=width,
        height=height,
        format=form,
        source=str(path),
    )


def _microseconds(path: Path, t: np.ndarray, unit: str | None) -> np.ndarray:
    """int64: whole nanoseconds are cut to microseconds, all else is rounded. Raises DataError where it does not fit."""
    if unit is None and t.dtype.kind == "f" and not (t == np.rint(t)).all():
        wrong = t[np.argmin(t == np.rint(t))]
        raise DataError(f"{path}: t is {wrong}, no whole number of microseconds; say its unit: {GIVE_UNIT}")
    factor = 1.0 if unit is None else UNITS[unit]
    if factor < 1 and t.dtype.kind in "iu":
        t = t // int(1 / factor)
    elif factor != 1 or t.dtype.kind == "f":
        t = np.rint(t.astype(np.float64) * factor)
    return _whole(path, "t", t, np.int64)


def _whole(path: Path, name: str, values: np.ndarray, kind: type[np.integer]) -> np.ndarray:
    """The same numbers as another integer type. Raises DataError for one that is no whole number or out of range."""
    # The bounds of int64 are no float64; half of them also leave room for an offset.
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind is not np.int64 else (-(2.0**62), 2.0**62)
    good = (values >= low) & (values <= high)
    if values.dtype.kind == "f":
        good &= values == np.rint(values)
    if not good.all():
        wrong = values[np.argmin(good)]
        raise DataError(f"{path}: {name} is {wrong}, no whole number from {int(low)} to {int(high)}; convert it")
    return values.astype(kind)


def _polarity(path: Path, values: np.ndarray) -> np.ndarray:
    """ON is above 0. Raises DataError for anything but 0 and 1, or -1 and 1."""
    if values.dtype.kind != "b":
        if (values == 0).any() and (values < 0).any():
            raise DataError(
                f"{path}: p is 0, 1 and -1; if 0 is no event, say so: sign in place of p in {GIVE_COLUMNS}; "
                f"else make OFF one of 0 and -1"
            )
        good = (values == 0) | (values == 1) | (values == -1)
        if not good.all():
            raise DataError(f"{path}: p is {values[np.argmin(good)]}; make it 0 or -1 for OFF and 1 for ON")
    return values > 0
