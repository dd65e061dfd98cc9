"""UT-Interaction: names, folds and splits."""

import pytest

from spikereel.data.sets.ut_interaction import CLASSES, UTInteraction
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=32))


@pytest.fixture
def small_set(tmp_path):
    """Three sequences of six empty files: the splits need names only."""
    for number in range(18):
        (tmp_path / f"{number}_{number // 6 + 1}_{number % 6}.avi").touch()
    return tmp_path


def test_folds_part_the_clips(small_set):
    everything = UTInteraction(small_set, READING)
    assert everything.classes == CLASSES
    assert len(everything) == len(UTInteraction(small_set, READING, split="test")) == 18
    tests = []
    for fold in (1, 2, 3):
        train = UTInteraction(small_set, READING, split="train", fold=fold)
        test = UTInteraction(small_set, READING, split="test", fold=fold)
        assert len(train) == 12
        assert {path.name.split("_")[1] for path, _ in test.samples} == {str(fold)}
        assert not set(train.samples) & set(test.samples)
        assert all(path.stem.endswith(f"_{label}") for path, label in test.samples)
        tests += test.samples
    assert sorted(tests) == sorted(everything.samples)


@pytest.mark.parametrize(
    "options",
    [{"split": "train"}, {"split": "all", "fold": 1}, {"split": "test", "fold": 4}, {"split": "validation", "fold": 1}],
)
def test_refuses(small_set, options):
    with pytest.raises(ConfigError):
        UTInteraction(small_set, READING, **options)


def test_wrong_folders(small_set, tmp_path):
    with pytest.raises(DataError, match="has no clips"):
        UTInteraction(tmp_path / "absent", READING)
    (small_set / "3_1_7.avi").touch()
    with pytest.raises(DataError, match=r"3_1_7.avi: is not named"):
        UTInteraction(small_set, READING)


@pytest.mark.realdata
def test_real_set(real_data):
    data = UTInteraction(real_data / "ut_interaction_set1", READING, split="test", fold=7)
    assert len(data) == 6
    assert sorted(label for _, label in data.samples) == list(range(6))
    video, _ = data[0]
    assert video.shape == (4, 3, 32, 32)
    assert video.isfinite().all()
    counted = UTInteraction(real_data / "ut_interaction_set1", READING)
    assert len(counted) == 60
