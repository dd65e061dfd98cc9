"""N-MNIST and DVS128 objects, in their layouts; and the real ones among them."""

import shutil

import event_writers as write
import numpy as np
import pytest
import torch

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.dvs128_objects import WINDOW_US, DVS128Objects
from spikereel.data.sets.nmnist import NMNIST
from spikereel.errors import ConfigError, DataError

READING = EventReading(bins=2)


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def digit(k):
    return write.nmnist([(10 * k, k, 0, 1), (10 * k + 5, 0, k, 0)])


@pytest.fixture
def listed(tmp_path):
    """Recordings 1 to 4 of the digits 3, 1, 4, 1."""
    for number, k in enumerate((3, 1, 4, 1), start=1):
        save(tmp_path / f"{number}.bs2", digit(k))
    save(tmp_path / "train4.txt", b"#sample #class\r\n1\t3\r\n2\t1\r\n3\t4\r\n4\t1\r\n")
    return tmp_path


def test_nmnist_as_a_list(listed):
    data = NMNIST(listed, READING)
    assert (data.labels, data.classes) == ([3, 1, 4, 1], tuple("0123456789"))
    assert data.events(2).x.tolist() == [4, 0]
    assert NMNIST(listed / "train4.txt", READING).fingerprint() == data.fingerprint()
    save(listed / "other.txt", b"901 5\n902 6\n")  # of recordings that are elsewhere
    assert NMNIST(listed, READING).labels == data.labels
    (listed / "3.bs2").unlink()
    with pytest.raises(DataError, match=r"train4\.txt:4: 3\.bs2 is not there"):
        NMNIST(listed, READING)
    save(listed / "train4.txt", b"1 3\n2 11\n")
    with pytest.raises(DataError, match=r"train4\.txt:2: '2 11'"):
        NMNIST(listed, READING)
    with pytest.raises(ConfigError, match="split is 'train'"):
        NMNIST(listed, READING, split="train")


def test_nmnist_as_published(tmp_path):
    for folder, digits in (("Train", (7, 2)), ("Test", (2,))):
        for k in digits:
            save(tmp_path / folder / str(k) / "00001.bin", digit(k))
    assert NMNIST(tmp_path, READING, split="train").labels == [2, 7]
    assert NMNIST(tmp_path, READING, split="test").labels == [2]
    with pytest.raises(ConfigError, match="split is None"):
        NMNIST(tmp_path, READING)
    assert NMNIST(tmp_path / "Train", READING).labels == [2, 7]
    shutil.rmtree(tmp_path / "Train")
    assert NMNIST(tmp_path, READING, split="test").labels == [2]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither"):
        NMNIST(tmp_path / "empty", READING)


def recording(path, seconds, *, step=10_000, start=7):
    """An event every 10 ms, its x the number of the window that it falls in."""
    save(path, write.aedat2([(start + t, t // WINDOW_US, 5, 1) for t in range(0, int(seconds * 1e6), step)]))


@pytest.fixture
def session(tmp_path):
    recording(tmp_path / "Cubo.aedat", 8.3)
    recording(tmp_path / "caneca_2.aedat", 4)
    return tmp_path


def test_objects_are_cut_in_time(session):
    whole, train, val = (DVS128Objects(session, READING, part=part) for part in ("all", "earlier", "later"))
    assert (len(whole), len(train), len(val)) == (16 + 7, 12 + 5, 4 + 1)
    assert (whole.labels[0], whole.labels[-1]) == (2, 1)
    assert whole.events(3).x.tolist() == [3] * 50
    border = max(train.events(i).t[-1] for i in range(12))
    assert border < min(val.events(i).t[0] for i in range(4))
    assert all(np.ptp(data.events(i).t) < WINDOW_US for data in (whole, train, val) for i in range(len(data)))


def test_objects_in_training_reach_into_the_next_window_but_not_past_the_part(session):
    reading = EventReading(bins=2, train=True, augment=EventAugment(drop=0.5))
    data = DVS128Objects(session, reading, part="earlier")
    assert set(data.events(3).x) == {3, 4}
    border = DVS128Objects(session, READING, part="later").events(0).t[0]
    assert max(data.events(i).t[-1] for i in range(12)) < border
    first = data[3][0]
    data.set_epoch(1)
    assert not torch.equal(first, data[3][0])


def test_objects_refuse(session, tmp_path):
    with pytest.raises(DataError, match=r"Cubo\.aedat: is of none of the objects a, b"):
        DVS128Objects(session, READING, classes=("a", "b", "caneca"))
    recording(session / "Cubo.aedat", 0.3)
    recording(session / "caneca_2.aedat", 0.3)
    with pytest.raises(DataError, match="part 'all' of no recording"):
        DVS128Objects(session, READING)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no recordings"):
        DVS128Objects(tmp_path / "empty", READING)
    with pytest.raises(ConfigError, match="part is 'late'"):
        DVS128Objects(session, READING, part="late")
    with pytest.raises(ConfigError, match="bin_us is 1000: windows are of 500000 us"):
        DVS128Objects(session, EventReading(bins=2, bin_us=1000))


def test_bad_digits_can_be_left_out(listed):
    save(listed / "2.bs2", b"cut")
    digits = NMNIST(listed, READING, on_error="skip")
    assert (digits.labels, [path.name for path, _ in digits.skipped]) == ([3, 4, 1], ["2.bs2"])


def test_bad_objects_can_be_left_out(session):
    save(session / "Cubo.aedat", b"#!AER-DAT2.0\r\ncut")
    objects = DVS128Objects(session, READING, on_error="skip")
    assert (set(objects.labels), [path.name for path, _ in objects.skipped]) == ({1}, ["Cubo.aedat"])


@pytest.mark.realdata
def test_real_sets(real_data):
    digits = NMNIST(real_data / "nmnist_small", READING)
    assert len(digits) == 1000
    assert min(digits.labels.count(k) for k in range(10)) > 80
    parts = [DVS128Objects(real_data / "dvs128_objects_set100", READING, part=p) for p in ("all", "earlier", "later")]
    assert [len(part) for part in parts] == [474, 355, 116]
    assert set(parts[2].labels) == set(range(6))
    assert min(len(parts[0].events(i)) for i in range(474)) > 100
