"""UTD-MHAD in both layouts, pictures of people, splits by subject; and the real clips."""

import numpy as np
import pytest
import torch

from spikereel.data.sets.utd_mhad import UTDMHAD, DepthReading, _times, picture, read_depth, read_depth_and_joints
from spikereel.errors import ConfigError, DataError

READING = DepthReading(frames=4, size=24)


def person(frames=9, *, row=40, column=30, depth=2000):
    """A board of 50 x 20 pixels that moves right by two pixels and 50 mm closer in each frame."""
    video = np.zeros((frames, 120, 160), np.uint16)
    for t in range(frames):
        video[t, row : row + 50, column + 2 * t : column + 2 * t + 20] = depth - 50 * t
    return video


@pytest.fixture
def root(tmp_path):
    """Actions 1 and 27 of the subjects 1, 2 and 3."""
    for action in (1, 27):
        for subject in (1, 2, 3):
            joints = np.full((9, 20, 3), subject, np.float32)
            np.savez(tmp_path / f"a{action:02}_s{subject}_t1.npz", depth=person(depth=1500 + action), joints=joints)
    return tmp_path


def test_picture():
    depth = person(3, depth=2000)
    view = picture(depth, 60)
    assert view.shape == (3, 60, 60)
    # side 1.1 * 49 + 1, rounded up to 55: the board is 50 / 55 of the height, in the middle
    assert (view[1, :, 30] > 0.25).sum() in (54, 55)
    assert view[1, -2:].max() == view[1, :2].max() == 0
    inside = [float(v[30][v[30] > 0.4].max()) for v in view]
    assert inside == pytest.approx([0.5 - 50 / 1500, 0.5, 0.5 + 50 / 1500], abs=0.01)
    # far limbs stay above the background
    depth[:, 45:50, 31:36] = 5000
    assert picture(depth, 60)[0].unique().min() == 0
    assert (picture(depth, 110) > 0.04).any()


def test_a_person_at_the_border_is_padded_with_background():
    view = picture(person(2, row=0, column=0), 40)
    assert view.shape == (2, 40, 40)
    assert view[0, :, 0].max() == 0


def test_items(root):
    data = UTDMHAD(root, READING)
    video, label = data[-1]
    assert (len(data), data.labels, label) == (6, [0, 0, 0, 26, 26, 26], 26)
    assert video.shape == (4, 1, 24, 24)
    assert video.dtype == torch.float32
    assert 0 == video.min() < video.max() <= 1
    moving = UTDMHAD(root, DepthReading(frames=4, size=24, motion=True))[0][0]
    assert torch.equal(moving[:, :1], data[0][0])
    columns = torch.arange(24.0)
    came, went = ((moving[2, channel].sum(0) * columns).sum() / moving[2, channel].sum() for channel in (1, 2))
    assert came > went  # the board moves right: it comes in at its right border
    assert data.joints(1).shape == (9, 20, 3)
    assert (data.joints(1)[0, 0, 0], data.depth(1).dtype) == (2, np.uint16)
    assert len(UTDMHAD(root, READING, subjects=(1, 3))) == 4
    with pytest.raises(DataError, match=r"no clips of subjects \[7\]"):
        UTDMHAD(root, READING, subjects=(7,))


def test_history_sees_what_moved_between_the_frames_of_a_clip(root):
    path = root / "a01_s1_t1.npz"
    depth = person(1).repeat(41, axis=0)
    depth[15] = person(9)[8]  # a jump for a single frame, that is not in the clip
    np.savez(path, depth=depth, joints=np.zeros((41, 20, 3)))
    plain, trail = (
        UTDMHAD(root, DepthReading(frames=4, size=24, motion=True, history=history))[0][0] for history in (0, 0.5)
    )
    assert torch.equal(plain[:, :1], trail[:, :1])
    assert float(plain[:, 1:].max()) == 0
    assert float(trail[0, 1:].max()) == 0  # before the jump
    assert float(trail[1:, 1:].flatten(1).max(1).values.min()) > 0.01
    assert trail[1, 1:].sum() > trail[3, 1:].sum()
    # a long memory is far behind the board
    shorter, longer = (
        UTDMHAD(root, DepthReading(frames=4, size=24, motion=True, history=history))[1][0] for history in (0.03, 0.5)
    )
    assert longer[3, 2].sum() > 1.5 * shorter[3, 2].sum()


