"""RandAugment and erasing: the published draws and strengths, one draw for all frames of a clip."""

import sys
from collections import Counter

import numpy as np
import pytest
import torch

from spikereel.data.augment import (
    ARGUMENTS,
    SIGNED,
    Policy,
    apply_operations,
    draw_operations,
    gamma_jitter,
    randaugment,
    random_erasing,
    read_policy,
)
from spikereel.errors import ConfigError

PUBLISHED = Policy(magnitude=5, operations=2, std=0.25)

# Arguments at magnitudes 0, 5 and 10, by hand.
BY_HAND = {
    "AutoContrast": None,
    "Equalize": None,
    "Invert": None,
    "Rotate": (0, 15, 30),
    "Posterize": (0, 2, 4),
    "Solarize": (0, 128, 256),
    "SolarizeAdd": (0, 55, 110),
    "Color": (0.1, 1.0, 1.9),
    "Contrast": (0.1, 1.0, 1.9),
    "Brightness": (0.1, 1.0, 1.9),
    "Sharpness": (0.1, 1.0, 1.9),
    "ShearX": (0, 0.15, 0.3),
    "ShearY": (0, 0.15, 0.3),
    "TranslateXRel": (0, 0.225, 0.45),
    "TranslateYRel": (0, 0.225, 0.45),
}


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _picture(frames: int = 1, height: int = 20, width: int = 30) -> torch.Tensor:
    """uint8 [T, 3, H, W], levels 30 to 219, a ramp of other steepness in each channel, a bright spot."""
    ramp = torch.linspace(0, 1, height * width).reshape(height, width)
    picture = torch.stack([30 + 150 * ramp, 60 + 100 * ramp.flip(0), 219 - 120 * ramp.flip(1)])
    picture[:, 8:11, 8:11] = 210
    return picture.to(torch.uint8).expand(frames, -1, -1, -1).contiguous()


def _draws(policy: Policy, count: int) -> list[list[tuple[str, float]]]:
    rng = np.random.default_rng(0)
    return [draw_operations(policy, rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("m5-n2-mstd0.25", PUBLISHED),
        ("m9.5-n3-mstd1", Policy(magnitude=9.5, operations=3, std=1.0)),
        ("m10-n1", Policy(magnitude=10, operations=1, std=0.0)),
    ],
)
def test_policies(text, policy):
    assert read_policy(text) == policy


@pytest.mark.parametrize(
    "text",
    ["", "m5", "n2-m5", "rand-m5-n2", "m5-n2-mstd", "m-5-n2", "m5-n2-inc1", "m11-n2", "m5-n0", "m5-n2 ", "m5-n\u0662"],
)
def test_malformed_policies_are_shown_a_good_one(text):
    with pytest.raises(ConfigError, match=r"m5-n2-mstd0\.25") as caught:
        read_policy(text)
    assert repr(text) in str(caught.value)


def test_strengths_by_hand():
    assert set(BY_HAND) == set(ARGUMENTS)
    assert len(ARGUMENTS) == 15
    for name, expected in BY_HAND.items():
        argument = ARGUMENTS[name]
        assert (argument is None) == (expected is None)
        if argument is not None:
            assert [argument(q) for q in (0, 0.5, 1)] == pytest.approx(expected)
    # Whole numbers are cut, not rounded.
    assert [ARGUMENTS[name](0.99) for name in ("Posterize", "Solarize", "SolarizeAdd")] == [3, 253, 108]


def test_how_many_operations_are_applied():
    # Two draws, each kept with 1/2: none, one and two in the shares 1/4, 1/2, 1/4.
    counts = Counter(len(draw) for draw in _draws(PUBLISHED, 4000))
    assert set(counts) == {0, 1, 2}
    assert [counts[n] / 4000 for n in range(3)] == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_operations_are_drawn_alike_and_with_replacement():
    draws = _draws(PUBLISHED, 6000)
    counts = Counter(name for draw in draws for name, _ in draw)
    assert set(counts) == set(ARGUMENTS)
    assert all(330 < count < 480 for count in counts.values())  # 400 expected, standard deviation 20
    assert any(len(draw) == 2 and draw[0][0] == draw[1][0] for draw in draws)


def test_signs_are_fair_and_only_where_there_are_two_ways():
    signs = {name: [] for name in ARGUMENTS}
    for draw in _draws(Policy(magnitude=5, operations=2), 6000):
        for name, argument in draw:
            signs[name].append(argument < 0)
    for name, negative in signs.items():
        assert np.mean(negative) == (pytest.approx(0.5, abs=0.1) if name in SIGNED else 0)
    assert {"Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"} == SIGNED


