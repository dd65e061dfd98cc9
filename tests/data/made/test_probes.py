"""Temporal probes: what single frames and frames without order can tell is counted over every clip there is."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from spikereel.data.made.probes import (
    PROBES,
    SHAPES,
    ProbeClips,
    ProbeName,
    bag_share,
    frame_share,
    layouts,
    least_frames,
)
from spikereel.errors import ConfigError

NAMES: tuple[ProbeName, ...] = tuple(PROBES)  # ty: ignore
BLIND = ("order", "count", "duration", "rhythm")
"""Those that frames without their order say nothing on."""


def _chance(probe: ProbeName) -> Fraction:
    return Fraction(1, len(PROBES[probe].classes))


@pytest.mark.parametrize("gap", [1, 3, 8])
@pytest.mark.parametrize("probe", [name for name in NAMES if name != "control"])
def test_single_frames_say_nothing(probe: ProbeName, gap: int):
    frames = least_frames(probe, gap) + 5
    assert frame_share(probe, gap, frames) == _chance(probe)
    if probe != "count":
        assert frame_share(probe, gap, frames, changes=True) == _chance(probe)


def test_single_frames_tell_the_control_and_events_the_count():
    # 4 of 24 frames are lit, and settle it; the others are a guess
    assert frame_share("control", 8, 24) == Fraction(4, 24) + Fraction(20, 24) / 2
    assert frame_share("count", 2, 30, changes=True) > _chance("count")


@pytest.mark.parametrize("probe", NAMES)
def test_frames_without_order_tell_only_what_needs_no_order(probe: ProbeName):
    frames = least_frames(probe, 4) + 3
    assert bag_share(probe, 4, frames) == (_chance(probe) if probe in BLIND else 1)


@pytest.mark.parametrize("probe", NAMES)
def test_all_that_is_shown_lies_a_gap_apart_and_inside_the_shortest_clip(probe: ProbeName):
    for gap in (1, 5):
        ends = set()
        for layout in (layout for of_class in layouts(probe, gap) for layout in of_class):
            for before, after in pairwise(layout):
                assert after.start - before.start - before.length >= gap
            ends.add(layout[-1].start + layout[-1].length)
        assert least_frames(probe, gap) == max(ends) + 2


@pytest.mark.parametrize("modality", ["grey", "rgb"])
def test_pictures_show_the_layout(modality: str):
    clips = ProbeClips(40, probe="duration", gap=3, frames=16, size=24, modality=modality, noise=0)  # ty: ignore
    for video, label in clips:
        still = video[0]
        lit = [int((frame - still).abs().max() > 0.2) for frame in video]
        runs = [len(run) for run in "".join(map(str, lit)).split("0") if run]
        assert len(runs) == 2
        assert label == (runs[1] > runs[0])
        assert lit[0] == lit[-1] == 0


@pytest.mark.parametrize("probe", NAMES)
def test_what_a_frame_shows_is_what_is_drawn(probe: ProbeName):
    clips = ProbeClips(40, probe=probe, gap=2, frames=least_frames(probe, 2) + 4)
    of_class: dict[int, set] = {}
    for i in range(-1, 40):
        video, label = clips[i]
        shown = clips.shown(i)
        assert torch.equal(shown < len(SHAPES), video.flatten(1).sum(1) > 0)
        of_class.setdefault(label, set()).add(frozenset(shown[shown < len(SHAPES)].tolist()))
    if probe == "match":
        assert [max(map(len, of_class[label])) for label in (0, 1)] == [2, 1]
    if probe == "control":
        assert of_class == {0: {frozenset({0})}, 1: {frozenset({1})}}


def test_shapes_of_a_match_are_the_same_but_for_place_and_size():
    clips = ProbeClips(40, probe="match", gap=2, frames=8, size=48, modality="grey")
    filled = []
    for video, label in clips:
        ink = [frame for frame in video[:, 0] if frame.max() > 0.5]
        first, last = ((frame > 0.5).float() for frame in (ink[0], ink[-1]))
        assert len(ink) == 4
        filled.append((label, float(first.sum() - last.sum())))
    # sizes differ in every clip, so equal areas tell nothing
    assert all(change != 0 for _, change in filled)


def test_events_appear_and_go_where_the_shape_does():
    clips = ProbeClips(6, probe="order", gap=3, frames=12, size=32, modality="events", noise=0)
    for video, _ in clips:
        active = [t for t, frame in enumerate(video) if frame.sum() > 10]
        assert len(active) == 4
        assert active[1] - active[0] == active[3] - active[2] == 2
        assert active[2] - active[1] == 3


def test_a_ridge_on_single_frames_is_at_chance_and_on_the_control_is_not():
    """The same, learnt from pixels: frames described by how much ink lies at which distance from its centre."""

    def share(probe: ProbeName) -> float:
        rows, labels = [], []
        for video, label in ProbeClips(300, probe=probe, gap=2, frames=12, size=24):
            for frame in video[:, 0]:
                if frame.sum() > 0:
                    rows.append(_described(frame.numpy()))
                    labels.append(2 * label - 1)
        x, y = np.array(rows), np.array(labels)
        half = len(x) // 2
        weights = np.linalg.solve(x[:half].T @ x[:half] + 1e-3 * np.eye(x.shape[1]), x[:half].T @ y[:half])
        return float(np.mean(np.sign(x[half:] @ weights) == y[half:]))

    assert abs(share("match") - 0.5) < 0.08  # 600 frames: 2 of their standard errors are 0.04
    assert abs(share("order") - 0.5) < 0.08
    assert share("control") > 0.9


def _described(frame: np.ndarray) -> np.ndarray:
    """Ink of a shape on a torus by distance from its centre, in units of its size."""
    side = len(frame)
    turn = np.exp(2j * np.pi * np.arange(side) / side)
    x, y = (np.angle((frame.sum(axis) * turn).sum()) / (2 * np.pi) * side for axis in (0, 1))
    gap = [(np.arange(side) - centre + side / 2) % side - side / 2 for centre in (y, x)]
    distance = np.hypot(gap[0][:, None], gap[1][None]) / np.sqrt(frame.sum())
    return np.append(np.histogram(distance, bins=8, range=(0, 1.2), weights=frame)[0] / frame.sum(), 1.0)


def test_a_clip_depends_on_seed_and_index_only():
    one, two = ProbeClips(20, seed=1), ProbeClips(200, seed=1)
    assert all(torch.equal(one[i][0], two[i][0]) for i in range(20))
    assert not torch.equal(one[4][0], ProbeClips(20, seed=2)[4][0])
    assert one.fingerprint() != ProbeClips(20, seed=1, gap=7).fingerprint()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"probe": "rhythm", "gap": 8, "frames": 24}, "24 frames hold no rhythm with a gap of 8: give at least 32"),
        ({"gap": 0}, "at least 1 frame, got 0"),
        ({"probe": "when"}, "choose one of match, order"),
        ({"modality": "surface"}, "choose one of grey"),
        ({"probe": "count", "gap": 1, "modality": "events"}, "single frames of events tell"),
    ],
)
def test_what_cannot_be_is_said(options: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        ProbeClips(10, **options)
