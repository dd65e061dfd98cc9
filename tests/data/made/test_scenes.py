"""Motion clips: reproducible, balanced, the class in the motion and in no single frame."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from spikereel.data.made.scenes import CLASSES, MotionClips, Speeds, draw_pose, events_from
from spikereel.errors import ConfigError


def _poses(label: int, count: int, *, frames: int = 8) -> np.ndarray:
    """[count, frames + 1, 4] of x, y, angle, log-radius of clips of one class on a side of 1."""
    rng = np.random.default_rng(label)
    poses = [draw_pose(rng, label, frames=frames, height=1, width=1) for _ in range(count)]
    return np.array([[p.x, p.y, p.angle, np.log(p.radius)] for p in poses]).transpose(0, 2, 1)


def _steps(index_of: str, *, seed: int = 5) -> np.ndarray:
    """Shortest moves [T - 1, 2] of the keypoints' centre over the torus, in pixels."""
    data = MotionClips(10, seed=seed, targets=True)
    points = data[CLASSES.index(index_of)][2]["keypoints"].numpy()
    moves = np.diff(points, axis=0)
    return ((moves + 32) % 64 - 32).mean(axis=1)


def test_clip_depends_on_seed_and_index_only():
    data = MotionClips(30, seed=3)
    forward = [data[i][0] for i in range(30)]
    backward = [data[i][0] for i in reversed(range(30))][::-1]
    longer = MotionClips(1000, seed=3)
    for i in range(30):
        assert torch.equal(forward[i], backward[i])
        assert torch.equal(forward[i], longer[i][0])
    assert torch.equal(data[-1][0], data[29][0])


def test_workers_give_the_same_clips():
    data = MotionClips(20, frames=3, height=24, width=24)
    alone, shared = (torch.cat([v for v, _ in DataLoader(data, batch_size=4, num_workers=n)]) for n in (0, 2))
    assert torch.equal(alone, shared)


def test_seeds_and_indices_give_different_clips():
    clips = [MotionClips(20, seed=seed, frames=1, height=16, width=16)[i][0] for seed in range(3) for i in range(20)]
    assert len({clip.numpy().tobytes() for clip in clips}) == 60


def test_labels_are_balanced_and_iteration_ends():
    data = MotionClips(40, frames=1, height=16, width=16)
    labels = [label for _, label in data]
    assert np.bincount(labels).tolist() == [4] * 10
    assert data.classes == CLASSES


@given(
    frames=st.integers(1, 9),
    height=st.integers(16, 41),
    width=st.integers(16, 41),
    index=st.integers(0, 9),
    modality=st.sampled_from(["rgb", "events", "surface"]),
)
@settings(max_examples=40, deadline=None)
def test_any_size(frames, height, width, index, modality):
    data = MotionClips(10, frames=frames, height=height, width=width, modality=modality, targets=True)
    video, label, targets = data[index]
    assert label == index
    assert video.shape == (frames, data.channels, height, width)
    assert video.dtype == torch.float32
    assert video.min() >= 0
    assert video.max() <= 1
    assert targets["mask"].shape == (frames, height, width)
    assert targets["keypoints"].shape == (frames, 4, 2)
    assert targets["visible"].shape == (frames, 4)


def test_every_pose_parameter_has_one_distribution_at_every_instant_for_every_class():
    # Kolmogorov distance to the uniform law: 1.95 / sqrt(n) is exceeded once in 1000; 360 tests are made here.
    count = 1500
    rank = (np.arange(count) + 0.5) / count
    low, high = np.log(Speeds().radius)
    for label in range(10):
        poses = _poses(label, count)
        poses[..., 2] /= 2 * np.pi
        poses[..., 3] = (poses[..., 3] - low) / (high - low)
        distance = np.abs(np.sort(poses, axis=0) - rank[:, None, None]).max(axis=0)
        assert distance.max() < 2.4 / np.sqrt(count), CLASSES[label]
        pairs = np.corrcoef(poses[:, 4].T) - np.eye(4)
        assert np.abs(pairs).max() < 4.5 / np.sqrt(count), CLASSES[label]


def test_few_zooms_wrap():
    jumps = np.abs(np.diff(_poses(CLASSES.index("zoom_in"), 500)[..., 3], axis=1)).max(axis=1) > 0.5
    assert jumps.mean() < 0.5


def test_speed_per_frame_does_not_depend_on_the_length():
    for frames in (3, 30):
        poses = _poses(CLASSES.index("right"), 200, frames=frames)
        steps = (np.diff(poses[..., 0], axis=1) + 0.5) % 1 - 0.5
        slow, fast = Speeds().shift
        assert slow <= steps.min() < 1.1 * slow
        assert 0.95 * fast < steps.max() <= fast


