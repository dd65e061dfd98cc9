"""CamVid, Cityscapes and VSPW in their official layouts, small ones that the test writes and the real CamVid."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spikereel.data.mask_clips import IGNORE, MaskReading
from spikereel.data.sets.camvid import LABELS, CamVid
from spikereel.data.sets.cityscapes import CLASSES, LABEL_IDS, Cityscapes
from spikereel.data.sets.vspw import VSPW
from spikereel.errors import ConfigError, DataError
from tests.masks import blocks, write_camvid, write_pair

ONE, FOUR = MaskReading(offsets=(0,)), MaskReading(offsets=(-3, -2, -1, 0))


def names(data):
    return [data.videos[v].frames[p].stem for v, p in data.anchors]


def test_camvid_splits_by_sequence(tmp_path):
    write_camvid(tmp_path)
    train, val, test = (CamVid(tmp_path, FOUR, split=s, held_out="A") for s in ("train", "val", "test"))
    assert {x[0] for x in names(train)} == {"B"}
    assert names(val) == [f"A_f{30 * i:05d}" for i in range(6)]
    assert len(test) == 20
    assert [test.video_of(0), val.video_of(0)] == ["B_1000", None]
    assert len(CamVid(tmp_path, FOUR, split="train", held_out="B")) == 6
    everything = CamVid(tmp_path, FOUR, split="train", held_out="")
    assert len(everything) == 13
    assert names(CamVid(tmp_path, FOUR, split="val", held_out="")) == names(test)
    with pytest.raises(ConfigError, match=r"sequence C: .*train has A, B"):
        CamVid(tmp_path, FOUR, split="val", held_out="C")


def test_camvid_training_keeps_away_from_val(tmp_path):
    write_camvid(tmp_path)
    rng = np.random.default_rng(0)
    for number in (850, 880, 1010, 1180, 1188):
        name = f"B_f{number:05d}"
        write_pair(tmp_path / "train" / f"{name}.jpg", tmp_path / "trainannot" / f"{name}.png", blocks(rng, 11))
    assert [x for x in names(CamVid(tmp_path, ONE, split="train", held_out="A")) if x > "B_f00700"] == [
        "B_f00850",
        "B_f01188",
    ]


def test_camvid_clips_stay_within_a_stretch(tmp_path):
    write_camvid(tmp_path)
    train = CamVid(tmp_path, FOUR, split="train", held_out="A")
    video, positions = train.frames_of(names(train).index("B_f00630"))
    assert [video.frames[p].stem for p in positions] == ["B_f00600", "B_f00600", "B_f00600", "B_f00630"]
    video, positions = train.frames_of(names(train).index("B_f00090"))
    assert [video.frames[p].stem for p in positions] == ["B_f00000", "B_f00030", "B_f00060", "B_f00090"]
    dense = CamVid(tmp_path, MaskReading(offsets=(-30, -10, 0), unit="numbers"), split="test")
    video, positions = dense.frames_of(16)
    assert [video.numbers[p] for p in positions] == [1002, 1022, 1032]


def test_camvid_void_is_ignored(tmp_path):
    write_camvid(tmp_path)
    data = CamVid(tmp_path, ONE, split="test")
    stored = np.array(Image.open(tmp_path / "valannot" / "B_f01000.png"))
    expected = np.where(stored == 11, 255, stored)
    assert (stored == 11).any()
    assert np.array_equal(data[0][1][0].numpy(), expected)
    assert len(data.classes) == len(data.palette) == 11


def test_camvid_test_folder_comes_first(tmp_path):
    write_camvid(tmp_path)
    write_pair(tmp_path / "test" / "C_00001.png", tmp_path / "testannot" / "C_00001.png", np.zeros((12, 12)))
    assert names(CamVid(tmp_path, ONE, split="test")) == ["C_00001"]


def test_camvid_mistakes(tmp_path):
    with pytest.raises(DataError, match="val: no frames"):
        CamVid(tmp_path, ONE, split="test")
    write_camvid(tmp_path)
    (tmp_path / "trainannot" / "A_f00030.png").unlink()
    with pytest.raises(DataError, match=r"A_f00030\.jpg: has no mask .*A_f00030\.png"):
        CamVid(tmp_path, ONE, split="train")


def write_cityscapes(root, *, snippets=2, kind="labelIds"):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for s in range(snippets):
            first = 294 if s else 0
            for i in range(30):
                stem = f"bochum_{s:06d}_{first + i:06d}"
                ids = blocks(rng, 12, 24, 48)
                mask = root / "gtFine" / split / "bochum" / f"{stem}_gtFine_{kind}.png" if i == 19 else None
                write_pair(root / "leftImg8bit_sequence" / split / "bochum" / f"{stem}_leftImg8bit.png", mask, ids)


def test_cityscapes_snippets(tmp_path):
    write_cityscapes(tmp_path)
    data = Cityscapes(tmp_path, MaskReading(offsets=(-9, -6, -3, 0)), split="train")
    assert len(data) == 2
    video, positions = data.frames_of(1)
    assert [video.frames[p].stem.split("_")[2] for p in positions] == ["000304", "000307", "000310", "000313"]
    clip, masks = data[1]
    assert clip.shape == (4, 3, 24, 48)
    assert (masks[:3] == IGNORE).all()
    stored = np.array(Image.open(next((tmp_path / "gtFine" / "train").rglob("*000313_gtFine_labelIds.png"))))
    for number, label in ((7, 0), (8, 1), (11, 2), (3, IGNORE), (9, IGNORE)):
        assert (masks[3][torch.from_numpy(stored == number)] == label).all()
    assert data.video_of(0) is None


def test_cityscapes_ids():
    ids = {v: k for k, v in LABEL_IDS.values.items() if v != IGNORE}
    assert len(ids) == len(CLASSES) == 19
    assert [ids[CLASSES.index(x)] for x in ("road", "sky", "person", "train", "bicycle")] == [7, 23, 24, 31, 33]
    assert [LABEL_IDS.values[i] for i in (0, 6, 29, 30, 255)] == [IGNORE] * 5


def test_cityscapes_train_ids_and_single_frames(tmp_path):
    write_cityscapes(tmp_path, snippets=1, kind="labelTrainIds")
    assert (Cityscapes(tmp_path, ONE, split="val")[0][1].unique() < 12).all()
    (tmp_path / "leftImg8bit_sequence").rename(tmp_path / "leftImg8bit")
    assert len(Cityscapes(tmp_path, ONE, split="val")) == 1
    with pytest.raises(DataError, match=r"leftImg8bit_sequence.*no such folder"):
        Cityscapes(tmp_path, FOUR, split="val")


def test_cityscapes_mistakes(tmp_path):
    with pytest.raises(DataError, match=r"gtFine.val: no"):
        Cityscapes(tmp_path, ONE, split="val")
    write_cityscapes(tmp_path, snippets=1)
    with pytest.raises(ConfigError, match="from -19 to 10"):
        Cityscapes(tmp_path, MaskReading(offsets=(-20, 0)), split="val")
    next((tmp_path / "leftImg8bit_sequence" / "val").rglob("*_000016_*")).unlink()
    with pytest.raises(DataError, match=r"000016_leftImg8bit\.png: no such frame"):
        Cityscapes(tmp_path, FOUR, split="val")


def write_vspw(root, *, videos=3, frames=5):
    rng = np.random.default_rng(0)
    named = [f"{i}_abc" for i in range(videos)]
    for name in named:
        for i in range(frames):
            folder = root / "data" / name
            write_pair(folder / "origin" / f"{i:08d}.jpg", folder / "mask" / f"{i:08d}.png", blocks(rng, 12))
    (root / "train.txt").write_text("\n".join(named[:-1]) + "\n")
    (root / "val.txt").write_text(named[-1])
    (root / "label_num_dic_final.json").write_text(json.dumps({"others": 0, "wall": 1, "ceiling": 2}))


@pytest.mark.parametrize("form", [int, str])  # the published list has numbers as text
def test_vspw_labels_begin_at_one(tmp_path, form):
    write_vspw(tmp_path)
    names = {name: form(number) for name, number in (("others", 0), ("wall", 1), ("ceiling", 2))}
    (tmp_path / "label_num_dic_final.json").write_text(json.dumps(names))
    data = VSPW(tmp_path, MaskReading(offsets=(-3, 0)), split="train")
    assert len(data) == 10
    assert (len(data.classes), data.classes[:3]) == (124, ("wall", "ceiling", "3"))
    masks = data[3][1]
    stored = torch.from_numpy(np.array(Image.open(tmp_path / "data" / "0_abc" / "mask" / "00000003.png"))).long()
    assert torch.equal(masks[1], torch.where(stored == 0, IGNORE, stored - 1))
    assert data.video_of(7) == "1_abc"
    assert {x.name for x in VSPW(tmp_path, ONE, split="val").videos} == {"2_abc"}


ALL = ["wall", "ceiling", *map(str, range(3, 125))]


@pytest.mark.parametrize(
    "content",
    [
        {name: str(i) for i, name in enumerate(ALL, start=1)} | {"others": "255"},
        {str(i): name for i, name in enumerate(["others", *ALL])},
        [{"id": i, "name": name} for i, name in enumerate(ALL, start=1)],
        {"categories": [{"id": str(i), "name": name, "isthing": 0} for i, name in enumerate(ALL, start=1)]},
        ALL,
        ["others", *ALL],
    ],
)
def test_vspw_names_in_other_writings(tmp_path, content):
    write_vspw(tmp_path)
    (tmp_path / "label_num_dic_final.json").write_text(json.dumps(content))
    assert VSPW(tmp_path, ONE, split="val").classes == tuple(ALL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"wall": 1, "ceiling": "1"}, "number 1 has two names"),
        ({name: i for i, name in enumerate(ALL)}, "counts its classes from 0"),
        ([{"id": i, "name": name} for i, name in enumerate(ALL)], "counts its classes from 0"),
        ({"wall": 1.5}, "is not JSON of class names"),
        ({"wall": None}, "is not JSON of class names"),
        ({"1": 2}, "is not JSON of class names"),
        ([{"name": "wall"}], "is not JSON of class names"),
        ("wall", "is not JSON of class names"),
        (ALL[:5], "is not JSON of class names"),
    ],
)
def test_vspw_names_that_say_too_little(tmp_path, content, message):
    write_vspw(tmp_path)
    (tmp_path / "label_num_dic_final.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        VSPW(tmp_path, ONE, split="val")


def test_vspw_mistakes(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt: no such list"):
        VSPW(tmp_path, ONE, split="train")
    write_vspw(tmp_path)
    (tmp_path / "data" / "0_abc" / "mask" / "00000002.png").unlink()
    with pytest.raises(DataError, match=r"origin.00000002\.jpg: has no mask"):
        VSPW(tmp_path, ONE, split="train")
    (tmp_path / "label_num_dic_final.json").write_text("[1]")
    with pytest.raises(DataError, match="is not JSON of class names"):
        VSPW(tmp_path, ONE, split="val")
    for name, content in (("label_num_dic_final.json", b'"\xe9"'), ("val.txt", b"\xe9")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: is not UTF-8 text"):
            VSPW(tmp_path, ONE, split="val")


@pytest.mark.realdata
def test_real_camvid():
    root = Path(os.environ["SPIKEREEL_DATA"]) / "camvid_jpg"
    how = MaskReading(offsets=(-3, -2, -1, 0), size=90)
    train, val, test = (CamVid(root, how, split=s) for s in ("train", "val", "test"))
    assert [len(x) for x in (train, val, test)] == [297, 62, 101]
    for held_out, counts in (("0006R0", [258, 101]), ("0016E5", [163, 204]), ("", [359, 101])):
        assert [len(CamVid(root, how, split=s, held_out=held_out)) for s in ("train", "val")] == counts
    assert not set(names(train)) & (set(names(val)) | set(names(test)))
    assert test.video_of(50) == "0016E5_7959"
    counts = torch.zeros(256, dtype=torch.int64)
    for i in range(0, 62, 10):
        clip, masks = val[i]
        assert clip.shape == (4, 3, 90, 120)
        counts += masks[3].flatten().bincount(minlength=256)
    assert counts[11:255].sum() == 0
    # road, sky and buildings fill most of a street
    share = counts[:11] / counts[:11].sum()
    assert share[[LABELS.classes.index(x) for x in ("sky", "building", "road", "tree")]].sum() > 0.7
