"""The articulated figure: anatomy, motions, what it looks like, its clips, and motions from files."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from spikereel.body.bvh import Motion, write_bvh
from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import KINECT20
from spikereel.data.made.people import RADII, draw_look, draw_motion, read_motions, render, shade
from spikereel.data.sets.figure import FigureClips, FigureReading
from spikereel.errors import ConfigError, DataError

J = {name: j for j, name in enumerate(KINECT20.joints)}
READING = FigureReading(frames=4, size=48)


def lengths(joints):
    return np.stack([np.linalg.norm(joints[:, c] - joints[:, p], axis=-1) for p, c in KINECT20.bones], 1)


def test_bones_keep_their_length_and_sides_match():
    for seed in range(6):
        joints = draw_motion(np.random.default_rng(seed), 20)
        bones = lengths(joints)
        assert np.ptp(bones, axis=0).max() < 1e-5
        mirrored = lengths(joints[:, KINECT20.mirror])
        np.testing.assert_allclose(bones, mirrored, atol=1e-5)
        assert np.all(joints[:, J["hip_center"]] == 0)
        assert 0 < np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() < 0.25, "moves, by less than 7 m/s"


def test_knees_and_elbows_bend_one_way():
    for seed in range(12):
        joints = draw_motion(np.random.default_rng(seed), 30).astype(np.float64)
        across = joints[:, J["right_hip"]] - joints[:, J["left_hip"]]
        for side in ("left", "right"):
            hip, knee, ankle = (joints[:, J[f"{side}_{part}"]] for part in ("hip", "knee", "ankle"))
            # seen from the person's side the shin goes back from the line of the thigh
            bend = np.einsum("ti,ti->t", np.cross(knee - hip, ankle - knee), across)
            assert bend.max() < 1e-3 or bend.min() > -1e-3, "both ways"
            assert bend.min() > -1e-3


def test_depth_of_a_sphere_by_hand():
    joints = np.array([[[0.0, 0.0, 2.0], [0.0, 0.0, 2.001]]], dtype=np.float32)
    depth, normals = render(joints, STANDARD, 101, bones=[(0, 1)], radii=np.array([0.3, 0.3]))
    assert depth[0, 50, 50] == pytest.approx(1.7, abs=2e-3)
    np.testing.assert_allclose(normals[0, 50, 50], (0, 0, -1), atol=1e-3)
    # the outline: 0.3 m at 2 m is 0.225 of the picture
    columns = np.flatnonzero(np.isfinite(depth[0, 50]))
    assert (columns[-1] - columns[0]) / 101 == pytest.approx(0.45, abs=0.02)


def test_what_is_nearer_hides_what_is_behind():
    joints = np.array([[[0.0, -0.5, 3.0], [0.0, 0.5, 3.0], [-0.5, 0.0, 2.0], [0.5, 0.0, 2.0]]], dtype=np.float32)
    for bones in ([(0, 1), (2, 3)], [(2, 3), (0, 1)]):
        depth, _ = render(joints, STANDARD, 65, bones=bones, radii=np.full(4, 0.1))
        assert depth[0, 32, 32] == pytest.approx(1.9, abs=0.01)
        assert depth[0, 24, 32] == pytest.approx(2.9, abs=0.01)


def test_joints_are_inside_what_is_seen():
    rng = np.random.default_rng(3)
    joints = draw_motion(rng, 5) + np.array([0.1, 0.0, 3.5], np.float32)
    depth, normals = render(joints, STANDARD, 96)
    points = STANDARD.project(torch.from_numpy(joints)).numpy()
    for t, frame in enumerate(points):
        for j, (u, v) in enumerate(frame):
            seen = depth[t, int(v * 96), int(u * 96)]
            # something of the body is there, and not behind the joint
            assert np.isfinite(seen), KINECT20.joints[j]
            assert seen < joints[t, j, 2] + RADII[j]
    grey = shade(depth, normals, draw_look(rng, 96))
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert grey[np.isfinite(depth)].std() > 0.02


@pytest.mark.parametrize(
    ("view", "form", "channels"),
    [("depth", "plain", 1), ("depth", "motion", 3), ("grey", "events", 2), ("grey", "motion", 3)],
)
def test_clips(view, form, channels):
    reading = FigureReading(frames=4, size=48, view=view, form=form)
    data = FigureClips(6, reading)
    video, target = data[0]
    assert video.shape == (4, channels, 48, 48)
    assert video.dtype == torch.float32
    assert float(video.max()) <= 1.0
    assert video.std() > 0
    points = STANDARD.project(target["joints"] + target["translation"][:, None])
    torch.testing.assert_close(points, target["points"], atol=1e-4, rtol=0)
    assert ((target["points"] > 0) & (target["points"] < 1)).all(), "all of the person is in the picture"


def test_items_are_their_own():
    data, again, other = FigureClips(6, READING), FigureClips(6, READING), FigureClips(7, READING)
    assert torch.equal(data[2][0], again[-4][0])
    assert not torch.equal(data[2][0], data[3][0])
    again.set_epoch(1)
    assert not torch.equal(data[2][0], again[2][0])
    assert data.fingerprint() == again.fingerprint() != other.fingerprint()
    with pytest.raises(ConfigError, match="at least 1"):
        FigureClips(0, READING)
    with pytest.raises(ConfigError, match="at least 1"):
        FigureReading(frames=0)


def motion_file(path, drop=None, turned=1.0):
    """A figure that stands still, in centimetres and y up, as its own BVH."""
    names = (
        "Hips",
        "Spine",
        "Neck",
        "Head",
        *(f"{s}{n}" for s in ("Left", "Right") for n in ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")),
    )
    parents = (-1, 0, 1, 2, 2, 4, 5, 0, 7, 8, 9, 2, 11, 12, 0, 14, 15, 16)
    middle = [(0, 95, 0), (0, 10, 0), (0, 40, 0), (0, 20, 0)]
    side = [(17, -5, 0), (0, -27, 0), (0, -25, 0), (9, -7, 0), (0, -43, 0), (0, -39, 0), (0, -5, 12)]
    offsets = np.array([*middle, *side, *[(-x, y, z) for x, y, z in side]], dtype=np.float64) * (1, turned, 1)
    names = tuple(n if n != drop else "Nothing" for n in names)
    motion = Motion(
        names=names,
        parents=parents,
        offsets=np.repeat(offsets[None], 40, 0),
        seconds=1 / 60,
        rotations=np.tile(np.eye(3), (40, len(names), 1, 1)),
    )
    write_bvh(path, motion)


def test_motion_files_by_hand(tmp_path):
    motion_file(tmp_path / "stand.bvh")
    (joints,) = read_motions(tmp_path)
    assert joints.shape == (20, 20, 3), "60 a second become 30"
    head, foot, hand = (joints[0, J[n]] for n in ("head", "left_foot", "right_hand"))
    assert head[1] < 0 < foot[1], "y down"
    assert foot[2] < 0, "faces the camera"
    assert joints[0, J["left_hip"], 0] < 0 < hand[0], "left at the left, as in a mirror"
    ankles = joints[0, [J["left_ankle"], J["right_ankle"]], 1].mean()
    assert ankles - head[1] == pytest.approx(1.45, abs=1e-3)
    video, _ = FigureClips(3, READING, motions=tmp_path)[0]
    assert video.shape == (4, 3, 48, 48)


def test_motion_files_that_do_not_do(tmp_path):
    with pytest.raises(DataError, match=r"no \.bvh"):
        read_motions(tmp_path)
    motion_file(tmp_path / "a.bvh", drop="LeftLeg")
    with pytest.raises(DataError, match=r"a\.bvh: has no joint for left_knee"):
        read_motions(tmp_path)
    motion_file(tmp_path / "a.bvh", turned=-1.0)
    with pytest.raises(DataError, match="nobody stands"):
        read_motions(tmp_path)


@pytest.mark.realdata
def test_real_motions_become_figures(tmp_path):
    files = sorted((Path(os.environ["SPIKEREEL_DATA"]) / "bandai_namco1").glob("*walk*.bvh"))[:3]
    for path in files:
        (tmp_path / path.name).symlink_to(path)
    for joints in read_motions(tmp_path):
        assert np.ptp(lengths(joints)[:, 3:], axis=0).max() < 0.05
    video, target = FigureClips(3, READING, motions=tmp_path)[0]
    assert ((target["points"] > 0) & (target["points"] < 1)).float().mean() > 0.95
    assert video.shape == (4, 3, 48, 48)


def test_a_camera_of_ones_own():
    joints = draw_motion(np.random.default_rng(0), 2) + np.array([0.0, 0.0, 3.0], np.float32)
    near, _ = render(joints, STANDARD, 32)
    far, _ = render(joints, Camera(fx=0.75, fy=0.75, cx=0.5, cy=0.5), 32)
    assert np.isfinite(near).sum() > 2.5 * np.isfinite(far).sum()
