"""`data check` of shards: whole ones, changed and cut ones, and an index that names folders elsewhere."""

import json
import os

import event_writers as write
import pytest
from small import video_folder

from spikereel.apps.check_shards import check_shards, shard_folders
from spikereel.data.shards import pack
from spikereel.errors import DataError


@pytest.fixture
def packed(tmp_path):
    """Two videos of each of two classes, one of them broken, and a recording; in shards of one file."""
    root = video_folder(tmp_path / "videos", each=2)
    (root / "dark" / "1.mp4").write_bytes(b"no video")
    (root / "light" / "9.dat").write_bytes(write.dat([(i, i % 5, i % 7, i % 2) for i in range(50)]))
    return root


def test_files_in_shards_are_decoded(packed, tmp_path):
    samples = [(path, int(path.parent.name == "light")) for path in sorted(packed.glob("*/*"))]
    pack(samples, ("dark", "light"), tmp_path / "out" / "train", shard_bytes=1)
    assert list(shard_folders(tmp_path / "out")) == ["train"]
    report = check_shards(tmp_path / "out", min_frames=2)
    assert (report.videos, report.recordings) == (3, 1)
    assert set(report.classes["train"]) == {"dark", "light"}
    assert [name.split("/")[:2] for name, _ in report.broken] == [["train", "dark"]]
    shards = sorted((tmp_path / "out" / "train").glob("*.tar"))
    changed = bytearray(shards[0].read_bytes())
    changed[700] ^= 1
    shards[0].write_bytes(changed)
    os.truncate(shards[-1], 600)
    said = {name: why for name, why in check_shards(tmp_path / "out", min_frames=2).broken if name.endswith(".tar")}
    assert set(said) == {f"train/{shard.name}" for shard in (shards[0], shards[-1])}
    assert "another sha256" in said[f"train/{shards[0].name}"]


def test_an_index_writes_nothing_elsewhere(packed, tmp_path):
    samples = [(path, 0) for path in sorted((packed / "light").glob("*"))]
    pack(samples, ("light",), tmp_path / "out")
    index = tmp_path / "out" / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "classes": ["../elsewhere"]}))
    with pytest.raises(DataError, match=r"is called '\.\./elsewhere', which is no name of a folder"):
        check_shards(tmp_path / "out")
    assert not (tmp_path / "elsewhere").exists()
