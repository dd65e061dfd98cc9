"""HMDB51: the marks of the official lists."""

import pytest

from spikereel.data.sets.hmdb51 import HMDB51
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=16))


@pytest.fixture
def lists(tmp_path):
    """Two classes; the lines end with a blank, as in the official files."""
    folder = tmp_path / "testTrainMulti_7030_splits"
    folder.mkdir()
    (folder / "ride_bike_test_split1.txt").write_text("r1.avi 1 \nr2.avi 2 \nr3.avi 0 \n")
    (folder / "clap_test_split1.txt").write_text("#20 a[1].avi 2 \n")
    (folder / "clap_test_split2.txt").write_text("#20 a[1].avi 1 \n")
    return folder


@pytest.fixture(params=["hmdb51_org", "videos", "."])
def root(request, lists, make_video):
    for name in ("ride_bike/r1", "ride_bike/r2", "clap/#20 a[1]"):
        make_video(f"{request.param}/{name}.avi", codec="mpeg4", frames=6, height=32, width=48)
    return lists.parent


def test_splits(root):
    train, test = HMDB51(root, READING, split="train"), HMDB51(root, READING, split="test")
    assert train.classes == test.classes == ("clap", "ride_bike")
    assert [(path.name, label) for path, label in train.samples] == [("r1.avi", 1)]
    assert [(path.name, label) for path, label in test.samples] == [("#20 a[1].avi", 0), ("r2.avi", 1)]
    second = HMDB51(root, READING, split="train", fold=2)
    assert second.classes == ("clap",)
    assert test[0][0].shape == (4, 3, 16, 16)


def test_missing_videos(root):
    (missing,) = root.rglob("r2.avi")
    missing.unlink()
    with pytest.raises(DataError, match=r"r2.avi: no such file"):
        HMDB51(root, READING, split="test")
    data = HMDB51(root, Reading(frames=4, transform=EvalTransform(size=16), on_error="skip"), split="test")
    assert [path for path, _ in data.skipped] == [missing]


@pytest.mark.parametrize("text", ["r1.avi 3\n", "r1.avi\n", "1\n"])
def test_wrong_lists(lists, text):
    (lists / "ride_bike_test_split1.txt").write_text(f"r0.avi 1\n{text}")
    with pytest.raises(DataError, match=rf"ride_bike_test_split1.txt:2: '{text.strip()}' is not"):
        HMDB51(lists.parent, READING, split="train")


def test_missing_lists(tmp_path, lists):
    with pytest.raises(DataError, match=r"no lists \*_test_split3.txt"):
        HMDB51(tmp_path, READING, split="train", fold=3)
    for split, fold in (("val", 1), ("train", 4)):
        with pytest.raises(ConfigError, match="choose"):
            HMDB51(tmp_path, READING, split=split, fold=fold)
