"""Events kept as plain arrays: NPZ and NPY files, and what they share with HDF5."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, require_events, require_sensor
from spikereel.data.npz import load_arrays
from spikereel.errors import DataError

COLUMNS = {
    "t": ("t", "ts", "timestamp", "timestamps"),
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "p": ("p", "ps", "pol", "polarity", "on"),
}
"""Names that are in use for each column."""
_ONE = "events"


def read_npz(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Columns t, x, y, p (or ts, xs ..; timestamp, x, y, polarity), or one array: structured with such fields, or
    [N, 4] of t, x, y, p. The one array may have other things beside it if it is called `events`.

    Times are microseconds. The size is that of `width` and `height`, if they are there. NPY files are read too. Nothing
    is ever unpickled. Raises DataError as `read_events`, for other layouts and for objects.
    """
    content(path, 1)
    arrays = load_arrays(path, "save t, x, y and p as numbers")
    stated = stated_size(path, arrays)
    named = {name: array for name, array in arrays.items() if name not in ("width", "height")}
    if len(named) == 1 or (_ONE in named and not _all_columns(named)):
        named = one_array(path, named.get(_ONE, next(iter(named.values()))))
    columns = {column: named[name] for column, name in column_names(path, named).items()}
    return events_of(path, columns, path.suffix.lower().lstrip(".").upper() or "NPZ", stated, sensor)


def may_be_events(names: Collection[str]) -> bool:
    """Whether an NPZ file of arrays with these names is for `read_npz`, if only to be told what is wrong with it."""
    columns = sum(any(alias in names for alias in aliases) for aliases in COLUMNS.values())
    return len(names) == 1 or _ONE in names or columns > 1


def one_array(path: Path, array: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of a structured array, by name and title, or of [N, 4] of t, x, y, p. Raises DataError else."""
    if array.dtype.names:
        # A title, such as `p` of a field called `on`, is a name too, and `dtype.fields` has both.
        return {name: array[name] for name in array.dtype.fields or () if name}
    if array.ndim != 2 or array.shape[1] != 4:
        raise DataError(f"{path}: holds one array {list(array.shape)}; make it [N, 4] of t, x, y, p, or structured")
    return dict(zip(COLUMNS, array.T, strict=True))


def column_names(path: Path, present: Iterable[str]) -> dict[str, str]:
    """The name that each of t, x, y, p has. Raises DataError, with what is there, if one is not."""
    present = list(present)
    if not _all_columns(present):
        shown = sorted("".join(c if c.isprintable() else "?" for c in str(name)) for name in present)
        raise DataError(f"{path}: has no columns t, x, y, p but {', '.join(shown) or 'nothing'}; rename them")
    return {column: next(name for name in aliases if name in present) for column, aliases in COLUMNS.items()}


def _all_columns(present: Collection[str]) -> bool:
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
    factor: int | None = None,
    offset: int = 0,
) -> Events:
    """Events of four columns, whose times are multiplied by `factor` and moved on by `offset`. Raises DataError."""
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "iufb":
            raise DataError(f"{path}: {name} is {column.dtype} {list(column.shape)}; save it as numbers [N]")
        if column.shape != columns["t"].shape:
            raise DataError(f"{path}: has {len(column)} {name} for {len(columns['t'])} t; save as many of each")
    t = columns["t"]
    require_events(path, len(t))
    if factor is not None and (factor > 1 or t.dtype.kind == "f"):
        t = np.rint(t * float(factor))
    width, height = require_sensor(path, stated, sensor)
    return Events(
        t=_whole(path, "t", t, np.int64) + offset,
        x=_whole(path, "x", columns["x"], np.uint16),
        y=_whole(path, "y", columns["y"], np.uint16),
        p=_polarity(path, columns["p"]),
        width=width,
        height=height,
        format=form,
        source=str(path),
    )


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
        good = (values == 0) | (values == 1) | (values == -1)
        if not good.all():
            raise DataError(f"{path}: p is {values[np.argmin(good)]}; make it 0 or -1 for OFF and 1 for ON")
    return values > 0
