"""Motion files: by hand, there and back, and the real ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spikereel.body.bvh import Motion, motion_of, read_bvh, write_bvh
from spikereel.body.skeletons import KINECT20
from spikereel.errors import DataError

TEXT = """HIERARCHY
ROOT hip
{
  OFFSET 9 9 9
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT knee
  {
    OFFSET 0 -2 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
  JOINT tail
  {
    OFFSET 0 0 -1
    CHANNELS 0
    End Site
    {
      OFFSET 0 0 -1
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.025
1 2 3 0 0 0 0 0 0
1 2 3 90 30 0 10 20 40
"""


def test_by_hand(tmp_path):
    (tmp_path / "a.bvh").write_text(TEXT)
    motion = read_bvh(tmp_path / "a.bvh")
    assert motion.names == ("hip", "knee", "tail")
    assert motion.parents == (-1, 0, 0)
    assert motion.seconds == 0.025
    joints = motion.joints()
    np.testing.assert_allclose(joints[0], [[1, 2, 3], [1, 0, 3], [1, 2, 2]], atol=1e-12)
    # Rz(90) Rx(30): (0, -2, 0) -> Rx (0, -1.732, -1) -> Rz (1.732, 0, -1)
    np.testing.assert_allclose(joints[1, 1], [1 + 3**0.5, 2, 2], atol=1e-12)
    expected = Rotation.from_euler("ZYX", [10, 20, 40], degrees=True).as_matrix()
    np.testing.assert_allclose(motion.rotations[1, 1], expected, atol=1e-12)


def test_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    parents = (-1, 0, 1, 1, 0)
    motion = Motion(
        names=tuple("abcde"),
        parents=parents,
        offsets=rng.normal(size=(3, 5, 3)),
        seconds=1 / 30,
        rotations=Rotation.random(15, random_state=0).as_matrix().reshape(3, 5, 3, 3),
    )
    write_bvh(tmp_path / "a.bvh", motion, positions=True)
    again = read_bvh(tmp_path / "a.bvh")
    assert (again.names, again.parents) == (motion.names, parents)
    np.testing.assert_allclose(again.joints(), motion.joints(), atol=1e-5)
    np.testing.assert_allclose(again.rotations, motion.rotations, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HIERARCHY", "HIERARCH"),
        ("Zrotation Yrotation", "Zrotation Wrotation"),
        ("Frames: 2", "Frames: 3"),
        ("40\n", "nan\n"),
        ("40\n", ""),
        ("MOTION", "}"),
        ("Frame Time: 0.025", ""),
    ],
)
def test_broken_files_are_named(tmp_path, old, new):
    (tmp_path / "a.bvh").write_text(TEXT.replace(old, new))
    with pytest.raises(DataError, match=r"a\.bvh"):
        read_bvh(tmp_path / "a.bvh")


def test_joints_that_turn(tmp_path):
    rng = np.random.default_rng(0)
    rest = rng.normal(size=(20, 3))
    whole = Rotation.random(5, random_state=1).as_matrix()
    whole[0] = np.eye(3)
    turned = rest @ whole.swapaxes(1, 2)
    # the left forearm turns by 1 radian about x as well, without bones that grow
    elbow, forearm = (
        KINECT20.joints.index("left_elbow"),
        [KINECT20.joints.index(f"left_{x}") for x in ("wrist", "hand")],
    )
    bend = Rotation.from_rotvec([1.0, 0, 0]).as_matrix()
    bent = rest.copy()
    bent[forearm] = rest[elbow] + (rest[forearm] - rest[elbow]) @ bend.T
    turned[3] = bent @ whole[3].T
    motion = motion_of(turned, KINECT20.joints, KINECT20.parents, 0.04)
    np.testing.assert_allclose(motion.joints(), turned, atol=1e-9)
    np.testing.assert_allclose(motion.rotations[:, KINECT20.root], whole, atol=1e-4)
    others = np.arange(20) != KINECT20.root
    np.testing.assert_allclose(
        motion.rotations[[0, 1, 2, 4]][:, others], np.broadcast_to(np.eye(3), (4, 19, 3, 3)), atol=1e-4
    )
    lengths = np.linalg.norm(motion.offsets, axis=-1)[:, others]
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-9)
    wrist = motion.rotations[3, elbow] @ motion.offsets[0, forearm[0]]
    np.testing.assert_allclose(wrist, bend @ (rest[forearm[0]] - rest[elbow]), atol=0.01 * np.linalg.norm(wrist))
    write_bvh(tmp_path / "x.bvh", motion, positions=True)
    again = read_bvh(tmp_path / "x.bvh")
    order = [again.names.index(name) for name in KINECT20.joints]
    np.testing.assert_allclose(again.joints()[:, order], turned, atol=1e-4)
    # a joint on top of its child has no direction to turn to
    rest[forearm[1]] = rest[forearm[0]]
    still = motion_of(np.stack([rest, rest]), KINECT20.joints, KINECT20.parents, 0.04)
    np.testing.assert_allclose(still.joints(), np.stack([rest, rest]), atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Frames: 2\nFrame Time: 0.025", "Frames:2\nFrame Time:0.025"),
        ("Frames: 2\nFrame Time: 0.025", "FRAMES : 2\r\nframe time :\t.025"),
        ("End Site", "End Site  toe_end"),
        ("End Site\n    {", "END SITE {"),
        ("ROOT hip\n{", "root\thip {"),
        ("JOINT knee\n  {\n", "Joint knee{"),
        ("MOTION", "Motion"),
        ("HIERARCHY\nROOT hip\n{\n", "Hierarchy ROOT hip {"),
        ("Xposition", "XPOSITION"),
        ("\n", "\r\n"),
        ("\n", "\n\n"),
    ],
)
def test_other_writings_of_the_same(tmp_path, old, new):
    (tmp_path / "a.bvh").write_text(TEXT)
    (tmp_path / "b.bvh").write_text(TEXT.replace(old, new), newline="")
    assert old in TEXT
    one, other = read_bvh(tmp_path / "a.bvh"), read_bvh(tmp_path / "b.bvh")
    assert (other.names, other.parents, other.seconds) == (one.names, one.parents, one.seconds)
    np.testing.assert_array_equal(other.joints(), one.joints())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("name", ["H\u00fcfte links", "mixamorig:Knee", "JOINT 1", "motion [id]"])
def test_names_in_other_encodings(tmp_path, encoding, name):
    flat = " ".join(TEXT.partition("MOTION")[0].replace("JOINT knee", f"JOINT {name}").split())
    for text in (TEXT.replace("knee", name), flat + TEXT[TEXT.index("\nMOTION") :]):
        (tmp_path / "a.bvh").write_bytes(text.encode(encoding))
        assert read_bvh(tmp_path / "a.bvh").names == ("hip", name, "tail")


def test_missing_or_not_text(tmp_path):
    (tmp_path / "a.bvh").write_bytes(b"\xff\xfe\x00")
    for name in ("a.bvh", "b.bvh"):
        with pytest.raises(DataError, match=name):
            read_bvh(tmp_path / name)


@pytest.mark.realdata
def test_real_motion():
    files = sorted((Path(os.environ["SPIKEREEL_DATA"]) / "bandai_namco1").glob("*.bvh"))
    for path in files[::40]:
        motion = read_bvh(path)
        joints = motion.joints()
        assert joints.shape[1:] == (22, 3)
        assert motion.seconds == pytest.approx(1 / 30, rel=1e-4)
        # bones keep their length, and a person of 1.2 to 1.9 m stands on the ground
        bones = np.linalg.norm(joints[:, 3:] - joints[:, list(motion.parents[3:])], axis=-1)
        assert np.ptp(bones, axis=0).max() < 0.1
        head, low = joints[:, motion.names.index("Head"), 1], joints[..., 1].min(1)
        assert 120 < np.median(head - low) < 190


SPACED = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 1
  CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation
  JOINT Upper Leg.L%s
    OFFSET 0.1 0 0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site
    {
      OFFSET 0 0.02 -0.5
    }
  }
}
MOTION
Frames: 1
Frame Time: 0.033333
0 0 1 0 0 0 10 20 30
"""


@pytest.mark.parametrize("brace", ["\n  {\n", " {\n", "{ \n"])
def test_names_of_joints_may_have_spaces(tmp_path, brace):
    (tmp_path / "a.bvh").write_text(SPACED % brace)
    motion = read_bvh(tmp_path / "a.bvh")
    assert motion.names == ("Hips", "Upper Leg.L")
    write_bvh(tmp_path / "b.bvh", motion)
    again = read_bvh(tmp_path / "b.bvh")
    assert again.names == motion.names
    assert np.allclose(again.joints(), motion.joints(), atol=1e-5)
