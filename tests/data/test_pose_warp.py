"""Changes that keep picture and pose consistent."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikereel.body.camera import STANDARD
from spikereel.body.rotations import forward_kinematics, matrix_from_axis_angle
from spikereel.body.skeletons import KINECT20, SMPL24
from spikereel.data.pose import channels, check_points, target_of, window, windows
from spikereel.data.warp import Warp, Warping
from spikereel.errors import ConfigError, DataError

WARPS = [
    Warp(angle=0.4),
    Warp(scale=0.8),
    Warp(right=0.1, down=-0.05),
    Warp(flip=True),
    Warp(angle=-0.3, scale=1.1, right=0.05, down=0.08, flip=True),
]


def dots(points, size=96):
    """A picture with one bright blob at each of the points [1, J, 2], a channel each."""
    grid = (torch.arange(size) + 0.5) / size
    d = (grid[None, None, None] - points[..., 0, None, None]) ** 2
    d = d + (grid[None, None, :, None] - points[..., 1, None, None]) ** 2
    return torch.exp(-d / 0.03**2)


def centres(pictures):
    grid = (torch.arange(pictures.shape[-1]) + 0.5) / pictures.shape[-1]
    weight = pictures.sum((-2, -1))
    return torch.stack(
        [(pictures * grid).sum((-2, -1)) / weight, (pictures * grid[:, None]).sum((-2, -1)) / weight], -1
    )


@pytest.mark.parametrize("warp", WARPS)
def test_points_go_where_the_picture_goes(warp):
    points = 0.3 + 0.4 * torch.rand(1, 20, 2, generator=torch.Generator().manual_seed(0))
    seen = centres(warp.pictures(dots(points)))
    if warp.flip:
        seen = seen[:, KINECT20.mirror]
    torch.testing.assert_close(seen, warp.points(points, KINECT20), atol=2e-3, rtol=0)


def test_a_quarter_turn_by_hand():
    warp = Warp(angle=np.pi / 2)
    right, below = torch.tensor([[[0.9, 0.5]]]).expand(1, 20, 2), torch.tensor([[[0.5, 0.9]]]).expand(1, 20, 2)
    torch.testing.assert_close(warp.points(right, KINECT20), below)
    joints = torch.zeros(1, 20, 3)
    joints[:, 0, 0] = 1.0
    assert warp.joints(joints, KINECT20)[0, 0].tolist() == pytest.approx([0, 1, 0], abs=1e-6)


@pytest.mark.parametrize("warp", WARPS)
def test_joints_go_where_the_points_go(warp):
    generator = torch.Generator().manual_seed(1)
    joints = 0.3 * torch.randn(4, 20, 3, generator=generator) * torch.tensor([1.0, 1.0, 0.01])
    joints = joints - joints[:, [KINECT20.root]]
    where = torch.tensor([0.1, -0.1, 3.0]).expand(4, 3)
    points = STANDARD.project(joints + where[:, None])
    turned, moved = warp.joints(joints, KINECT20), warp.points(points, KINECT20)
    target = target_of(turned, moved, camera=STANDARD, real=STANDARD)
    # a flat body is seen exactly where the picture has it
    torch.testing.assert_close(
        STANDARD.project(target["joints"] + target["translation"][:, None]), moved, atol=5e-3, rtol=0
    )
    assert float(target["translation"][0, 2]) == pytest.approx(3.0 / warp.scale, rel=0.02)


def test_who_grows_in_a_metric_picture_grows():
    warps = [Warping(zoom=0.3, metric=True).draw(np.random.default_rng(i)) for i in range(9)]
    joints = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(1))
    joints = joints - joints[:, [KINECT20.root]]
    for warp in warps:
        assert warp.scale != 1
        torch.testing.assert_close(warp.joints(joints, KINECT20), warp.scale * joints)
    flat = joints * torch.tensor([1.0, 1.0, 0.01])
    points = STANDARD.project(0.3 * flat + torch.tensor([0.0, 0.0, 3.0]))
    warp = warps[0]
    target = target_of(warp.joints(0.3 * flat, KINECT20), warp.points(points, KINECT20), camera=STANDARD, real=STANDARD)
    assert target["translation"][:, 2].tolist() == pytest.approx([3.0, 3.0], rel=0.01), "as far away as before"


@pytest.mark.parametrize("warp", WARPS)
def test_rotations_go_where_the_joints_go(warp):
    generator = torch.Generator().manual_seed(2)
    offsets = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    # a body that is the same on both sides
    side = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    offsets = (offsets + side * offsets[SMPL24.mirror]) / 2
    rotations = matrix_from_axis_angle(torch.randn(3, 24, 3, generator=generator, dtype=torch.float64))
    _, joints = forward_kinematics(rotations, offsets, SMPL24.parents)
    _, again = forward_kinematics(warp.rotations(rotations, SMPL24), offsets, SMPL24.parents)
    torch.testing.assert_close(again, warp.joints(joints, SMPL24))


def test_draws_stay_in_their_ranges():
    warping = Warping(rotate=20.0, zoom=0.3, shift=0.1, flip=0.5)
    warps = [warping.draw(np.random.default_rng(i)) for i in range(500)]
    degrees = np.degrees([w.angle for w in warps])
    boxes = 1 / np.array([w.scale for w in warps])
    assert abs(degrees).max() == pytest.approx(20)
    assert np.mean(degrees == 0) == pytest.approx(0.4, abs=0.07)
    assert (boxes.min(), boxes.max()) == pytest.approx((0.8, 1.3), abs=0.01)
    assert max(abs(w.right) for w in warps) <= 0.1
    assert np.mean([w.flip for w in warps]) == pytest.approx(0.5, abs=0.07)
    assert Warping().draw(np.random.default_rng(0)) == Warp()
    with pytest.raises(ConfigError, match="zoom"):
        Warping(zoom=2.0)


def test_windows_cover_a_recording():
    assert windows(10, 4, 1) == [(0, 0, 4), (4, 0, 4), (6, 2, 4)]
    assert windows(10, 2, 2) == [(0, 0, 2), (4, 0, 2), (6, 1, 2), (1, 0, 2), (5, 0, 2), (7, 1, 2)]
    assert windows(3, 4, 2) == [(0, 0, 2), (1, 0, 1)]
    assert windows(1, 4, 2) == [(0, 0, 1)]
    assert window(10, 4, 3, 2).tolist() == [2, 4, 6, 8]
    assert window(5, 0, 4, 2).tolist() == [0, 0, 2, 4, 4]


@given(total=st.integers(1, 60), frames=st.integers(1, 9), stride=st.integers(1, 4))
def test_every_frame_is_judged_once(total, frames, stride):
    seen = []
    for start, judged, stop in windows(total, frames, stride):
        assert 0 <= judged < stop <= frames
        # nothing but the end of a recording that is too short is repeated
        assert start + (frames - 1) * stride < total or start < stride
        seen += window(total, start, frames, stride)[1:][judged:stop].tolist()
    assert sorted(seen) == list(range(total))


def test_channels_by_hand():
    pictures = torch.tensor([0.5, 0.6, 0.2])[:, None, None, None]
    assert channels(pictures, "plain").flatten().tolist() == pytest.approx([0.6, 0.2])
    assert channels(pictures, "motion").flatten().tolist() == pytest.approx([0.6, 0.5, 0.0, 0.2, 0.0, 1.0])
    assert channels(pictures, "events").flatten().tolist() == [1.0, 0.0, 0.0, 1.0]


def test_points_outside_are_noticed():
    check_points(torch.full((2, 20, 2), 0.5), "a")
    with pytest.raises(DataError, match=r"clip: 100 % .* intrinsics"):
        check_points(torch.full((2, 20, 2), 3.0), "clip")
    with pytest.raises(DataError, match="intrinsics"):
        check_points(torch.full((2, 20, 2), float("nan")), "clip")
