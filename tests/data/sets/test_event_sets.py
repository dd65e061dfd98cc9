"""N-MNIST, DVS128 objects, CIFAR10-DVS and HARDVS, in their layouts; and the real ones among them."""

import shutil

import event_writers as write
import numpy as np
import pytest
import torch

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.cifar10_dvs import CIFAR10DVS
from spikereel.data.sets.cifar10_dvs import CLASSES as IMAGES
from spikereel.data.sets.dvs128_objects import WINDOW_US, DVS128Objects
from spikereel.data.sets.hardvs import HARDVS
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


def test_cifar10_dvs_splits_each_class_by_number(tmp_path):
    for name in IMAGES:
        for number in (0, 899, 900, 999):
            content = write.aedat2([(number, 1, 2, 1)])
            # some of the published files name no camera
            content = content.replace(b"# AEChip: a.b.DVS128\r\n", b"")
            save(tmp_path / name / f"cifar10_{name}_{number}.aedat", content)
    train, test = (CIFAR10DVS(tmp_path, READING, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (20, 20)
    assert test.labels == [label for label in range(10) for _ in range(2)]
    assert {path.stem[-4:] for path, _ in test.samples} == {"_900", "_999"}
    assert test[3][0].shape == (2, 2, 128, 128)
    save(tmp_path / "bird" / "x.aedat", b"#")
    with pytest.raises(DataError, match=r"x\.aedat: is not named"):
        CIFAR10DVS(tmp_path, READING)
    (tmp_path / "bird" / "x.aedat").unlink()
    # a folder of test recordings alone, and not of all classes
    shutil.rmtree(tmp_path / "truck")
    for path in tmp_path.glob("*/*_[08]*.aedat"):
        path.unlink()
    assert CIFAR10DVS(tmp_path, READING, split="test").labels == test.labels[:18]
    with pytest.raises(DataError, match=r"airplane: has no recordings with numbers below 900, which train is of"):
        CIFAR10DVS(tmp_path, READING)


def test_cifar10_dvs_trains_on_all_classes(tmp_path):
    for name in IMAGES[:-1]:
        save(tmp_path / name / f"cifar10_{name}_5.aedat", write.aedat2([(1, 1, 2, 1)]))
    with pytest.raises(DataError, match="truck: has no recordings"):
        CIFAR10DVS(tmp_path, READING)


def test_bad_digits_can_be_left_out(listed):
    save(listed / "2.bs2", b"cut")
    digits = NMNIST(listed, READING, on_error="skip")
    assert (digits.labels, [path.name for path, _ in digits.skipped]) == ([3, 4, 1], ["2.bs2"])


def test_bad_objects_can_be_left_out(session):
    save(session / "Cubo.aedat", b"#!AER-DAT2.0\r\ncut")
    objects = DVS128Objects(session, READING, on_error="skip")
    assert (set(objects.labels), [path.name for path, _ in objects.skipped]) == ({1}, ["Cubo.aedat"])


def test_hardvs_lists(tmp_path):
    save(tmp_path / "action_001/a.npz", write.npz([(1, 2, 3, 1)], width=346, height=260))
    save(tmp_path / "action_300/b.aedat4", b"")
    save(tmp_path / "train_label.txt", b"action_001/a 8 0\naction_300/b.aedat4 299\n")
    data = HARDVS(tmp_path, READING)
    assert (data.labels, len(data.classes)) == ([0, 299], 300)
    assert data[0][0].shape == (2, 2, 260, 346)
    assert HARDVS(tmp_path, READING, on_error="skip").labels == [0]
    for lists, message in (
        ("action_001/a 300", "0 to 299"),
        ("action_001/a", "0 to 299"),
        ("action_001/c 0", "c is no event file"),
    ):
        save(tmp_path / "val_label.txt", lists.encode())
        with pytest.raises(DataError, match=rf"val_label\.txt:1: .*{message}"):
            HARDVS(tmp_path, READING, split="val")


@pytest.mark.realdata
def test_real_sets(real_data):
    digits = NMNIST(real_data / "nmnist_small", READING)
    assert len(digits) == 1000
    assert min(digits.labels.count(k) for k in range(10)) > 80
    parts = [DVS128Objects(real_data / "dvs128_objects_set100", READING, part=p) for p in ("all", "earlier", "later")]
    assert [len(part) for part in parts] == [474, 355, 116]
    assert set(parts[2].labels) == set(range(6))
    assert min(len(parts[0].events(i)) for i in range(474)) > 100