def _single_frames(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame 4 of each clip, 8 x 8 rgb pixels and their squares, and the labels."""
    data = MotionClips(count, seed=seed, height=32, width=32)
    frames = torch.stack([data[i][0][4] for i in range(count)])
    pixels = torch.nn.functional.avg_pool2d(frames, 4).flatten(1).numpy()
    return np.concatenate([pixels, pixels**2, np.ones((count, 1))], axis=1), np.arange(count) % 10


def test_single_frames_do_not_tell_the_class():
    train, labels = _single_frames(0, 2000)
    test, truth = _single_frames(1, 1000)
    ridge = np.linalg.solve(train.T @ train + 10 * np.eye(train.shape[1]), train.T @ np.eye(10)[labels])
    accuracy = ((test @ ridge).argmax(axis=1) == truth).mean()
    # Chance is 0.1 with a standard deviation of 0.0095.
    assert 0.06 < accuracy < 0.14


@pytest.mark.parametrize(("name", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)])
def test_trajectory_tells_translations(name, axis, sign):
    steps = _steps(name)
    assert (sign * steps[:, axis] >= Speeds().shift[0] * 64 - 1e-3).all()
    assert np.abs(steps[:, 1 - axis]).max() < 1e-3


def test_shake_goes_nowhere_and_still_stands():
    shake, still = _steps("shake"), _steps("still")
    assert np.linalg.norm(shake, axis=1).min() > 1
    assert np.linalg.norm(shake.sum(axis=0)) < np.linalg.norm(shake, axis=1).sum() / 2
    assert np.abs(still).max() < 1e-3


def test_turns_and_zooms_go_the_right_way():
    for name, sign in (("clockwise", 1), ("counterclockwise", -1)):
        turn = np.diff(_poses(CLASSES.index(name), 50)[..., 2], axis=1)
        turn = (turn + np.pi) % (2 * np.pi) - np.pi
        slow, fast = np.radians(Speeds().turn)
        assert (slow - 1e-6 <= sign * turn).all()
        assert (sign * turn <= fast + 1e-6).all()
    for name, sign in (("zoom_in", 1), ("zoom_out", -1)):
        growth = sign * np.diff(_poses(CLASSES.index(name), 50)[..., 3], axis=1)
        assert (growth[np.abs(growth) < 0.5] > 0.99 * Speeds().zoom[0]).all()


def test_surface_is_the_fading_trace_of_the_events():
    events, surface = (MotionClips(3, modality=m)[1][0] for m in ("events", "surface"))
    assert torch.equal(surface[0], events[0])
    for t in range(1, 8):
        assert torch.equal(surface[t], torch.maximum(events[t], 0.6 * surface[t - 1]))


def test_mask_is_where_pixels_move():
    data = MotionClips(60, seed=2, noise=0.0, clutter=3, targets=True)
    inside = outside = 0
    for index in range(60):
        video, label, targets = data[index]
        # Flicker moves all pixels a little; the object moves its own by much more.
        change = (video[1:] - video[:-1]).abs().amax(1) > 0.15
        either = targets["mask"][1:] | targets["mask"][:-1]
        near = torch.nn.functional.max_pool2d(either.float(), 3, 1, 1) > 0
        assert change.any() == (CLASSES[label] != "still")
        inside, outside = inside + int((change & near).sum()), outside + int((change & ~near).sum())
    # Flicker alone carries a bright pixel in ten thousand over the mark.
    assert outside < 1e-3 * inside


def test_visible_keypoints_are_in_the_mask_and_most_are_visible():
    data = MotionClips(60, seed=1, targets=True)
    seen = total = 0
    for i in range(60):
        _, _, targets = data[i]
        for mask, points, visible in zip(targets["mask"], targets["keypoints"], targets["visible"], strict=True):
            x, y = points[visible].round().long().unbind(-1)
            assert mask[y.clamp(0, 63), x.clamp(0, 63)].all()
            seen, total = seen + int(visible.sum()), total + 4
    assert seen / total > 0.97


def test_event_polarity():
    video = np.full((3, 3, 16, 16), 0.5, np.float32)
    video[1, :, 2, 3] = 0.9
    video[2, :, 2, 3] = 0.5
    video[2, :, 5, 6] = 0.1
    events = events_from(video, threshold=0.25)
    assert events.shape == (2, 2, 16, 16)
    assert [tuple(place) for place in np.argwhere(events)] == [(0, 0, 2, 3), (1, 1, 2, 3), (1, 1, 5, 6)]


def test_event_clip_is_the_rgb_clip_seen_by_an_event_camera():
    options = {"seed": 4, "noise": 0.0, "targets": True}
    for index in range(10):
        rgb, _, rgb_targets = MotionClips(10, **options)[index]
        events, _, targets = MotionClips(10, modality="events", threshold=0.15, **options)[index]
        assert torch.equal(targets["mask"], rgb_targets["mask"])
        assert torch.equal(targets["keypoints"], rgb_targets["keypoints"])
        luma = torch.tensor([0.299, 0.587, 0.114]) @ rgb.flatten(2)
        change = (luma + 0.05).log().diff(dim=0)
        on, off = events[1:, 0].flatten(1).bool(), events[1:, 1].flatten(1).bool()
        # Both clips flicker, by up to 2 % of their own.
        assert not on.any() or change[on].min() > 0.05
        assert not off.any() or change[off].max() < -0.05
        assert not (on & off).any()


def test_the_first_event_frame_is_not_empty():
    data = MotionClips(10, modality="events", noise=0.0, frames=1)
    assert all(data[i][0].sum() > 0 for i in range(6))
    assert data[9][0].sum() == 0


def test_fingerprint_follows_the_options():
    prints = {
        MotionClips(10).fingerprint(),
        MotionClips(11).fingerprint(),
        MotionClips(10, seed=1).fingerprint(),
        MotionClips(10, modality="events").fingerprint(),
    }
    assert len(prints) == 4
    assert MotionClips(10).fingerprint() == MotionClips(10).fingerprint()


@pytest.mark.parametrize(
    "options",
    [
        {"frames": 0},
        {"height": 15},
        {"width": 8},
        {"seed": -1},
        {"seed": 2**32},
        {"noise": -0.1},
        {"modality": "depth"},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        MotionClips(10, **options)


def test_index_out_of_range():
    with pytest.raises(IndexError, match="10 of 10"):
        MotionClips(10)[10]
