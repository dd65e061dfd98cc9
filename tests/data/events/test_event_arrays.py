"""Event lists in npz and npy files."""

import io
import struct
import zipfile

import numpy as np
import pytest
from event_writers import FIVE, rows_of

from spikereel.data.events.readers import read_events
from spikereel.errors import DataError


def test_arrays_under_other_names(save):
    t, x, y, p = np.array(FIVE).T
    for names in (("timestamp", "x", "y", "polarity"), ("ts", "x", "y", "p")):
        file = io.BytesIO()
        np.savez(file, **dict(zip(names, (t, x, y, p), strict=True)), label=3)
        assert rows_of(read_events(save("a.npz", file.getvalue()), sensor=(40, 40))) == FIVE
    file = io.BytesIO()
    np.savez(file, label=3, events=np.array(FIVE, [(name, "i8") for name in "txyp"]), width=40, height=40)
    assert rows_of(read_events(save("a.npz", file.getvalue()))) == FIVE


@pytest.mark.parametrize("suffix", ["npz", "npy"])
@pytest.mark.parametrize("structured", [True, False])
def test_one_array(tmp_path, suffix, structured):
    path = tmp_path / f"a.{suffix}"
    rows = [(t, x, y, p) for t, x, y, p in FIVE]
    array = (
        np.array(rows, [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "u1")]) if structured else np.array(rows, float)
    )
    np.savez(path, array) if suffix == "npz" else np.save(path, array)
    assert rows_of(read_events(path, sensor=(40, 40))) == FIVE
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    with pytest.raises(DataError, match=r"holds one array \[4, 3\]"):
        read_events(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': ('<i8', 'fortran_order': False",
        "{'descr': 'i8,(', 'fortran_order': False, 'shape': (5,)}",
        "{1: 2, 'descr': '<i8'}",
        "{[]: 1}",
        "{'descr': ('V9', (9999999999,)), 'fortran_order': False, 'shape': (5,)}",
        "{'descr': (), 'fortran_order': False, 'shape': (5,)}",
        "-" * 9000 + "1",
    ],
)
def test_array_headers_that_make_no_sense(save, header):
    text = header.encode() + b"\n"
    path = save("a.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(64))
    with pytest.raises(DataError, match=r"a\.npy: cannot be read as arrays \(.+\); save t, x, y and p as numbers"):
        read_events(path)


def test_arrays_that_state_more_than_they_hold(save, tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (10**12,)})
    lie = header.getvalue() + bytes(64)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name in "txyp":
            out.writestr(f"{name}.npy", lie)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as out:
        for name in "txyp":
            out.create_dataset(name, shape=(10**12,), dtype="i8", chunks=(1000,))
    for path in (save("a.npy", lie), save("a.npz", archive.getvalue()), tmp_path / "a.h5"):
        with pytest.raises(DataError, match=rf"{path.name}: .*states .*more than"):
            read_events(path)
