"""DVS128-Gesture in its published layout: rows, labels, the cache, and errors with their lines."""

import os

import event_writers as write
import numpy as np
import pytest
import torch

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.reading import EventReading
from spikereel.data.sets import dvs128_gesture as gesture
from spikereel.data.sets.dvs128_gesture import CLASSES, DVS128Gesture
from spikereel.errors import ConfigError, DataError

READING = EventReading(bins=4)
ROWS = [(1, 1000, 3000), (11, 3000, 5000), (2, 6000, 9000)]
NAMES = {"train": ("user01_led", "user02_natural"), "test": ("user24_lab",)}


@pytest.fixture
def root(tmp_path):
    """Three recordings of one event every 10 us, with gaps between the labelled parts."""
    for split, names in NAMES.items():
        for name in names:
            rng = np.random.default_rng(len(name))
            events = [(t, *rng.integers(0, [128, 128, 2]).tolist()) for t in range(0, 10_000, 10)]
            (tmp_path / f"{name}.aedat").write_bytes(write.aedat3(events, packet=64))
            rows = "".join(f"{number},{start},{stop}\n" for number, start, stop in ROWS)
            (tmp_path / f"{name}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + rows)
        lines = "".join(f"{name}.aedat\n" for name in names)
        (tmp_path / f"trials_to_{split}.txt").write_text(lines + "\n")
    return tmp_path


def test_items(root):
    data = DVS128Gesture(root, READING)
    assert len(data) == 6
    assert data.labels == [0, 10, 1, 0, 10, 1]
    assert len(DVS128Gesture(root, READING, split="test")) == 3
    video, label = data[1]
    assert label == 10
    assert video.shape == (4, 2, 128, 128)
    assert video.dtype == torch.float32
    assert video.sum() == 200
    assert data.events(1).t[[0, -1]].tolist() == [3000, 4990]
    assert DVS128Gesture(root, EventReading(bins=2, size=(32, 48)))[0][0].shape == (2, 2, 32, 48)


def test_classes():
    assert len(CLASSES) == len(set(CLASSES)) == 11
    assert (CLASSES[0], CLASSES[7], CLASSES[10]) == ("hand_clapping", "arm_roll", "other_gestures")
    assert DVS128Gesture.classes == CLASSES


@pytest.fixture
def reads(monkeypatch):
    """The names of the recordings that are read."""
    names, read = [], gesture.read_events
    monkeypatch.setattr(gesture, "read_events", lambda path: names.append(path.name) or read(path))
    return names


def test_a_recording_is_read_once(root, reads):
    list(DVS128Gesture(root, READING))
    assert reads == ["user01_led.aedat", "user02_natural.aedat"]


def test_cache(root, tmp_path, reads):
    plain = [video for video, _ in DVS128Gesture(root, READING)]
    reads.clear()
    data = DVS128Gesture(root, READING, cache=tmp_path / "cache" / "here")
    for order in ([4, 0, 5, 1, 3, 2], range(6)):
        for i in order:
            assert torch.equal(data[i][0], plain[i])
    assert reads == ["user02_natural.aedat", "user01_led.aedat"]
    files = sorted((tmp_path / "cache" / "here").iterdir())
    assert len(files) == 6
    assert {file.suffix for file in files} == {".npz"}
    # A recording of the same size that is newer is read again.
    os.utime(root / "user01_led.aedat", ns=(1, 1))
    reads.clear()
    assert torch.equal(DVS128Gesture(root, READING, cache=tmp_path / "cache" / "here")[0][0], plain[0])
    assert reads == ["user01_led.aedat"]
    # Another row is another file.
    (root / "user01_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n1,1000,2000\n")
    assert DVS128Gesture(root, READING, cache=tmp_path / "cache" / "here")[0][0].sum() == 100


def test_training_items_depend_on_seed_epoch_and_index_only(root):
    def train_set(seed=0):
        return DVS128Gesture(
            root, EventReading(bins=2, train=True, seed=seed, augment=EventAugment(shift=20, drop=0.5))
        )

    data, same, other = train_set(), train_set(), train_set(seed=1)
    first = data[1][0]
    assert torch.equal(first, same[1][0])
    assert not torch.equal(first, other[1][0])
    data.set_epoch(1)
    assert not torch.equal(first, data[1][0])
    data.set_epoch(0)
    assert torch.equal(first, data[-5][0])


def test_fingerprint(root):
    data = DVS128Gesture(root, READING)
    assert data.fingerprint() == DVS128Gesture(root, EventReading(bins=9)).fingerprint()
    assert data.fingerprint() != DVS128Gesture(root, READING, split="test").fingerprint()
    labels = root / "user01_led_labels.csv"
    labels.write_text(labels.read_text().replace("5000", "5001"))
    assert data.fingerprint() != DVS128Gesture(root, READING).fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv:1: lacks one of the columns class"),
        ("class,startTime_usec\n", "labels.csv:1: lacks one of the columns class"),
        ("class,startTime_usec,endTime_usec\n", "has no rows"),
        ("class,startTime_usec,endTime_usec\n1,2,3\n12,2,3\n", "labels.csv:3: class 12 from 2 to 3 us"),
        ("class,startTime_usec,endTime_usec\n0,2,3\n", "labels.csv:2: class 0"),
        ("class,startTime_usec,endTime_usec\n1,3,3\n", "labels.csv:2: class 1 from 3 to 3 us"),
        ("class,startTime_usec,endTime_usec\n1,x,3\n", "labels.csv:2: .*are not three integers"),
        ("class,startTime_usec,endTime_usec\n1,2\n", "labels.csv:2: .*are not three integers"),
    ],
)
def test_bad_labels(root, text, message):
    (root / "user01_led_labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        DVS128Gesture(root, READING)


def test_text_of_other_encodings(root):
    labels = root / "user01_led_labels.csv"
    labels.write_bytes(b"\xef\xbb\xbf" + labels.read_bytes())  # as spreadsheets write it
    assert len(DVS128Gesture(root, READING)) == 6
    for path in (labels, root / "trials_to_train.txt"):
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=rf"{path.name}: is not UTF-8 text"):
            DVS128Gesture(root, READING)


def test_bad_recordings_can_be_left_out(root):
    (root / "user01_led.aedat").write_bytes(b"#!AER-DAT3.1\r\ncut")
    data = DVS128Gesture(root, READING, on_error="skip")
    assert (data.labels, [path.name for path, _ in data.skipped]) == ([0, 10, 1], ["user01_led.aedat"])


def test_missing_parts(root, tmp_path):
    with pytest.raises(ConfigError, match="split is 'all'"):
        DVS128Gesture(root, READING, split="all")
    (root / "user24_lab_labels.csv").write_text("class,startTime_usec,endTime_usec\n1,90000,99000\n")
    with pytest.raises(DataError, match="has no events from 90000 to 99000 us"):
        DVS128Gesture(root, READING, split="test")[0]
    (root / "user24_lab_labels.csv").unlink()
    with pytest.raises(DataError, match=r"user24_lab_labels\.csv: no such label file"):
        DVS128Gesture(root, READING, split="test")
    (root / "user24_lab.aedat").unlink()
    with pytest.raises(DataError, match=r"user24_lab.aedat: no such recording, though trials_to_test.txt lists it"):
        DVS128Gesture(root, READING, split="test")
    (root / "trials_to_test.txt").write_text("\n")
    with pytest.raises(DataError, match="lists no recordings"):
        DVS128Gesture(root, READING, split="test")
    with pytest.raises(DataError, match="no such list"):
        DVS128Gesture(tmp_path / "absent", READING)
