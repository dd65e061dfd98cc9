"""Kinetics: the official lists, and clips that are listed and not there."""

import pytest

from spikereel.data.sets.kinetics import Kinetics
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=16))
HEAD = "label,youtube_id,time_start,time_end,split\n"


@pytest.fixture
def root(make_video, tmp_path):
    """Three clips of two classes, in folders by class and flat; one that is listed is missing."""
    for name in (
        "train/juggling balls/--abc_def-1_000010_000020",
        "train/archery/xyz_000000_000010",
        "val/v1_000119_000129",
    ):
        make_video(f"{name}.mp4", frames=6, height=32, width=48)
    lists = tmp_path / "annotations"
    lists.mkdir()
    (lists / "train.csv").write_text(
        HEAD + 'juggling balls,--abc_def-1,10,20,train\n"archery",xyz,0,10,train\narchery,gone,1,11,train\n'
    )
    (lists / "validate.csv").write_text(HEAD + "juggling balls,v1,119,129,validate\n")
    return tmp_path


def test_splits_and_labels(root):
    train, val = (Kinetics(root, READING, split=split) for split in ("train", "val"))
    assert train.classes == val.classes == ("archery", "juggling balls")
    assert [(path.stem, label) for path, label in train.samples] == [
        ("--abc_def-1_000010_000020", 1),
        ("xyz_000000_000010", 0),
    ]
    assert [(path.stem, label) for path, label in val.samples] == [("v1_000119_000129", 1)]
    assert train[0][0].shape == (4, 3, 16, 16)
    given = Kinetics(root, READING, split="val", classes=("a", "juggling balls", "b"))
    assert given.samples[0][1] == 1


def test_missing_clips_are_counted_and_in_the_fingerprint(root):
    train = Kinetics(root, READING, split="train")
    assert train.missing == ("gone_000001_000011",)
    lists = root / "annotations" / "train.csv"
    text = lists.read_text()
    lists.write_text(text.replace("gone", "lost"))
    other = Kinetics(root, READING, split="train")
    assert other.samples == train.samples
    lists.write_text(text.replace("archery,gone,1,11,train\n", ""))
    whole = Kinetics(root, READING, split="train")
    assert whole.missing == ()
    assert len({data.fingerprint() for data in (train, other, whole)}) == 3


def test_lists_in_root_or_in_the_folder_of_the_archive(root):
    expected = Kinetics(root, READING, split="train").samples
    (root / "annotations").rename(root / "kinetics400")
    assert Kinetics(root, READING, split="train").samples == expected
    for path in (root / "kinetics400").iterdir():
        path.rename(root / path.name)
    assert Kinetics(root, READING, split="train").samples == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "train.csv:1: lacks one of the columns youtube_id"),
        (HEAD, "train.csv: lists no clips"),
        ("youtube_id,time_start,time_end,split\nxyz,0,10,test\n", "train.csv: has no labels"),
        (HEAD + "archery,xyz,zero,10,train\n", "train.csv:2: 'zero' to '10' are not seconds"),
        (HEAD + "archery,xyz,inf,10,train\n", "train.csv:2: 'inf' to '10' are not seconds"),
        (HEAD + "archery,xyz,0,1e400,train\n", "train.csv:2: '0' to '1e400' are not seconds"),
        (HEAD + "archery,xyz,-5,10,train\n", "train.csv:2: '-5' to '10' are not seconds"),
        (HEAD + ",xyz,0,10,train\n", "train.csv:2: has no label"),
        ("time_start,time_end,youtube_id,label\n0,10,xyz,archery\n0,10,abc\n", "train.csv:3: has no label"),
        ("time_start,time_end,label,youtube_id\n0,10,archery\n", "train.csv:2: has no youtube_id"),
        (HEAD + "a" * 200_000 + ",xyz,0,10,train\n", "train.csv:2: field larger than field limit"),
        (HEAD + "archery,xyz\n", "train.csv:2: None to None are not seconds"),
        (
            HEAD + "archery,nothing,0,10,train\n",
            r"has none of the 1 clips of train.csv, such as nothing_000000_000010.mp4",
        ),
    ],
)
def test_wrong_lists(root, text, message):
    (root / "annotations" / "train.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Kinetics(root, READING, split="train")


def test_lists_of_other_encodings(root):
    path = root / "annotations" / "train.csv"
    expected, text = Kinetics(root, READING, split="train").samples, path.read_text()
    path.write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())  # as Excel saves it
    assert Kinetics(root, READING, split="train").samples == expected
    path.write_bytes((HEAD + "caf\xe9,xyz,0,10,train\n").encode("latin-1"))
    with pytest.raises(DataError, match=r"train\.csv: is not UTF-8 text; take the official list"):
        Kinetics(root, READING, split="train")


def test_wrong_folders_labels_and_splits(root, tmp_path):
    with pytest.raises(DataError, match=r"no test\.csv"):
        Kinetics(root, READING, split="test")
    with pytest.raises(DataError, match=r"validate\.csv:2: 'juggling balls' is none of the 1 classes"):
        Kinetics(root, READING, split="val", classes=("archery",))
    with pytest.raises(ConfigError, match="choose 'train' or 'val' or 'test'"):
        Kinetics(root, READING, split="all")


def test_a_replacement_goes_before_the_broken_clip(root, make_video):
    name = "xyz_000000_000010.mp4"
    good = make_video(f"replacement/replacement_for_corrupted_k400/{name}", frames=6, height=32, width=48)
    (root / "train" / "archery" / name).write_bytes(b"broken")
    train = Kinetics(root, READING, split="train")
    assert good in [path for path, _ in train.samples]
    assert len(train) == len(list(train)) == 2
