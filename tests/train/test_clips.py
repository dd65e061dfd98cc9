"""From options to datasets and loaders."""

from dataclasses import replace

import pytest
import torch
from small import DATA, KINDS, cut_short, video_folder

from spikereel.errors import ConfigError, DataError
from spikereel.train.clips import build_dataset, build_loader, channels_of


@pytest.mark.parametrize("modality", ["rgb", "events"])
def test_motion_clips(modality):
    spec = replace(DATA, modality=modality)
    clips = build_dataset(spec, "train")
    video, label = clips[3]
    assert video.shape == (4, channels_of(spec), 32, 32)
    assert (len(clips), label, len(clips.classes)) == (48, 3, 10)
    assert video.min() >= (-1 if modality == "rgb" else 0)
    if modality == "events":
        assert set(video.unique().tolist()) <= {0.0, 1.0}
    with pytest.raises(IndexError, match="48"):
        clips[48]


def test_epochs_differ_and_come_again():
    one, other = build_dataset(DATA, "train"), build_dataset(DATA, "train")
    first = one[0][0]
    one.set_epoch(1)
    assert one[0][1] == 48 % 10
    assert not torch.equal(one[0][0], first)
    other.set_epoch(1)
    assert torch.equal(one[0][0], other[0][0])
    one.set_epoch(0)
    assert torch.equal(one[0][0], first)


def test_splits_share_no_clip_and_the_seed_changes_all():
    clips = [build_dataset(DATA, split)[0][0] for split in ("train", "val", "test")]
    clips.append(build_dataset(replace(DATA, seed=9), "train")[0][0])
    for i, a in enumerate(clips):
        assert not any(torch.equal(a, b) for b in clips[:i])
    assert build_dataset(DATA, "train").fingerprint() != build_dataset(replace(DATA, seed=9), "train").fingerprint()


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_reaches_running_workers_with_the_epoch(workers):
    clips = build_dataset(DATA, "train")
    loader = build_loader(clips, replace(DATA, workers=workers), batch=20, shuffle=True, seed=3)
    first = [labels for _, labels in loader]
    assert [len(labels) for labels in first] == [20, 20]
    clips.set_epoch(1)
    seen = torch.cat([videos for videos, _ in loader])
    fresh = torch.stack([clips[i][0] for i in range(48)])
    assert all((fresh == video).flatten(1).all(1).any() for video in seen[:3])


def test_small_sets_are_not_dropped_and_evaluation_sees_all():
    assert [len(y) for _, y in build_loader(build_dataset(DATA, "val"), DATA, batch=32, shuffle=True)] == [20]
    assert [len(y) for _, y in build_loader(build_dataset(DATA, "val"), DATA, batch=8, shuffle=False)] == [8, 8, 4]


def test_folder_holds_a_fifth_out(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)))
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (5, 1, 6)
    assert train.classes == KINDS
    assert not {path for path, _ in train.samples} & {path for path, _ in val.samples}


def test_folder_with_splits_of_its_own(tmp_path):
    video_folder(tmp_path / "train", each=2)
    video_folder(tmp_path / "val", each=1)
    (tmp_path / "val" / KINDS[0] / "0.mp4").unlink()
    (tmp_path / "val" / KINDS[0]).rmdir()
    spec = replace(DATA, kind="folder", root=str(tmp_path))
    assert [len(build_dataset(spec, split)) for split in ("train", "val", "test")] == [4, 1, 1]
    assert build_dataset(spec, "val")[0][1] == 1
    assert build_dataset(spec, "val").classes == KINDS


def test_views_of_a_file(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)), stride=1, clips=2, crops=3)
    assert build_dataset(spec, "test", views=True)[0][0].shape == (6, 4, 3, 32, 32)
    assert build_dataset(spec, "test")[0][0].shape == (4, 3, 32, 32)
    assert build_dataset(spec, "train")[0][0].shape == (4, 3, 32, 32)


def test_broken_file_stops_or_is_left_out(tmp_path):
    bad = cut_short(video_folder(tmp_path) / KINDS[0] / "1.mp4")
    spec = replace(DATA, kind="folder", root=str(tmp_path))
    with pytest.raises(DataError, match=str(bad)):
        list(build_loader(build_dataset(spec, "test"), spec, batch=6, shuffle=False))
    clips = build_dataset(replace(spec, on_error="skip"), "test")
    assert len(clips) == 5
    assert [path for path, _ in clips.skipped] == [bad]


def test_files_need_a_root():
    with pytest.raises(ConfigError, match=r"data\.root"):
        build_dataset(replace(DATA, kind="folder"), "train")
