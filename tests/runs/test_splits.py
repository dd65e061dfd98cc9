"""Which clips are for training, for choosing by and for test."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import DATA, KINDS, video_file, video_folder

from spikereel.data.clips import folder_samples
from spikereel.data.shards import pack
from spikereel.errors import ConfigError, DataError
from spikereel.runs.clips import build_dataset, channels_of, data_passport
from spikereel.runs.recipes import get_recipe


def test_folder_holds_a_fifth_out(tmp_path):
    spec = replace(DATA, kind="folder", root=str(video_folder(tmp_path)))
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (4, 2, 6)
    assert train.classes == KINDS
    assert {test.samples[i][1] for i in val.kept} == {0, 1}
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
    assert (sorted(train.kept + val.kept), len(val), len(test)) == (list(range(12)), 2, 2)
    assert torch.equal(val[1][0], build_dataset(spec, "val").clips[val.kept[1]][0])
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
    transform = clips.clips.reading.transform
    assert (transform.randaugment, transform.erasing, transform.antialias) == ("m5-n2-mstd0.25", 0.25, False)
    assert (transform.scale, transform.flip, transform.mean, transform.std) == ((0.08, 1.0), True, (0.45,), (0.225,))
    assert build_dataset(spec, "test", views=True)[0][0].shape == (15, 4, 3, 32, 32)


@pytest.fixture
def depth_clips(tmp_path):
    depth = np.zeros((5, 120, 160), np.uint16)
    depth[:, 40:80, 60:90] = 2000
    for subject in (1, 2, 3):
        for action in range(1, 11):
            path = tmp_path / f"a{action:02}_s{subject}_t1.npz"
            # no two are of the same bytes
            joints = np.full((5, 20, 3), 100 * subject + action, np.float32)
            np.savez(path, depth=depth, joints=joints)
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


def test_official_protocol_of_subjects(depth_clips):
    spec = replace(depth_clips, protocol="official")
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (10, 10, 10)
    assert {path.stem[4:6] for path, _ in test.samples} == {"s2"}
    with pytest.raises(ConfigError, match=r"data\.protocol is official"):
        build_dataset(replace(spec, kind="ntu60"), "train")


def test_a_folder_that_has_no_training_files(tmp_path):
    video_folder(tmp_path / "test")
    spec = replace(DATA, kind="folder", root=str(tmp_path))
    for split in ("val", "test"):
        assert len(build_dataset(spec, split, classes=KINDS)) == 6
    assert build_dataset(spec, "test").classes == KINDS
    with pytest.raises(DataError, match=r"has test but no train; give the folder that has all, or one of classes"):
        build_dataset(spec, "train")


@pytest.mark.parametrize("apart", [False, True])
def test_shards_of_videos_are_the_files_that_were_packed(tmp_path, apart):
    source = video_folder(tmp_path / "videos")
    names, samples = folder_samples(source, None, suffixes={".mp4"})
    out = tmp_path / "shards"
    for split in ("train", "val") if apart else ("",):
        pack(samples, names, out / split, shard_bytes=4000)
    spec = replace(DATA, kind="shards", root=str(out), stride=1, clips=2)
    train, val, test = (build_dataset(spec, split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == ((6, 6, 6) if apart else (4, 2, 6))
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


def test_a_list_of_one_video_leaves_none_to_train_on(tmp_path):
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 jump\n2 run\n")
    (lists / "trainlist01.txt").write_text("jump/a.mp4 1\n")
    video_file(tmp_path / "jump" / "a.mp4")
    spec = replace(DATA, kind="ucf101", root=str(tmp_path))
    with pytest.raises(DataError, match=r"none of its 1 clip\(s\) is left for the val split: .*select_on_test=true"):
        build_dataset(spec, "val")
    assert len(build_dataset(spec, "train")) == 1
    assert len(build_dataset(replace(spec, select_on_test=True), "train")) == 1


@pytest.mark.parametrize(("each", "fold", "split"), [(1, 3, "val"), (1, 4, "val")])
def test_an_empty_part_of_a_folder_is_refused(tmp_path, each, fold, split):
    root = video_folder(tmp_path / "videos", each=each)
    with pytest.raises(
        DataError, match=rf"videos: none of its 2 clip\(s\) is left for the {split} split: .*data\.fold"
    ):
        build_dataset(replace(DATA, kind="folder", root=str(root), fold=fold), split)
