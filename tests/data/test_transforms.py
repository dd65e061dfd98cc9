"""Transforms: one choice for all frames of a clip, the papers' geometry, targets that add up."""

import sys

import pytest
import torch

from spikereel.data.augment import randaugment, random_erasing, read_policy
from spikereel.data.transforms import (
    EvalTransform,
    TrainTransform,
    cutmix_masks,
    horizontal_flip,
    mixup_cutmix,
    normalise,
    random_resized_crop,
    resize_short_side,
    three_crops,
    to_float,
)
from spikereel.errors import ConfigError


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _columns(frames: int = 2, height: int = 8, width: int = 12) -> torch.Tensor:
    """Float [T, 3, H, W]; every pixel holds the number of its column."""
    return torch.arange(width).float().expand(frames, 3, height, width).contiguous()


def _same_in_all_frames(video: torch.Tensor) -> bool:
    return torch.equal(video, video[:1].expand_as(video))


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(240, 320, (224, 298)), (320, 240, (298, 224)), (50, 50, (224, 224))]
)
def test_resize_short_side_gives_the_papers_sizes(height, width, expected):
    assert resize_short_side(torch.zeros(1, 3, height, width), 224).shape[-2:] == expected


def test_resize_is_antialiased_and_keeps_the_type():
    noise = torch.rand(1, 3, 64, 64, generator=_generator()) * 255
    small = resize_short_side(noise, 8)
    assert small.std() < 0.25 * noise.std()  # without antialiasing 2 x 2 of the 8 x 8 pixels are averaged: 0.5
    same = resize_short_side(noise.round().to(torch.uint8), 8)
    assert same.dtype == torch.uint8
    assert (same.float() - small).abs().max() <= 1


def test_crops_take_the_papers_offsets():
    video = _columns(height=224, width=298)
    assert EvalTransform(size=224, mean=0, std=1)(video)[0, 0, 0, 0] == 37
    assert [crop[0, 0, 0, 0].item() for crop in three_crops(video, 224)] == [0, 37, 74]
    tall = video.transpose(-1, -2)
    assert [crop[0, 0, 0, 0].item() for crop in three_crops(tall, 224)] == [0, 37, 74]
    assert three_crops(video, 224).shape == (3, 2, 3, 224, 224)
    # An odd gap: ceil for the three crops.
    assert three_crops(_columns(height=8, width=13), 8)[1, 0, 0, 0, 0] == 3


def test_crops_of_too_small_clips_are_refused():
    with pytest.raises(ConfigError, match="9x9 out of 8x12"):
        three_crops(_columns(), 9)


@pytest.mark.parametrize("seed", range(20))
def test_random_crop_is_one_box_for_all_frames(seed):
    video = torch.rand(1, 3, 40, 60).expand(4, -1, -1, -1)
    cropped = random_resized_crop(video, 16, generator=_generator(seed))
    assert cropped.shape == (4, 3, 16, 16)
    assert _same_in_all_frames(cropped)
    assert torch.equal(cropped, random_resized_crop(video, 16, generator=_generator(seed)))
    assert not torch.equal(cropped, random_resized_crop(video, 16, generator=_generator(seed + 1)))


def test_random_crop_covers_the_scales_and_reaches_the_borders():
    video = _columns(1, 64, 64)
    crops = [random_resized_crop(video, 8, scale=(0.25, 1.0), generator=_generator(s))[0, 0, 0] for s in range(300)]
    spans = torch.stack([(row[-1] - row[0]) * 8 / 7 for row in crops])
    assert 26 < spans.min() < 31
    assert spans.max() > 60
    assert min(row[0].item() for row in crops) < 4
    assert max(row[-1].item() for row in crops) > 60


def test_random_crop_falls_back_to_the_middle():
    video = _columns(1, 4, 400)
    cropped = random_resized_crop(video, 4, scale=(0.9, 1.0), generator=_generator())
    assert cropped.mean().item() == pytest.approx(199.5, abs=1)


def test_flip_and_normalise():
    video = _columns()
    assert torch.equal(horizontal_flip(video)[0, 0, 0], torch.arange(11, -1, -1).float())
    assert torch.allclose(normalise(video, 1.0, 2.0), (video - 1) / 2)
    coloured = normalise(video, (0, 1, 2), (1, 2, 4))
    assert torch.allclose(coloured[:, 2], (video[:, 2] - 2) / 4)
    assert to_float(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)).max() == 1


