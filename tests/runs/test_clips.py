"""From options to datasets and loaders."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from small import DATA, KINDS, cut_short, video_folder

from spikereel.config import override
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, build_loader, channels_of, data_passport
from spikereel.runs.kinds import KINDS as ROWS
from spikereel.runs.recipes import get_recipe


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
    else:
        itself = build_dataset(replace(spec, mean=(), std=()), "train")[3][0]
        assert itself.mean((2, 3)).abs().max() < 1e-5
    assert data_passport(clips).simulated == (modality == "events")
    with pytest.raises(IndexError, match="48"):
        clips[48]


def test_every_second_training_clip_is_of_the_classes_in_focus():
    spec = replace(DATA, focus=("clockwise", "still"), train_length=40)
    clips = build_dataset(spec, "train")
    labels = [clips[i][1] for i in range(40)]
    assert labels[1::2] == [4, 9] * 10
    assert labels[::2] == [*range(10)] * 2
    assert not torch.equal(clips[1][0], clips[5][0])
    clips.set_epoch(1)
    assert [clips[i][1] for i in range(4)] == [0, 4, 1, 9]
    assert [build_dataset(spec, "val")[i][1] for i in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="clockwise"):
        build_dataset(replace(DATA, focus=("clockwize",)), "train")


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


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    clips = build_dataset(replace(DATA, train_length=200), "train")

    def order(seed, *epochs):
        loader = build_loader(clips, DATA, batch=1, shuffle=True, seed=seed)
        for epoch in epochs:
            loader.sampler.set_epoch(epoch)
            last = list(loader.sampler)
        assert sorted(last) == list(range(200))
        return last

    assert order(3, 0, 1, 2) == order(3, 2)
    assert len({tuple(order(*key)) for key in ((3, 0), (3, 1), (4, 0), (4, 1))}) == 4


def test_small_sets_are_not_dropped_and_evaluation_sees_all():
    assert [len(y) for _, y in build_loader(build_dataset(DATA, "val"), DATA, batch=32, shuffle=True)] == [20]
    assert [len(y) for _, y in build_loader(build_dataset(DATA, "val"), DATA, batch=8, shuffle=False)] == [8, 8, 4]


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


def test_a_broken_file_in_a_worker_is_the_same_line(tmp_path):
    cut_short(video_folder(tmp_path) / KINDS[0] / "1.mp4")
    messages = []
    for workers in (0, 1):
        spec = replace(DATA, kind="folder", root=str(tmp_path), workers=workers)
        loader = build_loader(build_dataset(spec, "test"), spec, batch=1, shuffle=False)
        batches = iter(loader)
        assert next(batches)[0].shape == (1, 4, 3, 32, 32)
        with pytest.raises(DataError) as caught:
            next(batches)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "\n" not in messages[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_a_collate_and_of_others_in_a_worker(workers):
    class Unequal:
        classes, collate = (), None

        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 3:
                raise ZeroDivisionError("a mistake of ours")
            return index

    def collate(items):
        raise ConfigError(f"{items} do not go together")

    clips = Unequal()
    spec = replace(DATA, workers=workers)
    with pytest.raises(ZeroDivisionError, match="a mistake of ours"):
        list(build_loader(clips, spec, batch=2, shuffle=False))
    clips.collate = collate
    with pytest.raises(ConfigError, match=r"^\[0, 1\] do not go together$"):
        list(build_loader(clips, spec, batch=2, shuffle=False))


def test_batches_that_nobody_finishes_do_not_hold_up_the_exit():
    code = """
from spikereel.runs.clips import build_loader
from spikereel.runs.data import DataSpec
class Numbers:
    classes, collate = (), None
    def __len__(self): return 100
    def __getitem__(self, index): return index
batches = iter(build_loader(Numbers(), DataSpec(workers=2), batch=2, shuffle=False))
print(next(batches))
batches = [batches]; batches.append(batches)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=90)


def test_files_need_a_root():
    with pytest.raises(ConfigError, match=r"data\.root"):
        build_dataset(replace(DATA, kind="folder"), "train")


def test_all_kinds_are_options():
    for kind in ROWS:
        assert override(DATA, [f"kind={kind}"]).kind == kind


def test_trails_are_for_videos_and_depth():
    for options in ({}, {"kind": "nmnist"}, {"simulate": 0.2}):
        with pytest.raises(ConfigError, match=r"data\.(trails is not for data\.kind|simulate is for videos)"):
            build_dataset(replace(DATA, trails=0.3, **options), "test")


def test_several_clips_without_a_stride_say_the_way_out(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)), clips=5)
    with pytest.raises(ConfigError, match=r"5 clips .* data\.stride=4.*data\.clips=1"):
        build_dataset(spec, "test", views=True)


@pytest.mark.parametrize(
    "assignment",
    [
        "size=-5",
        "workers=-1",
        "clips=0",
        "clips=-1",
        "copies=0",
        "stride=0",
        "train_length=0",
        "seed=-1",
        "frames=0",
        "frames=100000000",
        "mean=[0.1,0.2]",
        "std=[0.0]",
        "std=[1,1]",
        "std=[-1]",
        "crop_area=[0,0]",
        "crop_area=[2,3]",
        "crop_area=[1.0,0.5]",
        "mean=[1e999]",
    ],
)
def test_values_out_of_range_are_named(assignment):
    name = assignment.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^data\.{name} must be .*, got ") as caught:
        override(get_recipe("ucf101_svformer"), [f"data.{assignment}"])
    assert "\n" not in str(caught.value)


def test_masks_alone_keep_the_size_of_their_frames():
    for kind in (kind for kind, row in ROWS.items() if not row.keeps_size):
        (task, *_) = ROWS[kind].uses
        with pytest.raises(ConfigError, match=r"^data\.size must be at least 1, got 0"):
            build_dataset(override(DATA, [f"kind={kind}", "size=0"]), "train", task=task)


@pytest.mark.parametrize(
    ("kind", "modality", "message"),
    [
        ("ucf101", "events", r"ucf101 have rgb; data\.modality=rgb data\.simulate"),
        ("folder", "surface", r"folder have rgb; data\.modality=rgb data\.simulate"),
        ("utd_mhad", "events", "utd_mhad have depth$"),
        ("nmnist", "depth", "nmnist have events$"),
    ],
)
def test_files_have_their_own_modality(tmp_path, kind, modality, message):
    with pytest.raises(ConfigError, match=rf"^data\.modality is {modality}: the clips of {message}"):
        build_dataset(replace(DATA, kind=kind, modality=modality, root=str(tmp_path)), "train")
