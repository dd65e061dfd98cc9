"""Datasets of files: labels, sampling, broken files, and errors that name the file or line at fault."""

import threading

import pytest
import torch

from spikereel.data.sets.folder import VideoFolder, scan
from spikereel.data.sets.list import VideoList
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.video.clip import Reading
from spikereel.data.video.read import read_frames
from spikereel.errors import ConfigError, DataError

EVAL = EvalTransform(size=16)


def _reading(**options) -> Reading:
    return Reading(**{"frames": 4, "transform": EVAL} | options)


@pytest.fixture
def folder(make_video, tmp_path):
    """videos/{jump,run}/ with three good videos and some other files."""
    for name in ("run/b.mp4", "run/a.mp4", "jump/a clip.MP4"):
        make_video(f"videos/{name}", frames=10, height=32, width=48)
    (tmp_path / "videos/run/notes.txt").write_text("not a video")
    (tmp_path / "videos/.cache").mkdir()
    (tmp_path / "videos/readme.txt").write_text("not a class")
    return tmp_path / "videos"


@pytest.fixture
def broken(folder):
    """The same with a cut file among them."""
    content = (folder / "run/a.mp4").read_bytes()
    (folder / "run/aa.mp4").write_bytes(content[:-100])
    return folder


def test_folder_labels_and_items(folder):
    data = VideoFolder(folder, _reading())
    assert data.classes == ("jump", "run")
    assert [(path.name, label) for path, label in data.samples] == [("a clip.MP4", 0), ("a.mp4", 1), ("b.mp4", 1)]
    video, label = data[2]
    assert label == 1
    assert video.shape == (4, 3, 16, 16)
    assert video.dtype == torch.float32
    assert len(data) == len(list(data)) == 3


def test_folder_keeps_the_given_classes(folder):
    data = VideoFolder(folder, _reading(), classes=("fall", "run", "jump"))
    assert [label for _, label in data.samples] == [2, 1, 1]
    with pytest.raises(DataError, match="jump: is not among the classes run"):
        VideoFolder(folder, _reading(), classes=("run",))


def test_folder_errors(tmp_path, folder):
    with pytest.raises(DataError, match="no such folder"):
        VideoFolder(tmp_path / "absent", _reading())
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="no subfolders"):
        VideoFolder(tmp_path / "bare", _reading())
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty: class without video files"):
        VideoFolder(folder, _reading())


@pytest.mark.parametrize(("clips", "crops", "views"), [(1, 1, 1), (3, 1, 3), (1, 3, 3), (2, 3, 6)])
def test_views(folder, clips, crops, views):
    reading = _reading(stride=1, clips=clips, transform=EvalTransform(size=16, crops=crops))
    assert reading.views == views
    video, _ = VideoFolder(folder, reading)[0]
    assert video.shape == ((views,) if views > 1 else ()) + (4, 3, 16, 16)
    if (clips, crops) == (2, 3):
        # Brightness grows with time: all crops of the first clip come before those of the second.
        right = video[..., -4:].mean(dim=(1, 2, 3, 4))
        assert right[2] < right[5]
        first, _ = VideoFolder(folder, _reading(stride=1, clips=2))[0]
        assert torch.equal(video[[1, 4]], first)


def _train_set(folder, **options) -> VideoFolder:
    return VideoFolder(folder, _reading(stride=1, train=True, transform=TrainTransform(size=16), **options))


def test_training_items_depend_on_seed_epoch_and_index_only(folder):
    data, same, other = _train_set(folder), _train_set(folder), _train_set(folder, seed=1)
    first = data[1][0]
    assert torch.equal(first, same[1][0])
    assert torch.equal(first, data[-2][0])
    assert not torch.equal(first, other[1][0])
    data.set_epoch(1)
    assert not torch.equal(first, data[1][0])
    data.set_epoch(0)
    assert torch.equal(first, data[1][0])