def test_frames_normalised_by_themselves_lose_light_and_white_balance():
    video = torch.rand(3, 3, 8, 8, generator=_generator())
    seen = normalise(video, (), ())
    assert seen.mean((2, 3)).abs().max() < 1e-6
    assert torch.allclose(seen.std((2, 3), correction=0), torch.ones(3, 3))
    light = torch.rand(3, 3, 1, 1, generator=_generator(1))
    assert torch.allclose(normalise(video * (light + 0.5) + light, (), ()), seen, atol=1e-5)
    assert torch.equal(video, torch.rand(3, 3, 8, 8, generator=_generator()))
    for level in (0, 128):
        assert not normalise(torch.full((1, 3, 4, 4), level, dtype=torch.uint8), (), ()).any()
    with pytest.raises(ConfigError, match="give both, or neither"):
        normalise(video, (), 0.5)


@pytest.mark.parametrize("seed", range(6))
def test_masks_are_cut_where_videos_are(seed):
    masks = torch.arange(4)[:, None, None, None].expand(4, 2, 6, 8).contiguous()
    videos = (10.0 * masks)[:, :, None].expand(4, 2, 3, 6, 8).contiguous()
    mixed, labels = cutmix_masks(videos, masks, alpha=1.0, generator=_generator(seed))
    assert torch.equal(mixed, (10.0 * labels)[:, :, None].expand_as(mixed))
    foreign = labels != masks
    assert torch.equal(foreign, foreign[:1, :1].expand_as(foreign))
    assert torch.equal(labels[foreign], masks.flip(0)[foreign])
    assert not foreign.all()
    assert torch.equal(masks[:, 0, 0, 0], torch.arange(4))


def test_some_masks_are_cut():
    masks = torch.arange(2)[:, None, None, None].expand(2, 1, 6, 8).contiguous()
    videos = torch.zeros(2, 1, 3, 6, 8)
    cut = [cutmix_masks(videos, masks, generator=_generator(seed))[1] for seed in range(40)]
    assert 0.1 < sum(float((x != masks).float().mean()) for x in cut) / 40 < 0.6
    with pytest.raises(ConfigError, match="cutmix is 0"):
        cutmix_masks(videos, masks, alpha=0)


def test_train_transform_flips_only_on_request():
    video = _columns(3, 32, 32)
    for flip, expected in ((False, {False}), (True, {False, True})):
        transform = TrainTransform(size=8, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=flip)
        clips = [transform(video, _generator(seed)) for seed in range(20)]
        assert {bool(clip[0, 0, 0, 0] > clip[0, 0, 0, -1]) for clip in clips} == expected
        assert all(_same_in_all_frames(clip) for clip in clips)


def test_eval_transform():
    video = torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8)
    one, three = EvalTransform(size=32)(video), EvalTransform(size=32, crops=3)(video, None)
    assert one.shape == (2, 3, 32, 32)
    assert one.dtype == torch.float32
    assert torch.equal(three[1], one)
    white = EvalTransform(size=32)(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    assert white.mean().item() == pytest.approx((1 - 0.45) / 0.225)
    with pytest.raises(ConfigError, match="crops is 2"):
        EvalTransform(crops=2)


@pytest.mark.parametrize("options", [{}, {"crops": 3}, {"whole": True}, {"antialias": False}])
def test_mirror_images_come_after_all_crops(options):
    video = torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8)
    plain, both = EvalTransform(size=32, **options), EvalTransform(size=32, mirrored=True, **options)
    seen = plain(video).unflatten(0, (-1, 2)) if plain.views == 1 else plain(video)
    assert both.views == 2 * plain.views == len(both(video))
    assert torch.equal(both(video), torch.cat([seen, seen.flip(-1)]))


def test_the_whole_frame_is_squeezed_into_the_square():
    video = torch.zeros(2, 3, 40, 80, dtype=torch.uint8)
    video[..., :4] = 255  # its left end, which the central crop cuts off
    for size, antialias in ((20, True), (20, False), (40, True)):
        plain, whole = (
            EvalTransform(size=size, mean=0.0, std=1.0, antialias=antialias, whole=whole)(video)
            for whole in (False, True)
        )
        assert plain.max() == 0
        assert whole.shape == (2, 3, size, size)
        assert whole.mean().item() == pytest.approx(1 / 20, abs=0.01)
    with pytest.raises(ConfigError, match="crops is 3: of the whole frame there is one"):
        EvalTransform(crops=3, whole=True)


