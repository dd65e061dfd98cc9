"""One walk for all data sets: what counts, what is passed over, and that nothing is left out without a word."""

import os

import pytest
from small import video_file

from spikereel.apps.check import check
from spikereel.apps.commands.pack import sources
from spikereel.data.sets.events import EventFolder
from spikereel.data.sets.folder import VideoFolder, videos_by_name
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import SUFFIXES, Reading
from spikereel.data.walk import LITTER, find, said, subfolders, visible, walk
from spikereel.errors import DataError
from spikereel.runs.clips import build_dataset, data_passport
from spikereel.runs.config import DataSpec

READING = Reading(frames=2, transform=EvalTransform(size=32))


def touch(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def odd(tmp_path):
    """Two classes in a folder as people have them."""
    root = tmp_path / "d"
    for name in ("a/0.mp4", "a/CAMERA.MTS", "a/phone.3gp", "a/deeper/still/1.MP4", "b/0.mp4", "b/plain"):
        video_file(tmp_path / "one.mp4", seed=len(name))
        touch(root / name, (tmp_path / "one.mp4").read_bytes())
    touch(root / "a" / "._0.mp4", b"\0\5\x16\7")
    touch(root / "a" / ".hidden.mp4")
    touch(root / "__MACOSX" / "a" / "0.mp4")
    touch(root / "b" / "Thumbs.db")
    touch(root / "b" / "noise.xyz")
    touch(root / "b" / "notes.txt")
    touch(root / "loose.mp4")
    return root


def test_videos_of_any_ending_depth_and_case_count(odd):
    dataset = VideoFolder(odd, READING)
    names = {path.relative_to(odd).as_posix() for path, _ in dataset.samples}
    assert names == {"a/0.mp4", "a/CAMERA.MTS", "a/phone.3gp", "a/deeper/still/1.MP4", "b/0.mp4", "b/plain"}
    assert dataset.classes == ("a", "b")
    assert {path.name for path in dataset.left_out} == {"noise.xyz", "loose.mp4"}


def test_check_pack_and_training_see_the_same(odd):
    wanted = {path.relative_to(odd) for path, _ in VideoFolder(odd, READING).samples}
    assert {path.relative_to(odd) for path, _ in sources(odd)[1]} == wanted
    (odd / "loose.mp4").unlink()
    report = check(odd, min_frames=1)
    assert report.videos == len(wanted)
    assert not report.broken
    assert report.left_out == ["b/noise.xyz"]
    assert report.classes == {"": {"a": 4, "b": 2}}


def test_what_was_left_out_stands_beside_every_figure(odd):
    dataset = build_dataset(DataSpec(kind="folder", root=str(odd), frames=2, size=32), "train")
    assert "2 left out (loose.mp4, noise.xyz)" in str(data_passport(dataset))
    assert said([]) == ""
    assert said(["a", "b", "c", "d"]) == "4 files left out (a, b, c, ...)"


def test_links_are_followed_and_loops_end(tmp_path):
    video_file(tmp_path / "other" / "a" / "0.mp4")
    root = tmp_path / "d"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "other" / "a")
    (root / "b").symlink_to(tmp_path / "other" / "a", target_is_directory=True)
    (tmp_path / "other" / "a" / "loop").symlink_to(root)
    (tmp_path / "other" / "a" / "gone.mp4").symlink_to(tmp_path / "nothing.mp4")
    names = {path.relative_to(root).as_posix() for path in walk(root)}
    assert {"a/0.mp4", "a/gone.mp4", "b/0.mp4", "b/gone.mp4"} <= names
    assert len(names) < 20
    assert [p.name for p in subfolders(root)] == ["a", "b"]
    assert set(videos_by_name(root)) == {"0", "gone"}


def test_folders_of_numbered_pictures_are_one_video(tmp_path):
    for i in (1, 2):
        touch(tmp_path / "d" / "a" / "clip" / f"{i:05}.jpg")
    touch(tmp_path / "d" / "a" / "clip" / "._00001.jpg")
    found = find(tmp_path / "d", SUFFIXES)
    assert found.files == (tmp_path / "d" / "a" / "clip",)
    assert found.left_out == ()


def test_a_class_of_what_nobody_reads_is_named(tmp_path):
    touch(tmp_path / "a" / "x.xyz")
    with pytest.raises(DataError, match=r"class without video files .*1 file left out \(x\.xyz\)"):
        VideoFolder(tmp_path, READING)
    with pytest.raises(DataError, match="class without files"):
        EventFolder(tmp_path, None)


@pytest.mark.parametrize("name", sorted(LITTER | {".DS_Store", "._x"}))
def test_litter_is_passed_over(tmp_path, name):
    touch(tmp_path / name)
    assert visible(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "shut").mkdir(mode=0)
    with pytest.raises(DataError, match="shut: cannot be read"):
        list(walk(tmp_path))
