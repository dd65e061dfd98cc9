"""N-Caltech101, N-Cars and DailyDVS-200 in their published layouts, on stand-ins."""

from dataclasses import replace

import event_writers as write
import pytest
from small import DATA

from spikereel.data.events.reading import EventReading
from spikereel.data.sets.dailydvs200 import DailyDVS200
from spikereel.data.sets.n_caltech101 import NCaltech101
from spikereel.data.sets.n_cars import NCars
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, data_passport

READING = EventReading(bins=2)


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def pictures(tmp_path):
    for name, count in (("accordion", 20), ("BACKGROUND_Google", 11), ("Motorbikes", 10)):
        for k in range(1, count + 1):
            rows = [(k, 200, 150, 1), (k + 5, 230, 240, 0), (k + 9, 210, 170, 0)]
            save(tmp_path / "Caltech101" / name / f"image_{k:04}.bin", write.nmnist(rows))
    return tmp_path


def test_n_caltech101(pictures):
    train, test = (NCaltech101(pictures, READING, split=split) for split in ("train", "test"))
    assert train.classes == ("BACKGROUND_Google", "Motorbikes", "accordion")
    # ceil(0.9 n) of 11, 10 and 20 train
    assert [path.stem for path, _ in test.samples] == [f"image_{k:04}" for k in (11, 10, 19, 20)]
    assert test.labels == [0, 1, 2, 2]
    assert len(train) + len(test) == 41
    # the event in row 240 is no event but moves the clock
    assert write.rows_of(test.events(1)) == [(10, 200, 150, 1), (10 + 9 + 8192, 210, 170, 0)]
    assert test[0][0].shape == (2, 2, 180, 240)
    assert NCaltech101(pictures / "Caltech101", READING).labels == train.labels


def test_n_caltech101_as_tonic_has_it(pictures):
    events = NCaltech101(pictures, READING, axes="tonic").events(0)
    assert (events.x.tolist(), events.y.tolist(), events.width) == ([0, 10], [0, 20], 240)
    spec = replace(DATA, kind="n_caltech101", root=str(pictures), axes="tonic")
    assert data_passport(build_dataset(spec, "test")).choices == {
        "split_rule": "spikingjelly",
        "axes": "tonic",
        "labels": "with_background",
    }


def test_n_caltech101_refuses(pictures, tmp_path):
    with pytest.raises(ConfigError, match="split_rule is 'tebn'"):
        NCaltech101(pictures, READING, split_rule="tebn")
    with pytest.raises(ConfigError, match="axes is 'x'"):
        NCaltech101(pictures, READING, axes="x")
    with pytest.raises(ConfigError, match="split is 'val'"):
        NCaltech101(pictures, READING, split="val")
    save(tmp_path / "few/a/image_0001.bin", write.nmnist([(1, 2, 3, 1)]))
    with pytest.raises(DataError, match="no class has 10 recordings"):
        NCaltech101(tmp_path / "few", READING, split="test")


@pytest.mark.parametrize("between", ["", "test/"])
def test_n_cars(tmp_path, between):
    header = "% Data file containing CD events.\n% Version 2\n"
    for folder in ("n-cars_train/", f"n-cars_test/{between}"):
        for k, name in enumerate(("cars", "background")):
            save(tmp_path / f"{folder}{name}/obj_{k:06}_td.dat", write.dat([(1, 119 - k, 99, 1)], header))
    data = NCars(tmp_path, READING, split="test")
    labels = {path.parent.name: label for path, label in data.samples}
    assert (data.classes, labels) == (("cars", "background"), {"cars": 0, "background": 1})
    assert (data.events(data.labels.index(0)).x.tolist(), data[0][0].shape) == ([119], (2, 2, 100, 120))
    assert len(build_dataset(replace(DATA, kind="n_cars", root=str(tmp_path)), "test")) == 2
    with pytest.raises(ConfigError, match="split is 'val'"):
        NCars(tmp_path, READING, split="val")
    with pytest.raises(DataError, match="n-cars_train: no such folder"):
        NCars(tmp_path / "n-cars_train", READING)


FILE = "C0P3M0S1_20231111_09_11_23.aedat4"


@pytest.mark.parametrize("named", [f"action_001/{FILE}", f"event_raw/11_11/3/{FILE}", FILE])
def test_dailydvs200(tmp_path, named):
    form = write.INFO.replace(">40<", ">320<").replace(">34<", ">240<")
    save(tmp_path / "action_001" / FILE, write.aedat4(write.FIVE, info=form))
    lists = (("train", 0), ("val", 199), ("test", 7))
    for split, label in lists:
        save(tmp_path / f"{split}.txt", f"{named} {label}\r\n".encode())
    for split, label in lists:
        data = DailyDVS200(tmp_path, READING, split=split)
        assert (data.labels, len(data.classes)) == ([label], 200)
        spec = replace(DATA, kind="dailydvs200", root=str(tmp_path))
        assert build_dataset(spec, split).labels == [label]
    assert data[0][0].shape == (2, 2, 240, 320)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.aedat4 200", "a label of 0 to 199"),
        ("a.aedat4", "a label of 0 to 199"),
        ("a.aedat4 x", "a label of 0 to 199"),
        ("a.aedat4 1", "a.aedat4 is not there"),
        ("twice.aedat4 1", "twice.aedat4 is there 2 times"),
    ],
)
def test_dailydvs200_refuses(tmp_path, line, message):
    for folder in "xy":
        save(tmp_path / folder / "twice.aedat4", b"")
    save(tmp_path / "train.txt", line.encode())
    with pytest.raises(DataError, match=rf"train\.txt:1: .*{message}"):
        DailyDVS200(tmp_path, READING)
    with pytest.raises(ConfigError, match="split is 'all'"):
        DailyDVS200(tmp_path, READING, split="all")
