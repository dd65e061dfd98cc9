"""Clips with masks: which frames, shared changes, and errors that name the file."""

import numpy as np
import pytest
import torch
from PIL import Image

from spikereel.data.mask_clips import IGNORE, MaskReading, bit_palette, chosen, prepared, split_at_gaps
from spikereel.data.masked import MaskedClip
from spikereel.data.sets.masks import MaskFolder, read_classes
from spikereel.errors import ConfigError, DataError
from tests.masks import blocks, write_folder, write_pair

ONE = MaskReading(offsets=(0,))


def seen(clip):
    """The class that every pixel of a normalised clip shows."""
    return ((255 * (0.5 * clip[:, 0] + 0.5) - 10) / 20).round().long()


def test_frames_of_a_clip():
    numbers = [10, 12, 14, 20, 22]
    assert chosen(numbers, 4, (-3, -1, 0), "frames") == [1, 3, 4]
    assert chosen(numbers, 1, (-3, -1, 0), "frames") == [0, 0, 1]
    assert chosen(numbers, 3, (0, 1, 2), "frames") == [3, 4, 4]
    # 22 - 4 and 22 - 3 were not kept: the latest before them
    assert chosen(numbers, 4, (-9, -4, -3, 0), "numbers") == [1, 2, 2, 4]
    assert chosen(numbers, 0, (-5, 0), "numbers") == [0, 0]
    assert split_at_gaps(numbers, 2) == [range(3), range(3, 5)]
    assert split_at_gaps(numbers, 6) == [range(5)]


@pytest.mark.parametrize("offsets", [(-2, -1), (0, -1), ()])
def test_offsets_make_sense(offsets):
    with pytest.raises(ConfigError, match="offsets are"):
        MaskReading(offsets=offsets)


@pytest.mark.parametrize("wrong", [{"crop": (3,)}, {"scale": (2.0, 1.0)}, {"flip": 2.0}, {"size": -1}, {"gamma": -1}])
def test_numbers_make_sense(wrong):
    with pytest.raises(ConfigError):
        MaskReading(offsets=(0,), **wrong)


def test_evaluation_judges_every_labelled_frame_once(tmp_path):
    write_folder(tmp_path, frames=4)
    data = MaskFolder(tmp_path, MaskReading(offsets=(-2, -1, 0)))
    assert len(data) == 12
    counts = 0
    for clip, masks in data:
        assert clip.shape == (3, 3, 36, 48)
        assert (masks[:2] == IGNORE).all()
        assert torch.equal(seen(clip)[2], masks[2])
        counts += int((masks != IGNORE).sum())
    assert counts == 12 * 36 * 48
    # the first clip of a video repeats its first frame, another has the frames before
    clip, later = data[4][0], data[6][0]
    assert torch.equal(clip[0], clip[2])
    assert torch.equal(later[0], data[4][0][2])
    assert data.classes == ("road", "traffic light", "sky")
    assert data.palette[1] == (250, 170, 30)
    assert [data.video_of(i) for i in (0, 4)] == ["v0", "v1"]


def test_frames_normalised_by_themselves_keep_that_in_a_crop(tmp_path):
    write_folder(tmp_path, videos=1, frames=2)
    own = {"offsets": (-1, 0), "mean": (), "std": ()}
    whole = MaskFolder(tmp_path, MaskReading(**own))[1][0]
    assert whole.mean((2, 3)).abs().max() < 1e-5
    boxes = MaskFolder(tmp_path, MaskReading(**own, train=True, crop=(9, 12)))
    box = boxes[1][0]
    assert box.mean((2, 3)).abs().max() > 0.1
    assert all(float((whole[0, 0] - value).abs().min()) < 1e-4 for value in box[0, 0].unique())


def test_gamma_changes_light_and_not_what_is_judged(tmp_path):
    write_folder(tmp_path, videos=1, frames=2)

    def item(**options):
        return MaskFolder(tmp_path, MaskReading(offsets=(0,), gamma=1.0, **options))[1][0] / 2 + 0.5

    judged, plain = item(), MaskFolder(tmp_path, MaskReading(offsets=(0,)))[1][0] / 2 + 0.5
    assert torch.equal(judged, plain)
    powers = [
        (item(train=True, seed=seed)[plain > 0.1].log() / plain[plain > 0.1].log()).median().item()
        for seed in range(60)
    ]
    assert 0.5 <= min(powers) < 0.6 < 1.7 < max(powers) <= 2.0


