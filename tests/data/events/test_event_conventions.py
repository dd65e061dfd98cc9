"""Frames, voxel grids and surfaces in the conventions of other libraries: small arrays that those made."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small import DATA

from spikereel.data.events.conventions import Convention, convention
from spikereel.data.events.frames import to_frames, to_surface, to_voxels
from spikereel.data.events.reading import EventReading
from spikereel.data.events.recording import Events
from spikereel.errors import ConfigError
from spikereel.models.metadata import Metadata
from spikereel.runs.clips import channels_of, idle_options
from spikereel.runs.data import data_spec_of, former_note
from spikereel.runs.readings import event_reading

# One pixel, so that a bin is the numbers of OFF and of ON.
TIMES = [100, 101, 103, 106, 107, 109, 110, 111, 111, 113, 114]
ON = [1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1]
EVENTS = Events(
    t=np.array(TIMES, np.int64),
    x=np.zeros(11, np.uint16),
    y=np.zeros(11, np.uint16),
    p=np.array(ON, bool),
    width=1,
    height=1,
)

# Bins of tonic 1.7.0 (ToFrame, ToVoxelGrid, ToTimesurface with dt=3, tau=10) and of SpikingJelly 2.0.0
# (integrate_events_by_fixed_frames_number), T = 4, as those libraries made them.
FRAMES = {
    ("tonic", "time"): [[1, 1], [0, 1], [1, 1], [2, 2]],
    ("tonic", "count"): [[1, 1], [0, 2], [2, 0], [0, 2]],
    ("spikingjelly", "time"): [[1, 1], [0, 1], [1, 1], [2, 4]],
    ("spikingjelly", "count"): [[1, 1], [0, 2], [2, 0], [1, 4]],
    # By hand: edges at 100, 103.5, 107, 110.5; and 0, 2, 5, 8 of the 11 events.
    ("formula", "time"): [[2, 1], [1, 0], [1, 2], [3, 1]],
    ("formula", "count"): [[1, 1], [2, 1], [2, 1], [2, 1]],
}
VOXELS = [0.4285714285714286, 0.8571428571428572, -0.5714285714285714, 0.5714285714285712]
SURFACE = [
    [0.8187307530779818, 0.7408182206817179],
    [0.6065306597126334, 0.7408182206817179],
    [0.8187307530779818, 0.7408182206817179],
    [0.9048374180359595, 0.9048374180359595],
]


@pytest.mark.parametrize(("name", "by"), FRAMES)
def test_frames(name, by):
    frames = to_frames(EVENTS, 4, by=by, convention=convention(name, "frames"))
    assert frames[:, :, 0, 0].tolist() == FRAMES[name, by]


def test_voxel_grid_of_tonic():
    grid = to_voxels(EVENTS, 4, convention=convention("tonic", "voxels"))
    assert grid.shape == (4, 1, 1, 1)
    np.testing.assert_allclose(grid.ravel(), VOXELS, rtol=1e-6)
    # The formula's, in the same channel: every event is shared between bins that are there.
    signed = to_voxels(EVENTS, 4, convention=Convention(channels="signed"))
    assert signed.sum() == pytest.approx(2 * sum(ON) - len(ON))
    at = 3 * (np.array(TIMES) - 100) / 14
    shares = np.maximum(0, 1 - np.abs(np.arange(4)[:, None] - at)) @ (2 * np.array(ON) - 1)
    np.testing.assert_allclose(signed.ravel(), shares, atol=1e-6)


def test_surface_of_tonic():
    surface = to_surface(EVENTS, 4, tau_us=10, convention=convention("tonic", "surface"))
    np.testing.assert_allclose(surface[:, :, 0, 0], SURFACE, rtol=1e-6)


def test_options_change_a_convention():
    spec = replace(DATA, kind="events", representation="voxels", convention="tonic", frames=4, size=1)
    reading = event_reading(spec, train=False, seed=0)
    np.testing.assert_allclose(reading(EVENTS).ravel(), VOXELS, rtol=1e-6)
    assert channels_of(spec) == 1
    two = replace(spec, event_channels="off_on", voxel_span="T-1")
    assert channels_of(two) == 2
    expected = to_voxels(EVENTS, 4)[:, ::-1].copy()
    assert torch.equal(event_reading(two, train=False, seed=0)(EVENTS), torch.from_numpy(expected))
    frames = replace(DATA, kind="events", by="count", bin_edges="floor", rest="dropped", frames=4, size=1)
    assert event_reading(frames, train=False, seed=0)(EVENTS)[:, :, 0, 0].tolist() == [[1, 1], [2, 0], [0, 2], [2, 0]]
    assert idle_options(replace(frames, voxel_span="T"), "classification")[:1] == ["voxel_span"]


def test_bins_of_fixed_duration_in_other_channels():
    reading = EventReading(bins=2, bin_us=7, convention=convention("spikingjelly", "frames"))
    assert reading(EVENTS)[:, :, 0, 0].tolist() == [[1, 3], [3, 3]]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: convention("spikingjelly", "voxels"), "has frames and no voxels"),
        (lambda: convention("norse", "frames"), "convention is 'norse'"),
        (lambda: Convention(span="T+1"), r"span is 'T\+1': choose T-1, T"),
        (lambda: replace(DATA, form="surface", representation="voxels"), "give one"),
    ],
)
def test_conventions_that_cannot_be(make, reason):
    with pytest.raises(ConfigError, match=reason):
        make()


def test_weights_from_before_an_option_keep_what_they_saw():
    old = Metadata(preprocess={"kind": "cifar10_dvs", "frames": 8})
    spec = data_spec_of(old)
    assert (spec.split_rule, spec.axes) == ("last_hundred", "address")
    assert former_note(old) == (
        "these weights are from before data.split_rule and data.axes: "
        "they saw data.split_rule=last_hundred data.axes=address"
    )
    half = Metadata(preprocess={"kind": "cifar10_dvs", "axes": "tonic"})
    assert (data_spec_of(half).split_rule, data_spec_of(half).axes) == ("last_hundred", "tonic")
    whole = Metadata(preprocess={"kind": "cifar10_dvs", "axes": "spikingjelly", "split_rule": "tebn"})
    assert (data_spec_of(whole).split_rule, former_note(whole)) == ("tebn", None)
    assert former_note(Metadata(preprocess={"kind": "n_caltech101"})) is None
