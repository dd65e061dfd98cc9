"""Events kept as plain arrays: HDF5, NPZ and NPY. HDF5 needs h5py, from the extra "events"."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content, require_events, require_sensor
from spikereel.data.npz import load_arrays
from spikereel.errors import ConfigError, DataError

_COLUMNS = ("t", "x", "y", "p")
_DEFLATES = 1100  # times at most
# Names that are in use for each column.
_NAMES = (("t", "x", "y", "p"), ("ts", "xs", "ys", "ps"), ("timestamps", "x", "y", "polarity"))
_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "µs": 1, "microseconds": 1, "milliseconds": 1_000, "seconds": 1_000_000}


def read_hdf5(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Columns t, x, y, p (or ts, xs ..; timestamps, x, y, polarity) in a group `events` or at the top level.

    Times are microseconds unless an attribute `unit` or `units` of the time column, the group or the file says "s",
    "ms" or "us"; fractions without one are refused. The size comes from attributes `width` and `height`, or
    `sensor_resolution` (height, width), of the group or the file. Errors: DataError as `read_events`, for other layouts
    and for compression that h5py lacks; ConfigError without h5py.
    """
    content(path, 1)
    try:
        import h5py
    except ImportError:
        raise ConfigError(f"{path}: is HDF5, which needs h5py; run pip install spikereel[events]") from None
    try:
        with h5py.File(path, "r") as file:
            group = file["events"] if isinstance(file.get("events"), h5py.Group) else file
            names = _names(path, {key for key, value in group.items() if isinstance(value, h5py.Dataset)})
            stated_bytes = sum(group[name].nbytes for name in names)
            if stated_bytes > _DEFLATES * path.stat().st_size:
                raise DataError(f"{path}: states {stated_bytes} bytes of events, more than it can hold; copy it again")
            arrays = {column: group[name][()] for column, name in zip(_COLUMNS, names, strict=True)}
            stated = {**file.attrs, **group.attrs}
            unit = {**stated, **group[names[0]].attrs}
    except (OSError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be read as HDF5 ({reason}); copy it again, or write it with gzip") from error
    return _events(path, arrays, "HDF5", _stated(path, stated), sensor, _factor(path, unit))


def read_npz(path: Path, *, sensor: Sensor | None = None) -> Events:
    """Columns t, x, y, p (or as `read_hdf5`), or one array: structured with such fields, or [N, 4] of t, x, y, p.

    Times are microseconds. The size is that of `width` and `height`, if they are there. NPY files are read too. Nothing
    is ever unpickled. Errors: DataError as `read_events`, for other layouts and for objects.
    """
    content(path, 1)
    arrays = load_arrays(path, "save t, x, y and p as numbers")
    stated = _stated(path, arrays)
    columns = {name: array for name, array in arrays.items() if name not in ("width", "height")}
    if len(columns) == 1:
        columns = _one_array(path, next(iter(columns.values())))
    names = _names(path, set(columns))
    named = {column: columns[name] for column, name in zip(_COLUMNS, names, strict=True)}
    return _events(path, named, path.suffix.lower().lstrip(".").upper() or "NPZ", stated, sensor, None)


def _one_array(path: Path, array: np.ndarray) -> dict[str, np.ndarray]:
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names if name}
    if array.ndim != 2 or array.shape[1] != 4:
        raise DataError(f"{path}: holds one array {list(array.shape)}; make it [N, 4] of t, x, y, p, or structured")
    return dict(zip(_COLUMNS, array.T, strict=True))


def _names(path: Path, present: set[str]) -> tuple[str, ...]:
    for names in _NAMES:
        if present.issuperset(names):
            return names
    raise DataError(f"{path}: has no columns t, x, y, p but {', '.join(sorted(present)) or 'nothing'}; rename them")


def _stated(path: Path, values: Mapping[str, object]) -> Sensor | None:
    """Width and height among attributes or arrays."""
    if "width" in values and "height" in values:
        size = [values["width"], values["height"]]
    elif "sensor_resolution" in values:
        size = np.asarray(values["sensor_resolution"]).ravel()[::-1]
    else:
        return None
    try:
        width, height = (int(np.asarray(number).item()) for number in size)
    except (TypeError, ValueError):
        raise DataError(f"{path}: the size of its sensor is {list(size)}; make it two numbers") from None
    return width, height


def _factor(path: Path, values: Mapping[str, object]) -> int | None:
    """Microseconds in the unit that the attributes state; None if they state none."""
    unit = values.get("unit", values.get("units"))
    if unit is None:
        return None
    name = unit.decode() if isinstance(unit, bytes) else str(unit)
    if name not in _UNITS:
        raise DataError(f"{path}: its time unit is {name!r}; use one of {', '.join(_UNITS)}")
    return _UNITS[name]


def _events(
    path: Path,
    arrays: dict[str, np.ndarray],
    form: str,
    stated: Sensor | None,
    sensor: Sensor | None,
    factor: int | None,
) -> Events:
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "iufb":
            raise DataError(f"{path}: {name} is {array.dtype} {list(array.shape)}; save it as numbers [N]")
        if array.shape != arrays["t"].shape:
            raise DataError(f"{path}: has {len(array)} {name} for {len(arrays['t'])} t; save as many of each")
    require_events(path, len(arrays["t"]))
    t = arrays["t"]
    if factor is not None and (factor > 1 or t.dtype.kind == "f"):
        t = np.rint(t * float(factor))
    width, height = require_sensor(path, stated, sensor)
    return Events(
        t=_whole(path, "t", t, np.int64),
        x=_whole(path, "x", arrays["x"], np.uint16),
        y=_whole(path, "y", arrays["y"], np.uint16),
        p=_polarity(path, arrays["p"]),
        width=width,
        height=height,
        format=form,
        source=str(path),
    )


def _whole(path: Path, name: str, values: np.ndarray, kind: type[np.integer]) -> np.ndarray:
    """The same numbers as another integer type. Errors: DataError for one that is no whole number or out of range."""
    limits = np.iinfo(kind)
    # The bounds of int64 are no float64, so those are compared from inside.
    good = (values >= limits.min) & (values <= limits.max) if kind is not np.int64 else np.abs(values) < 2.0**62
    if values.dtype.kind == "f":
        good &= values == np.rint(values)
    if not good.all():
        wrong = values[np.argmin(good)]
        raise DataError(f"{path}: {name} is {wrong}, no whole number from {limits.min} to {limits.max}; convert it")
    return values.astype(kind)


def _polarity(path: Path, values: np.ndarray) -> np.ndarray:
    """ON is above 0. Errors: DataError for anything but 0 and 1, or -1 and 1."""
    if values.dtype.kind != "b":
        good = (values == 0) | (values == 1) | (values == -1)
        if not good.all():
            raise DataError(f"{path}: p is {values[np.argmin(good)]}; make it 0 or -1 for OFF and 1 for ON")
    return values > 0
