"""Jester: official lists, ids, and folders of frames."""

import numpy as np
import pytest
import torch
from PIL import Image

from spikereel.data.sets.jester import Jester
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.data.video.read import probe, read_frames
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=16))
SKIPPING = Reading(frames=4, transform=EvalTransform(size=16), on_error="skip")


def _pictures(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(np.full((32, 48, 3), 10 * number, np.uint8)).save(folder / f"{number:05}.jpg")


@pytest.fixture(params=["", "jester-v1-"])
def jester(request, tmp_path):
    for name in ("34870", "9", "100"):
        _pictures(tmp_path / "20bn-jester-v1" / name, range(1, 13))
    for name, text in {
        "labels": "Swiping Left\nDoing other things\n",
        "train": "34870;Doing other things\n9;Swiping Left\n",
        "validation": "100;Swiping Left\n",
        "test": "7\n8\n",
    }.items():
        (tmp_path / f"{request.param}{name}.csv").write_text(text)
    return tmp_path


def test_jester(jester):
    train, val = (Jester(jester, READING, split=split) for split in ("train", "val"))
    assert train.classes == ("Swiping Left", "Doing other things")
    assert [(path.name, label) for path, label in train.samples] == [("34870", 1), ("9", 0)]
    assert [(path.name, label) for path, label in val.samples] == [("100", 0)]
    assert train[0][0].shape == (4, 3, 16, 16)
    first = train.fingerprint()
    (jester / "20bn-jester-v1" / "9" / "00012.jpg").unlink()
    assert Jester(jester, READING, split="train").fingerprint() != first


def test_a_folder_of_pictures_is_a_video(tmp_path):
    for first in (1, 0):
        folder = tmp_path / f"100% from {first}"
        _pictures(folder, range(first, first + 12))
        info = probe(folder)
        assert (info.frames, info.width, info.height) == (12, 48, 32)
        levels = read_frames(folder, [11, 0, 5]).float().mean(dim=(1, 2, 3)) / 10
        assert levels.round().int().tolist() == [11 + first, first, 5 + first]


def test_broken_folders_of_pictures(jester):
    folder = jester / "20bn-jester-v1" / "9"
    cut = (folder / "00005.jpg").read_bytes()
    (folder / "00005.jpg").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(DataError, match=r"9.00005\.jpg: is cut short"):
        probe(folder)
    # begins and ends as a JPEG
    (folder / "00005.jpg").write_bytes(cut[:2] + bytes(300) + cut[-2:])
    with pytest.raises(DataError, match="9: "):
        probe(folder)
    (folder / "00005.jpg").unlink()
    with pytest.raises(DataError, match=r"00005.jpg: no such picture, but 00006.jpg"):
        Jester(jester, READING, split="train")[1]
    assert [path for path, _ in Jester(jester, SKIPPING, split="train").skipped] == [folder]


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def cut_with_a_preview(path):
    """Cut, where the header holds a small picture that is whole."""
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data + data[2:-40])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        (lambda path: path.write_text("hello"), "is no JPEG"),
        (cut, "is cut short"),
        (cut_with_a_preview, "is cut short"),
    ],
)
@pytest.mark.parametrize("number", [1, 4, 12])
def test_pictures_that_are_not_whole_are_named(jester, number, change, message):
    folder = jester / "20bn-jester-v1" / "9"
    change(folder / f"{number:05}.jpg")
    with pytest.raises(DataError, match=rf"9.{number:05}\.jpg: {message}"):
        Jester(jester, READING, split="train")[1]
    ((path, reason),) = Jester(jester, SKIPPING, split="train").skipped
    assert path == folder
    assert f"{number:05}.jpg: " in reason


def test_the_first_picture_is_missing(jester):
    (jester / "20bn-jester-v1" / "9" / "00001.jpg").unlink()
    with pytest.raises(DataError, match=r"9.00001\.jpg: no such picture, but 00002\.jpg"):
        Jester(jester, READING, split="train")[1]


def test_what_follows_the_end_of_a_picture_does_no_harm(jester):
    expected = Jester(jester, READING, split="train")[1][0]
    for number, more in ((3, b"\0"), (5, bytes(5000))):
        path = jester / "20bn-jester-v1" / "9" / f"{number:05}.jpg"
        path.write_bytes(path.read_bytes() + more)
    assert torch.equal(Jester(jester, READING, split="train")[1][0], expected)


def test_numbers_without_zeros(tmp_path):
    for number in range(1, 13):
        _pictures(tmp_path / str(number), [number])
        (tmp_path / str(number) / f"{number:05}.jpg").rename(tmp_path / f"{number}.jpg")
    assert probe(tmp_path).frames == 12


def test_jester_missing_folders(jester):
    (jester / "20bn-jester-v1" / "9").rename(jester / "elsewhere")
    with pytest.raises(DataError, match="9: no such file"):
        Jester(jester, READING, split="train")


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [
        ("test", None, r"test.csv:1: '7' has no class, as the official test list; use split=val"),
        ("train", "9;Flying\n", r"train.csv:1: 'Flying' is not a class of labels.csv"),
        ("train", "\n", "train.csv: lists no files"),
    ],
)
def test_jester_wrong_lists(jester, split, text, message):
    if text is not None:
        (path,) = jester.glob(f"*{split}.csv")
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        Jester(jester, READING, split=split)


def test_refuses(tmp_path):
    with pytest.raises(ConfigError, match="choose"):
        Jester(tmp_path, READING, split="all")
    with pytest.raises(DataError, match="no labels"):
        Jester(tmp_path, READING, split="train")
