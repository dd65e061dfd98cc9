"""Events made from video: crossings by hand, thresholds, refractory period, noise, and clips of any dataset."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.reading import EventReading
from spikereel.data.events.simulate import EventSimulator, SimulatedEvents, log_intensity
from spikereel.data.made.scenes import MotionClips
from spikereel.errors import ConfigError

EXACT = EventSimulator(threshold=0.25, spread=0)


def rng(seed=0):
    return np.random.default_rng(seed)


def levels(*rows):
    """A grey clip [T, 1, 1, W] whose log intensities are those above the darkest."""
    return (0.05 * np.exp(np.array(rows, np.float64)) - 0.05)[:, None, None, :]


def test_crossings_by_hand():
    # left: up by 0.9 in 90 us, then down by 0.8; right: still, then up by 0.3
    events = EXACT(levels([0, 1], [0.9, 1], [0.1, 1.3]), [100, 190, 270], rng())
    rows = sorted(zip(events.t.tolist(), events.x.tolist(), events.p.tolist(), strict=True))
    # 0.15 is left over after 3 ON events, so OFF ones come at 0.5, 0.25 (and not at 0)
    assert rows == [(125, 0, True), (150, 0, True), (175, 0, True), (230, 0, False), (255, 0, False), (257, 1, True)]
    assert (events.format, events.width, events.height) == ("simulated", 2, 1)


def test_a_slow_change_is_not_lost_between_frames():
    slow = levels(*([0.1 * k] for k in range(10)))
    events = EXACT(slow, range(0, 100, 10), rng())
    assert events.t.tolist() == [25, 50, 75]
    assert events.p.all()


def test_shuffled_in_time_it_counts_what_the_clip_changed():
    clip = MotionClips(1, height=24, width=32)[0][0].numpy()
    events = EXACT(clip, range(0, 8 * 1000, 1000), rng())
    level = log_intensity(clip)
    signed = np.zeros((24, 32))
    np.add.at(signed, (events.y, events.x), np.where(events.p, 0.25, -0.25))
    assert abs(signed - (level[-1] - level[0])).max() < 0.25 + 1e-5
    assert len(events) > 100


def test_refractory_period_and_thresholds_of_pixels():
    ramp = levels([0, 0], [2.4, 0.6])
    blind = replace(EXACT, refractory_us=25)
    # 9 events, 10.4 us apart, of the left pixel: every third comes through
    assert EXACT(ramp, [0, 100], rng()).t.tolist().count(42) == 2
    left = blind(ramp, [0, 100], rng())
    assert left.take(left.x == 0).t.tolist() == [10, 42, 73]
    again = blind(levels([0], [2.4], [2.4], [0]), [0, 100, 110, 210], rng())
    assert (np.diff(again.t) >= 25).all()
    wide = levels(np.zeros(4000), np.full(4000, 1.0))
    spread = replace(EXACT, spread=0.05)(wide, [0, 100], rng())
    counts = np.bincount(spread.x, minlength=4000)
    assert counts.min() < 3 < 5 < counts.max()
    assert not np.array_equal(spread.x, replace(EXACT, spread=0.05)(wide, [0, 100], rng(1)).x)


def test_noise():
    still = levels(np.zeros(500), np.zeros(500), np.zeros(500))
    assert len(EXACT(still, [0, 500_000, 1_000_000], rng())) == 0
    leak = replace(EXACT, leak_hz=4.0)(still, [0, 600_000, 1_100_000], rng())
    assert len(leak) == 2000
    assert leak.p.all()
    assert sorted(set(leak.t.tolist())) == [250_000, 500_000, 750_000, 1_000_000]
    shot = replace(EXACT, shot_hz=10.0)(still, [0, 500_000, 1_000_000], rng())
    assert 4600 < len(shot) < 5400
    assert 0.45 < shot.p.mean() < 0.55


@pytest.mark.parametrize(
    ("video", "times", "message"),
    [
        (np.zeros((1, 1, 2, 2)), [0], "1 frames"),
        (np.zeros((2, 1, 2, 2)), [5, 5], "later time"),
        (np.zeros((3, 1, 2, 2)), [5, 6], "3 frames"),
        (np.zeros((2, 2, 2, 2)), [5, 6], "1 or 3 channels"),
        (np.full((2, 1, 2, 2), 2.0), [5, 6], "scale them"),
        (np.zeros((2, 1, 2, 0)), [5, 6], r"the clip is \[2, 1, 2, 0\]"),
        (np.zeros((2, 1, 2, 2)), [5, np.nan], r"2 frames at \[5\.0, nan\]"),
        (np.zeros((2, 1, 2, 2)), [5, 1e300], "later time"),
        (np.full((2, 1, 2, 2), np.nan), [5, 6], "scale them"),
    ],
)
def test_refuses(video, times, message):
    with pytest.raises(ConfigError, match=message):
        EXACT(video, times, rng())
    with pytest.raises(ConfigError):
        replace(EXACT, threshold=0)


@pytest.mark.parametrize("name", ["threshold", "spread", "refractory_us", "leak_hz", "shot_hz"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_refuses_options(name, value):
    with pytest.raises(ConfigError, match=rf"{name}={value}"):
        EventSimulator(**{name: value})
    with pytest.raises(ConfigError, match="up to 1000000 Hz"):
        EventSimulator(shot_hz=1e300)


class Clips(MotionClips):
    def set_epoch(self, epoch):
        self.epoch = epoch


def test_any_clips_as_events():
    clips = Clips(6, height=24, width=32)
    data = SimulatedEvents(clips, EventReading(bins=7), EXACT)
    video, label = data[3]
    assert (video.shape, label, len(data), data.classes) == ((7, 2, 24, 32), 3, 6, clips.classes)
    assert video.sum() == len(EXACT(clips[3][0].numpy(), range(0, 320_000, 40_000), rng()))
    assert data.simulated
    assert "simulated" in data.name
    assert data.fingerprint() != clips.fingerprint()
    assert data.fingerprint() != SimulatedEvents(clips, EventReading(bins=7), EventSimulator()).fingerprint()


def test_noise_is_seeded_by_epoch_in_training_only():
    noisy = EventSimulator(shot_hz=20.0)
    train = EventReading(bins=4, train=True, augment=EventAugment(shift=2))
    data, same = (SimulatedEvents(Clips(4, height=24, width=32), train, noisy) for _ in range(2))
    _ = same[0]
    first = data[1][0]
    assert torch.equal(first, same[1][0])
    data.set_epoch(1)
    assert data.clips.epoch == 1
    assert not torch.equal(first, data[1][0])
    judged = SimulatedEvents(Clips(4, height=24, width=32), EventReading(bins=4), noisy)
    first = judged[1][0]
    judged.set_epoch(1)
    assert torch.equal(first, judged[1][0])
