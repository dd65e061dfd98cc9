"""People on disk and in numbers: a random small body model, a clip of UTD-MHAD, a stream of MMHPSD."""

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from spikereel.body.camera import Camera
from spikereel.body.rotations import forward_kinematics
from spikereel.body.skeletons import SMPL24
from spikereel.body.smpl import SMPL
from spikereel.data.made.people import draw_motion, render
from spikereel.data.sets.mmhpsd import pack
from spikereel.data.sets.utd_mhad_pose import KINECT_DEPTH

PARENTS = (-1, 0, 0, 1, 3)
V, J, S = 30, len(PARENTS), 4


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    regressor = rng.random((J, V)) * (rng.random((J, V)) < 0.4)
    weights = rng.random((V, J))
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": 0.1 * rng.normal(size=(V, 3, S)),
        "posedirs": 0.1 * rng.normal(size=(V, 3, 9 * (J - 1))),
        "J_regressor": regressor,
        "weights": weights / weights.sum(1, keepdims=True),
        "f": rng.integers(0, V, (8, 3)).astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(J)], dtype=np.int64),
    }


def body(a):
    x = {key: torch.from_numpy(value) for key, value in a.items() if key != "f"}
    return SMPL(
        template=x["v_template"],
        shapedirs=x["shapedirs"],
        posedirs=x["posedirs"],
        regressor=x["J_regressor"],
        weights=x["weights"],
        parents=PARENTS,
    )


def write_clip(path, *, frames=21, seed=0, change=None):
    """A figure before the Kinect, as the files of UTD-MHAD have it."""
    joints = draw_motion(np.random.default_rng(seed), frames) + np.array([0.1, 0.0, 3.0], np.float32)
    # a square of 160 with the 120 rows of the camera in the middle of it
    camera = Camera(
        fx=KINECT_DEPTH.fx / 160, fy=KINECT_DEPTH.fy / 160, cx=KINECT_DEPTH.cx / 160, cy=(KINECT_DEPTH.cy + 20) / 160
    )
    depth, _ = render(joints, camera, 160)
    depth = np.where(np.isfinite(depth), 1000 * depth, 0).astype(np.uint16)[:, 20:140]
    joints = joints * np.array([1, -1, 1], np.float32)
    if change is not None:
        depth, joints = change(depth, joints)
    np.savez_compressed(path, depth=depth, joints=joints.astype(np.float32))


OFFSETS = 0.15 * np.random.default_rng(9).normal(size=(24, 3))


def write_stream(root, name="subject03_group1_time1", intervals=9, seed=0):
    """Interval i has one event, in slice i % 4, row 10 i and column 7 i."""
    stream = root / name
    for folder in ("events_frame_04", "poses", "grey"):
        (stream / folder).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(intervals):
        frame = np.zeros((4, 256, 256), bool)
        frame[i % 4, 10 * i, 7 * i] = True
        np.savez(stream / f"events_frame_04/events_{i:04d}.npz", events_frame=pack(frame))
    for i in range(intervals + 1):
        pose = rng.normal(0, 0.2, (24, 3))
        rotations = torch.from_numpy(Rotation.from_rotvec(pose).as_matrix())
        _, joints = forward_kinematics(rotations, torch.from_numpy(OFFSETS), SMPL24.parents)
        trans = np.array([0.01 * i, 0.1, 3.0])
        np.savez(
            stream / f"poses/pose_{i:04d}.npz",
            joints3d=joints.numpy() + trans,
            trans=trans[None],
            body_pose=pose.reshape(1, 72),
            beta=np.full((1, 10), i / 10),
            joints2d=np.zeros((24, 2)),
        )
        Image.fromarray(np.full((256, 256), 100 + i, np.uint8)).save(stream / f"grey/grey_{i:04d}.png")
    return stream