def test_boxes_of_the_whole_frame_have_its_shape():
    video = torch.zeros(1, 3, 40, 120, dtype=torch.uint8)
    video[..., :40, :] = torch.arange(120, dtype=torch.uint8)
    widths = []
    for seed in range(60):
        transform = TrainTransform(size=24, scale=(0.5, 0.5), ratio=(1.0, 1.0), mean=0.0, std=1 / 255, whole=True)
        columns = transform(video, _generator(seed))[0, 0, 0]
        widths.append(float(columns[-1] - columns[0]))
    # half of the area in its own shape: 0.71 of the width, less a pixel of the box at either end
    assert min(widths) > 0.71 * 120 * 22 / 24 - 3
    assert max(widths) < 0.71 * 120


def _film(frames: int = 3, height: int = 40, width: int = 60) -> torch.Tensor:
    """uint8 [T, 3, H, W] of noise, the same in all frames."""
    noise = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=_generator())
    return noise.expand(frames, -1, -1, -1).contiguous()


def test_defaults_crop_flip_and_normalise_in_this_order():
    video, generator = _film(), _generator(5)
    expected = random_resized_crop(video, 16, generator=generator)
    assert expected.dtype == torch.uint8
    if torch.rand((), generator=generator) < 0.5:
        expected = horizontal_flip(expected)
    expected = normalise(expected, 0.45, 0.225)
    assert torch.equal(TrainTransform(size=16, flip=True)(video, _generator(5)), expected)


@pytest.mark.parametrize("seed", range(12))
def test_published_order(seed):
    video, generator = _film(), _generator(seed)
    expected = randaugment(video, read_policy("m5-n2-mstd0.25"), generator=generator)
    expected = normalise(expected, 0.45, 0.225)
    expected = random_resized_crop(expected, 16, antialias=False, generator=generator)
    if torch.rand((), generator=generator) < 0.5:
        expected = horizontal_flip(expected)
    expected = random_erasing(expected, probability=0.5, generator=generator)
    transform = TrainTransform(size=16, flip=True, randaugment="m5-n2-mstd0.25", erasing=0.5, antialias=False)
    assert torch.equal(transform(video, _generator(seed)), expected)


def test_erased_noise_is_not_normalised():
    transform = TrainTransform(size=32, erasing=1.0, mean=0.0, std=0.001)
    clip = transform(torch.full((2, 3, 32, 32), 255, dtype=torch.uint8), _generator())
    assert clip.max().item() == pytest.approx(1000)
    noise = clip[clip < 900]
    assert 0.8 < noise.std() < 1.2


@pytest.mark.parametrize(
    "options",
    [{"randaugment": "m9"}, {"randaugment": ""}, {"randaugment": "m11-n2"}, {"erasing": -0.1}, {"erasing": 1.1}],
)
def test_train_transform_refuses(options):
    ((name, _),) = options.items()
    with pytest.raises(ConfigError, match=f"{name} is"):
        TrainTransform(**options)


def test_train_transform_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    TrainTransform(size=16, erasing=0.5)(_film(), _generator())
    with pytest.raises(ConfigError, match="Pillow"):
        TrainTransform(randaugment="m5-n2")


