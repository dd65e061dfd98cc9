"""Something-Something v2: official lists and ids."""

import json

import pytest

from spikereel.data.sets.something_v2 import SomethingV2
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError, DataError

READING = Reading(frames=4, transform=EvalTransform(size=16))
SKIPPING = Reading(frames=4, transform=EvalTransform(size=16), on_error="skip")


@pytest.fixture(params=["", "something-something-v2-"])
def something(request, make_video, tmp_path):
    for name in (1, 2, 30, 7):
        make_video(f"20bn-something-something-v2/{name}.webm", codec="libvpx", frames=6, height=32, width=48)
    lists = {
        "labels": {"Holding something": "1", "Dropping something next to something": "0"},
        "train": [
            {"id": "1", "label": "holding a pen", "template": "Holding [something]", "placeholders": ["a pen"]},
            {"id": "30", "label": "x", "template": "Dropping [something] next to [something]"},
        ],
        "validation": [{"id": "2", "template": "Holding [something]"}],
        "test": [{"id": "7"}],
    }
    (tmp_path / "labels").mkdir()
    for name, content in lists.items():
        (tmp_path / "labels" / f"{request.param}{name}.json").write_text(json.dumps(content))
    return tmp_path


def _list(root, name):
    (path,) = (root / "labels").glob(f"*{name}.json")
    return path


def test_something(something):
    train, val = (SomethingV2(something, READING, split=split) for split in ("train", "val"))
    assert train.classes == ("Dropping something next to something", "Holding something")
    assert [(path.name, label) for path, label in train.samples] == [("1.webm", 1), ("30.webm", 0)]
    assert [(path.name, label) for path, label in val.samples] == [("2.webm", 1)]
    assert train[1][0].shape == (4, 3, 16, 16)


def test_something_test_list_needs_answers(something):
    with pytest.raises(DataError, match=r"no test-answers.csv in it or in labels/"):
        SomethingV2(something, READING, split="test")
    (something / "labels" / "test-answers.csv").write_text("7;Holding something\n8;Dropping something\n")
    assert [(p.name, label) for p, label in SomethingV2(something, READING, split="test").samples] == [("7.webm", 1)]


def test_something_lists_of_other_encodings(something):
    answers = something / "labels" / "test-answers.csv"
    answers.write_bytes("8;caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"test-answers\.csv: is not UTF-8 text"):
        SomethingV2(something, READING, split="test")
    answers.write_bytes("7;Holding something\n".encode("utf-8-sig"))
    for path in (something / "labels").glob("*.json"):
        path.write_bytes(path.read_text().encode("utf-8-sig"))
    assert [(p.name, label) for p, label in SomethingV2(something, READING, split="test").samples] == [("7.webm", 1)]


def test_something_missing_videos(something):
    (something / "20bn-something-something-v2" / "30.webm").unlink()
    with pytest.raises(DataError, match=r"30.webm: no such file"):
        SomethingV2(something, READING, split="train")
    assert [path.name for path, _ in SomethingV2(something, SKIPPING, split="train").skipped] == ["30.webm"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels", "{", "is not JSON"),
        ("labels", '{"a": "1"}', "no table from class to number"),
        ("labels", "{}", "no table from class to number"),
        ("labels", "[]", "not the expected dict"),
        ("train", "{}", "not the expected list"),
        ("train", '[{"id": "1", "template": "Flying"}]', "has no known id and template"),
        ("train", '["1"]', "has no known id and template"),
        ("train", '[{"id": "1", "template": 5}]', "has no known id and template"),
        ("train", "[" * 100_000, r"train\.json: is not JSON"),
        ("labels", '{"a": Infinity}', "no table from class to number"),
        ("labels", '{"a": 0.5}', "no table from class to number"),
    ],
)
def test_something_wrong_lists(something, name, text, message):
    _list(something, name).write_text(text)
    with pytest.raises(DataError, match=message):
        SomethingV2(something, READING, split="train")


def test_refuses(tmp_path):
    with pytest.raises(ConfigError, match="choose"):
        SomethingV2(tmp_path, READING, split="all")
    with pytest.raises(DataError, match="no labels"):
        SomethingV2(tmp_path, READING, split="train")
