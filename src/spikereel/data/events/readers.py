"""Any event file by its content: `read_events` and `info`."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from spikereel.data.events import prophesee
from spikereel.data.events.aedat import read_aedat2, read_aedat3
from spikereel.data.events.aedat4 import read_aedat4
from spikereel.data.events.arrays import read_npz
from spikereel.data.events.evt3 import read_evt3
from spikereel.data.events.evt21 import read_evt21
from spikereel.data.events.hdf5 import read_hdf5
from spikereel.data.events.mat import read_mat
from spikereel.data.events.nmnist import read_nmnist
from spikereel.data.events.recording import Events
from spikereel.data.events.source import Sensor, content
from spikereel.errors import DataError

SUFFIXES = frozenset({".aedat", ".aedat4", ".bin", ".bs2", ".dat", ".h5", ".hdf5", ".npy", ".npz", ".raw"})

_MAGIC = {
    b"#!AER-DAT2.0": read_aedat2,
    b"#!AER-DAT3.1": read_aedat3,
    b"#!AER-DAT4.0\r\n": read_aedat4,
    b"\x89HDF\r\n\x1a\n": read_hdf5,
    b"PK\x03\x04": read_npz,
    b"\x93NUMPY": read_npz,
    b"MATLAB 5.0 MAT-file": read_mat,
}
_ENCODINGS = {
    **dict.fromkeys(("2.0", "EVT2"), prophesee.read_evt2),
    **dict.fromkeys(("2.1", "EVT21"), read_evt21),
    **dict.fromkeys(("3.0", "EVT3"), read_evt3),
}
_HEAD = 1 << 16
"""Bytes; longer than any header of % lines."""


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


def read_events(path: str | PathLike, *, sensor: Sensor | None = None) -> Events:
    """All events of a file, in memory, whatever its format; the content decides, and the suffix where it says nothing.

    AEDAT 2.0, 3.1 and 4.0; N-MNIST (.bin, .bs2); Prophesee EVT 2.0, 2.1, 3.0 and DAT; HDF5; NPZ and NPY; MATLAB 5.
    `sensor=(width, height)` is for files that do not state it. What is written for a camera that wraps its clock comes
    out continuous.
    Raises DataError for a file that is missing, empty, without events, unknown, cut inside an event or packet, with
    events outside the sensor or times that go backwards, and without a size.
    """
    path = Path(path)
    return _reader(path)(path, sensor=sensor)


def info(path: str | PathLike, *, sensor: Sensor | None = None) -> EventInfo:
    """Read the whole file and say what is in it. Raises as `read_events`."""
    events = read_events(path, sensor=sensor)
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
    head = content(path, _HEAD)
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
            return prophesee.read_dat
    if path.suffix.lower() in (".bin", ".bs2"):
        return read_nmnist
    raise DataError(
        f"{path}: is of no known event format (starts with {head[:8]!r}); "
        f"give AEDAT, N-MNIST .bin, Prophesee RAW or DAT, HDF5, NPZ or MATLAB 5"
    )
