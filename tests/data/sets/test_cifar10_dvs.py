"""CIFAR10-DVS: its published splits and axes, each by name."""

import shutil
import struct
from dataclasses import replace

import event_writers as write
import pytest
from small import DATA

from spikereel.data.events.reading import EventReading
from spikereel.data.sets.cifar10_dvs import CIFAR10DVS, CLASSES
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, data_passport

READING = EventReading(bins=2)
EVENTS = [(5, 10, 70, 1), (6, 0, 127, 0)]
TESTED = {"spikingjelly": [91, 99, 909, 999], "tebn": [0, 9, 91, 99], "last_hundred": [900, 909, 999]}
NUMBERS = (0, 9, 91, 99, 100, 899, 900, 909, 999)


def image_files(root, numbers=NUMBERS, classes=CLASSES):
    """Recordings whose headers name no camera, as some of the published ones."""
    for name in classes:
        (root / name).mkdir(exist_ok=True)
        for number in numbers:
            content = write.aedat2(EVENTS).replace(b"# AEChip: a.b.DVS128\r\n", b"")
            (root / name / f"cifar10_{name}_{number}.aedat").write_bytes(content)
    return root


@pytest.mark.parametrize("rule", TESTED)
def test_a_rule_splits_each_class(tmp_path, rule):
    root = image_files(tmp_path)
    train, test = (CIFAR10DVS(root, READING, split=split, split_rule=rule) for split in ("train", "test"))
    numbers = [int(path.stem.rsplit("_", 1)[1]) for path, _ in test.samples]
    assert numbers == TESTED[rule] * 10
    assert test.labels == [label for label in range(10) for _ in TESTED[rule]]
    assert len(train) + len(test) == 10 * len(NUMBERS)
    assert not {path for path, _ in train.samples} & {path for path, _ in test.samples}


def test_the_default_test_set_is_the_last_tenth_in_the_order_of_text(tmp_path):
    root = image_files(tmp_path, range(1000), CLASSES[:1])
    test = CIFAR10DVS(root, READING, split="test")
    names = sorted(path.name for path in root.glob("*/*"))
    assert sorted(path.name for path, _ in test.samples) == names[900:]


@pytest.mark.parametrize(
    ("axes", "x", "y"),
    [("spikingjelly", [57, 0], [117, 127]), ("tonic", [70, 127], [10, 0]), ("address", [10, 0], [70, 127])],
)
def test_axes(tmp_path, axes, x, y):
    events = CIFAR10DVS(image_files(tmp_path), READING, axes=axes).events(0)
    assert (events.x.tolist(), events.y.tolist(), events.p.tolist()) == (x, y, [True, False])


def test_other_formats_keep_their_axes(tmp_path):
    root = image_files(tmp_path)
    (root / "airplane" / "cifar10_airplane_0.aedat").unlink()
    form = write.INFO.replace(">40<", ">128<").replace(">34<", ">128<")
    (root / "airplane" / "cifar10_airplane_0.aedat4").write_bytes(write.aedat4(EVENTS, info=form))
    assert CIFAR10DVS(root, READING).events(0).x.tolist() == [10, 0]


def test_choices_reach_the_result(tmp_path):
    spec = replace(DATA, kind="cifar10_dvs", root=str(image_files(tmp_path)))
    passport = data_passport(build_dataset(replace(spec, select_on_test=True), "val"))
    assert passport.choices == {"split_rule": "spikingjelly", "axes": "spikingjelly"}
    assert str(passport).endswith("split_rule=spikingjelly, axes=spikingjelly")
    other = build_dataset(replace(spec, split_rule="tebn", axes="address"), "test")
    assert data_passport(other).choices == {"split_rule": "tebn", "axes": "address"}
    assert len(other) == 40


def test_what_is_refused(tmp_path):
    root = image_files(tmp_path)
    for options, message in (({"axes": "upright"}, "axes is"), ({"split_rule": "x"}, "split_rule is")):
        with pytest.raises(ConfigError, match=message):
            CIFAR10DVS(root, READING, **options)
    for name, message in (("x", "is not named"), ("cifar10_bird_1000", "its number is 1000")):
        path = root / "bird" / f"{name}.aedat"
        path.write_bytes(b"#")
        with pytest.raises(DataError, match=rf"{name}\.aedat: {message}"):
            CIFAR10DVS(root, READING)
        path.unlink()


def test_a_folder_of_test_recordings_alone(tmp_path):
    root = image_files(tmp_path, (95, 999))
    shutil.rmtree(root / "truck")
    assert CIFAR10DVS(root, READING, split="test").labels == [label for label in range(9) for _ in range(2)]
    with pytest.raises(DataError, match=r"airplane: has no recordings for train .* tests on numbers 91 to 99, 909 to"):
        CIFAR10DVS(root, READING)


def test_training_is_on_all_classes(tmp_path):
    root = image_files(tmp_path, (5,), CLASSES[:-1])
    with pytest.raises(DataError, match="truck: has no recordings"):
        CIFAR10DVS(root, READING)


def test_spikingjelly_formula_word_by_word(tmp_path):
    """x = 127 - (bits 8 to 14 of the address), y = 127 - (bits 1 to 7), as its cifar10_dvs.py has it."""
    words = [0x0000, 0x7FFE, 0x1234, 0x4321]
    root = image_files(tmp_path)
    data = b"#!AER-DAT2.0\r\n" + b"".join(struct.pack(">II", word, k) for k, word in enumerate(words))
    (root / "airplane" / "cifar10_airplane_0.aedat").write_bytes(data)
    events = CIFAR10DVS(root, READING).events(0)
    assert events.x.tolist() == [127 - (word >> 8 & 127) for word in words]
    assert events.y.tolist() == [127 - (word >> 1 & 127) for word in words]
