"""Frames, voxel grids and surfaces by hand, what they conserve, and the changes to events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikereel.data.events.augment import (
    EventAugment,
    drop_events,
    flip_horizontal,
    flip_polarity,
    jitter_time,
    rotate_and_zoom,
    shift,
)
from spikereel.data.events.frames import to_frames, to_surface, to_voxels
from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError, DataError


def make(rows, width=4, height=3) -> Events:
    t, x, y, p = (np.array(column) for column in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 4
    return Events(
        t=t.astype(np.int64), x=x.astype(np.uint16), y=y.astype(np.uint16), p=p.astype(bool), width=width, height=height
    )


def random_events(seed=0, count=500, width=34, height=34) -> Events:
    rng = np.random.default_rng(seed)
    columns = rng.integers(0, [[10_000], [width], [height], [2]], (4, count))
    columns[0].sort()
    return make(columns.T.tolist(), width, height)


recordings = st.lists(
    st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=40
).map(lambda rows: make(sorted(rows)))


def test_events_are_checked():
    good = make([(1, 0, 0, 1), (2, 3, 2, 0)])
    assert len(good) == 2
    with pytest.raises(DataError, match="event 1 has x 4, outside the sensor of 4 x 3"):
        make([(1, 0, 0, 1), (2, 4, 2, 0)])
    with pytest.raises(DataError, match="event 0 has y 3, outside"):
        make([(1, 0, 3, 1)])
    with pytest.raises(DataError, match="backwards at event 2, 4 us after 5 us"):
        make([(1, 0, 0, 1), (5, 0, 0, 1), (4, 0, 0, 1)])
    with pytest.raises(DataError, match=r"x is uint16 \[1\]; make it uint16 \[2\]"):
        Events(t=good.t, x=good.x[:1], y=good.y, p=good.p, width=4, height=3)
    with pytest.raises(DataError, match=r"t is int32 \[2\]; make it int64"):
        Events(t=good.t.astype(np.int32), x=good.x, y=good.y, p=good.p, width=4, height=3)


def test_between_is_half_open():
    events = make([(t, 0, 0, 1) for t in (1, 2, 2, 3, 5)])
    assert events.between(2, 3).t.tolist() == [2, 2]
    assert events.between(2, 6).t.tolist() == [2, 2, 3, 5]
    assert events.between(4, 4).t.tolist() == []
    assert events.between(2, 3).t.base is not None
    with pytest.raises(ConfigError, match="start_us is 3 and stop_us 2"):
        events.between(3, 2)


def test_frames_by_hand():
    rows = [(0, 0, 0, 1), (3, 1, 0, 0), (4, 1, 0, 0), (5, 3, 2, 1), (5, 3, 2, 1), (10, 2, 1, 1)]
    frames = to_frames(make(rows), 2)
    assert frames.shape == (2, 2, 3, 4)
    assert frames.dtype == np.float32
    # The edges are 0, 5 and 10; 5 belongs to the second bin, and so does 10.
    assert np.argwhere(frames).tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 2], [1, 0, 2, 3]]
    assert frames[0, 1, 0, 1] == 2
    assert frames[1, 0, 2, 3] == 2
    binary = to_frames(make(rows), 2, values="binary")
    assert np.array_equal(binary, frames > 0)
    counted = to_frames(make(rows), 4, by="count")
    assert counted.sum(axis=(1, 2, 3)).tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize("bins", [1, 3, 7])
def test_bins_have_exact_edges(bins):
    """Every time from 0 to 20 alone, against the definition in fractions."""
    events = make([(1000 + t, 0, 0, 1) for t in range(21)])
    frames = to_frames(events, bins).sum(axis=(1, 2, 3))
    expected = [
        sum(20 * k <= t * bins < 20 * (k + 1) or (t == 20 and k == bins - 1) for t in range(21)) for k in range(bins)
    ]
    assert frames.tolist() == expected


def test_no_events_and_one_instant():
    for form in (to_frames, to_voxels, to_surface):
        assert form(make([]), 3).tolist() == np.zeros((3, 2, 3, 4)).tolist()
    instant = make([(7, 0, 0, 1), (7, 1, 1, 0)])
    assert to_frames(instant, 3).sum(axis=(1, 2, 3)).tolist() == [0, 0, 2]
    assert to_voxels(instant, 3).sum(axis=(1, 2, 3)).tolist() == [2, 0, 0]


@given(
    recordings, st.integers(1, 9), st.sampled_from([None, (1, 1), (2, 3), (5, 9)]), st.sampled_from(["time", "count"])
)
def test_binning_keeps_every_event(events, bins, size, by):
    frames = to_frames(events, bins, by=by, size=size)
    assert frames.shape == (bins, 2, *(size or (3, 4)))
    assert frames[:, 0].sum() == events.p.sum()
    assert frames[:, 1].sum() == (~events.p).sum()
    voxels = to_voxels(events, bins, size=size)
    assert np.isclose(voxels.sum(), len(events), rtol=1e-5)
    assert voxels.min(initial=0) >= 0


def test_resizing_adds_up_what_meets():
    events = random_events()
    small = to_frames(events, 2, size=(17, 17))
    whole = to_frames(events, 2)
    assert np.array_equal(small, whole.reshape(2, 2, 17, 2, 17, 2).sum(axis=(3, 5)))
    large = to_frames(events, 2, size=(68, 68))
    assert np.array_equal(large[..., ::2, ::2], whole)
    # 4 columns on 3: 0 and 1 meet.
    assert to_frames(make([(0, x, 0, 1) for x in range(4)]), 1, size=(3, 3))[0, 0, 0].tolist() == [2, 1, 1]


def test_voxels_by_hand():
    voxels = to_voxels(make([(0, 0, 0, 1), (25, 1, 0, 1), (50, 2, 0, 0), (100, 3, 0, 1)]), 3)
    assert voxels[:, 0, 0].tolist() == [[1, 0.5, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1]]
    assert voxels[:, 1, 0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_surface_by_hand():
    events = make([(0, 0, 0, 1), (40, 1, 0, 1), (50, 2, 0, 0), (100, 0, 0, 1)])
    surface = to_surface(events, 2, tau_us=50)
    assert np.allclose(surface[:, 0, 0, :2], [[np.exp(-1), np.exp(-0.2)], [1, np.exp(-1.2)]])
    assert np.allclose(surface[:, 1, 0, 2], [0, np.exp(-1)])  # at 50 us it is past the first bin
    assert np.count_nonzero(surface) == 5
    # The most recent of two pixels that meet.
    assert np.allclose(to_surface(events, 2, tau_us=50, size=(3, 2))[:, 0, 0, 0], [np.exp(-0.2), 1])


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (to_frames, {"bins": 0}),
        (to_frames, {"bins": 2, "by": "mean"}),
        (to_frames, {"bins": 2, "values": "mean"}),
        (to_frames, {"bins": 2, "size": (0, 3)}),
        (to_voxels, {"bins": 0}),
        (to_surface, {"bins": 0}),
        (to_surface, {"bins": 2, "tau_us": 0}),
    ],
)
def test_refuses(form, options):
    with pytest.raises(ConfigError):
        form(make([(0, 0, 0, 1)]), **options)


def test_flips_and_shift_by_hand():
    events = make([(1, 0, 0, 1), (2, 3, 2, 0)])
    assert flip_horizontal(events).x.tolist() == [3, 0]
    assert flip_polarity(events).p.tolist() == [False, True]
    moved = shift(events, 1, 0)
    assert (moved.t.tolist(), moved.x.tolist(), moved.y.tolist()) == ([1], [1], [0])
    moved = shift(events, -1, -2)
    assert (moved.t.tolist(), moved.x.tolist(), moved.y.tolist()) == ([2], [2], [0])
    assert events.x.tolist() == [0, 3]


def test_drop_and_jitter():
    events = random_events(count=4000)
    rng = np.random.default_rng
    assert len(drop_events(events, 0.0, rng(0))) == 4000
    assert len(drop_events(events, 1.0, rng(0))) == 0
    assert 2700 < len(drop_events(events, 0.3, rng(0))) < 2900
    noisy = jitter_time(events, 50.0, rng(0))
    assert not np.array_equal(noisy.t, events.t)
    assert sorted(zip(noisy.x, noisy.y, noisy.p, strict=True)) == sorted(zip(events.x, events.y, events.p, strict=True))
    assert np.array_equal(jitter_time(events, 50.0, rng(0)).t, noisy.t)
    assert np.array_equal(jitter_time(events, 0.0, rng(0)).t, events.t)
    apart = make([(10_000 * i, 0, 0, 1) for i in range(4000)])
    assert 48 < np.std(jitter_time(apart, 50.0, rng(0)).t - apart.t) < 52
    with pytest.raises(ConfigError, match=r"rate is 1\.5"):
        drop_events(events, 1.5, rng(0))
    for sigma in (-1, np.nan, np.inf):
        with pytest.raises(ConfigError, match=f"sigma_us is {sigma}"):
            jitter_time(events, sigma, rng(0))


def test_rotate_and_zoom():
    events = make([(0, 3, 1, 1), (1, 0, 0, 0), (2, 2, 0, 1)], width=5, height=3)
    turned = rotate_and_zoom(events, 90, 1)  # right becomes down
    assert (turned.x.tolist(), turned.y.tolist()) == ([2, 3], [2, 1])
    larger = rotate_and_zoom(events, 0, 2)  # the others leave the sensor
    assert (larger.x.tolist(), larger.y.tolist(), larger.t.tolist()) == ([4], [1], [0])
    assert rotate_and_zoom(random_events(), 0, 1).x.tolist() == random_events().x.tolist()
    for degrees, factor in ((0, 0), (0, np.inf), (np.nan, 1)):
        with pytest.raises(ConfigError, match=f"factor is {factor} and degrees {degrees}"):
            rotate_and_zoom(events, degrees, factor)


def test_augment():
    events, rng = random_events(), np.random.default_rng
    nothing = EventAugment()(events, rng(0))
    assert all(np.array_equal(getattr(nothing, name), getattr(events, name)) for name in "txyp")
    always = EventAugment(flip=1, polarity=1)(events, rng(0))
    assert np.array_equal(always.x, 33 - events.x)
    assert np.array_equal(always.p, ~events.p)
    busy = EventAugment(flip=0.5, shift=4, drop=0.5, jitter_us=20)
    first, again, other = busy(events, rng(3)), busy(events, rng(3)), busy(events, rng(4))
    assert np.array_equal(first.t, again.t)
    assert np.array_equal(first.x, again.x)
    assert len(first) != len(other)
    # One option does not disturb the draws of another.
    with_jitter = EventAugment(shift=4, jitter_us=20)(events, rng(3))
    assert sorted(with_jitter.x) == sorted(EventAugment(shift=4)(events, rng(3)).x)
    wrong = {"flip": 2, "shift": -1, "drop": 1.1, "jitter_us": -1, "rotate": 181, "zoom": -1, "polarity": -0.1}
    for name, value in wrong.items():
        with pytest.raises(ConfigError):
            EventAugment(**{name: value})
        for endless in (np.nan, np.inf):
            with pytest.raises(ConfigError, match=f"{name} is {endless}"):
                EventAugment(**{name: endless})
