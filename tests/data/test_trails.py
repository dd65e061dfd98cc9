"""Trails of motion beside frames, and clips that bend time."""

import math

import pytest
import torch

from spikereel.data.trails import bent, past, trail_frames, with_trails
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.video.cache import FrameCache
from spikereel.data.video.clip import Reading, read_clip
from spikereel.data.video.read import read_frames
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError

EVAL, TRAIN = EvalTransform(size=24, mean=0.0, std=1.0), TrainTransform(size=24, mean=0.0, std=1.0, flip=True)


@pytest.fixture
def path(tmp_path):
    """A bright square that moves right by a pixel a frame, at 10 frames a second."""
    video = torch.full((30, 3, 32, 48), 60, dtype=torch.uint8)
    for t in range(30):
        video[t, :, 10:20, t : t + 10] = 200
    write_video(tmp_path / "a.mp4", video, 10)
    return tmp_path / "a.mp4"


def test_the_past_fades():
    step = torch.tensor([0.0, 1, 1, 1, 0])[:, None]
    kept = math.exp(-1 / 3)
    expected = [0, 0, 1 - kept, 1 - kept**2, 1 - kept**3]
    assert past(step, 3)[:, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(past(step + 7, 0.03)[1:], (step + 7)[:-1])  # of a short memory, the frame before is left


def test_what_moved_is_brighter_or_darker_than_its_past():
    video = torch.zeros(3, 3, 1, 3)
    video[:, :, 0, 0] = 0.5  # still
    video[1:, :, 0, 1] = 0.1  # becomes brighter, by half of what counts as 1
    video[:1, :, 0, 2] = 0.1  # becomes darker
    first, after = with_trails(video, [0, 1], 1e-3)
    assert first[1:].abs().max() == 0
    assert after[0, 0].tolist() == pytest.approx([0.5, 0.1, 0])
    assert after[1, 0].tolist() == pytest.approx([0, 0.5, 0])
    assert after[2, 0].tolist() == pytest.approx([0, 0, 0.5])
    # luma, and a change of a fifth is all there is
    video = torch.zeros(2, 3, 1, 1)
    video[1, 1] = 1
    assert with_trails(video, [1], 1e-3).flatten().tolist() == pytest.approx([0.587, 1, 0])


def test_frames_of_long_ago_are_not_needed():
    assert trail_frames([3, 9], 2.0) == range(10)
    assert trail_frames([30, 39], 2.0) == range(20, 40)
    video = torch.rand(40, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    near = with_trails(video[20:], [10, 19], 2.0)
    assert torch.allclose(near, with_trails(video, [30, 39], 2.0), atol=0.05)


def test_time_bends():
    assert bent(5, 0, 0, 0).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert bent(3, 0.1, 0.1, 0.4).tolist() == pytest.approx([0.1, 0.1 + 0.8 * 0.6, 0.9])


def test_a_clip_sees_all_frames_of_its_video(path):
    clip = read_clip(path, Reading(frames=4, transform=EVAL, trails=0.5))
    small = torch.cat([EVAL.by_frame()(frame[None]) for frame in read_frames(path, range(30))])
    assert torch.equal(clip, EVAL.finish(with_trails(small, [0, 9, 19, 29], 5.0)))
    assert clip.shape == (4, 3, 24, 24)
    assert clip[0, 1:].max() == 0
    columns = torch.arange(24.0)
    front, tail = ((clip[2, c].sum(0) * columns).sum() / clip[2, c].sum() for c in (1, 2))
    assert front > tail + 2
    # with a stride it is the frames before the clip
    late = read_clip(path, Reading(frames=2, stride=2, clips=2, transform=EVAL, trails=0.2))
    assert late.shape == (2, 2, 3, 24, 24)
    assert late[1, 0, 1].max() > 0.5


def test_a_cache_and_copies_give_the_same(path, tmp_path):
    plain = Reading(frames=4, transform=EVAL, trails=0.5)
    cached = Reading(frames=4, transform=EVAL, trails=0.5, cache=FrameCache(tmp_path / "cache", 32))
    assert torch.equal(read_clip(path, plain), read_clip(path, cached))

    def draw(copies):
        reading = Reading(frames=4, transform=TRAIN, trails=0.5, train=True, copies=copies, time_warp=0.5)
        return read_clip(path, reading, torch.Generator().manual_seed(3))

    one, several = draw(1), draw(3)
    assert several.shape == (3, 4, 3, 24, 24)
    assert torch.equal(one, several[0])
    assert not torch.equal(several[0], several[1])


def test_training_bends_time_and_evaluation_does_not(path):
    def numbers(generator):
        return read_clip(path, Reading(frames=4, transform=lambda video, _: video, time_warp=0.5), generator)

    still = numbers(None)
    assert torch.equal(still, read_frames(path, [0, 9, 19, 29]))
    moved = [numbers(torch.Generator().manual_seed(seed)) for seed in range(4)]
    assert not any(torch.equal(x, still) for x in moved)
    assert torch.equal(numbers(torch.Generator().manual_seed(2)), moved[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trails": -1}, "trails is -1, at least 0"),
        ({"time_warp": 1.0}, r"time_warp 1\.0, from 0 to below 1"),
        ({"trails": 0.3, "transform": TrainTransform(jitter=0.5)}, "no randaugment, jitter or erasing"),
        ({"trails": 0.3, "transform": lambda video, _: video}, "boxes and mirrors alone"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ConfigError, match=message):
        Reading(**({"frames": 4, "transform": EVAL} | options))
