"""Kept frames: the same clips, decoded once; stale, cut and shared entries."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import DATA, video_file, video_folder
from torch.utils.data import DataLoader

from spikereel.data.sets import folder
from spikereel.data.video import cache, clip
from spikereel.errors import ConfigError
from spikereel.runs.clips import build_dataset


@pytest.fixture
def spec(tmp_path):
    root = video_folder(tmp_path / "videos")
    return replace(DATA, kind="folder", root=str(root), cache=str(tmp_path / "cache"), size=24)


@pytest.fixture
def reads(monkeypatch):
    seen, read = [], cache.read_frames
    monkeypatch.setattr(cache, "read_frames", lambda path, *a, **k: seen.append(path) or read(path, *a, **k))
    return seen


@pytest.mark.parametrize("options", [{}, {"stride": 1, "clips": 2}, {"stride": 1, "clips": 2, "crops": 3}])
def test_evaluation_clips_are_the_same_and_decoded_once(spec, reads, options):
    spec = replace(spec, **options)
    plain = build_dataset(replace(spec, cache=None), "test", views=True)
    for _ in range(2):
        kept = build_dataset(spec, "test", views=True)
        assert all(torch.equal(kept[i][0], plain[i][0]) for i in range(6))
    assert len(set(reads)) == 6
    assert len(reads) == 12  # first frame, then all of them


def test_what_is_squeezed_whole_is_judged_from_the_file(spec, tmp_path):
    spec = replace(spec, whole=True, size=20)
    kept, plain = build_dataset(spec, "test"), build_dataset(replace(spec, cache=None), "test")
    assert all(torch.equal(kept[i][0], plain[i][0]) for i in range(6))
    assert not (tmp_path / "cache").exists()


def test_training_clips_are_random_and_close_to_those_of_the_files(spec):
    spec = replace(spec, flip=True, stride=1)
    kept, plain = build_dataset(spec, "train"), build_dataset(replace(spec, cache=None), "train")
    assert (kept[0][0] - plain[0][0]).abs().mean() < 0.05
    first = kept[0][0]
    kept.set_epoch(1)
    plain.set_epoch(1)
    assert not torch.equal(kept[0][0], first)
    assert (kept[0][0] - plain[0][0]).abs().mean() < 0.05


def test_a_changed_file_is_read_anew_and_a_cut_entry_is_replaced(spec, tmp_path, reads):
    clips = build_dataset(spec, "test")
    first = clips[0][0]
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(entry.read_bytes()[:500])
    assert torch.equal(build_dataset(spec, "test")[0][0], first)
    path = clips.samples[0][0]
    video_file(path, seed=77, level=200)
    changed = clips[0][0]
    assert not torch.equal(changed, first)
    assert torch.equal(changed, build_dataset(replace(spec, cache=None), "test")[0][0])
    assert len(reads) == 6


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3),
        np.zeros((4, 24, 32, 3)),
        np.zeros((4, 24, 32), np.uint8),
        np.zeros((3, 24, 32, 3), np.uint8),
        np.zeros((4, 24, 32, 1), np.uint8),
        np.zeros((4, 48, 64, 3), np.uint8),
        np.zeros((4, 0, 32, 3), np.uint8),
    ],
)
def test_an_entry_of_another_shape_is_replaced(spec, tmp_path, array):
    first = build_dataset(spec, "test")[0][0]
    (entry,) = (tmp_path / "cache").iterdir()
    np.save(entry, array)
    assert torch.equal(build_dataset(spec, "test")[0][0], first)
    assert np.load(entry).any()


@pytest.mark.parametrize("content", [b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00\x04\x00{{{\n", b"text"])
def test_an_entry_that_is_no_array_is_replaced(spec, tmp_path, content):
    first = build_dataset(spec, "test")[0][0]
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(content)
    assert torch.equal(build_dataset(spec, "test")[0][0], first)


def test_an_archive_of_arrays_is_replaced(spec, tmp_path):
    first = build_dataset(spec, "test")[0][0]
    (entry,) = (tmp_path / "cache").iterdir()
    with entry.open("wb") as file:
        np.savez(file, np.zeros(3))
    assert torch.equal(build_dataset(spec, "test")[0][0], first)


def test_workers_share_a_folder(spec, tmp_path):
    loader = DataLoader(build_dataset(spec, "test"), batch_size=2, num_workers=2)
    assert sum(len(labels) for _, labels in loader) == 6
    assert len(list((tmp_path / "cache").glob("*.npy"))) == len(list((tmp_path / "cache").iterdir())) == 6


def test_a_folder_that_cannot_be_written(spec, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"data\.cache"):
        build_dataset(replace(spec, cache=str(tmp_path / "file")), "test")[0]


def test_trails_of_kept_frames_ask_a_file_for_its_times_once(spec, monkeypatch):
    asked = []
    for module in (folder, clip):
        plain = module.timeline
        monkeypatch.setattr(module, "timeline", lambda path, plain=plain: asked.append(path) or plain(path))
    clips = build_dataset(replace(spec, trails=0.3, whole=True, time_warp=0.5), "train")
    _ = [clips[i] for i in range(len(clips))]
    # the frames that are kept asked, too
    asked.clear()
    clips.set_epoch(1)
    _ = [clips[i] for i in range(len(clips))]
    assert not asked


def test_frames_in_memory_are_those_of_a_folder(spec, tmp_path, reads):
    spec = replace(spec, flip=True, stride=1)
    held, kept = build_dataset(replace(spec, cache="memory"), "train"), build_dataset(spec, "train")
    for _ in range(2):
        assert all(torch.equal(held[i][0], kept[i][0]) for i in range(len(held)))
    assert len(reads) == 4 * len(held)  # first frame, then all of them, for either
    assert not any(path.name == "memory" for path in (tmp_path, *tmp_path.iterdir()))


def test_what_has_no_room_in_memory_is_decoded_again(spec, reads, monkeypatch):
    monkeypatch.setattr(cache, "MOST_IN_MEMORY", 0)
    held = build_dataset(replace(spec, cache="memory"), "test")
    assert torch.equal(held[0][0], held[0][0])
    assert len(reads) == 4


def test_memory_is_for_videos():
    with pytest.raises(ConfigError, match="give a folder"):
        replace(DATA, kind="dvs128_gesture", cache="memory")