def test_without_antialiasing_pixels_are_sampled():
    video = _film(1, 64, 64).float()
    # Every eighth pixel and its neighbour, 3 and 4 of 0 to 7, both ways.
    sampled = (video[..., 3::8, 3::8] + video[..., 3::8, 4::8] + video[..., 4::8, 3::8] + video[..., 4::8, 4::8]) / 4
    assert torch.allclose(resize_short_side(video, 8, antialias=False), sampled)
    assert not torch.allclose(resize_short_side(video, 8), sampled, atol=10)
    evaluated = EvalTransform(size=8, mean=0.0, std=1.0, antialias=False)(video.to(torch.uint8))
    assert torch.allclose(evaluated, sampled / 255)  # not rounded to uint8 on the way
    trained = TrainTransform(size=8, scale=(1.0, 1.0), ratio=(1.0, 1.0), mean=0.0, std=1.0, antialias=False)
    assert torch.allclose(trained(video.to(torch.uint8)), sampled / 255)
    three = EvalTransform(size=8, crops=3, antialias=False)(video.to(torch.uint8))
    assert torch.allclose(three[1], (sampled / 255 - 0.45) / 0.225, atol=1e-5)


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Clip b is filled with b; its label is b."""
    return torch.arange(4.0).reshape(4, 1, 1, 1, 1).expand(4, 2, 3, 20, 30).contiguous(), torch.arange(4)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixed_targets_match_mixed_pixels(seed, mixup, cutmix):
    videos, labels = _batch()
    mixed, targets = mixup_cutmix(
        videos, labels, classes=4, mixup=mixup, cutmix=cutmix, smoothing=0.0, generator=_generator(seed)
    )
    assert torch.allclose(targets.sum(1), torch.ones(4))
    # Each pixel is b or 3 - b in the shares of the target, so the mean pixel is the mean label.
    assert torch.allclose(mixed.mean(dim=(1, 2, 3, 4)), targets @ torch.arange(4.0), atol=1e-5)
    assert torch.equal(mixed, mixed[:, :1].expand_as(mixed))
    if not mixup:
        assert set(mixed.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}


def test_mixing_uses_both_kinds_and_is_seeded():
    videos, labels = _batch()
    whole = [
        len(mixup_cutmix(videos, labels, classes=4, generator=_generator(seed))[0][0].unique()) == 1
        for seed in range(60)
    ]
    assert 15 < sum(whole) < 45
    first, again = (mixup_cutmix(videos, labels, classes=4, generator=_generator(7)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert torch.equal(videos, _batch()[0])


def test_smoothing_alone():
    videos, labels = _batch()
    same, targets = mixup_cutmix(videos, labels, classes=5, mixup=0, cutmix=0, smoothing=0.1)
    assert torch.equal(same, videos)
    assert targets[2].tolist() == pytest.approx([0.02, 0.02, 0.92, 0.02, 0.02])


@pytest.mark.parametrize("options", [{"classes": 3}, {"classes": 4, "mixup": -1}, {"classes": 4, "smoothing": 1.0}])
def test_mixing_refuses(options):
    with pytest.raises(ConfigError):
        mixup_cutmix(*_batch(), **options)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", [(40, 56), (70, 33)])
def test_frame_after_frame_gives_the_same_as_the_whole_clip(seed, form):
    clip = torch.randint(256, (5, *form, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    for transform in (
        TrainTransform(size=24, flip=True),
        TrainTransform(size=24, whole=True),
        EvalTransform(size=24),
        EvalTransform(size=24, crops=3),
        EvalTransform(size=24, whole=True),
        EvalTransform(size=24, whole=True, mirrored=True),
    ):
        whole = transform(clip, torch.Generator().manual_seed(seed))
        each = transform.by_frame(torch.Generator().manual_seed(seed))
        assert torch.equal(transform.finish(torch.cat([each(frame[None]) for frame in clip])), whole)


def test_steps_that_need_the_whole_clip():
    for options in ({"randaugment": "m5-n2"}, {"jitter": 0.2}, {"erasing": 0.2}, {"antialias": False}):
        assert TrainTransform(**options).by_frame() is None
    assert EvalTransform(antialias=False).by_frame() is None


@pytest.mark.parametrize("make", [TrainTransform, EvalTransform])
@pytest.mark.parametrize("options", [{"size": 0}, {"size": -5}, {"std": 0.0}, {"std": (1.0, 0.0, 1.0)}])
def test_transforms_refuse_values_out_of_range(make, options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"^{name} is "):
        make(**options)


@pytest.mark.parametrize(
    "options", [{"scale": (0.0, 0.0)}, {"scale": (2.0, 3.0)}, {"scale": (1.0, 0.5)}, {"ratio": (0.0, 1.0)}]
)
def test_boxes_refuse_values_out_of_range(options):
    (name,) = options
    with pytest.raises(ConfigError, match=f"^{name} is "):
        TrainTransform(**options)


def test_means_are_as_many_as_channels():
    video = torch.zeros(2, 3, 8, 8)
    with pytest.raises(ConfigError, match=r"mean is \(0\.1, 0\.2\): give 1 value, or 3"):
        EvalTransform(size=8, mean=(0.1, 0.2))(video)


@pytest.mark.parametrize("transform", [TrainTransform(size=8), EvalTransform(size=8), EvalTransform(size=8, crops=3)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_transforms_of_one_picture_are_refused(transform, dtype):
    with pytest.raises(ConfigError, match=r"video is \[3, 16, 16\]: make it \[frames, channels, height, width\]"):
        transform(torch.zeros(3, 16, 16, dtype=dtype))


def test_an_empty_batch_is_refused():
    with pytest.raises(ConfigError, match="0 videos and 0 labels"):
        mixup_cutmix(torch.zeros(0, 2, 3, 8, 8), torch.zeros(0, dtype=torch.int64), classes=2)