def test_magnitudes_are_normal_and_clipped():
    def degrees(policy):
        return np.array([abs(a) for draw in _draws(policy, 20_000) for name, a in draw if name == "Rotate"]) / 3

    usual = degrees(PUBLISHED)
    assert usual.mean() == pytest.approx(5, abs=0.05)
    assert usual.std() == pytest.approx(0.25, abs=0.03)
    wild = degrees(Policy(magnitude=5, operations=2, std=20))
    assert (wild.min(), wild.max()) == (0, 10)
    assert set(degrees(Policy(magnitude=5, operations=2))) == {5}


# At full strength all levels lie below the threshold of Solarize, 256.
@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_full_strength_changes_the_picture(name):
    picture = _picture()
    argument = ARGUMENTS[name]
    changed = apply_operations(picture, [(name, argument(1.0) if argument else 0.0)])
    assert changed.shape == picture.shape
    assert changed.dtype == torch.uint8
    assert torch.equal(changed, picture) == (name == "Solarize")


def test_operations_on_levels_by_hand():
    levels = torch.tensor([0, 20, 100, 127, 128, 200, 255], dtype=torch.uint8).expand(1, 3, 1, -1)

    def after(name, argument):
        return apply_operations(levels, [(name, argument)])[0, 0, 0].tolist()

    assert after("Invert", 0) == [255, 235, 155, 128, 127, 55, 0]
    assert after("Posterize", 2) == [0, 0, 64, 64, 128, 192, 192]
    assert after("Solarize", 128) == [0, 20, 100, 127, 127, 55, 0]
    assert after("SolarizeAdd", 55) == [55, 75, 155, 182, 128, 200, 255]
    assert after("SolarizeAdd", 110) == [110, 130, 210, 237, 128, 200, 255]
    assert after("Brightness", 0.1) == pytest.approx([0, 2, 10, 12.7, 12.8, 20, 25.5], abs=1)
    assert after("Color", 1.9) == levels[0, 0, 0].tolist()  # grey has no colour to strengthen


def test_moves_by_hand_leave_grey_behind():
    spot = torch.zeros(1, 3, 21, 41, dtype=torch.uint8)
    spot[..., 10, 10] = 255

    def brightest(name, argument):
        moved = apply_operations(spot, [(name, argument)])[0, 1].float()
        moved[moved == 128] = 0
        return divmod(int(moved.argmax()), 41)

    # The argument says where the new pixel (row, column) comes from, so pictures move against it.
    assert brightest("TranslateXRel", 3 / 41) == (10, 7)
    assert brightest("TranslateYRel", -3 / 21) == (13, 10)
    assert brightest("ShearX", 0.3) == (10, 7)
    assert brightest("ShearY", 0.3) == (7, 10)
    # From 10 left of the middle to 10 cos(30) = 8.7 left and 10 sin(30) = 5 below.
    assert brightest("Rotate", 30) == (15, 11)
    for name, argument in (("TranslateXRel", 0.45), ("ShearX", 0.3), ("Rotate", 30.0)):
        assert (apply_operations(spot, [(name, argument)])[0, :, 20, 40] == 128).all(), name


def _edge() -> torch.Tensor:
    """uint8 [1, 3, 40, 40]: left black, right 200."""
    return torch.tensor([0, 200], dtype=torch.uint8).repeat_interleave(20).expand(1, 3, 40, 40)


def test_rotation_is_counter_clockwise():
    turned = apply_operations(_edge(), [("Rotate", 15.0)])[0, 0]
    assert turned[10, 20] > 100 > turned[30, 19]  # the upper end of the edge went to the left


@pytest.mark.parametrize(("name", "argument"), [("Rotate", 15.0), ("ShearX", 0.15), ("TranslateXRel", 0.09)])
def test_moves_are_bicubic(name, argument):
    moved = apply_operations(_edge(), [(name, argument)])[0, 0, 10:30, 10:30]
    assert moved.max() > 200  # bilinear never leaves the levels of the picture


@pytest.mark.parametrize("seed", range(25))
def test_one_draw_for_all_frames_by_seed(seed):
    video = _picture(4)
    policy = Policy(magnitude=8, operations=3, std=1.0)
    changed = randaugment(video, policy, generator=_generator(seed))
    assert changed.dtype == torch.uint8
    assert torch.equal(changed, changed[:1].expand_as(changed))
    assert torch.equal(changed, randaugment(video, policy, generator=_generator(seed)))
    assert torch.equal(video, _picture(4))


