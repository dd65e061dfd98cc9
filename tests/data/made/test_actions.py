"""People who do something: what a video is made from, who looks where, and what a clip of it shows."""

import numpy as np
import pytest
import torch

from spikereel.body.skeletons import KINECT20
from spikereel.data.made.actions import CLASSES, DOING, Person, draw_actions, film_actions, placed
from spikereel.data.made.filmed import FPS
from spikereel.data.sets.actions import ActionClips, ActionReading
from spikereel.data.trails import with_trails
from spikereel.errors import ConfigError

HAND = KINECT20.joints.index("right_hand"), KINECT20.joints.index("left_hand")
CHEST = KINECT20.joints.index("shoulder_center")


def _two(name, seed, seconds=3.0):
    """(t, actor, other, their joints) of a class, the actor on the left."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * FPS)) / FPS
    a, b = (Person(np.zeros((len(t), 20, 3)), np.full(len(t), -0.8), np.zeros(len(t))) for _ in range(2))
    DOING[name](rng, t, a, b)
    return t, a, b, placed(rng, a, 0.0, left=True), placed(rng, b, 0.0, left=False)


def test_a_clip_depends_on_seed_epoch_and_number_alone():
    clips = ActionClips(len(CLASSES), ActionReading(frames=4, size=24, trails=0.33, time_warp=0.5), seed=3)
    first = [clips[i] for i in range(len(CLASSES))]
    assert [label for _, label in first] == list(range(len(CLASSES)))
    again = ActionClips(len(CLASSES), clips.reading, seed=3)
    assert all(torch.equal(again[i][0], x) for i, (x, _) in reversed(list(enumerate(first))))
    again.set_epoch(1)
    other = ActionClips(len(CLASSES), clips.reading, seed=4)
    assert not any(torch.equal(x, y[i][0]) for i, (x, _) in enumerate(first) for y in (again, other))
    assert clips.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("name", CLASSES)
def test_the_actor_stands_left_looks_right_and_does_it_to_the_other(name):
    gaps, reach = [], []
    for seed in range(8):
        _, _, _, a, b = _two(name, seed)
        assert a[0, CHEST, 0] < b[0, CHEST, 0]
        assert np.allclose(a[..., 1].max(1), b[..., 1].max(1)) or name == "jump"
        gap = b[:, CHEST, 0] - a[:, CHEST, 0]
        gaps.append((gap[0], gap.min(), gap[-1]))
        reach.append((a[:, HAND, 0] - a[:, [CHEST], 0]).max())
    first, least, last = np.array(gaps).T
    if name in ("approach", "handshake", "hug"):
        assert (least < first).all()
    if name == "hug":
        assert (least < 0.6).all()
    if name == "leave":
        assert (last > first).all()
    if name == "pass_by":
        assert (least < 0).all()
    if name in ("handshake", "hug", "punch", "push", "point"):
        assert min(reach) > 0.3


def test_a_clip_shows_frames_of_the_whole_video_with_their_trails():
    reading = ActionReading(frames=8, size=32, trails=0.5, mean=(0.0,), std=(1.0,))
    clips = ActionClips(3, reading, seed=1)
    video = draw_actions(clips.random(2), 2, 32)
    assert video.dtype == torch.float32
    assert 0 <= float(video.min()) < float(video.max()) <= 1
    chosen = torch.linspace(0, len(video) - 1, 8).round().long().tolist()
    colour = video[:, None].expand(-1, 3, -1, -1)
    assert torch.allclose(clips[2][0], with_trails(colour, chosen, 0.5 * FPS), atol=1e-6)
    plain = ActionClips(3, ActionReading(frames=8, size=32, mean=(0.0,), std=(1.0,)), seed=1)
    assert torch.equal(plain[2][0], colour[chosen])


def test_joints_are_where_the_picture_moves_and_the_actor_comes_first():
    label, feet = CLASSES.index("kick"), [KINECT20.joints.index(f"{side}_foot") for side in ("left", "right")]
    drawn, beside, higher = [], [], 0
    for seed in range(12):
        video, spots = film_actions(np.random.default_rng(seed), label, 32)
        assert spots.shape == (len(video), 2, 20, 2)
        assert torch.equal(video, draw_actions(np.random.default_rng(seed), label, 32))
        lifted = spots[:, :, feet, 1].amax(2).amax(0)[:, None, None] - spots[:, :, feet, 1].transpose(0, 1)
        higher += int(lifted[0].max() > lifted[1].max())
        change = (video[1:] - video[:-1]).abs()
        place = (32 * spots[1:, 0, feet]).long().clamp(0, 31)
        drawn.append(torch.stack([change[torch.arange(len(change)), y, x].mean() for x, y in place.permute(1, 2, 0)]))
        beside.append(change.mean())
    assert higher >= 10
    assert torch.stack(drawn).amax(1).mean() > 2 * torch.stack(beside).mean()


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"size": 0}, {"trails": -1.0}, {"time_warp": 1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="at least"):
        ActionReading(**{"frames": 4, "size": 24, **wrong})
    with pytest.raises(ConfigError, match="0 clips"):
        ActionClips(0, ActionReading(frames=4, size=24))
