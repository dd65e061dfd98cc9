"""Event files read by other libraries, each in an environment of its own; called by `event_peers.py`.

    python event_readers.py read LIBRARY FOLDER WIDTH HEIGHT FILE ...
    python event_readers.py time LIBRARY FILE REPEATS
    python event_readers.py write FOLDER EVENTS.npz
    python event_readers.py represent LIBRARY EVENTS.npz

A file's events are columns t in microseconds, x, y, and p, true for ON, as the library gives them.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _fields(events: np.ndarray, *names: str) -> Columns:
    t, x, y, p = (events[name] for name in names)
    return t, x, y, p


def _joined(packets: Any, *names: str) -> Columns:
    return _fields(np.concatenate(list(packets)), *names)


def spikereel(path: Path, size: tuple[int, int] | None = None) -> Columns:
    from spikereel.data.events.readers import read_events
    from spikereel.errors import DataError

    try:
        events = read_events(path)
    except DataError as error:
        if size is None or not any(x in str(error) for x in ("size of its sensor", "names no camera", "give sensor=")):
            raise
        events = read_events(path, sensor=size)
    return events.t, events.x, events.y, events.p


def faery(path: Path) -> Columns:
    import faery

    return _joined(faery.events_stream_from_file(path), "t", "x", "y", "on")


def evlib(path: Path) -> Columns:
    import evlib

    table = evlib.load_events(str(path)).collect()
    t, x, y, p = (table[name].to_numpy() for name in ("t", "x", "y", "polarity"))
    return (t.astype("timedelta64[us]").astype(np.int64) if t.dtype.kind == "m" else t), x, y, p


def evutils(path: Path) -> Columns:
    from evutils.io import EventReader

    events = EventReader(path, mode="all", max_events=2**31).read_all()
    return _fields(events, "t", "x", "y", "p")


def evt3(path: Path) -> Columns:
    import evt3

    events = evt3.decode_file(str(path))
    return events.timestamp, events.x, events.y, events.polarity


def expelliarmus(path: Path) -> Columns:
    from expelliarmus import Wizard

    head = path.open("rb").read(4096).lower()
    encoding = (
        "evt3" if b"evt 3" in head or b"evt3" in head else "evt2" if b"evt 2" in head or b"evt2" in head else "dat"
    )
    return _fields(Wizard(encoding=encoding).read(path), "t", "x", "y", "p")


def aedat(path: Path) -> Columns:
    import aedat

    packets = (packet["events"] for packet in aedat.Decoder(str(path)) if "events" in packet)
    return _joined(packets, "t", "x", "y", "on")


def dv_processing(path: Path) -> Columns:
    import dv_processing as dv

    reader, batches = dv.io.MonoCameraRecording(str(path)), []
    while (batch := reader.getNextEventBatch()) is not None:
        batches.append(batch.numpy())
    return _joined(batches, "timestamp", "x", "y", "polarity")


def event_stream(path: Path) -> Columns:
    import event_stream

    return _joined(event_stream.Decoder(str(path)), "t", "x", "y", "on")


def evio(path: Path) -> Columns:
    import evio

    return _fields(evio.read(path), "t", "x", "y", "p")


def evlab(path: Path) -> Columns:
    import evlab

    return _fields(evlab.load(str(path)).events, "t", "x", "y", "p")


def tonic(path: Path) -> Columns:
    from tonic import io

    if path.suffix == ".bin":
        return _fields(io.read_mnist_file(str(path), np.dtype([(name, int) for name in "xytp"])), "t", "x", "y", "p")
    head = path.open("rb").read(4096)
    if head.startswith(b"#!AER-DAT4"):
        return _fields(io.read_aedat4(str(path)), "t", "x", "y", "p")
    if head.startswith(b"#!AER-DAT3"):
        return _fields(io.read_dvs_ibm(str(path))[1], "t", "x", "y", "p")
    if head.startswith(b"#!AER-DAT2"):
        return _fields(io.read_dvs_128(str(path))[1], "t", "x", "y", "p")
    raise ValueError("no reader for it")


LIBRARIES: dict[str, Callable[..., Columns]] = {
    "spikereel": spikereel,
    "faery": faery,
    "evlib": evlib,
    "evutils": evutils,
    "evt3": evt3,
    "expelliarmus": expelliarmus,
    "aedat": aedat,
    "dv-processing": dv_processing,
    "event_stream": event_stream,
    "evio": evio,
    "evlab": evlab,
    "tonic": tonic,
}


def _read(library: str, out: str, width: str, height: str, *paths: str) -> None:
    """Of each file a line of JSON, {"file": .., "failed": ..}, and its columns as OUT/<number>.npz where it is read."""
    size = {"size": (int(width), int(height))} if library == "spikereel" else {}
    for number, path in enumerate(paths):
        failed = ""
        try:
            t, x, y, p = LIBRARIES[library](Path(path), **size)
            on = p if p.dtype.kind == "b" else p > 0
            columns = {"t": t.astype(np.int64), "x": x.astype(np.int64), "y": y.astype(np.int64), "p": on}
            np.savez(Path(out, f"{number}.npz"), **columns)
        except BaseException as error:  # noqa: BLE001, theirs, of any kind, a panic of Rust among them
            failed = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        print(json.dumps({"file": path, "failed": failed}), flush=True)


TOUCHED = 7 << 29
"""Bytes, as many as the hungriest reader takes of the largest file."""


def _touch() -> None:
    """Have a process take memory, write to it and end. A machine that is a guest waits seconds for memory that it has
    not had of late, and whoever reads first would pay: so all find it as they would on a machine of their own."""
    subprocess.run([sys.executable, "-c", f"import numpy; numpy.empty({TOUCHED}, 'u1')[::4096] = 1"], check=True)


def _time(library: str, path: str, repeats: str) -> None:
    """Wall and processor seconds of reading a file whole, repeated, and the highest memory of the process."""
    wall, cpu, count = [], [], 0
    for _ in range(int(repeats)):
        _touch()
        walls, cpus = time.perf_counter(), time.process_time()
        if library == "spikereel, in chunks":
            from spikereel.data.events.readers import stream_events

            count = sum(len(part) for part in stream_events(Path(path)))
        else:
            count = len(LIBRARIES[library](Path(path))[0])
        wall.append(time.perf_counter() - walls)
        cpu.append(time.process_time() - cpus)
    decoder = {}
    if library.startswith("spikereel"):
        from spikereel.data.events.decoders import native

        # a tree that was not built has the plain ones, which are several times as slow
        decoder = {"decoder": "plain" if native() is None else "native"}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"events": count, "wall_seconds": wall, "cpu_seconds": cpu, "peak_mib": round(peak), **decoder}))


def _write(folder: str, events: str) -> None:
    """The same events as other libraries write them."""
    import faery as writer
    import h5py
    import hdf5plugin

    columns, to = np.load(events), Path(folder)
    t, x, y, p = (columns[name] for name in "txyp")
    width, height = int(columns["width"]), int(columns["height"])
    array = np.zeros(len(t), writer.EVENTS_DTYPE)
    array["t"], array["x"], array["y"], array["on"] = t, x, y, p
    versions = {"EVT2": "evt2.raw", "EVT3": "evt3.raw", "DAT version 1": "dat1.dat", "DAT version 2": "dat2.dat"}
    for name, file in versions.items():
        version: Any = name.lower().replace(" version ", "")
        stream = writer.events_stream_from_array(array, (width, height))
        stream.to_file(to / f"{name} by faery.{file[-3:]}", version=version)
    for name in ("AEDAT4 by faery.aedat4", "Event Stream by faery.es", "CSV by faery.csv"):
        kind: Any = {"aedat4": "aedat"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
        writer.events_stream_from_array(array, (width, height)).to_file(to / name, file_type=kind)
    np.save(to / "NPY as faery.npy", array)
    with h5py.File(to / "HDF5 DSEC, Blosc.h5", "w") as file:
        for name, column in zip("txyp", (t, x, y, p.astype(np.uint8)), strict=True):
            file.create_dataset(f"events/{name}", data=column, **hdf5plugin.Blosc())
        file["t_offset"] = np.int64(0)
    with h5py.File(to / "HDF5 M3ED.h5", "w") as file:
        for name, column in zip("txyp", (t, x, y, p.astype(np.int8)), strict=True):
            file[f"prophesee/left/{name}"] = column
        file["prophesee/left/calib/resolution"] = [width, height]


def _spikingjelly() -> Any:
    """Its functions on arrays, for which nothing that it imports to draw and to load pictures is needed."""
    from unittest.mock import MagicMock

    drawn = ("matplotlib", "matplotlib.pyplot", "tqdm", "torchaudio", "scipy", "scipy.io", "h5py")
    seen = (f"torchvision{name}" for name in ("", ".transforms", ".datasets", ".datasets.utils", ".datasets.folder"))
    for name in (*drawn, *seen):
        sys.modules[name] = MagicMock(__spec__=None, __path__=[])
    from spikingjelly.datasets import utils

    return utils


def _represent(library: str, events: str) -> None:
    """Differences between our representations and a library's, by name of the representation."""
    from spikereel.data.events.conventions import convention
    from spikereel.data.events.frames import to_frames, to_surface, to_voxels
    from spikereel.data.events.recording import Events

    columns, bins = np.load(events), 10
    width, height = int(columns["width"]), int(columns["height"])
    ours = Events(**{name: columns[name] for name in "txyp"}, width=width, height=height)
    t, x, y, p = ours.t, ours.x, ours.y, ours.p.astype(int)
    frames = {by: to_frames(ours, bins, by=by, convention=convention(library, "frames")) for by in ("time", "count")}
    found = {}
    if library == "tonic":
        from tonic import functional as tonic_functions

        def fresh() -> np.ndarray:
            array = np.zeros(len(t), [("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")])
            array["t"], array["x"], array["y"], array["p"] = t, x, y, p
            return array

        size, step = (width, height, 2), int(t[-1] - t[0]) // bins
        theirs = tonic_functions.to_frame_numpy(fresh(), size, n_time_bins=bins)
        found["frames by time"] = frames["time"] - theirs
        found["frames by count"] = frames["count"] - tonic_functions.to_frame_numpy(fresh(), size, n_event_bins=bins)
        grid = to_voxels(ours, bins, convention=convention("tonic", "voxels"))
        found["voxel grid"] = grid - tonic_functions.to_voxel_grid_numpy(fresh(), size, bins)
        surface = to_surface(ours, bins, tau_us=9000.0, convention=convention("tonic", "surface"))
        found["time surface"] = surface - tonic_functions.to_timesurface_numpy(fresh(), size, step, 9000.0)[:bins]
    else:
        utils = _spikingjelly()
        given = {"t": t, "x": x, "y": y, "p": p}
        for by, name in (("time", "time"), ("count", "number")):
            theirs = utils.integrate_events_by_fixed_frames_number(given, name, bins, height, width)
            found[f"frames by {by}"] = frames[by] - theirs
    print(json.dumps({name: float(np.abs(difference).max()) for name, difference in found.items()}))


if __name__ == "__main__":
    {"read": _read, "time": _time, "write": _write, "represent": _represent}[sys.argv[1]](*sys.argv[2:])
