"""ASL-DVS, and event files of MATLAB 5."""

from contextlib import suppress
from dataclasses import replace

import event_writers as write
import numpy as np
import pytest
from small import DATA

from spikereel.data.events.readers import info, read_events
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.asl_dvs import ASLDVS, CLASSES
from spikereel.data.sets.events import EventFolder
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, data_passport

savemat = pytest.importorskip("scipy.io").savemat
READING = EventReading(bins=2)
ROWS = [(10, 1, 2, 1), (10, 239, 179, 0), (5000, 33, 0, 0)]


def mat(path, rows=ROWS, names=("ts", "x", "y", "pol"), shape=(-1, 1), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [np.array(column).reshape(shape) for column in zip(*rows, strict=True)]
    savemat(path, dict(zip(names, columns, strict=True)) | {"note": "of no use"}, **options)
    return path


@pytest.mark.parametrize("shape", [(-1, 1), (1, -1)])
@pytest.mark.parametrize("packed", [False, True])
def test_matlab_files(tmp_path, shape, packed):
    path = mat(tmp_path / "a.mat", shape=shape, do_compression=packed)
    assert write.rows_of(read_events(path, sensor=(240, 180))) == ROWS
    assert info(path, sensor=(240, 180)).format == "MATLAB"
    signed = [(t, x, y, 2 * p - 1) for t, x, y, p in ROWS]
    assert write.rows_of(read_events(mat(tmp_path / "b.mat", signed), sensor=(240, 180))) == ROWS


def test_matlab_files_refused(tmp_path):
    path = mat(tmp_path / "a.mat")
    with pytest.raises(DataError, match="does not state the size of its sensor"):
        read_events(path)
    content = path.read_bytes()
    columns_end = 448
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        if cut < columns_end:
            with pytest.raises(DataError, match=r"a\.mat"):
                read_events(path, sensor=(240, 180))
        else:
            # What is cut is no column: an error, or all events.
            with suppress(DataError):
                assert write.rows_of(read_events(path, sensor=(240, 180))) == ROWS
    with pytest.raises(DataError, match="has no columns t, x, y, p but x, y"):
        read_events(mat(path, names=("a", "x", "y", "b")), sensor=(240, 180))
    with pytest.raises(DataError, match=r"save it as numbers \[N\]"):
        read_events(mat(path, ROWS + ROWS[2:], shape=(2, 2)), sensor=(240, 180))


def test_folders_of_matlab_files(tmp_path):
    for name in "uv":
        mat(tmp_path / name / "1.mat")
    assert EventFolder(tmp_path, READING, sensor=(240, 180))[1][0].sum() == 3


@pytest.fixture
def letters(tmp_path):
    for name in CLASSES:
        for k in range(1, 11 if name in "ay" else 3):
            mat(tmp_path / name / f"{name}_{k:04}.mat")
    return tmp_path


@pytest.mark.parametrize(
    ("axes", "x", "y"),
    [
        ("spikingjelly", [238, 0, 206], [177, 0, 179]),
        ("tonic", [1, 239, 33], [177, 0, 179]),
        ("address", [1, 239, 33], [2, 179, 0]),
    ],
)
def test_asl_dvs(letters, axes, x, y):
    train, test = (ASLDVS(letters, READING, split=split, axes=axes) for split in ("train", "test"))
    assert [(path.name, label) for path, label in test.samples] == [("a_0010.mat", 0), ("y_0010.mat", 23)]
    assert (len(train), set(train.labels)) == (9 + 9 + 2 * 22, set(range(24)))
    events = test.events(0)
    assert (events.x.tolist(), events.y.tolist()) == (x, y)
    spec = replace(DATA, kind="asl_dvs", root=str(letters), axes=axes)
    assert data_passport(build_dataset(spec, "test")).choices == {
        "split_rule": "spikingjelly",
        "axes": axes,
        "labels": "spikingjelly",
    }


def test_asl_dvs_refuses(letters):
    with pytest.raises(ConfigError, match="axes is 'x'"):
        ASLDVS(letters, READING, axes="x")
    with pytest.raises(ConfigError, match="split_rule is 'tebn'"):
        ASLDVS(letters, READING, split_rule="tebn")
    (letters / "z").mkdir()
    with pytest.raises(DataError, match="z: is not among the classes"):
        ASLDVS(letters, READING)