def test_two_items_of_one_file_differ_in_training(folder):
    (folder / "list.txt").write_text("run/a.mp4 0\nrun/a.mp4 0\n")
    data = VideoList(folder / "list.txt", _reading(stride=1, train=True, transform=TrainTransform(size=16)))
    assert not torch.equal(data[0][0], data[1][0])


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_are_independent_draws_of_the_same_frames(folder, monkeypatch, copies):
    reads = []
    monkeypatch.setattr(
        "spikereel.data.video.clip.read_frames",
        lambda *arguments, **named: reads.append(arguments) or read_frames(*arguments, **named),
    )
    data = _train_set(folder, copies=copies)
    video, label = data[1]
    assert video.shape == (copies, 4, 3, 16, 16)
    assert label == 1
    assert len(reads) == 1
    assert len({copy.numpy().tobytes() for copy in video}) == copies
    assert torch.equal(video[0], _train_set(folder)[1][0])
    assert torch.equal(video, _train_set(folder, copies=copies)[1][0])
    same = VideoFolder(folder, _reading(stride=1, train=True, copies=copies))[1][0]
    assert torch.equal(same, same[:1].expand_as(same))


def test_bad_file_is_raised_when_it_is_reached(broken):
    data = VideoFolder(broken, _reading())
    assert len(data) == 4
    data[1]
    with pytest.raises(DataError, match=r"aa.mp4: is cut short"):
        data[2]


def test_bad_files_are_skipped_and_reported(broken):
    calls = []
    data = VideoFolder(broken, _reading(on_error="skip", progress=lambda done, total: calls.append((done, total))))
    assert [path.name for path, _ in data.samples] == ["a clip.MP4", "a.mp4", "b.mp4"]
    assert [path.name for path, _ in data.skipped] == ["aa.mp4"]
    assert "cut short" in data.skipped[0][1]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(list(data)) == 3


def test_a_link_to_nothing_is_a_bad_file(folder):
    gone = folder / "run/x.mp4"
    gone.symlink_to("gone.mp4")
    with pytest.raises(DataError, match=r"x\.mp4: no such file"):
        VideoFolder(folder, _reading())
    data = VideoFolder(folder, _reading(on_error="skip"))
    assert [path for path, _ in data.skipped] == [gone]
    assert "no such file" in data.skipped[0][1]
    assert len(data) == 3


def test_a_folder_named_like_a_video_is_none(folder):
    (folder / "run/folder.mp4").mkdir()
    assert len(VideoFolder(folder, _reading())) == 3


def test_files_are_looked_at_by_several_threads(folder, monkeypatch):
    together = threading.Barrier(3, timeout=20)
    monkeypatch.setattr("spikereel.data.sets.folder.cores", lambda: 3)
    monkeypatch.setattr("spikereel.data.sets.folder._frames_or_reason", lambda path: together.wait() or 10)
    assert len(VideoFolder(folder, _reading(on_error="skip"))) == 3


def test_nothing_left_after_skipping_is_an_error(tmp_path):
    (tmp_path / "videos/run").mkdir(parents=True)
    (tmp_path / "videos/run/a.mp4").touch()
    with pytest.raises(DataError, match=r"none of 1 files is a good video; first: .*a.mp4: is empty"):
        VideoFolder(tmp_path / "videos", _reading(on_error="skip"))


def test_scan_decodes_every_file_once(broken):
    good, bad = broken / "run/a.mp4", broken / "run/aa.mp4"
    calls = []
    report = scan([good, bad, good], progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 2), (2, 2)]
    assert report.frames == {good: 10}
    assert [path for path, _ in report.bad] == [bad]


def _list(folder, text: str, **options) -> VideoList:
    (folder / "list.txt").write_text(text)
    return VideoList(folder / "list.txt", _reading(), **options)