def test_offsets_on_both_sides(tmp_path):
    write_folder(tmp_path, videos=1, frames=3)
    clip, masks = MaskFolder(tmp_path, MaskReading(offsets=(-1, 0, 1)))[1]
    assert [bool((m != IGNORE).any()) for m in masks] == [False, True, False]
    assert torch.equal(seen(clip)[1], masks[1])


def test_sparse_labels(tmp_path):
    write_folder(tmp_path, videos=1, frames=7, every=3)
    data = MaskFolder(tmp_path, MaskReading(offsets=(-3, -1, 0), train=True))
    assert len(data) == 3
    labelled = [bool((m != IGNORE).any()) for m in data[1][1]]
    assert labelled == [True, False, True]
    assert data.video_of(0) is None


@pytest.mark.parametrize("crop", [(24, 30), (64, 64)])
def test_frames_and_masks_change_together(tmp_path, crop):
    write_folder(tmp_path, videos=1, frames=3)
    how = MaskReading(offsets=(-1, 0), train=True, size=36, scale=(0.5, 2.0), crop=crop, flip=0.5, seed=3)
    data = MaskFolder(tmp_path, how)
    plain, plain_masks = MaskFolder(tmp_path, MaskReading(offsets=(-1, 0), size=36))[2]
    sizes = set()
    for epoch in range(12):
        data.set_epoch(epoch)
        clip, masks = data[2]
        assert clip.shape == (2, 3, *crop)
        assert masks.shape == (2, *crop)
        inside = masks != IGNORE
        assert (seen(clip)[inside] == masks[inside]).float().mean() > 0.85
        assert (clip[:, 0][~inside] == 0).all()
        # one geometry for all frames of the clip
        assert torch.equal(inside[0], inside[1])
        sizes.add(int(inside.sum()))
        assert torch.equal(clip, data[2][0])
    assert (len(sizes) > 3) == (crop == (64, 64))
    assert torch.equal(seen(plain)[1], plain_masks[1])


def test_photometric_changes_leave_masks(tmp_path):
    write_folder(tmp_path, videos=1, frames=1)
    plain, jittered = (MaskFolder(tmp_path, MaskReading(offsets=(0,), train=True, jitter=j))[0] for j in (0.0, 0.5))
    assert torch.equal(plain[1], jittered[1])
    assert not torch.allclose(plain[0], jittered[0], atol=0.05)


def test_crops_look_for_labels():
    mask = torch.full((1, 64, 64), IGNORE, dtype=torch.uint8)
    mask[:, :20, :20] = 1
    how = MaskReading(offsets=(0,), train=True, crop=(32, 32))
    clip = MaskedClip(video=torch.zeros(1, 3, 64, 64, dtype=torch.uint8), mask=mask)
    found = [bool((prepared(clip, how, torch.Generator().manual_seed(i), "x")[1] != IGNORE).any()) for i in range(30)]
    assert all(found)


def test_sizes(tmp_path):
    write_folder(tmp_path, videos=1, frames=2)
    data = MaskFolder(tmp_path, MaskReading(offsets=(0,), size=18))
    clip, masks = data[0]
    assert clip.shape == (1, 3, 18, 24)
    assert set(masks.unique().tolist()) <= {0, 1, 2}
    assert (seen(clip) == masks).float().mean() > 0.6
    assert len(data._kept) == 2, "frame and mask stay in memory"
    assert torch.equal(data[0][1], masks)


def test_masks_in_colours(tmp_path):
    write_folder(tmp_path, videos=1, frames=1)
    expected = MaskFolder(tmp_path, ONE)[0][1]
    (tmp_path / "classes.txt").write_text("road 128 64 128\ntraffic light 250 170 30\nignore 0 0 0\nsky 70 130 180\n")
    palette = np.array([(128, 64, 128), (250, 170, 30), (70, 130, 180)], np.uint8)
    mask = tmp_path / "masks" / "v0" / "00001.png"
    coloured = palette[np.array(Image.open(mask))]
    coloured[0, :5] = 0
    Image.fromarray(coloured).save(mask)
    expected[:, 0, :5] = IGNORE
    assert torch.equal(MaskFolder(tmp_path, ONE)[0][1], expected)
    coloured[3, 3] = (1, 2, 3)
    Image.fromarray(coloured).save(mask)
    with pytest.raises(DataError, match=r"00001\.png: holds the colour \(1, 2, 3\)"):
        MaskFolder(tmp_path, ONE)[0]


