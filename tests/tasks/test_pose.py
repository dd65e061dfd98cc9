"""Losses and errors of poses, against scipy and by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation

from spikereel.body.camera import STANDARD
from spikereel.body.rotations import matrix_from_axis_angle, sixd_from_matrix
from spikereel.body.skeletons import KINECT20, SMPL24
from spikereel.errors import ConfigError, DataError
from spikereel.models.pose_head import BodyPose, JointPose
from spikereel.tasks.pose import PoseScore, PoseWeights, joints_of, pose_losses, procrustes
from tests.people import arrays, body

NOTHING = PoseWeights(joints=0.0, translation=0.0, points=0.0, rotation=0.0, shape=0.0)
FAR = torch.tensor([0.0, 0.0, 3.0])


def clips(frames=5, batch=2, joints=20, seed=0):
    return 0.4 * torch.randn(frames, batch, joints, 3, generator=torch.Generator().manual_seed(seed)) + FAR


def moved(x, scale=1.3):
    rotation = torch.from_numpy(Rotation.random(random_state=3).as_matrix()).to(x.dtype)
    return scale * x @ rotation.mT + torch.tensor([0.3, -0.2, 1.0], dtype=x.dtype)


def test_procrustes_is_scipys():
    x, y = clips(seed=1).double(), clips().double()
    aligned = procrustes(x, y)
    for t in range(5):
        for b in range(2):
            one, two, _ = scipy_procrustes(y[t, b].numpy(), x[t, b].numpy())
            # scipy scales the target to unit size around 0, and may mirror
            centre = y[t, b].mean(0)
            size = (y[t, b] - centre).norm()
            r, _ = orthogonal_procrustes(x[t, b] - x[t, b].mean(0), y[t, b] - centre)
            if np.linalg.det(r) > 0:
                np.testing.assert_allclose(((aligned[t, b] - centre) / size).numpy(), two, atol=1e-10)
            np.testing.assert_allclose(((y[t, b] - centre) / size).numpy(), one, atol=1e-10)
            # with rotations alone: Kabsch by scipy, and the scale that is best for it
            k, _ = Rotation.align_vectors(y[t, b] - centre, x[t, b] - x[t, b].mean(0))
            turned = k.apply(x[t, b] - x[t, b].mean(0))
            scale = (turned * (y[t, b] - centre).numpy()).sum() / (turned**2).sum()
            np.testing.assert_allclose(aligned[t, b].numpy(), scale * turned + centre.numpy(), atol=1e-8)


def test_procrustes_undoes_a_similarity_but_no_mirror():
    y = clips().double()
    torch.testing.assert_close(procrustes(moved(y), y), y)
    mirrored = y * torch.tensor([-1.0, 1, 1])
    assert (procrustes(mirrored, y) - y).norm(dim=-1).mean() > 0.05
    flat = torch.zeros_like(y)
    assert torch.isfinite(procrustes(flat, y)).all()


def test_errors_by_hand():
    target = clips()
    score = PoseScore(KINECT20)
    shifted = target.clone()
    shifted[..., 0] += 0.05  # everything 50 mm to the right
    shifted[..., 7, 1] += 0.2  # the left hand 200 mm lower
    score.add(shifted, target)
    means, joints = score.means(), score.per_joint()
    hand = (50**2 + 200**2) ** 0.5
    assert means["mpjpe"] == pytest.approx((19 * 50 + hand) / 20, abs=1e-2)
    assert [means["root_mpjpe"], means["pel_mpjpe"]] == pytest.approx([10.0, 10.0], abs=1e-2)
    assert joints["pel_mpjpe"]["left_hand"] == pytest.approx(200, abs=1e-2)
    assert joints["pel_mpjpe"]["head"] == pytest.approx(0, abs=1e-2)
    assert means["pck"] == pytest.approx(95)
    assert means["acceleration"] == pytest.approx(0, abs=1e-2)
    assert 0 < means["pa_mpjpe"] < 25
    assert score.to_json()["frames"] == 10


def test_the_pelvis_is_between_the_hips_and_the_root_a_joint():
    target = clips()
    off = target.clone()
    off[..., list(KINECT20.hips), 0] += torch.tensor([0.03, 0.05])
    score = PoseScore(KINECT20)
    score.add(off, target)
    # the middle of the hips moved by 40 mm, the root did not
    assert score.per_joint()["pel_mpjpe"]["head"] == pytest.approx(40, abs=1e-2)
    assert score.means()["root_mpjpe"] == pytest.approx(80 / 20, abs=1e-2)


def test_acceleration_by_hand():
    target = torch.zeros(4, 1, 20, 3)
    x = target.clone()
    x[:, 0, 0, 0] = torch.tensor([0.0, 0.001, 0.004, 0.009])  # t^2 mm: 2 mm a frame squared
    score = PoseScore(KINECT20)
    score.add(x, target)
    score.add(target[:2], target[:2])  # too short to have any
    assert score.per_joint()["acceleration"]["head"] == pytest.approx(2, abs=1e-4)


def test_batches_add_up():
    x, y = clips(batch=4, seed=5), clips(batch=4)
    one, two = PoseScore(KINECT20), PoseScore(KINECT20)
    one.add(x, y)
    for part in (slice(0, 1), slice(1, 4)):
        two.add(x[:, part], y[:, part])
    assert two.means() == pytest.approx(one.means())


def test_a_frame_that_two_clips_see_counts_once():
    x, y = clips(batch=1, seed=5, frames=10), clips(batch=1, frames=10)
    whole, parts = PoseScore(KINECT20), PoseScore(KINECT20)
    whole.add(x, y)
    parts.add(x[:6], y[:6])
    judged = (torch.arange(6) >= 2)[:, None]
    parts.add(x[4:], y[4:], judged)
    assert (parts.frames, parts.steps) == (whole.frames, whole.steps) == (10, 8)
    assert parts.means() == pytest.approx(whole.means())
    parts.add(x[4:], y[4:], ~judged & False)
    assert parts.means() == pytest.approx(whole.means())
    # an acceleration that both clips have counts once too
    parts = PoseScore(KINECT20)
    parts.add(x[:6], y[:6])
    parts.add(x[2:], y[2:], (torch.arange(8) >= 4)[:, None])
    assert (parts.frames, parts.steps) == (10, 8)
    assert parts.means() == pytest.approx(whole.means())


@pytest.mark.usefixtures("as_user")
def test_wrong_targets():
    score = PoseScore(KINECT20)
    with pytest.raises(DataError, match="24 joints"):
        score.add(clips(joints=24), clips(joints=24))
    with pytest.raises(DataError, match="name the skeleton"):
        score.add(clips(joints=24), clips())
    broken = clips()
    broken[1, 0, 3, 1] = float("nan")
    with pytest.raises(DataError, match="NaN"):
        score.add(clips(), broken)


def losses(output, target, weights, skeleton=KINECT20, smpl=None):
    return pose_losses(output, target, weights=weights, skeleton=skeleton, camera=STANDARD, smpl=smpl)


def joint_target(seed=0):
    joints = clips(seed=seed) - FAR
    translation = FAR.expand(5, 2, 3).contiguous()
    return {
        "joints": joints,
        "translation": translation,
        "points": STANDARD.project(joints + translation[..., None, :]),
    }


def test_joint_losses_by_hand():
    target = joint_target()
    exact = JointPose(target["joints"], target["translation"])
    assert sum(losses(exact, target, PoseWeights(bone=1.0, velocity=1.0)).values()) == pytest.approx(0, abs=1e-10)
    off = JointPose(target["joints"] + 0.1, target["translation"] + torch.tensor([0.0, 0.0, 0.3]))
    parts = losses(off, target, PoseWeights(joints=2.0, translation=5.0, points=0.0))
    assert set(parts) == {"joints", "translation"}
    assert float(parts["joints"]) == pytest.approx(2 * 0.01, rel=1e-4)
    assert float(parts["translation"]) == pytest.approx(5 * 0.03, rel=1e-4)
    parts = losses(off, target, dataclasses.replace(NOTHING, distance=2.0))
    assert float(parts["distance"]) == pytest.approx(2 * 0.1 * 3**0.5, rel=1e-4)
    longer = JointPose(2 * target["joints"], target["translation"])
    lengths = [(target["joints"][..., c, :] - target["joints"][..., p, :]).norm(dim=-1) for p, c in KINECT20.bones]
    parts = losses(longer, target, dataclasses.replace(NOTHING, bone=1.0, velocity=3.0))
    assert float(parts["bone"]) == pytest.approx(float(torch.stack(lengths).square().mean()), rel=1e-4)
    assert float(parts["velocity"]) == pytest.approx(3 * float(target["joints"].diff(dim=0).square().mean()), rel=1e-4)


def test_points_stay_in_the_picture():
    target = joint_target()
    away = JointPose(target["joints"], target["translation"] + torch.tensor([100.0, 0.0, 0.0]))
    part = losses(away, target, dataclasses.replace(NOTHING, points=1.0))["points"]
    assert float(part) <= 1.0
    near = JointPose(target["joints"], target["translation"] + torch.tensor([0.02, 0.0, 0.0]))
    seen = STANDARD.project(near.joints + near.translation[..., None, :]).clamp(0, 1)
    expected = float((seen - target["points"].clamp(0, 1)).square().mean())
    assert float(losses(near, target, dataclasses.replace(NOTHING, points=1.0))["points"]) == pytest.approx(expected)


def test_smpl_losses_by_hand():
    smpl = body(arrays()).float()
    rotations = matrix_from_axis_angle(torch.randn(3, 2, 5, 3, generator=torch.Generator().manual_seed(0)))
    turn = matrix_from_axis_angle(torch.tensor([0.0, 0.2, 0.0]))
    shape, translation = torch.zeros(3, 2, 4), FAR.expand(3, 2, 3)
    joints = smpl(rotations, shape, torch.zeros(3, 2, 3))
    target = {"rotations": rotations, "shape": shape, "translation": translation, "joints": joints}
    output = BodyPose(sixd_from_matrix(rotations @ turn), shape + 0.5, translation)
    parts = losses(output, target, dataclasses.replace(NOTHING, rotation=10.0, shape=2.0), SMPL24, smpl)
    assert float(parts["rotation"]) == pytest.approx(2.0, rel=1e-4)
    assert float(parts["shape"]) == pytest.approx(0.5, rel=1e-4)
    exact = BodyPose(sixd_from_matrix(rotations), shape, translation)
    torch.testing.assert_close(joints_of(exact, smpl), joints, atol=1e-5, rtol=0)
    with pytest.raises(ConfigError, match=r"smpl\.is\.tue"):
        joints_of(exact)


def test_gradients_reach_every_part():
    smpl = body(arrays()).float()
    output = BodyPose(*(torch.randn(3, 2, *s, requires_grad=True) for s in ((5, 6), (4,), (3,))))
    target = {
        "rotations": torch.eye(3).expand(3, 2, 5, 3, 3),
        "shape": torch.zeros(3, 2, 4),
        "translation": FAR.expand(3, 2, 3),
        "joints": torch.zeros(3, 2, 5, 3),
    }
    sum(losses(output, target, PoseWeights(points=0.0), SMPL24, smpl).values()).backward()
    assert all(torch.isfinite(part.grad).all() and part.grad.any() for part in output)


def test_weights_are_not_negative():
    with pytest.raises(ConfigError, match="bone"):
        PoseWeights(bone=-1.0)
