"""Picture, mask and joints go the same way through every geometric transform; every draw is seeded."""

import pytest
import torch
from torch.utils.data import DataLoader

from spikereel.data.augment import SIGNED, color_jitter
from spikereel.data.masked import VOID, LabelledClip
from spikereel.data.sets.folder import VideoFolder
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError

HEIGHT, WIDTH, RADIUS = 60, 81, 7
GREY = 128  # what RandAugment leaves behind


def _discs() -> LabelledClip:
    """Three frames; two bright discs that wander over grey, their masks 1 and 2, and joints at their centres."""
    joints = torch.tensor([[[30.0, 25.0], [48.0, 34.0]], [[33.0, 27.0], [45.5, 31.0]], [[36.5, 24.0], [50.0, 36.5]]])
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    distance = ((x - joints[..., 0, None, None]) ** 2 + (y - joints[..., 1, None, None]) ** 2).sqrt()
    inside = distance <= RADIUS
    mask = inside[:, 0] * 1 + inside[:, 1] * 2
    video = torch.full((3, 3, HEIGHT, WIDTH), GREY)
    video[:, 0] += 120 * inside[:, 0]
    video[:, 1] += 120 * inside[:, 1]
    return LabelledClip(video=video.to(torch.uint8), mask=mask, joints=joints)


def _agree(clip: LabelledClip, tolerance: float = 0.6) -> int:
    """How many discs of the picture are whole; all of them are where the mask and the joints say."""
    height, width = clip.size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    level = clip.video.float()
    checked = 0
    for frame in range(len(level)):
        for disc in range(2):
            ground, top = level[frame, disc].median(), level[frame, disc].max()
            bright = level[frame, disc] > (ground + top) / 2
            rows, columns = torch.where(bright)
            whole = top - ground > 60 and rows.min() > 1 and columns.min() > 1 and rows.max() < height - 2
            if not whole or columns.max() >= width - 2:
                continue
            centre = torch.stack([x[bright].float().mean(), y[bright].float().mean()])
            assert (centre - clip.joints[frame, disc]).abs().max() < tolerance
            masked = clip.mask[frame] == disc + 1
            assert (masked & bright).sum() > 0.85 * (masked | bright).sum()
            checked += 1
    return checked


GEOMETRY = {
    "crop": lambda clip: clip.crop(10, 15, 45, 50),
    "larger": lambda clip: clip.resize(90, 200),
    "smaller": lambda clip: clip.resize(45, 60),
    "flip": lambda clip: clip.flip(),
    "all": lambda clip: clip.crop(8, 11, 50, 60).flip().resize(77, 64),
    **{
        f"{name} {argument}": lambda clip, name=name, argument=argument: clip.augment([(name, argument)])
        for name, argument in [
            ("Rotate", 17.0),
            ("Rotate", -30.0),
            ("ShearX", 0.2),
            ("ShearX", -0.3),
            ("ShearY", 0.15),
            ("TranslateXRel", 0.1),
            ("TranslateXRel", -0.2),
            ("TranslateYRel", 0.15),
        ]
    },
    "two moves": lambda clip: clip.augment([("Rotate", 12.0), ("Invert", 0.0), ("Invert", 0.0), ("ShearX", -0.1)]),
}


def test_every_move_is_here():
    assert all(any(case.startswith(name) for case in GEOMETRY) for name in SIGNED)


@pytest.mark.parametrize("case", GEOMETRY)
def test_picture_mask_and_joints_agree(case):
    before = _discs()
    assert _agree(before, 0.3) == 6
    after = GEOMETRY[case](before)
    assert _agree(after) >= 2
    assert not torch.equal(after.joints, before.joints)
    assert after.mask.dtype == before.mask.dtype
    assert after.mask.shape == (3, *after.size)


def test_the_training_transform_keeps_them_together():
    transform = TrainTransform(
        size=72, scale=(0.5, 1.0), flip=True, mean=0, std=1, randaugment="m6-n1-mstd1", jitter=0.1
    )
    checked = 0
    for seed in range(25):
        clip = transform.labelled(_discs(), torch.Generator().manual_seed(seed))
        assert torch.equal(clip.video, transform(_discs().video, torch.Generator().manual_seed(seed)))
        checked += _agree(LabelledClip(video=clip.video * 255, mask=clip.mask, joints=clip.joints), 1.0)
    assert checked > 50