def test_seeds_differ_and_the_generator_moves_on():
    generator = _generator()
    policy = Policy(magnitude=8, operations=3, std=1.0)
    clips = {randaugment(_picture(), policy, generator=generator).numpy().tobytes() for _ in range(20)}
    assert len(clips) > 12


@pytest.mark.parametrize(
    "video",
    [torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.uint8)],
)
def test_randaugment_refuses(video):
    with pytest.raises(ConfigError, match="give uint8"):
        randaugment(video, PUBLISHED)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"pip install 'spikereel\[train\]'"):
        randaugment(_picture(), PUBLISHED)


def _erased(seed: int, **options) -> torch.Tensor:
    """float [4, 3, 30, 40] of 9s but for the noise."""
    return random_erasing(torch.full((4, 3, 30, 40), 9.0), generator=_generator(seed), **options)


@pytest.mark.parametrize("seed", range(20))
def test_erasing_is_one_rectangle_of_other_noise_in_each_frame(seed):
    video = _erased(seed, probability=1.0)
    hit = video != 9
    assert torch.equal(hit, hit[:1, :1].expand_as(hit))
    rows, columns = hit[0, 0].any(1).sum().item(), hit[0, 0].any(0).sum().item()
    assert hit[0, 0].sum() == rows * columns
    assert 0.015 < rows * columns / 1200 < 0.36  # 0.02 to 1/3 but for rounding
    assert 0.2 < rows / columns < 4.5  # 0.3 to 1/0.3 but for rounding
    noise = video[hit].reshape(12, rows * columns)
    assert len({tuple(row.tolist()) for row in noise}) == 12
    assert torch.equal(video, _erased(seed, probability=1.0))
    assert not torch.equal(video, _erased(seed + 1, probability=1.0))


def test_erasing_fills_the_ranges():
    hits = [_erased(seed, probability=1.0)[0, 0] != 9 for seed in range(400)]
    sides = torch.tensor([[hit.any(1).sum(), hit.any(0).sum()] for hit in hits]).float()
    shares, ratios = sides.prod(1) / 1200, (sides[:, 0] / sides[:, 1]).log()
    assert shares.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.02)
    assert (shares.min() < 0.035, shares.max() > 0.31) == (True, True)
    # Log-uniform, but for the tallest, which do not fit into 30 rows.
    assert ratios.mean() == pytest.approx(0, abs=0.12)
    assert (ratios.min() < -1.0, ratios.max() > 1.0) == (True, True)
    corners = torch.stack([hit.nonzero()[[0, -1]] for hit in hits])
    assert corners[:, 0].min(0)[0].tolist() == [0, 0]
    assert corners[:, 1].max(0)[0].tolist() == [29, 39]


def test_noise_is_standard_normal():
    noise = torch.cat([(video := _erased(seed, probability=1.0))[video != 9] for seed in range(30)])
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(1, abs=0.02)


def test_share_of_erased_clips():
    erased = [bool((_erased(seed) != 9).any()) for seed in range(1000)]
    assert np.mean(erased) == pytest.approx(0.25, abs=0.05)
    assert not any((_erased(seed, probability=0.0) != 9).any() for seed in range(20))


def test_erasing_leaves_its_input_and_what_is_too_small():
    video = torch.zeros(1, 3, 16, 16)
    assert random_erasing(video, probability=1.0, generator=_generator()).any()
    assert not video.any()
    line = torch.zeros(1, 3, 1, 64)  # 1 x 16 pixels are not smaller than one row
    assert not random_erasing(line, probability=1.0, area=(0.25, 0.25), ratio=(1 / 16, 1 / 16)).any()
    with pytest.raises(ConfigError, match="normalise the clip first"):
        random_erasing(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), probability=1.0)


def test_gamma_keeps_black_white_and_order():
    ramp = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    seen = [
        gamma_jitter(ramp, 1.0, generator=torch.Generator().manual_seed(seed)).flatten().int() for seed in range(40)
    ]
    assert all(x[0] == 0 and x[-1] == 255 and (x.diff() >= 0).all() for x in seen)
    middles = [int(x[128]) for x in seen]
    assert min(middles) >= 64  # gamma 2
    assert max(middles) <= 181  # gamma 1 / 2
    assert sum(x > 128 for x in middles) in range(10, 31)
    assert torch.equal(gamma_jitter(ramp, 0.0), ramp)
    for video, strength in ((ramp.float(), 1.0), (ramp, -0.5)):
        with pytest.raises(ConfigError, match="cannot jitter the gamma"):
            gamma_jitter(video, strength)
