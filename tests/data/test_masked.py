"""Picture and mask go the same way through every geometric transform; every draw is seeded."""

import pytest
import torch
from torch.utils.data import DataLoader

from spikereel.data.augment import color_jitter
from spikereel.data.masked import MaskedClip
from spikereel.data.sets.folder import VideoFolder
from spikereel.data.transforms import TrainTransform
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError

HEIGHT, WIDTH, RADIUS = 60, 81, 7
GREY = 128


def _discs() -> MaskedClip:
    """Three frames; two bright discs that wander over grey, and their masks 1 and 2."""
    centres = torch.tensor([[[30.0, 25.0], [48.0, 34.0]], [[33.0, 27.0], [45.5, 31.0]], [[36.5, 24.0], [50.0, 36.5]]])
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    distance = ((x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2).sqrt()
    inside = distance <= RADIUS
    mask = inside[:, 0] * 1 + inside[:, 1] * 2
    video = torch.full((3, 3, HEIGHT, WIDTH), GREY)
    video[:, 0] += 120 * inside[:, 0]
    video[:, 1] += 120 * inside[:, 1]
    return MaskedClip(video=video.to(torch.uint8), mask=mask)


def _agree(clip: MaskedClip) -> int:
    """How many discs of the picture are whole; all of them are where the mask says."""
    height, width = clip.size
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
}


@pytest.mark.parametrize("case", GEOMETRY)
def test_picture_and_mask_agree(case):
    before = _discs()
    assert _agree(before) == 6
    after = GEOMETRY[case](before)
    assert _agree(after) >= 2
    assert not torch.equal(after.mask, before.mask)
    assert after.mask.dtype == before.mask.dtype
    assert after.mask.shape == (3, *after.size)


def test_masks_by_hand():
    mask = torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8)
    clip = MaskedClip(video=torch.zeros(1, 3, 2, 2, dtype=torch.uint8), mask=mask)
    assert clip.resize(2, 4).mask.tolist() == [[[1, 1, 2, 2], [3, 3, 4, 4]]]
    assert clip.flip().mask.tolist() == [[[2, 1], [4, 3]]]
    assert clip.crop(0, 1, 2, 1).mask.tolist() == [[[2], [4]]]


def test_shapes_that_do_not_belong_together():
    video = torch.zeros(2, 3, 4, 5)
    with pytest.raises(ConfigError, match=r"mask is \[2, 5, 4\]"):
        MaskedClip(video=video, mask=torch.zeros(2, 5, 4))
    with pytest.raises(ConfigError, match=r"video is \[3, 4, 5\]"):
        MaskedClip(video=video[0])


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