def test_the_evaluation_transform_keeps_them_together():
    transform = EvalTransform(size=40, mean=0, std=1)
    clip = transform.labelled(_discs())
    assert torch.equal(clip.video, transform(_discs().video))
    assert _agree(LabelledClip(video=clip.video * 255, mask=clip.mask, joints=clip.joints)) >= 3
    with pytest.raises(ConfigError, match="crops=1"):
        EvalTransform(size=40, crops=3).labelled(_discs())


def test_joints_by_hand():
    joints = torch.tensor([[[0.0, 0.0], [3.0, 1.0]]])
    clip = LabelledClip(video=torch.zeros(1, 1, 2, 4), joints=joints)
    assert clip.flip().joints.tolist() == [[[3, 0], [0, 1]]]
    assert clip.flip([(0, 1)]).joints.tolist() == [[[0, 1], [3, 0]]]
    assert clip.crop(1, 2, 1, 2).joints.tolist() == [[[-2, -1], [1, 0]]]
    # twice as large: the centre of the first pixel is now between the first two
    assert clip.resize(4, 8).joints.tolist() == [[[0.5, 0.5], [6.5, 2.5]]]


def test_masks_by_hand():
    mask = torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8)
    clip = LabelledClip(video=torch.zeros(1, 3, 2, 2, dtype=torch.uint8), mask=mask)
    assert clip.resize(2, 4).mask.tolist() == [[[1, 1, 2, 2], [3, 3, 4, 4]]]
    assert clip.flip().mask.tolist() == [[[2, 1], [4, 3]]]
    assert clip.augment([("TranslateXRel", 0.5)]).mask.tolist() == [[[2, VOID], [4, VOID]]]


def test_shapes_that_do_not_belong_together():
    video = torch.zeros(2, 3, 4, 5)
    with pytest.raises(ConfigError, match=r"mask is \[2, 5, 4\]"):
        LabelledClip(video=video, mask=torch.zeros(2, 5, 4))
    for shape in ((3, 7, 2), (2, 7, 3), (2, 7)):
        with pytest.raises(ConfigError, match="joints are"):
            LabelledClip(video=video, joints=torch.zeros(shape))


def test_colour_jitter_is_one_draw_for_the_clip():
    video = torch.randint(60, 190, (1, 3, 9, 9), generator=torch.Generator().manual_seed(0)).expand(4, -1, -1, -1)
    draws = [color_jitter(video.to(torch.uint8), 0.4, generator=torch.Generator().manual_seed(i)) for i in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(draws[0], draws[0][:1].expand_as(draws[0]))
    assert draws[0].dtype == torch.uint8
    assert torch.equal(color_jitter(video.to(torch.uint8), 0.0), video.to(torch.uint8))
    as_float = color_jitter(video / 255, 0.4, generator=torch.Generator().manual_seed(0))
    assert (as_float * 255 - draws[0]).abs().max() <= 0.51
    grey = color_jitter(torch.full((2, 3, 4, 4), 100, dtype=torch.uint8), 0.9)
    assert (grey == grey[:, :1]).all()
    for wrong in ((video[:, :2], 0.1), (video, 1.5)):
        with pytest.raises(ConfigError, match="cannot jitter"):
            color_jitter(*wrong)


def test_the_same_clips_with_any_number_of_workers(make_video, tmp_path):
    for i in range(5):
        make_video(f"data/{'ab'[i % 2]}/{i}.mp4", frames=10 + i, height=32, width=48)
    transform = TrainTransform(size=16, flip=True, randaugment="m5-n2", erasing=0.5, jitter=0.3)
    seen = []
    for workers in (0, 2):
        data = VideoFolder(tmp_path / "data", Reading(frames=4, stride=2, transform=transform, train=True, seed=3))
        loader = DataLoader(data, batch_size=2, num_workers=workers, persistent_workers=workers > 0)
        for epoch in (0, 1):
            data.set_epoch(epoch)
            seen.append(torch.cat([video for video, _ in loader]))
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])
