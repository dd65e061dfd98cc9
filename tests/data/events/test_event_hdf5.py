"""HDF5 files as DSEC, MVSEC, e2vid, Prophesee and v2e lay them out, and odd ones."""

import subprocess
import sys

import event_writers as write
import numpy as np
import pytest
from event_writers import FIVE, rows_of

from spikereel.data.events.readers import read_events
from spikereel.data.events.source import Told
from spikereel.errors import DataError

h5py = pytest.importorskip("h5py")


@pytest.fixture
def h5(tmp_path):
    """Writes a file of some datasets and of attributes of its own, and gives its path."""

    def h5(datasets, **attributes):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, content in datasets.items():
                file[name] = content
            file.attrs.update(attributes)
        return tmp_path / "a.h5"

    return h5


STRUCTURED = [("t", "i8"), ("x", "u2"), ("y", "u2"), ("p", "i2")]
SECONDS = [(t / 1e6, x, y, p) for t, x, y, p in FIVE]


@pytest.mark.parametrize("place", ["CD/events", "events"])
def test_hdf5_of_one_dataset(h5, place):
    rows = np.array(FIVE, STRUCTURED)
    path = h5({place: rows[["x", "y", "p", "t"]]}, geometry="40x34")
    events = read_events(path)
    assert rows_of(events) == FIVE
    assert (events.width, events.height) == (40, 34)
    assert rows_of(read_events(h5({place: np.array(FIVE)}), sensor=(40, 34))) == FIVE
    with pytest.raises(DataError, match=r"holds one array \[5, 3\]"):
        read_events(h5({place: np.array(FIVE)[:, 1:]}))


def test_hdf5_of_mvsec_and_e2vid_is_in_seconds(h5):
    columns = np.array(SECONDS)[:, [1, 2, 0, 3]] + np.array([0, 0, 1504645177.0, 0])
    columns[:, 3] = columns[:, 3] * 2 - 1
    events = read_events(h5({"davis/left/events": columns, "davis/right/events": columns[:1]}), sensor=(346, 260))
    assert events.t.tolist() == [1504645177_000000 + t for t, *_ in FIVE]
    assert [row[1:] for row in rows_of(events)] == [row[1:] for row in FIVE]
    columns = dict(zip(["ts", "xs", "ys", "ps"], zip(*SECONDS, strict=True), strict=True))
    path = h5({f"events/{name}": column for name, column in columns.items()}, sensor_resolution=(34, 40))
    assert rows_of(read_events(path)) == FIVE
    assert read_events(h5(columns, unit="ms"), sensor=(40, 34)).t.tolist() == [0, 0, 5, 5, 9]
    # microseconds that were kept as floats
    whole = columns | {"ts": np.array([float(t) for t, *_ in FIVE])}
    assert rows_of(read_events(h5(whole), sensor=(40, 34))) == FIVE
    with pytest.raises(DataError, match=r"t is 1e-05, no whole number"):
        read_events(h5(dict(zip("txyp", columns.values(), strict=True))), sensor=(40, 34))


@pytest.mark.parametrize("kind", ["u4", "u8"])
def test_hdf5_of_dsec_adds_its_offset(h5, kind):
    columns = dict(zip("txyp", np.array(FIVE).T, strict=True))
    datasets = {f"events/{name}": column.astype(kind) for name, column in columns.items()}
    events = read_events(h5(datasets | {"t_offset": np.int64(51_648_500_652)}), sensor=(640, 480))
    assert events.t.tolist() == [51_648_500_652 + t for t, *_ in FIVE]
    for wrong in (np.arange(2), 1.5, np.uint64(2**63)):
        with pytest.raises(DataError, match=r"a\.h5: t_offset is .*; make it one number of microseconds"):
            read_events(h5(datasets | {"t_offset": wrong}), sensor=(640, 480))


def test_hdf5_without_data_or_filter(h5):
    columns = dict(zip("txyp", np.array(FIVE).T, strict=True))
    path = h5(columns | {"x": h5py.Empty("i8")}, width=40, height=40)
    with pytest.raises(DataError, match=r"a\.h5: /x is there without data; write it again"):
        read_events(path)
    for width in (np.inf, 640.5, h5py.Empty("i8")):
        with pytest.raises(DataError, match=r"a\.h5: the size of its sensor is .*; make it two whole numbers"):
            read_events(h5(columns, width=width, height=40))
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((5,))
        properties.set_filter(36559, h5py.h5z.FLAG_OPTIONAL, ())
        space, kind = h5py.h5s.create_simple((5,)), h5py.h5t.py_create(np.dtype(STRUCTURED))
        h5py.h5d.create(file.create_group("CD").id, b"events", kind, space, properties)
    with pytest.raises(
        DataError, match="HDF5 filter ECF of Prophesee, which h5py lacks; install hdf5plugin, or run h5repack"
    ):
        read_events(path)


