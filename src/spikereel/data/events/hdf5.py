"""HDF5 files of events, as DSEC, MVSEC, e2vid, Prophesee and v2e lay them out. h5py comes with the extra "events"."""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from spikereel.data.events.arrays import UNITS, column_names, events_of, flat, one_array, require_untold, stated_size
from spikereel.data.events.recording import Events
from spikereel.data.events.source import UNTOLD, Sensor, Told, content
from spikereel.errors import ConfigError, DataError, SpikereelError

_MVSEC = "davis/left/events"
_M3ED = "prophesee/left"
_PLACES = ("CD/events", _MVSEC, _M3ED, "events")
_ATTRIBUTES = ("width", "height", "sensor_resolution", "geometry", "unit", "units")
_DEFLATES = 1100
"""Times that compression makes data smaller, at most."""
_FILTERS = {32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32015: "Zstandard", 36559: "ECF of Prophesee"}


def read_hdf5(path: Path, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> Events:
    """Columns t, x, y, p (or ts, xs ..; timestamp, x, y, polarity) in a group `events` or at the top level.

    `events` may also be one dataset, compound or [N, 4] of t, x, y, p, or of the columns that are told; so may
    `CD/events` (Prophesee). Of MVSEC, `davis/left/events` is read, [N, 4] of x, y, t, p; of M3ED the group
    `prophesee/left`. Variables [N, 1] or [1, N], as of MATLAB 7.3, count as [N]. `t_offset` at the top (DSEC) is added
    to all times.
    Times are microseconds unless an attribute `unit` or `units` of the time column, the group or the file says "s",
    "ms", "us" or "ns", or you do. Without either, fractions are seconds in MVSEC and in columns `ts` (e2vid) and are
    refused elsewhere. The size comes from attributes or scalars `width` and `height`, from `sensor_resolution` (height,
    width) or `geometry` ("640x480"), of the group or the file, or from M3ED's `calib/resolution`. Raises DataError as
    `read_events`, for other layouts, for compression that h5py lacks, and for a unit that is told against the file's;
    ConfigError without h5py.
    """
    content(path, 1)
    try:
        import h5py
    except ImportError:
        raise ConfigError(f"{path}: is HDF5, which needs h5py; run pip install 'spikereel[events]'") from None
    with suppress(ImportError):
        # Importing it gives h5py more filters, Blosc among them.
        import_module("hdf5plugin")
    try:
        with h5py.File(path, "r") as file:
            place = next((name for name in _PLACES if name in file), "/")
            arrays, name, timed = _arrays(path, file, place, told)
            stated = _attributes(file, file[place], timed)
            offset = _offset(path, file)
    except SpikereelError:
        raise
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as HDF5 ({reason}); copy it again, or write it with gzip") from error
    floats = arrays["t"].dtype.kind == "f"
    # Whole numbers in `ts` are microseconds kept as floats: no camera's events come at whole seconds.
    in_seconds = floats and (place == _MVSEC or (name == "ts" and bool((arrays["t"] % 1 != 0).any())))
    unit = _unit(path, stated, told) or ("s" if in_seconds else None)
    size, sign = stated_size(path, stated), "sign" in told.names
    return events_of(path, arrays, "HDF5", size, sensor, unit=unit, offset=offset, sign=sign)


def _arrays(path: Path, file: Any, place: str, told: Told) -> tuple[dict[str, np.ndarray], str, Any]:
    """The columns; the name of the times there, and the dataset that holds them."""
    found = file[place]
    if _is_dataset(found):
        _require_readable(path, [found])
        # The columns of MVSEC are in an order of their own.
        named = one_array(path, np.asarray(found[()]), told, usual="xytp" if place == _MVSEC else "txyp")
        names = column_names(path, named)
        return {column: named[name] for column, name in names.items()}, names["t"], found
    require_untold(path, told)
    names = column_names(path, (key for key, value in found.items() if _is_dataset(value)))
    datasets = {column: found[name] for column, name in names.items()}
    _require_readable(path, datasets.values())
    arrays = {column: flat(np.asarray(dataset[()])) for column, dataset in datasets.items()}
    return arrays, names["t"], datasets["t"]


def _is_dataset(value: Any) -> bool:
    return hasattr(value, "nbytes")


def _require_readable(path: Path, datasets: Iterable[Any]) -> None:
    """Raises DataError for no data, more than the file can hold, and a filter that is not installed."""
    import h5py

    stated = 0
    for dataset in datasets:
        if dataset.shape is None:
            raise DataError(f"{path}: {dataset.name} is there without data; write it again")
        stated += dataset.nbytes
        properties = dataset.id.get_create_plist()
        for i in range(properties.get_nfilters()):
            number = properties.get_filter(i)[0]
            if not h5py.h5z.filter_avail(number):
                raise DataError(
                    f"{path}: is compressed with the HDF5 filter {_FILTERS.get(number, number)}, which h5py lacks; "
                    f"install hdf5plugin, or run h5repack -f GZIP=4 on it where the filter's plugin is installed"
                )
    if stated > _DEFLATES * path.stat().st_size:
        raise DataError(f"{path}: states {stated} bytes of events, more than it can hold; copy it again")


def _attributes(file: Any, *places: Any) -> dict[str, Any]:
    """Those we know, of the last place that has them; and the size where single numbers beside the columns say it."""
    found = {name: place.attrs[name] for place in (file, *places) for name in _ATTRIBUTES if name in place.attrs}
    for place in (file, *places):
        for name in ("width", "height"):
            if not _is_dataset(place) and _is_dataset(place.get(name)) and place[name].size == 1:
                found.setdefault(name, place[name][()])
    if not _is_dataset(places[0]) and _is_dataset(place := places[0].get("calib/resolution")) and place.size == 2:
        found.setdefault("sensor_resolution", np.asarray(place[()]).ravel()[::-1])
    return found


def _offset(path: Path, file: Any) -> int:
    if not _is_dataset(file.get("t_offset")):
        return 0
    value = np.asarray(file["t_offset"][()])
    if value.size != 1 or value.dtype.kind not in "iu" or abs(int(value.item())) >= 1 << 62:
        raise DataError(f"{path}: t_offset is {value.dtype} {list(value.shape)}; make it one number of microseconds")
    return int(value.item())


def _unit(path: Path, values: dict[str, Any], told: Told) -> str | None:
    """The unit that is told or that the attributes state; None if neither is. Raises DataError where they differ."""
    unit = values.get("unit", values.get("units"))
    if unit is None:
        return told.time_unit
    name = unit.decode(errors="replace") if isinstance(unit, bytes) else str(unit)
    if name not in UNITS:
        raise DataError(f"{path}: its time unit is {name!r}; use one of {', '.join(UNITS)}")
    if told.time_unit and UNITS[told.time_unit] != UNITS[name]:
        raise DataError(f"{path}: says that its times are in {name}, not {told.time_unit}; leave time_unit out")
    return name
