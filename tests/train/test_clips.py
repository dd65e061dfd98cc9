"""From options to datasets and loaders."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import DATA, KINDS, cut_short, video_file, video_folder

from spikereel.config import override
from spikereel.data.events.augment import EventAugment
from spikereel.data.events.files import folder_samples
from spikereel.data.shards import pack
from spikereel.errors import ConfigError, DataError
from spikereel.train.clips import (
    build_dataset,
    build_loader,
    channels_of,
    data_passport,
)
from spikereel.train.event_clips import EVENT_KINDS, event_reading
from spikereel.train.recipes import get_recipe


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


def test_folder_holds_a_fifth_out(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)))
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (5, 1, 6)
    assert train.classes == KINDS
    assert not set(train.kept) & set(val.kept)
    assert len({data.fingerprint() for data in (train, val, test)}) == 3


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


def test_files_need_a_root():
    with pytest.raises(ConfigError, match=r"data\.root"):
        build_dataset(replace(DATA, kind="folder"), "train")


def ucf101(root):
    """Twelve training videos of two classes and two to test on, with the official lists."""
    names = {"train": [f"{kind}/{i}.mp4" for kind in KINDS for i in range(6)], "test": [f"{k}/9.mp4" for k in KINDS]}
    for i, name in enumerate([*names["train"], *names["test"]]):
        video_file(root / name, seed=i)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{i} {kind}\n" for i, kind in enumerate(KINDS, start=1)))
    for split, files in names.items():
        label = {"train": " {}", "test": ""}[split]
        lines = [name + label.format(1 + KINDS.index(name.split("/")[0])) + "\n" for name in files]
        (lists / f"{split}list01.txt").write_text("".join(lines))
    return replace(DATA, kind="ucf101", root=str(root))


def test_official_lists_hold_out_training_videos_to_choose_by(tmp_path):
    spec = ucf101(tmp_path)
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (train.kept, val.kept, len(test)) == ([1, 2, 3, 4, 5, 6, 7, 8, 9, 11], [0, 10], 2)
    assert torch.equal(val[1][0], build_dataset(spec, "val").whole[10][0])
    assert train.classes == KINDS
    first = train[0][0]
    train.set_epoch(1)
    assert not torch.equal(train[0][0], first)
    with pytest.raises(ConfigError, match=r"data\.fold is 4"):
        build_dataset(replace(spec, fold=4), "train")


def kinetics(root):
    """Two of three training clips, and one to choose by, with lists as published."""
    head = "label,youtube_id,time_start,time_end,split\n"
    for i, (split, kind, name) in enumerate([("train", "light", "a"), ("train", "dark", "b"), ("val", "dark", "c")]):
        video_file(root / split / kind / f"{name}_000001_000011.mp4", seed=i)
    (root / "train.csv").write_text(head + "light,a,1,11,train\ndark,b,1,11,train\ndark,gone,1,11,train\n")
    (root / "val.csv").write_text(head + "dark,c,1,11,val\nlight,gone,2,12,val\nlight,gone,3,13,val\n")
    return replace(DATA, kind="kinetics400", root=str(root))


def test_three_official_lists_and_the_passport_of_what_is_missing(tmp_path):
    spec = kinetics(tmp_path)
    train, val = (build_dataset(spec, split) for split in ("train", "val"))
    assert (len(train), len(val), train.classes, val.classes) == (2, 1, KINDS, KINDS)
    assert val[0][1] == 0
    passports = [data_passport(x) for x in (train, val)]
    assert [(x.clips, x.missing, x.skipped) for x in passports] == [(2, 1, 0), (1, 2, 0)]
    assert passports[0].hash == train.fingerprint()
    assert str(passports[1]) == f"{val.fingerprint()[:12]}, 1 clips, 2 missing"
    (tmp_path / "train.csv").unlink()
    assert build_dataset(spec, "val", classes=KINDS)[0][1] == 0
    with pytest.raises(DataError, match=r"no test\.csv"):
        build_dataset(spec, "test")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("kinetics600", "no train.csv"),
        ("something_v2", "no labels.json"),
        ("jester", "no labels.csv"),
        ("ntu120", "no videos"),
    ],
)
def test_every_kind_reaches_its_data_set(tmp_path, kind, message):
    with pytest.raises(DataError, match=message):
        build_dataset(replace(DATA, kind=kind, root=str(tmp_path)), "train")


def test_the_published_fault_of_choosing_on_the_test_list(tmp_path):
    spec = replace(ucf101(tmp_path), select_on_test=True)
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val)) == (12, 2)
    assert val.samples == test.samples


def test_everything_published_for_svformer_goes_into_a_training_clip(tmp_path):
    recipe = get_recipe("ucf101_svformer")
    spec = replace(recipe.data, root=ucf101(tmp_path).root, size=32, frames=4, workers=0)
    clips = build_dataset(spec, "train")
    assert clips[0][0].shape == (2, 4, 3, 32, 32)
    assert not torch.equal(*clips[0][0])
    transform = clips.whole.reading.transform
    assert (transform.randaugment, transform.erasing, transform.antialias) == ("m5-n2-mstd0.25", 0.25, False)
    assert (transform.scale, transform.flip, transform.mean, transform.std) == ((0.08, 1.0), True, (0.45,), (0.225,))
    assert build_dataset(spec, "test", views=True)[0][0].shape == (15, 4, 3, 32, 32)


def test_event_files(tmp_path):
    for kind in KINDS:
        for i in range(3):
            (tmp_path / kind).mkdir(exist_ok=True)
            t = np.arange(50) * 1000
            events = {"t": t, "x": t % 34, "y": np.full(50, i), "p": t % 2, "width": 34, "height": 34}
            np.savez(tmp_path / kind / f"{i}.npz", **events)
    spec = replace(DATA, kind="events", root=str(tmp_path))
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test), train.classes) == (5, 1, 6, KINDS)
    video, label = test[5]
    assert (video.shape, label) == ((4, channels_of(spec), 32, 32), 1)
    assert video.sum() == 50
    shifted = build_dataset(replace(spec, shift=8), "train")
    assert not torch.equal(shifted[0][0], train[0][0])
    assert torch.equal(build_dataset(replace(spec, shift=8), "test")[5][0], video)


def test_options_of_event_files_reach_the_reading():
    spec = replace(
        DATA, kind="events", form="surface", tau_us=9.0, flip=True, shift=1, rotate=2.0, zoom=0.3, drop=0.4,
        polarity_flip=0.5, jitter_us=6.0,
    )  # fmt: skip
    reading = event_reading(spec, train=True, seed=7)
    assert (reading.bins, reading.form, reading.tau_us, reading.seed) == (4, "surface", 9.0, 7)
    assert reading.augment == EventAugment(
        flip=0.5, polarity=0.5, shift=1, rotate=2.0, zoom=0.3, drop=0.4, jitter_us=6.0
    )
    assert event_reading(spec, train=False, seed=0).augment is None
    assert event_reading(replace(spec, form="frames", by="count"), train=False, seed=0).by == "count"


def test_kinds_of_events_and_depth_are_options():
    for kind in (*EVENT_KINDS, "utd_mhad"):
        assert override(DATA, [f"kind={kind}"]).kind == kind


@pytest.fixture
def depth_clips(tmp_path):
    depth = np.zeros((5, 120, 160), np.uint16)
    depth[:, 40:80, 60:90] = 2000
    for subject in (1, 2, 3):
        for action in range(1, 11):
            path = tmp_path / f"a{action:02}_s{subject}_t1.npz"
            np.savez(path, depth=depth, joints=np.zeros((5, 20, 3), np.float32))
    return replace(DATA, kind="utd_mhad", root=str(tmp_path))


def test_subjects_are_left_out(depth_clips):
    train, val, test = (build_dataset(replace(depth_clips, fold=2), split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (20, 10, 30)
    assert {path.stem[4:6] for path, _ in val.samples} == {"s2"}
    assert not {path for path, _ in train.samples} & {path for path, _ in val.samples}
    for motion, channels in ((False, 1), (True, 3)):
        spec = replace(depth_clips, depth_motion=motion)
        assert build_dataset(spec, "test")[0][0].shape == (4, channels, 32, 32)
        assert channels_of(spec) == channels
    assert channels_of(replace(depth_clips, trails=0.3)) == 3
    assert build_dataset(replace(depth_clips, trails=0.3), "test")[0][0].shape == (4, 3, 32, 32)
    with pytest.raises(ConfigError, match=r"data\.fold is 7: .* 1, 2, 3"):
        build_dataset(replace(depth_clips, fold=7), "train")


def test_trails_are_for_videos_and_depth():
    for options in ({}, {"kind": "nmnist"}, {"simulate": 0.2}):
        with pytest.raises(ConfigError, match=r"data\.(trails|simulate) is for videos"):
            build_dataset(replace(DATA, trails=0.3, **options), "test")


def test_official_protocol_of_subjects(depth_clips):
    spec = replace(depth_clips, protocol="official")
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (18, 2, 10)
    assert {path.stem[4:6] for path, _ in test.samples} == {"s2"}
    with pytest.raises(ConfigError, match=r"data\.protocol is official"):
        build_dataset(replace(spec, kind="ntu60"), "train")


def test_simulated_events_of_any_video(tmp_path):
    motion = replace(DATA, simulate=0.2)
    clips = build_dataset(motion, "train")
    video, label = clips[3]
    assert (video.shape, label, channels_of(motion)) == ((4, 2, 32, 32), 3, 2)
    assert video.sum() > 20
    assert clips.simulated
    first = video
    clips.set_epoch(1)
    assert not torch.equal(first, clips[3][0])
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)), stride=1, clips=2, simulate=0.2)
    assert build_dataset(spec, "test", views=True)[0][0].shape == (2, 4, 2, 32, 32)
    for options in ({"kind": "nmnist"}, {"modality": "events"}):
        with pytest.raises(ConfigError, match=r"data\.simulate"):
            build_dataset(replace(DATA, simulate=0.2, **options), "test")
    for threshold in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=rf"data\.simulate is {threshold}"):
            build_dataset(replace(DATA, simulate=threshold), "test")


def test_a_folder_that_has_no_training_files(tmp_path):
    video_folder(tmp_path / "test")
    spec = replace(DATA, kind="folder", root=str(tmp_path))
    for split in ("val", "test"):
        assert len(build_dataset(spec, split, classes=KINDS)) == 6
    assert build_dataset(spec, "test").classes == KINDS
    with pytest.raises(DataError, match=r"has test but no train; give the folder that has all, or one of classes"):
        build_dataset(spec, "train")


def test_recordings_that_do_not_state_their_sensor(tmp_path):
    for kind in KINDS:
        (tmp_path / "in" / kind).mkdir(parents=True)
        np.savez(tmp_path / "in" / kind / "a.npz", t=[1, 2, 9], x=[1, 2, 3], y=[4, 5, 6], p=[0, 1, 1])
    spec = replace(DATA, kind="events", root=str(tmp_path / "in"), sensor=(24, 16))
    assert build_dataset(spec, "test")[0][0].sum() == 3
    pack([(tmp_path / "in" / kind / "a.npz", i) for i, kind in enumerate(KINDS)], KINDS, tmp_path / "shards")
    packed = replace(spec, kind="shards", modality="events", root=str(tmp_path / "shards"))
    assert build_dataset(packed, "test")[0][0].sum() == 3
    with pytest.raises(DataError, match=r"a\.npz: "):
        build_dataset(replace(spec, sensor=()), "test")[0]
    with pytest.raises(ConfigError, match=r"data\.sensor is \[24\]: give \[width, height\]"):
        build_dataset(replace(spec, sensor=(24,)), "test")


@pytest.mark.parametrize("apart", [False, True])
def test_shards_of_videos_are_the_files_that_were_packed(tmp_path, apart):
    source = video_folder(tmp_path / "videos")
    names, samples = folder_samples(source, None, suffixes={".mp4"})
    out = tmp_path / "shards"
    for split in ("train", "val") if apart else ("",):
        pack(samples, names, out / split, shard_bytes=4000)
    spec = replace(DATA, kind="shards", root=str(out), stride=1, clips=2)
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == ((6, 6, 6) if apart else (5, 1, 6))
    assert train.classes == KINDS
    files = build_dataset(replace(spec, kind="folder", root=str(source)), "test", views=True)
    packed = build_dataset(spec, "test", views=True, classes=KINDS)
    order = np.random.default_rng(0).permutation(6)
    for i in range(6):
        assert torch.equal(packed[i][0], files[order[i]][0])
        assert packed[i][1] == files[order[i]][1]
    first = train[0][0]
    assert torch.equal(first, build_dataset(spec, "train")[0][0])
    train.set_epoch(1)
    assert not torch.equal(first, train[0][0])
    assert train.fingerprint() != test.fingerprint() or apart
    with pytest.raises(DataError, match=r"has the classes dark, light, not a"):
        build_dataset(spec, "test", classes=("a",))
    with pytest.raises(DataError, match=r"no event recording; give data\.modality=rgb"):
        build_dataset(replace(spec, modality="events"), "test")
    with pytest.raises(ConfigError, match=r"data\.on_error"):
        build_dataset(replace(spec, on_error="skip"), "test")
    with pytest.raises(DataError, match="absent"):
        build_dataset(replace(spec, root=str(tmp_path / "absent")), "test")


def test_shards_of_recordings(tmp_path):
    for i, kind in enumerate(KINDS):
        (tmp_path / "in" / kind).mkdir(parents=True)
        t = np.arange(50) * 1000
        events = {"t": t, "x": t % 34, "y": np.full(50, i), "p": t % 2, "width": 34, "height": 34}
        np.savez(tmp_path / "in" / kind / "0.npz", **events)
    names, samples = folder_samples(tmp_path / "in", None)
    pack(samples, names, tmp_path / "out")
    spec = replace(DATA, kind="shards", modality="events", root=str(tmp_path / "out"), bin_us=20_000)
    clips = build_dataset(spec, "test")
    assert clips[0][0].shape == (4, channels_of(spec), 32, 32)
    assert clips[0][0].sum((1, 2, 3)).tolist() == [20, 20, 10, 0]
    with pytest.raises(DataError, match=r"an event recording; give data\.modality=events"):
        build_dataset(replace(spec, modality="rgb"), "test")


def test_several_clips_without_a_stride_say_the_way_out(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)), clips=5)
    with pytest.raises(ConfigError, match=r"5 clips .* data\.stride=4.*data\.clips=1"):
        build_dataset(spec, "test", views=True)


@pytest.mark.parametrize(
    "assignment",
    [
        "size=0", "size=-5", "workers=-1", "clips=0", "clips=-1", "copies=0", "stride=0", "train_length=0", "seed=-1",
        "frames=0", "frames=100000000", "mean=[0.1,0.2]", "std=[0.0]", "std=[1,1]", "std=[-1]", "crop_area=[0,0]",
        "crop_area=[2,3]", "crop_area=[1.0,0.5]", "mean=[1e999]",
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(assignment):
    name = assignment.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^data\.{name} must be .*, got ") as caught:
        override(get_recipe("ucf101_svformer"), [f"data.{assignment}"])
    assert "\n" not in str(caught.value)


def test_masks_may_keep_the_size_of_their_frames():
    assert override(DATA, ["kind=masks", "size=0"]).size == 0


def test_a_list_of_one_video_leaves_none_to_train_on(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 jump\n2 run\n")
    (lists / "trainlist01.txt").write_text("jump/a.mp4 1\n")
    video_file(tmp_path / "jump" / "a.mp4")
    spec = replace(DATA, kind="ucf101", root=str(tmp_path))
    with pytest.raises(DataError, match=r"none of its 1 clip\(s\) is left for the train split: .*select_on_test=true"):
        build_dataset(spec, "train")
    assert len(build_dataset(spec, "val")) == 1
    assert len(build_dataset(replace(spec, select_on_test=True), "train")) == 1


@pytest.mark.parametrize(("each", "fold", "split"), [(1, 3, "val"), (1, 4, "val")])
def test_an_empty_part_of_a_folder_is_refused(tmp_path, each, fold, split):
    root = video_folder(tmp_path / "videos", each=each)
    with pytest.raises(
        DataError, match=rf"videos: none of its 2 clip\(s\) is left for the {split} split: .*data\.fold"
    ):
        build_dataset(replace(DATA, kind="folder", root=str(root), fold=fold), split)
