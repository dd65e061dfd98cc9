"""Rotations, kinematic trees, skeletons and the camera."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from spikereel.body.camera import STANDARD, Camera
from spikereel.body.rotations import (
    forward_kinematics,
    from_the_root,
    geodesic,
    matrix_from_6d,
    matrix_from_axis_angle,
    sixd_from_matrix,
)
from spikereel.body.skeletons import KINECT20, SKELETONS, SMPL24, Skeleton
from spikereel.errors import ConfigError, DataError


def rotations(*shape, seed=0):
    count = int(np.prod(shape))
    return torch.from_numpy(Rotation.random(count, random_state=seed).as_matrix()).reshape(*shape, 3, 3)


def test_six_numbers_and_back():
    r = rotations(7)
    torch.testing.assert_close(matrix_from_6d(sixd_from_matrix(r)), r)
    torch.testing.assert_close(matrix_from_6d(torch.tensor([2.0, 0, 0, 5.0, 3.0, 0])), torch.eye(3))


def test_six_numbers_by_hand():
    # x = e_y; z = e_y x (e_y + e_z) = e_x; y = z x x = e_x x e_y = e_z
    expected = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    torch.testing.assert_close(matrix_from_6d(torch.tensor([0.0, 3, 0, 0, 1, 1])), expected)


def test_axis_angle_is_scipys():
    v = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 3)))
    expected = torch.from_numpy(Rotation.from_rotvec(v.numpy()).as_matrix())
    torch.testing.assert_close(matrix_from_axis_angle(v), expected)
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix_from_axis_angle, zero)


def test_geodesic_is_the_angle():
    a, b = rotations(9), rotations(9, seed=1)
    expected = (Rotation.from_matrix(a.numpy()).inv() * Rotation.from_matrix(b.numpy())).magnitude()
    np.testing.assert_allclose(geodesic(a, b).numpy(), expected, atol=1e-6)
    same = a.clone().requires_grad_()
    geodesic(same, a).sum().backward()
    assert torch.isfinite(same.grad).all()


def test_a_chain_by_hand():
    quarter = matrix_from_axis_angle(torch.tensor([0.0, 0.0, torch.pi / 2]))
    turned, placed = forward_kinematics(
        quarter.expand(3, 3, 3), torch.tensor([[1.0, 2, 3], [1, 0, 0], [1, 0, 0]]), (-1, 0, 1)
    )
    torch.testing.assert_close(placed, torch.tensor([[1.0, 2, 3], [1, 3, 3], [0, 3, 3]]))
    torch.testing.assert_close(turned[2], quarter @ quarter @ quarter)
    back = forward_kinematics(quarter.expand(3, 3, 3), torch.tensor([[1.0, 0, 0], [1, 0, 0], [1, 2, 3]]), (1, 2, -1))
    torch.testing.assert_close(back[1], placed.flip(0))


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_skeletons_are_trees_with_two_sides(skeleton):
    order = from_the_root(skeleton.parents)
    assert sorted(order) == list(range(len(skeleton.joints)))
    assert order[0] == skeleton.root
    position = {j: i for i, j in enumerate(order)}
    assert all(position[parent] < position[child] for parent, child in skeleton.bones)
    other = {"left": "right", "right": "left"}
    for j, name in enumerate(skeleton.joints):
        side, _, part = name.partition("_")
        assert skeleton.joints[skeleton.mirror[j]] == (f"{other[side]}_{part}" if side in other else name)
    for child, parent in enumerate(skeleton.parents):
        # the mirrored bone is the bone of the mirrored joints
        assert parent < 0 or skeleton.parents[skeleton.mirror[child]] == skeleton.mirror[parent]
    assert {skeleton.joints[j] for j in skeleton.hips} == {"left_hip", "right_hip"}


def test_skeletons_name_what_does_not_fit():
    with pytest.raises(DataError, match=r"clip.npz: has 22 joints, .*'kinect20' 20.*smpl24 \(24\)"):
        KINECT20.check(22, "clip.npz")
    with pytest.raises(ConfigError, match="one parent a joint"):
        dataclasses.replace(SMPL24, parents=SMPL24.parents[1:])
    with pytest.raises(ConfigError, match="two"):
        Skeleton(name="two", joints=("a", "b"), parents=(-1, -1), hips=(0, 1))


def test_camera_by_hand_and_back():
    camera = Camera(fx=285.63, fy=-285.63, cx=160.0, cy=120.0)
    torch.testing.assert_close(
        camera.project(torch.tensor([0.5, 0.25, 2.0])), torch.tensor([231.4075, 84.2963]), atol=1e-2, rtol=0
    )
    generator = torch.Generator().manual_seed(0)
    joints = 0.3 * torch.randn(6, 20, 3, generator=generator, dtype=torch.float64)
    where = torch.randn(6, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0.0, 4.0])
    for own in (camera, STANDARD):
        points = own.project(joints + where[:, None])
        torch.testing.assert_close(own.locate(joints, points), where, atol=1e-3, rtol=0)
        # a joint without weight may be anywhere
        points[:, 3] += 50.0
        weights = torch.ones(6, 20, dtype=torch.float64)
        weights[:, 3] = 0.0
        torch.testing.assert_close(own.locate(joints, points, weights), where, atol=1e-3, rtol=0)


def test_a_camera_for_every_frame():
    whole = Camera(fx=142.8, fy=142.8, cx=80.5, cy=60.5)
    squares = torch.tensor([[20.0, 10.0, 100.0], [30.0, 5.0, 80.0]])
    joints = 0.3 * torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))
    where = torch.tensor([[0.1, 0.0, 3.0], [0.4, -0.1, 3.5]])
    cut = whole.seen_in(squares)
    shares = cut.project(joints + where[:, None])
    pixels = shares * squares[:, None, 2:] + squares[:, None, :2]
    torch.testing.assert_close(pixels, whole.project(joints + where[:, None]), atol=1e-3, rtol=0)
    torch.testing.assert_close(cut.locate(joints, shares), where, atol=1e-3, rtol=0)
    torch.testing.assert_close(Camera.of_rows(cut.rows(2)).project(joints + where[:, None]), shares)
    torch.testing.assert_close(STANDARD.rows(3), torch.tensor([1.5, 1.5, 0.5, 0.5]).expand(3, 4))


@pytest.mark.parametrize("wrong", [{"fx": 0.0}, {"fx": -1.0}, {"fy": 0.0}, {"cx": float("nan")}])
def test_wrong_intrinsics(wrong):
    with pytest.raises(ConfigError, match="intrinsics"):
        dataclasses.replace(STANDARD, **wrong)