def test_training_bends_time():
    drawn = [_times(101, 11, np.random.default_rng(seed)) for seed in range(200)]
    assert all((x.diff() >= 4).all() and (x.diff() <= 16).all() for x in drawn)
    speeds = torch.stack([x.diff().float() for x in drawn])
    faster = speeds[:, -3:].mean(1) / speeds[:, :3].mean(1)
    assert faster.min() < 0.6
    assert faster.max() > 1.6
    assert _times(101, 11, None).tolist() == list(range(0, 101, 10))


def test_training_items_depend_on_seed_epoch_and_index_only(root):
    def make(**options):
        return UTDMHAD(root, DepthReading(frames=4, size=24, train=True, shift=3, rotate=9, zoom=0.2, **options))

    data, same, other = make(), make(), make(seed=1)
    _ = same[0]
    first = data[1][0]
    assert torch.equal(first, same[1][0])
    assert not torch.equal(first, other[1][0])
    data.set_epoch(1)
    assert not torch.equal(first, data[1][0])
    still = UTDMHAD(root, DepthReading(frames=4, size=24, train=True))[1][0]
    assert float(still.sum()) == pytest.approx(float(UTDMHAD(root, READING)[1][0].sum()), rel=0.1)


def test_official_layout_equals_the_npz(root, tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    official = tmp_path / "official"
    for name in ("Depth", "Skeleton"):
        (official / name).mkdir(parents=True)
    depth, joints = read_depth_and_joints(root / "a27_s2_t1.npz")
    full = depth.repeat(2, axis=1).repeat(2, axis=2).transpose(1, 2, 0)
    scipy_io.savemat(official / "Depth/a27_s2_t1_depth.mat", {"d_depth": full})
    with pytest.raises(DataError, match=r"skeleton\.mat: no such file"):
        UTDMHAD(official, READING)[0]
    scipy_io.savemat(official / "Skeleton/a27_s2_t1_skeleton.mat", {"d_skel": joints.transpose(1, 2, 0)})
    data = UTDMHAD(official, READING)
    assert data.labels == [26]
    assert np.array_equal(data.depth(0), depth)
    assert np.array_equal(data.joints(0), joints)
    path = official / "Depth/a27_s2_t1_depth.mat"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"depth\.mat: cannot be read"):
        read_depth_and_joints(path)


def test_files_that_lie(root):
    path = root / "a01_s1_t1.npz"
    whole = path.read_bytes()
    for content, message in ((b"", "cannot be read"), (whole[:-400], "cannot be read"), (b"PK\3\4junk", "cannot be")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"a01_s1_t1\.npz: {message}"):
            UTDMHAD(root, READING)[0]
    np.savez(path, depth=person()[:, ::2], joints=np.zeros((9, 20, 3)))
    with pytest.raises(DataError, match=r"depth is \[9, 60, 160\]"):
        read_depth_and_joints(path)
    np.savez(path, depth=0 * person(), joints=np.zeros((9, 20, 3)))
    with pytest.raises(DataError, match="shows nobody"):
        read_depth_and_joints(path)
    (root / "a28_s1_t1.npz").write_bytes(whole)
    with pytest.raises(DataError, match=r"a28_s1_t1\.npz: is not named"):
        UTDMHAD(root, READING)
    with pytest.raises(DataError, match="has no clips"):
        UTDMHAD(root / "Depth", READING)


def with_first(array, value, dtype):
    """The array in another type, with one value changed."""
    array = array.astype(dtype)
    array[(0,) * array.ndim] = value
    return array


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (person() / 1000.0, r"float64, 0 to 2; give whole millimetres"),
        (person().astype(np.float32), "float32, 0 to 2000"),
        (with_first(person(), np.nan, np.float32), "float32, nan to nan"),
        (with_first(person(), -5, np.int32), "int32, -5 to 2000"),
        (with_first(person(), 65536, np.int64), "int64, 0 to 65536"),
        (person().astype("U6"), "<U6"),
        (person() > 0, "bool"),
        (person().astype(complex), "complex128"),
    ],
)
def test_depth_that_is_no_millimetres(tmp_path, depth, message):
    path = tmp_path / "a1_s1_t1.npz"
    np.savez(path, depth=depth, joints=np.zeros((9, 20, 3)))
    for read in (read_depth_and_joints, read_depth):
        with pytest.raises(DataError, match=rf"a1_s1_t1\.npz: depth is {message}"):
            read(path)


