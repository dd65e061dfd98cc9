"""Any event file by its content: `read_events` and `info`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from spikereel.data.events import dat, es, prophesee, text
from spikereel.data.events.aedat import read_aedat2, read_aedat3
from spikereel.data.events.aedat4 import read_aedat4, stream_aedat4
from spikereel.data.events.arrays import read_npz, require_untold
from spikereel.data.events.evt3 import read_evt3, stream_evt3
from spikereel.data.events.evt21 import read_evt21
from spikereel.data.events.hdf5 import read_hdf5
from spikereel.data.events.mat import read_mat
from spikereel.data.events.nmnist import read_nmnist
from spikereel.data.events.recording import Events
from spikereel.data.events.source import HEAD, UNTOLD, Sensor, Told, content
from spikereel.errors import DataError

SUFFIXES = frozenset({".aedat", ".aedat4", ".bin", ".bs2", ".dat", ".es", ".h5", ".hdf5", ".npy", ".npz", ".raw"})

_MAGIC = {
    b"#!AER-DAT2.0": read_aedat2,
    b"#!AER-DAT3.1": read_aedat3,
    b"#!AER-DAT4.0\r\n": read_aedat4,
    b"\x89HDF\r\n\x1a\n": read_hdf5,
    b"PK\x03\x04": read_npz,
    b"\x93NUMPY": read_npz,
    b"MATLAB 5.0 MAT-file": read_mat,
    b"MATLAB 7.3 MAT-file": read_hdf5,
    es.MAGIC: es.read_es,
}
_ENCODINGS = {
    **dict.fromkeys(("2.0", "EVT2"), prophesee.read_evt2),
    **dict.fromkeys(("2.1", "EVT21"), read_evt21),
    **dict.fromkeys(("3.0", "EVT3"), read_evt3),
}
_OF_COLUMNS = (read_npz, read_hdf5, read_mat, text.read_text)
"""Readers of files that may not say what their columns and times are."""
_STREAMS = {read_evt3: stream_evt3, dat.read_dat: dat.stream_dat, read_aedat4: stream_aedat4}


@dataclass(frozen=True, kw_only=True)
class EventInfo:
    """What a good event file holds."""

    events: int
    on: int
    off: int
    t_first_us: int
    t_last_us: int
    width: int
    """In pixels."""
    height: int
    """In pixels."""
    format: str
    """Such as "AEDAT 3.1"."""


def read_events(path: str | PathLike, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> Events:
    """All events of a file, in memory, whatever its format; the content decides, and the suffix where it says nothing.

    AEDAT 2.0, 3.1 and 4.0; N-MNIST (.bin, .bs2); Prophesee EVT 2.0, 2.1, 3.0 and DAT; Event Stream; HDF5; NPZ and NPY;
    MATLAB 5 and 7.3; CSV and text. `sensor=(width, height)` is for files that do not state it, and `told` for arrays
    and text that do not say what their columns and times are. What is written for a camera that wraps its clock comes
    out continuous.
    Raises DataError for a file that is missing, empty, without events, unknown, cut inside an event or packet, with
    events outside the sensor or times that go backwards, without a size, and for columns or a unit that are told of a
    file which states its own.
    """
    path = Path(path)
    reader = _reader(path)
    if reader in _OF_COLUMNS:
        events = reader(path, sensor=sensor, told=told)
    else:
        require_untold(path, told)
        if told.time_unit:
            raise DataError(f"{path}: is of a format whose times have a unit; leave time_unit={told.time_unit} out")
        events = reader(path, sensor=sensor)
    return replace(events, t=events.t - events.t[0]) if told.time_origin == "first" else events


def stream_events(path: str | PathLike, *, sensor: Sensor | None = None) -> Iterator[Events]:
    """The events of a file of EVT 3.0, DAT or AEDAT 4.0 part by part, in memory that does not grow with the file.

    Times are the camera's. Raises DataError as `read_events`, where the fault is reached, and for other formats.
    """
    path = Path(path)
    stream = _STREAMS.get(_reader(path))
    if stream is None:
        raise DataError(f"{path}: is not EVT 3.0, DAT or AEDAT 4.0, which are read in parts; use read_events")
    return iter(stream(path, sensor=sensor))


def info(path: str | PathLike, *, sensor: Sensor | None = None, told: Told = UNTOLD) -> EventInfo:
    """Read the whole file and say what is in it. Raises as `read_events`."""
    events = read_events(path, sensor=sensor, told=told)
    on = int(events.p.sum())
    return EventInfo(
        events=len(events),
        on=on,
        off=len(events) - on,
        t_first_us=int(events.t[0]),
        t_last_us=int(events.t[-1]),
        width=events.width,
        height=events.height,
        format=events.format,
    )


def _reader(path: Path) -> Callable[..., Events]:
    head = content(path, HEAD)
    for magic, reader in _MAGIC.items():
        if head.startswith(magic):
            return reader
    if head.startswith(b"#!AER-DAT"):
        version = head[9:13].decode("latin-1").strip()
        raise DataError(f"{path}: is AEDAT {version}; versions 2.0, 3.1 and 4.0 are read, so convert it")
    if head.startswith(b"%"):
        name = prophesee.encoding(head)
        if name in _ENCODINGS:
            return _ENCODINGS[name]
        if name:
            raise DataError(f"{path}: its encoding is {name}; EVT 2.0, 2.1 and 3.0 are read, so convert it")
        if path.suffix.lower() == ".dat" or head.startswith(b"% Data file containing"):
            return dat.read_dat
    if path.suffix.lower() in (".bin", ".bs2"):
        return read_nmnist
    if path.suffix.lower() in text.SUFFIXES:
        return text.read_text
    raise DataError(
        f"{path}: is of no known event format (starts with {head[:8]!r}); "
        f"give AEDAT, N-MNIST .bin, Prophesee RAW or DAT, Event Stream, HDF5, NPZ, MATLAB or text"
    )
