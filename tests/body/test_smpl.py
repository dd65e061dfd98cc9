"""SMPL on a random small body, against its equations in plain loops of float64; and its files."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from spikereel.body.smpl import load_smpl
from spikereel.errors import DataError
from tests.people import PARENTS, J, S, V, arrays, body


def inputs(batch=3, seed=1):
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(batch * J, random_state=seed).as_matrix().reshape(batch, J, 3, 3)
    return tuple(torch.from_numpy(x) for x in (rotations, rng.normal(size=(batch, S)), rng.normal(size=(batch, 3))))


def independent(a, rotations, shape, translation):
    """Joints and vertices of one body, with 4 x 4 matrices, after the equations of the SMPL paper."""
    shaped = a["v_template"] + a["shapedirs"] @ shape
    rest = a["J_regressor"] @ shaped
    posed = shaped + a["posedirs"] @ np.concatenate([(rotations[j] - np.eye(3)).ravel() for j in range(1, J)])
    world = []
    for j in range(J):
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        local[:3, 3] = rest[j] - (rest[PARENTS[j]] if j else 0)
        world.append(local if j == 0 else world[PARENTS[j]] @ local)
    joints = np.array([g[:3, 3] for g in world])
    vertices = np.zeros((V, 3))
    for v in range(V):
        for j in range(J):
            to_rest = np.eye(4)
            to_rest[:3, 3] = -rest[j]
            vertices[v] += a["weights"][v, j] * (world[j] @ to_rest @ np.append(posed[v], 1.0))[:3]
    return joints + translation, vertices + translation


def test_joints_and_skin_are_those_of_the_equations():
    a, (rotations, shape, translation) = arrays(), inputs()
    smpl = body(a)
    joints, vertices = smpl(rotations, shape, translation), smpl.vertices(rotations, shape, translation)
    for i in range(len(shape)):
        expected = independent(a, *(x[i].numpy() for x in (rotations, shape, translation)))
        np.testing.assert_allclose(joints[i].numpy(), expected[0], rtol=0, atol=1e-6)
        np.testing.assert_allclose(vertices[i].numpy(), expected[1], rtol=0, atol=1e-6)


def test_gradients():
    smpl, values = body(arrays()), tuple(x.requires_grad_() for x in inputs(1))
    assert torch.autograd.gradcheck(smpl, values)
    assert torch.autograd.gradcheck(smpl.vertices, values)


def test_axes_in_front():
    rotations, shape, translation = (x.expand(2, 4, *x.shape) for x in (y[0] for y in inputs()))
    smpl = body(arrays())
    assert smpl(rotations, shape, translation).shape == (2, 4, J, 3)
    assert smpl.vertices(rotations, shape, translation).shape == (2, 4, V, 3)


class Ch:
    """Pickles as chumpy's arrays do."""

    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        return chumpy.Ch, (), self.__dict__


class Select(Ch):
    def __init__(self, a, idxs, shape):
        self.a, self.idxs, self.preferred_shape = a, idxs, shape


chumpy = types.ModuleType("chumpy.ch")
chumpy.Ch = type("Ch", (), {"__module__": "chumpy.ch", "__qualname__": "Ch"})


def write_pickle(path, content, protocol=2):
    sys.modules |= {"chumpy": types.ModuleType("chumpy"), "chumpy.ch": chumpy}
    try:
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]
    return path


@pytest.mark.parametrize("protocol", [2, 4])
def test_the_published_form_is_read(tmp_path, protocol):
    a = arrays()
    published = a | {
        "shapedirs": Ch(a["shapedirs"]),
        "J_regressor": scipy.sparse.csc_matrix(a["J_regressor"]),
        "v_template": Select(Ch(a["v_template"].ravel()[::-1].copy()), np.arange(3 * V)[::-1].copy(), (V, 3)),
        "weights": scipy.sparse.csr_matrix(a["weights"]),
        "bs_type": "lrotmin",
        "pose_training_info": {"gender": "m"},
    }
    np.savez(tmp_path / "body.npz", **a)
    one = load_smpl(write_pickle(tmp_path / "body.pkl", published, protocol))
    two = load_smpl(tmp_path / "body.npz")
    assert one.parents == two.parents == PARENTS
    for name, x in two.state_dict().items():
        assert torch.equal(one.state_dict()[name], x), name
    np.testing.assert_array_equal(two.faces.numpy(), a["f"])
    rotations, shape, translation = (x.float() for x in inputs())
    torch.testing.assert_close(one(rotations, shape, translation).double(), body(a)(*inputs()), atol=1e-5, rtol=0)
    assert load_smpl(tmp_path / "body.npz", shapes=2).shapedirs.shape == (V, 3, 2)


class Evil:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("call", [os.system, eval, getattr, np.load, pickle.loads])
def test_code_in_a_file_is_not_run(tmp_path, call):
    trace = tmp_path / "trace"
    path = write_pickle(tmp_path / "body.pkl", arrays() | {"extra": Evil(call, f"touch {trace}")})
    with pytest.raises(DataError, match="it would run"):
        load_smpl(path)
    assert not trace.exists()


def test_a_missing_file_says_where_users_get_it(tmp_path):
    with pytest.raises(DataError, match=r"smpl\.is\.tue\.mpg\.de.*licence"):
        load_smpl(tmp_path / "basicModel_m_lbs_10_207_0_v1.0.0.pkl")


def test_broken_files_are_named(tmp_path):
    a = arrays()
    whole = write_pickle(tmp_path / "body.pkl", a).read_bytes()
    broken = {
        "cut.pkl": whole[: len(whole) // 2],
        "empty.pkl": b"",
        "list.pkl": pickle.dumps([1, 2]),
        "text.npz": b"no",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            load_smpl(tmp_path / name)
    wrong = {
        "lacks posedirs": {k: x for k, x in a.items() if k != "posedirs"},
        "J_regressor is": a | {"J_regressor": a["J_regressor"].T.copy()},
        "v_template is": a | {"v_template": a["v_template"] * np.nan},
        "no tree": a | {"kintree_table": np.array([[0, 4, 0, 1, 3], range(J)])},
    }
    for message, content in wrong.items():
        np.savez(tmp_path / "wrong.npz", **content)
        with pytest.raises(DataError, match=message):
            load_smpl(tmp_path / "wrong.npz")