def test_list_with_a_byte_order_mark(folder):
    expected = _list(folder, "run/a.mp4 1\njump/a clip.MP4 0\n").samples
    data = _list(folder, "\ufeffrun/a.mp4 1\njump/a clip.MP4 0\n")
    assert data.samples == expected
    data[0]


def test_list_with_integers(folder):
    data = _list(folder, "run/a.mp4 2\n\njump/a clip.MP4   0\n")
    # classes are called by their numbers, and there are as many as occur
    assert data.classes == ("0", "2")
    assert [(path.name, label) for path, label in data.samples] == [("a.mp4", 1), ("a clip.MP4", 0)]
    assert data.notes == ("list.txt: labels have gaps; the 2 that occur are classes of their own: 0, 2",)
    assert data[1][0].shape == (4, 3, 16, 16)
    named = _list(folder, "run/a.mp4 1\n", classes=("jump", "run"))
    assert named.samples[0][1] == 1


def test_list_with_names(folder):
    text = f"run/a.mp4 run\n{folder}/jump/a clip.MP4\tjump\n"
    assert [label for _, label in _list(folder, text).samples] == [1, 0]
    assert [label for _, label in _list(folder, text, classes=("run", "jump")).samples] == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run/a.mp4 0\nrun/b.mp4\n", "list.txt:2: no label after 'run/b.mp4'"),
        ("run/a.mp4 0\n\nrun/b.mp4 2\n", "list.txt:3: label 2 is none of the 2 classes"),
        ("run/a.mp4 -1\n", "list.txt:1: label -1 is none"),
        ("run/a.mp4 swim\n", "list.txt:1: label 'swim' is none"),
        ("run/a.mp4 1\nrun/b.mp4 run\n", "list.txt:2: label 'run' among labels of the other kind"),
        ("run/absent.mp4 1\n", "absent.mp4: no such file"),
        ("\n  \n", "lists no files"),
    ],
)
def test_list_errors(folder, text, message):
    with pytest.raises(DataError, match=message):
        _list(folder, text, classes=("jump", "run"))


def test_list_labels_without_classes(folder):
    with pytest.raises(DataError, match=r"list.txt:1: label -3"):
        _list(folder, "run/a.mp4 -3\n")
    # a number is a name: no list of 8123456789 classes is made
    assert _list(folder, "run/a.mp4 8123456789\n").classes == ("8123456789",)


def test_list_that_is_no_text(folder):
    with pytest.raises(DataError, match="no such list"):
        VideoList(folder / "absent.txt", _reading())
    with pytest.raises(DataError, match="not UTF-8"):
        VideoList(folder / "run/a.mp4", _reading())


def test_fingerprint_follows_names_sizes_and_labels(folder, make_video):
    before = VideoFolder(folder, _reading()).fingerprint()
    assert before == VideoFolder(folder, _reading(frames=2)).fingerprint()
    assert len(before) == 64
    relabelled = VideoFolder(folder, _reading(), classes=("run", "jump")).fingerprint()
    (folder / "run/b.mp4").rename(folder / "run/c.mp4")
    renamed = VideoFolder(folder, _reading()).fingerprint()
    make_video("videos/run/c.mp4", frames=11, height=32, width=48)
    resized = VideoFolder(folder, _reading()).fingerprint()
    assert len({before, relabelled, renamed, resized}) == 4


def test_fingerprint_does_not_depend_on_the_place(folder):
    before = VideoFolder(folder, _reading()).fingerprint()
    moved = folder.rename(folder.parent / "elsewhere")
    assert VideoFolder(moved, _reading()).fingerprint() == before


@pytest.mark.parametrize(
    "options",
    [
        {"on_error": "ignore"},
        {"train": True, "clips": 2, "stride": 1},
        {"train": True, "copies": 0},
        {"copies": 2},
        {"seed": -1},
        {"frames": 0},
        {"clips": 3},
        {"stride": -1},
    ],
)
def test_reading_refuses(options):
    with pytest.raises(ConfigError):
        _reading(**options)