@pytest.mark.parametrize("name", [b"\xff\xfe", "a\nb"])
def test_hdf5_names_and_attributes_of_no_text(h5, name):
    path = h5({"t": [1], "x": [1], "y": [1]})
    with h5py.File(path, "a") as file:
        file[name] = [1]
        file.attrs.create(name, np.bytes_(b"\xff"), dtype=h5py.string_dtype())
    with pytest.raises(DataError, match=r"has no columns t, x, y, p but .*, t, x, y; rename them") as error:
        read_events(path)
    assert str(error.value).isprintable()
    with h5py.File(path, "a") as file:
        file["p"] = [1]
    assert len(read_events(path, sensor=(40, 40))) == 1


@pytest.mark.parametrize("group", ["events", ""])
@pytest.mark.parametrize(
    "names", [("t", "x", "y", "p"), ("ts", "xs", "ys", "ps"), ("timestamps", "x", "y", "polarity")]
)
def test_hdf5_layouts(tmp_path, group, names):
    pytest.importorskip("h5py")
    write.hdf5(tmp_path / "a.h5", FIVE, group, names)
    events = read_events(tmp_path / "a.h5")
    assert rows_of(events) == FIVE
    assert (events.width, events.format) == (40, "HDF5")


def test_hdf5_units_and_errors(tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    write.hdf5(path, [(0.001, 1, 2, 1), (0.25, 3, 4, -1)], unit="s")
    assert rows_of(read_events(path)) == [(1000, 1, 2, 1), (250_000, 3, 4, 0)]
    write.hdf5(path, [(1, 1, 2, 1), (2, 3, 4, 0)], units="ms")
    assert read_events(path).t.tolist() == [1000, 2000]
    write.hdf5(path, [(0.5, 1, 2, 1)])
    with pytest.raises(DataError, match=r"t is 0\.5, no whole number"):
        read_events(path)
    write.hdf5(path, FIVE, unit="weeks")
    with pytest.raises(DataError, match="its time unit is 'weeks'"):
        read_events(path)
    whole = write.hdf5(path, FIVE, names=("t", "x", "y", "q"))
    with pytest.raises(DataError, match="has no columns t, x, y, p but q, t, x, y"):
        read_events(path)
    for size in range(1, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError):
            read_events(path)


def test_hdf5_with_blosc(tmp_path):
    """Where hdf5plugin is installed; a process of its own has not imported it before."""
    plugin = pytest.importorskip("hdf5plugin")
    path = tmp_path / "blosc.h5"
    with h5py.File(path, "w") as file:
        for name, column in zip("txyp", zip(*write.FIVE, strict=True), strict=True):
            file.create_dataset(f"events/{name}", data=np.array(column), chunks=True, **plugin.Blosc())
        file.attrs.update({"width": 40, "height": 40})
    code = (
        "import sys; from spikereel.data.events.readers import read_events; print(read_events(sys.argv[1]).t.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([row[0] for row in write.FIVE])


def test_m3ed(h5):
    columns = {f"prophesee/left/{name}": column for name, column in zip("txyp", zip(*FIVE, strict=True), strict=True)}
    other = {f"prophesee/right/{name}": [0] for name in "txyp"}
    path = h5({**columns, **other, "prophesee/left/calib/resolution": [40, 34], "prophesee/left/ms_map_idx": [0]})
    events = read_events(path)
    assert (rows_of(events), events.width, events.height) == (FIVE, 40, 34)


def test_scalars_and_columns_of_one(h5):
    # The size as RVT keeps it; columns [N, 1] as MATLAB 7.3 does, whose file starts with a text of its own.
    columns = {
        f"events/{name}": np.array([column]) for name, column in zip("txyp", zip(*FIVE, strict=True), strict=True)
    }
    path = h5({**columns, "events/height": np.array(34), "events/width": np.array([40])})
    assert (rows_of(read_events(path)), read_events(path).height) == (FIVE, 34)
    h5py = pytest.importorskip("h5py")
    with h5py.File(path.with_suffix(".mat"), "w", userblock_size=512) as file:
        for name, column in zip(("ts", "x", "y", "pol"), zip(*FIVE, strict=True), strict=True):
            file[name] = np.array(column, float)[:, None]
    with path.with_suffix(".mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    assert rows_of(read_events(path.with_suffix(".mat"), sensor=(40, 34))) == FIVE


def test_a_unit_that_is_told(h5):
    columns = {f"events/{name}": column for name, column in zip("txyp", zip(*SECONDS, strict=True), strict=True)}
    assert rows_of(read_events(h5(columns), sensor=(40, 34), told=Told(time_unit="s"))) == FIVE
    with pytest.raises(DataError, match="says that its times are in s, not ms"):
        read_events(h5(columns, unit="s"), sensor=(40, 34), told=Told(time_unit="ms"))