def test_depth_of_any_integers(tmp_path):
    path = tmp_path / "a1_s1_t1.npz"
    for dtype in (np.int16, np.uint16, np.int64, ">u2"):
        np.savez(path, depth=person().astype(dtype), joints=np.zeros((9, 20, 3)))
        for depth in (read_depth_and_joints(path)[0], read_depth(path)):
            assert (depth.dtype, depth.tolist()) == (np.uint16, person().tolist())
            assert depth.dtype.isnative


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, np.float32), (np.inf, np.float64), (1e300, np.float64)])
def test_joints_that_are_not_finite(tmp_path, value, dtype):
    path, joints = tmp_path / "a1_s1_t1.npz", np.zeros((9, 20, 3), dtype)
    joints[3, 7, 1] = value
    np.savez(path, depth=person(), joints=joints)
    with pytest.raises(DataError, match=r"a1_s1_t1\.npz: joint 7 of frame 3 is NaN"):
        read_depth_and_joints(path)
    np.savez(path, depth=person(), joints=joints.astype("U9"))
    with pytest.raises(DataError, match=r"a1_s1_t1\.npz: joints are <U9"):
        read_depth_and_joints(path)


def test_matlab_files(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    for name in ("Depth", "Skeleton"):
        (tmp_path / name).mkdir()
    path, skeleton = tmp_path / "Depth/a1_s1_t1_depth.mat", tmp_path / "Skeleton/a1_s1_t1_skeleton.mat"
    full = person().repeat(2, axis=1).repeat(2, axis=2).transpose(1, 2, 0)
    scipy_io.savemat(skeleton, {"d_skel": np.zeros((20, 3, 9))})
    for dtype in (np.float64, np.int16, np.uint16):
        scipy_io.savemat(path, {"d_depth": full.astype(dtype)}, do_compression=True)
        assert np.array_equal(read_depth_and_joints(path)[0], person())
        assert np.array_equal(read_depth(path), person())
    for depth in (full / 1000.0, with_first(full, np.nan, float), with_first(full, -1, float)):
        scipy_io.savemat(path, {"d_depth": depth})
        for read in (read_depth_and_joints, read_depth):
            with pytest.raises(DataError, match=r"depth\.mat: depth is float64"):
                read(path)
    scipy_io.savemat(path, {"d_depth": full}, do_compression=True)
    whole = path.read_bytes()
    for at in (200, 400, 600, 800):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        for read in (read_depth_and_joints, read_depth):
            with pytest.raises(DataError, match=r"depth\.mat: cannot be read as MATLAB's d_depth"):
                read(path)
    path.write_bytes(whole)
    scipy_io.savemat(skeleton, {"d_skel": np.full((20, 3, 9), np.nan)})
    with pytest.raises(DataError, match=r"skeleton\.mat: joint 0 of frame 0 is NaN"):
        read_depth_and_joints(path)


@pytest.mark.parametrize(
    "options", [{"frames": 0}, {"size": 0}, {"shift": -1}, {"zoom": -0.1}, {"seed": -1}, {"history": 0.3}]
)
def test_reading_refuses(options):
    with pytest.raises(ConfigError):
        DepthReading(**{"frames": 4, "size": 24} | options)


@pytest.mark.realdata
def test_real_clips(real_data):
    """The joints lie on the person: most project onto a pixel whose depth is within 40 cm of theirs."""
    data = UTDMHAD(real_data / "utd_mhad_half", READING)
    assert (len(data), len(set(data.labels))) == (431, 27)
    for index in (0, 200, 430):
        depth, joints = data.depth(index), data.joints(index)
        x, y, z = joints[0].T
        column, row = (160 + 285.63 * x / z) / 2, (120 - 285.63 * y / z) / 2
        there = depth[0, row.round().astype(int).clip(0, 119), column.round().astype(int).clip(0, 159)]
        assert (abs(there - 1000 * z) < 400).sum() > 12
        assert len(depth) == len(joints)