def test_palette_pictures(tmp_path):
    write_folder(tmp_path, videos=1, frames=1)
    expected = MaskFolder(tmp_path, ONE)[0][1]
    mask = tmp_path / "masks" / "v0" / "00001.png"
    with Image.open(mask) as grey:
        picture = Image.fromarray(np.array(grey))
    picture.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    assert picture.mode == "P"
    picture.save(mask)
    assert torch.equal(MaskFolder(tmp_path, ONE)[0][1], expected)


def lose_mask(root):
    for path in (root / "masks" / "v0").iterdir():
        path.unlink()


def small_mask(root):
    Image.new("L", (20, 10)).save(root / "masks" / "v0" / "00001.png")


def unknown_label(root):
    Image.new("L", (48, 36), 7).save(root / "masks" / "v0" / "00001.png")


def void(root):
    Image.new("L", (48, 36), 255).save(root / "masks" / "v0" / "00001.png")


def no_frames(root):
    for path in (root / "frames" / "v0").iterdir():
        path.unlink()


def no_folder(root):
    (root / "frames").rename(root / "elsewhere")


def broken_frame(root):
    path = root / "frames" / "v0" / "00001.png"
    path.write_bytes(path.read_bytes()[:60])


def text_frame(root):
    (root / "frames" / "v0" / "00001.png").write_text("hello")


def alone(root):
    (root / "frames" / "v0" / "00002.png").unlink()


def twice(root):
    write_pair(root / "frames" / "v0" / "x1.png", None, blocks(np.random.default_rng(0), 3))


def other_size(root):
    write_pair(root / "frames" / "v0" / "00001.png", None, blocks(np.random.default_rng(0), 3, 24, 24))


def no_list(root):
    (root / "classes.txt").unlink()


def bad_line(root):
    (root / "classes.txt").write_text("road 1 2\n")


def other_encoding(root):
    (root / "classes.txt").write_bytes("stra\xdfe 1 2 3\n".encode("latin-1"))


def colour_twice(root):
    (root / "classes.txt").write_text("road 1 2 3\nsky 1 2 3\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_mask, r"masks.v0: no frame of v0 has a mask"),
        (other_encoding, r"classes\.txt: is not UTF-8 text"),
        (small_mask, r"masks.v0.00001\.png: is 20 x 10, its frame 00001\.png 48 x 36"),
        (unknown_label, r"00001\.png: holds the label 7.*known: 0 to 2"),
        (void, r"00001\.png: no pixel of this clip has a label"),
        (no_frames, r"frames.v0: no frames"),
        (no_folder, r"frames: no folder of a video"),
        (broken_frame, r"00001\.png: cannot be read as a picture"),
        (text_frame, r"00001\.png: is no picture"),
        (alone, r"masks.v0.00002\.png: there is no frame"),
        (twice, "has the number 1 too"),
        (other_size, r"00001\.png: is 48 x 36, its frame"),
        (no_list, r"classes\.txt: no such list"),
        (bad_line, r"classes\.txt, line 1: 'road 1 2'; write"),
        (colour_twice, r"classes\.txt, line 2: sky or its colour"),
    ],
)
def test_mistakes_are_named(tmp_path, change, message):
    write_folder(tmp_path, frames=2)
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        MaskFolder(tmp_path, ONE)[0]


def test_frames_of_two_sizes_make_no_clip(tmp_path):
    write_folder(tmp_path, videos=1, frames=3, every=2)
    write_pair(tmp_path / "frames" / "v0" / "00002.png", None, blocks(np.random.default_rng(0), 3, 24, 24))
    with pytest.raises(DataError, match=r"another size than the next frames of v0"):
        MaskFolder(tmp_path, MaskReading(offsets=(-1, 0)))[1]


def test_lists_of_classes(tmp_path):
    write_folder(tmp_path, videos=1, frames=1)
    labels = read_classes(tmp_path / "classes.txt")
    assert labels.values == {0: 0, 1: 1, 2: 2, 255: 255}
    (tmp_path / "classes.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match="names 0 classes"):
        read_classes(tmp_path / "classes.txt")


def test_palettes():
    colours = bit_palette(124)
    assert colours[:3] == [(128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert len(set(colours)) == 124


def test_fingerprints_know_files(tmp_path):
    write_folder(tmp_path / "a", videos=1)
    write_folder(tmp_path / "b", videos=1)
    one, two = (MaskFolder(tmp_path / name, ONE).fingerprint() for name in "ab")
    assert one == two
    (tmp_path / "b" / "frames" / "v0" / "00001.png").write_bytes(b"other")
    assert MaskFolder(tmp_path / "b", ONE).fingerprint() != one
