"""From a DataSpec to clips with masks: kinds, splits, sizes, options that do not go together."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from spikereel.errors import ConfigError, DataError
from spikereel.runs.batches import sizes_of
from spikereel.runs.clips import build_dataset, build_loader, build_segmentation_dataset
from spikereel.runs.config import DataSpec
from spikereel.runs.readings import offsets_of
from spikereel.runs.tasks import norm_clips
from tests.data.sets.test_segmentation_sets import write_cityscapes, write_vspw
from tests.masks import write_camvid, write_folder, write_pair

SMALL = DataSpec(frames=2, size=24, workers=0, train_length=12, test_length=6)


def test_offsets():
    assert offsets_of(replace(SMALL, frames=4)) == (-3, -2, -1, 0)
    assert offsets_of(replace(SMALL, frames=4), 3) == (-9, -6, -3, 0)
    assert offsets_of(replace(SMALL, frames=3, stride=2), 3) == (-4, -2, 0)
    assert offsets_of(replace(SMALL, offsets=(-7, 0))) == (-7, 0)
    with pytest.raises(ConfigError, match=r"data.offsets has 3 numbers, data.frames is 2; give data.frames=3"):
        offsets_of(replace(SMALL, offsets=(-7, -1, 0)))


def numbers(spec, root, write):
    write(root)
    return [len(build_segmentation_dataset(spec, split)) for split in ("train", "val", "test")]


def test_splits(tmp_path):
    camvid = replace(SMALL, kind="camvid", root=str(tmp_path / "c"), held_out="B")
    assert numbers(camvid, tmp_path / "c", write_camvid) == [6, 7, 20]
    city = replace(SMALL, kind="cityscapes", root=str(tmp_path / "s"), stride=1)
    assert numbers(city, tmp_path / "s", lambda root: write_cityscapes(root, snippets=2)) == [1, 1, 2]
    assert len(build_segmentation_dataset(replace(city, select_on_test=True), "train")) == 2
    vspw = replace(SMALL, kind="vspw", root=str(tmp_path / "v"))
    assert numbers(vspw, tmp_path / "v", write_vspw) == [5, 5, 5]
    masks = replace(SMALL, kind="masks", root=str(tmp_path / "m"), fold=2)
    assert numbers(masks, tmp_path / "m", lambda root: write_folder(root, videos=3)) == [10, 5, 15]
    folds = [build_segmentation_dataset(replace(masks, fold=fold), "val").videos[0].name for fold in range(3)]
    assert sorted(folds) == ["v0", "v1", "v2"]
    one = replace(masks, root=str(tmp_path / "one"))
    write_folder(tmp_path / "one", videos=1)
    with pytest.raises(ConfigError, match="of 1 videos none is left"):
        build_segmentation_dataset(one, "val")


def test_norms_see_frames_of_the_size_that_is_judged(tmp_path):
    write_camvid(tmp_path)
    spec = replace(
        SMALL,
        kind="camvid",
        root=str(tmp_path),
        held_out="B",
        crop=(12, 16),
        scale=(0.5, 2.0),
        flip=True,
        jitter=0.5,
        gamma=1.0,
    )
    cropped, whole = build_segmentation_dataset(spec, "train"), norm_clips("segmentation", spec)
    judged = build_segmentation_dataset(replace(spec, held_out="A"), "val")
    assert len(whole) == len(cropped) == len(judged) == 6
    for index in range(6):
        assert cropped[index][0].shape == (2, 3, 12, 16)
        assert torch.equal(whole[index][0], judged[index][0])
    assert norm_clips("segmentation", replace(spec, window=(8, 16)))[0][0].shape == (2, 3, 8, 16)


def test_folders_of_splits(tmp_path):
    write_folder(tmp_path / "train", videos=1)
    write_folder(tmp_path / "val", videos=2)
    (tmp_path / "val" / "classes.txt").unlink()
    (tmp_path / "train" / "classes.txt").rename(tmp_path / "classes.txt")
    spec = replace(SMALL, kind="masks", root=str(tmp_path))
    assert [len(build_segmentation_dataset(spec, split)) for split in ("train", "val", "test")] == [5, 10, 10]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches(tmp_path, workers):
    write_camvid(tmp_path)
    spec = replace(SMALL, kind="camvid", root=str(tmp_path), held_out="A", crop=(20, 30), flip=True, workers=workers)
    loader = build_loader(build_segmentation_dataset(spec, "train"), spec, batch=3, shuffle=True)
    clips, masks = next(iter(loader))
    assert (clips.shape, masks.shape) == ((3, 2, 3, 20, 30), (3, 2, 20, 30))
    assert (clips.dtype, masks.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_frame_is_one_line(tmp_path, workers):
    write_camvid(tmp_path)
    spec = replace(SMALL, kind="camvid", root=str(tmp_path), held_out="A", workers=workers)
    clips = build_segmentation_dataset(spec, "train")
    frame = tmp_path / "train" / "B_f00600.jpg"
    frame.write_bytes(frame.read_bytes()[:300])
    with pytest.raises(DataError, match=rf"^{frame}: [^\n]*$"):
        list(build_loader(clips, spec, batch=3, shuffle=True))


def test_clips_of_unequal_size_are_never_in_one_batch(tmp_path):
    write_folder(tmp_path, videos=1, frames=2)
    for name, size in (("a", (24, 72)), ("b", (60, 24))):
        labels = np.ones(size, np.uint8)
        write_pair(tmp_path / "frames" / name / "1.png", tmp_path / "masks" / name / "1.png", labels)
    spec = replace(SMALL, kind="masks", root=str(tmp_path), size=0)
    batches = list(build_loader(build_segmentation_dataset(spec, "test"), spec, batch=4, shuffle=False))
    assert [masks.shape for _, masks in batches] == [(1, 2, 24, 72), (1, 2, 60, 24), (2, 2, 36, 48)]
    assert [clips.shape for clips, _ in batches] == [(1, 2, 3, 24, 72), (1, 2, 3, 60, 24), (2, 2, 3, 36, 48)]
    assert (batches[0][1][0, 1] == 1).all()


@pytest.mark.parametrize(("modality", "channels"), [("rgb", 3), ("events", 2), ("surface", 2)])
def test_motion_has_masks_of_its_own(modality, channels):
    spec = replace(SMALL, modality=modality)
    train, val = (build_segmentation_dataset(spec, split) for split in ("train", "val"))
    clip, masks = train[0]
    assert clip.shape == (2, channels, 24, 24)
    assert set(masks.unique().tolist()) == {0, 1}
    assert (len(train), len(val)) == (12, 6)
    assert not torch.equal(clip, val[0][0])
    assert not torch.equal(clip, build_segmentation_dataset(spec, "train", seed=1)[0][0])


def test_kinds_and_tasks_that_do_not_meet(tmp_path):
    with pytest.raises(ConfigError, match=r"data.kind=figure is not for task=segmentation; choose one of motion"):
        build_segmentation_dataset(replace(SMALL, kind="figure"), "train")
    with pytest.raises(ConfigError, match=r"data.kind=camvid is not for task=classification; choose one of motion"):
        build_dataset(replace(SMALL, kind="camvid"), "train")
    with pytest.raises(ConfigError, match=r"data.kind=vspw needs data.root"):
        build_segmentation_dataset(replace(SMALL, kind="vspw"), "train")
    with pytest.raises(ConfigError, match=r"camvid have rgb$"):
        build_segmentation_dataset(replace(SMALL, kind="camvid", modality="events"), "train")
    with pytest.raises(ConfigError, match=r"motion have rgb, events, surface$"):
        build_segmentation_dataset(replace(SMALL, modality="depth"), "train")


def test_sizes_that_batches_go_by_are_those_of_the_clips(tmp_path):
    # of one stored size, and turned by EXIF in the second recording
    for v, turn in enumerate((1, 6, 3)):
        exif = Image.Exif()
        exif[0x0112] = turn
        for kind, picture in (("frames", np.zeros((36, 48, 3), np.uint8)), ("masks", np.zeros((36, 48), np.uint8))):
            path = tmp_path / kind / f"v{v}" / "0001.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(picture).save(path, exif=exif)
    (tmp_path / "classes.txt").write_text("road 128 64 128\ncar 250 170 30\n")
    for size in (0, 24):
        spec = replace(SMALL, kind="masks", root=str(tmp_path), frames=1, size=size)
        clips = build_segmentation_dataset(spec, "test")
        found = [tuple(clips[i][0].shape[-2:]) for i in range(3)]
        assert found[0] == found[2] != found[1] == found[0][::-1]
        assert sizes_of(clips) == found
