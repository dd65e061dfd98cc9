"""Random turns of clips: within their ranges, alike for all frames, and none where none is asked for."""

import math

import pytest
import torch

from spikereel.data.transforms import TrainTransform
from spikereel.data.turn import Turn, Turned
from spikereel.errors import ConfigError


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def parts_of(affine):
    """Degrees, factors of width and height, and moves, of what `draw` gave."""
    (a, b, right), (c, d, down) = affine.tolist()
    return math.degrees(math.atan2(c, d)), math.hypot(c, d), math.hypot(a, b), right, down


def test_draws_stay_within_their_ranges_and_reach_far():
    drawn = [parts_of(Turn(rotate=10, zoom=0.5, shift=6).draw(48, seeded(i)).affine) for i in range(400)]
    limits = (10.0, 1.5, 1.5, 2 * 6 / 48, 2 * 6 / 48)
    for values, limit, factor in zip(zip(*drawn, strict=True), limits, (False, True, True, False, False), strict=True):
        low, high = (1 / limit, limit) if factor else (-limit, limit)
        assert low - 1e-5 <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high + 1e-5


def test_a_turn_alone_keeps_lengths_and_corners():
    for seed in range(20):
        linear = Turn(rotate=30).draw(48, seeded(seed)).affine[:, :2]
        torch.testing.assert_close(linear @ linear.mT, torch.eye(2))
        assert torch.linalg.det(linear) > 0


def test_a_move_of_whole_pixels():
    video = torch.rand(2, 1, 8, 8)
    moved = Turned(torch.tensor([[1.0, 0.0, 2 * 3 / 8], [0.0, 1.0, -2 * 1 / 8]]))(video)
    torch.testing.assert_close(moved[..., 1:, :5], video[..., :7, 3:])
    # what lies at the border goes on
    torch.testing.assert_close(moved[..., 0, :5], video[..., 0, 3:])


def test_a_quarter_turn_goes_from_right_to_down():
    video = torch.zeros(1, 1, 9, 9)
    video[..., 4, 7] = 1
    cos, sin = 0.0, 1.0
    turned = Turned(torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0]]))(video)
    assert turned[0, 0].argmax() == 7 * 9 + 4


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_all_frames_alike_at_once_or_one_by_one(dtype):
    video = (
        torch.randint(0, 256, (1, 3, 40, 60), dtype=torch.uint8, generator=seeded(0)).to(dtype).expand(5, -1, -1, -1)
    )
    change = TrainTransform(size=32, turn=Turn(rotate=20, zoom=0.2, shift=3), flip=True)
    whole = change(video, seeded(1))
    assert torch.equal(whole, whole[:1].expand_as(whole))
    if dtype == torch.uint8:
        step = change.by_frame(seeded(1))
        frames = torch.cat([step(frame[None]) for frame in video])
        assert frames.dtype == torch.uint8
        assert torch.equal(change.finish(frames), whole)
    plain = TrainTransform(size=32, flip=True)(video, seeded(1))
    assert not torch.equal(whole, plain)


def test_nothing_is_drawn_where_nothing_turns():
    assert not Turn()
    video = torch.randint(0, 256, (3, 3, 40, 60), dtype=torch.uint8, generator=seeded(0))
    for seed in range(3):
        plain, none = (TrainTransform(size=32, flip=True, turn=turn)(video, seeded(seed)) for turn in (None, Turn()))
        assert torch.equal(plain, none)


@pytest.mark.parametrize("wrong", [{"rotate": -1}, {"zoom": -0.1}, {"shift": -2}])
def test_values_below_zero(wrong):
    with pytest.raises(ConfigError, match="below 0"):
        Turn(**wrong)
