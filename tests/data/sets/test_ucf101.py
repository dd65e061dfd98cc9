"""UCF101: the official lists, wherever videos and lists stand."""

import pytest

from spikereel.data.sets.ucf101 import UCF101
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=16))
SKIPPING = Reading(frames=4, transform=EvalTransform(size=16), on_error="skip")


def _write_lists(folder, **texts):
    folder.mkdir(parents=True)
    lists = {
        # Not alphabetical: the order of classInd counts. Windows line ends, as in the official files.
        "classInd": "1 Rowing\r\n2 Archery\r\n",
        "trainlist01": "Archery/v_Archery_g08_c01.avi 2\r\nRowing/v_Rowing_g09_c02.avi 1\r\n",
        "testlist01": "Rowing/v_Rowing_g01_c01.avi\r\n",
        "trainlist02": "Rowing/v_Rowing_g01_c01.avi 1\r\n",
    } | texts
    for name, text in lists.items():
        (folder / f"{name}.txt").write_bytes(text.encode())


@pytest.fixture(params=["UCF-101", "videos", "."])
def root(request, make_video, tmp_path):
    """Three real videos, directly or one folder down, and the lists in root."""
    for name in ("Archery/v_Archery_g08_c01", "Rowing/v_Rowing_g09_c02", "Rowing/v_Rowing_g01_c01"):
        make_video(f"data/{request.param}/{name}.avi", codec="mpeg4", frames=6, height=32, width=48)
    _write_lists(tmp_path / "data/ucfTrainTestlist")
    return tmp_path / "data"


def test_splits(root):
    train, test = UCF101(root, READING, split="train"), UCF101(root, READING, split="test")
    assert train.classes == test.classes == ("Rowing", "Archery")
    assert [(path.name, label) for path, label in train.samples] == [
        ("v_Archery_g08_c01.avi", 1),
        ("v_Rowing_g09_c02.avi", 0),
    ]
    assert [(path.name, label) for path, label in test.samples] == [("v_Rowing_g01_c01.avi", 0)]
    second = UCF101(root, READING, split="train", fold=2)
    assert [path.name for path, _ in second.samples] == ["v_Rowing_g01_c01.avi"]
    video, label = train[0]
    assert video.shape == (4, 3, 16, 16)
    assert label == 1


def test_lists_beside_the_videos(root, monkeypatch):
    expected = UCF101(root, READING, split="test").samples
    (root / "ucfTrainTestlist").rename(root.parent / "ucfTrainTestlist")
    assert UCF101(root, READING, split="test").samples == expected
    monkeypatch.chdir(root)
    assert len(UCF101(".", READING, split="train")) == 2


def test_missing_videos(root):
    (missing,) = root.rglob("v_Rowing_g09_c02.avi")
    missing.unlink()
    with pytest.raises(DataError, match=r"v_Rowing_g09_c02.avi: no such file"):
        UCF101(root, READING, split="train")
    data = UCF101(root, SKIPPING, split="train")
    assert [path.name for path, _ in data.samples] == ["v_Archery_g08_c01.avi"]
    assert [path for path, _ in data.skipped] == [missing]
    assert "no such file" in data.skipped[0][1]


def test_missing_folders_and_lists(tmp_path):
    with pytest.raises(DataError, match="absent: no such folder"):
        UCF101(tmp_path / "absent", READING, split="train")
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="no folder ucfTrainTestlist in it or beside it"):
        UCF101(tmp_path / "data", READING, split="train")
    _write_lists(tmp_path / "ucfTrainTestlist")
    with pytest.raises(DataError, match=r"testlist03.txt: no such list; give the official lists"):
        UCF101(tmp_path / "data", READING, split="test", fold=3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classInd", "0 Rowing\n", r"classInd.txt:1: '0 Rowing' is not '1 <class>'"),
        ("classInd", "1 Rowing\n1 Archery\n", "classInd.txt:2: '1 Archery' is not '2 <class>'"),
        ("classInd", "1 Rowing crew\n", "classInd.txt:1: '1 Rowing crew' is not"),
        ("classInd", "Rowing\n", "classInd.txt:1: 'Rowing' is not"),
        ("classInd", "\n", "classInd.txt: lists no files"),
        ("trainlist01", "Rowing/a.avi 1\n\nArchery/a.avi 1\n", "trainlist01.txt:3: label '1', but Archery is 2"),
        ("trainlist01", "Rowing/a.avi one\n", "trainlist01.txt:1: label 'one', but Rowing is 1"),
        ("trainlist01", "Swimming/a.avi 1\n", "trainlist01.txt:1: 'Swimming' is not a class"),
    ],
)
def test_wrong_lists(tmp_path, name, text, message):
    _write_lists(tmp_path / "ucfTrainTestlist", **{name: text})
    with pytest.raises(DataError, match=message):
        UCF101(tmp_path, READING, split="train")


@pytest.mark.parametrize("options", [{"split": "val"}, {"split": "train", "fold": 4}, {"split": "train", "fold": 0}])
def test_refuses(tmp_path, options):
    with pytest.raises(ConfigError, match="choose"):
        UCF101(tmp_path, READING, **options)
