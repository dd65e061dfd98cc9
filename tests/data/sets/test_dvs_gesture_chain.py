"""DVS-Gesture-Chain, made from a small DVS128-Gesture that the test writes."""

from dataclasses import replace

import event_writers as write
import numpy as np
import pytest
import torch
from small import DATA

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.reading import EventReading
from spikereel.data.sets.dvs128_gesture import DVS128Gesture
from spikereel.data.sets.dvs_gesture_chain import ALPHABET, DVSGestureChain
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, data_passport

READING = EventReading(bins=16, size=(8, 8))
USERS = ("user01", "user02", "user03", "user04", "user05")


@pytest.fixture
def root(tmp_path):
    """Five people to train on, one to test on; labels 1, 3 and 8, and a second row of 1 for user02."""
    for split, users in (("train", USERS), ("test", ("user24",))):
        (tmp_path / f"trials_to_{split}.txt").write_text("".join(f"{user}_led.aedat\n" for user in users))
        for user in users:
            rows, events = ["class,startTime_usec,endTime_usec"], []
            for k, label in enumerate([1, 3, 8, 1] if user == "user02" else [1, 3, 8]):
                start = 1000 * k
                rows.append(f"{label + 1},{start},{start + 1000}")
                events += [(start + 9 * i, label, 2 * i, i % 2) for i in range(50 + label)]
            (tmp_path / f"{user}_led_labels.csv").write_text("\n".join(rows))
            (tmp_path / f"{user}_led.aedat").write_bytes(write.aedat3(events, packet=7))
    return tmp_path


def test_classes_are_words_in_the_order_of_text(root):
    every = DVSGestureChain(root, READING)
    assert (len(every.classes), every.classes[0], every.classes[-1]) == (81, "1111", "8888")
    assert list(every.classes) == sorted(every.classes)
    assert "1838" in every.classes
    four = DVSGestureChain(root, READING, length=2, gestures=4).classes
    assert four == tuple(sorted(four))
    no_repeat = DVSGestureChain(root, READING, repeat=False)
    assert len(no_repeat.classes) == 24
    assert not [word for word in no_repeat.classes if "11" in word]
    assert len(DVSGestureChain(root, READING, length=2, gestures=2).classes) == 4
    assert {int(letter) for word in every.classes for letter in word} == set(ALPHABET[:3])


def test_splits_are_by_name(root):
    names = {}
    for split in ("train", "val", "test"):
        data = DVSGestureChain(root, READING, split=split, repeat=False)
        names[split] = sorted({name for name, _ in data.chains})
        assert len(data) == 24 * len(names[split])
    # Of six names, one of which is the second row of user02 alone, int(6 x 0.8) are for training.
    assert names == {
        "train": ["user01_led_0", "user02_led_0", "user03_led_0"],
        "val": ["user04_led_0", "user05_led_0"],
        "test": ["user24_led_0"],
    }


def test_a_fifth_of_the_names_is_held_out(root):
    (root / "trials_to_train.txt").write_text("".join(f"{user}_led.aedat\n" for user in USERS[:4]))
    held = DVSGestureChain(root, READING, split="val", repeat=False)
    # one of five names: user02 has two
    assert {name for name, _ in held.chains} == {"user04_led_0"}


def test_a_second_row_of_one_gesture_is_a_name_of_its_own(root):
    data = DVSGestureChain(root, READING, length=2)
    chains = [(data.classes[label], name) for (name, _), label in zip(data.chains, data.labels, strict=True)]
    assert [word for word, name in chains if name == "user02_led_1"] == ["11"]


@pytest.mark.parametrize(("frames", "whole"), [(8, 3), (16, 6)])
def test_frames_are_those_of_whole_gestures(root, frames, whole):
    """By the published rule, step by step: G frames of N // G events, the rest in the last, the first n_i kept."""
    data = DVSGestureChain(root, EventReading(bins=frames, size=(8, 8)), split="test")
    index = data.labels.index(data.classes.index("1838"))
    video, _ = data[index]
    rows = DVS128Gesture(root, READING, split="test")
    counts = data.durations("1838", "user24_led_0")
    assert (data.whole, sum(counts), len(video)) == (whole, frames, frames)
    frame = iter(video)
    for label, count in zip((1, 8, 3, 8), counts, strict=True):
        events = rows.events(rows.labels.index(label))
        each = len(events) // whole
        for k in range(count):
            part = slice(each * k, len(events) if k == whole - 1 else each * (k + 1))
            expected = np.zeros((2, 8, 8), np.float32)
            np.add.at(expected, (np.where(events.p[part], 0, 1), events.y[part] // 16, events.x[part] // 16), 1)
            assert torch.equal(next(frame), torch.from_numpy(expected))


@pytest.mark.parametrize("frames", [8, 10, 16, 20, 32, 60])
def test_durations(root, frames):
    data = DVSGestureChain(root, EventReading(bins=frames), seed=3)
    drawn = np.array([data.durations("1838", f"name {k}") for k in range(500)])
    assert (drawn.sum(1) == frames).all()
    assert (drawn >= 1).all()
    assert (drawn <= data.whole).all()
    if frames == 16:
        # By hand: 6 whole frames; the first takes 3.4 to 4.2 of them, cut to whole ones.
        assert set(drawn[:, 0]) == {3, 4}
    assert len({tuple(row) for row in drawn}) > 1
    again = DVSGestureChain(root, EventReading(bins=frames), seed=3)
    assert again.durations("1838", "a") == data.durations("1838", "a")
    other = DVSGestureChain(root, EventReading(bins=frames), seed=4)
    assert [other.durations("1838", f"name {k}") for k in range(500)] != drawn.tolist()
    assert other.fingerprint() != data.fingerprint()


def test_as_a_kind(root):
    spec = replace(DATA, kind="dvs_gesture_chain", root=str(root), frames=16, chain_length=2, chain_gestures=2, seed=5)
    data = build_dataset(spec, "val")
    assert data.classes == ("11", "13", "31", "33")
    assert data[0][0].shape == (16, 2, 32, 32)
    assert data_passport(data).choices == {"durations": "drawn here, seed 5"}
    train = build_dataset(spec, "train")
    first = train[0][0]
    train.set_epoch(1)
    assert torch.equal(first, train[0][0])


@pytest.mark.parametrize(
    ("reading", "options", "message"),
    [
        (EventReading(bins=2), {}, "hold no chain of 4 gestures"),
        (EventReading(bins=5, form="voxels"), {}, "equal numbers of events"),
        (EventReading(bins=5, window_us=5), {}, "equal numbers of events"),
        (EventReading(bins=5, train=True, augment=EventAugment(drop=0.2)), {}, "equal numbers of events"),
        (READING, {"gestures": 11}, "1 or more of 1 to 10"),
        (READING, {"length": 0}, "1 or more of 1 to 10"),
        (READING, {"gestures": 1, "repeat": False}, "without repeats"),
        (READING, {"split": "all"}, "split is 'all'"),
    ],
)
def test_what_is_refused(root, reading, options, message):
    with pytest.raises(ConfigError, match=message):
        DVSGestureChain(root, reading, **options)


def test_no_chains(root):
    for user in USERS:
        (root / f"{user}_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n11,0,1000")
    with pytest.raises(DataError, match="no row of the val split has all gestures"):
        DVSGestureChain(root, READING, split="val")
