"""UTD-MHAD for pose: small clips written by the test, and the real ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import KINECT20
from spikereel.data.made.people import draw_motion, render
from spikereel.data.sets.utd_mhad_pose import UTDMHADPose, WindowReading, read_person
from spikereel.data.warp import Warping
from spikereel.errors import ConfigError, DataError
from tests.people import write_clip

READING = WindowReading(frames=4, size=48, stride=2)


def test_windows_of_all_frames(tmp_path):
    for i, subject in enumerate((1, 3)):
        write_clip(tmp_path / f"a{5 + i}_s{subject}_t1.npz", seed=i)
    data = UTDMHADPose(tmp_path, READING)
    assert len(data) == 2 * 6
    assert len(UTDMHADPose(tmp_path, READING, subjects={3})) == 6
    assert sum(int(data[i][1]["judged"].sum()) for i in range(12)) == 2 * 21
    video, target = data[1]
    assert video.shape == (4, 3, 48, 48)
    joints = np.load(tmp_path / "a5_s1_t1.npz")["joints"][[8, 10, 12, 14]] * [1, -1, 1]
    np.testing.assert_allclose(target["joints"].numpy(), joints - joints[:, [3]], atol=1e-6)
    # the person is seen through STANDARD where the cut picture has it, and where the Kinect really saw it
    real = Camera.of_rows(target["camera"])
    seen = STANDARD.project(target["joints"] + target["translation"][:, None])
    torch.testing.assert_close(seen, target["points"], atol=0.02, rtol=0)
    torch.testing.assert_close(real.project(torch.from_numpy(joints).float()), target["points"], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        real.locate(target["joints"], target["points"]), torch.from_numpy(joints[:, 3]).float(), atol=1e-3, rtol=0
    )
    spots = (target["points"] * 48).long().clamp(0, 47)
    assert (video[torch.arange(4)[:, None], 0, spots[..., 1], spots[..., 0]] > 0).float().mean() > 0.8


def test_a_person_is_as_large_from_near_and_far():
    joints = draw_motion(np.random.default_rng(0), 3)
    seen = []
    for metres in (2.5, 4.0):
        where = np.array([0.1 * metres, 0.0, metres], np.float32)
        camera = Camera(fx=1.2, fy=1.2, cx=0.5, cy=0.5)
        depth, _ = render(joints + where, camera, 240)
        depth = np.where(np.isfinite(depth), 1000 * depth, 0).astype(np.uint16)
        frames = Camera(fx=288.0, fy=288.0, cx=120.0, cy=120.0)
        pictures, squares = read_person(depth, 32, frames, "x")
        assert float(squares[0, 2] * np.median(depth[0][depth[0] > 0])) == pytest.approx(288 * 2200, rel=1e-4)
        # the middle of the picture is the middle of the person
        middle = squares[0, :2] + squares[0, 2] / 2
        rows, columns = np.nonzero(depth[0])
        assert middle.tolist() == pytest.approx([np.median(columns) + 0.5, np.median(rows) + 0.5], abs=1e-3)
        points = frames.seen_in(squares).project(torch.from_numpy(joints + where))
        seen.append((pictures, points))
    (near, at), (far, there) = seen
    assert (near - far).abs().mean() < 0.02 < near.mean()
    # what is left is perspective
    torch.testing.assert_close(at, there, atol=0.05, rtol=0)


def test_training_windows_differ_by_epoch(tmp_path):
    write_clip(tmp_path / "a1_s1_t1.npz", frames=40)
    warping = Warping(rotate=20.0, zoom=0.3, shift=0.1, flip=0.5)
    data = UTDMHADPose(tmp_path, WindowReading(frames=4, size=48, train=True, warping=warping))
    assert len(data) == 1
    first, target = data[0]
    assert torch.equal(first, data[0][0])
    data.set_epoch(1)
    assert not torch.equal(first, data[0][0])
    seen = STANDARD.project(target["joints"] + target["translation"][:, None])
    torch.testing.assert_close(seen, target["points"], atol=0.03, rtol=0)


def test_events_have_two_channels(tmp_path):
    write_clip(tmp_path / "a1_s1_t1.npz")
    clips = UTDMHADPose(tmp_path, WindowReading(frames=4, size=48, form="events"))
    assert clips.simulated
    video, _ = clips[0]
    assert video.shape == (4, 2, 48, 48)
    assert set(video.unique().tolist()) == {0.0, 1.0}


def empty(depth, joints):
    depth[3] = 0
    return depth, joints


def nan(depth, joints):
    joints[2, 5] = np.nan
    return depth, joints


def elsewhere(depth, joints):
    return depth, joints + np.array([5, 0, 0], np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [(empty, "frame 3 shows nobody"), (nan, "joint 5 of frame 2 is NaN"), (elsewhere, "wrong intrinsics")],
)
def test_broken_clips_are_named(tmp_path, change, message):
    write_clip(tmp_path / "a1_s1_t1.npz", change=change)
    with pytest.raises(DataError, match=rf"a1_s1_t1\.npz.*{message}"):
        UTDMHADPose(tmp_path, READING)[0]


def test_nobody_there(tmp_path):
    write_clip(tmp_path / "a1_s1_t1.npz")
    with pytest.raises(DataError, match=r"subjects \[8\]"):
        UTDMHADPose(tmp_path, READING, subjects={8})
    with pytest.raises(ConfigError, match="at least 1"):
        WindowReading(frames=0, size=48)


@pytest.mark.realdata
def test_real_joints_lie_on_real_people():
    data = UTDMHADPose(
        Path(os.environ["SPIKEREEL_DATA"]) / "utd_mhad_half",
        WindowReading(frames=4, size=64, train=True, stride=5),
        subjects={5},
    )
    hits = []
    for i in range(0, len(data), 20):
        video, target = data[i]
        spots = (target["points"] * 64).long().clamp(0, 63)
        inner = [j for j, name in enumerate(KINECT20.joints) if "hand" not in name and "foot" not in name]
        hits.append((video[torch.arange(4)[:, None], 0, spots[..., 1], spots[..., 0]] > 0)[:, inner].float().mean())
        assert float(target["joints"].norm(dim=-1).max()) < 1.6
    assert np.mean(hits) > 0.9
