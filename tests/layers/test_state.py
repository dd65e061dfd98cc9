"""A state survives every way of carrying it."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from spikereel.errors import StateError
from spikereel.layers.state import State


def _state():
    return State(
        {
            "block3": {"0": {"attn": {"q_lif": torch.rand(2, 3), "frames": torch.tensor(4)}}},
            "lif": torch.rand(2, 5, dtype=torch.float64),
        }
    )


def _equal(one, two):
    one, two = one.flat(), two.flat()
    return list(one) == list(two) and all(torch.equal(one[n], two[n]) and one[n].dtype == two[n].dtype for n in one)


def test_flat_and_back():
    state = _state()
    assert list(state.flat()) == ["block3.0.attn.q_lif", "block3.0.attn.frames", "lif"]
    again = State.from_flat(state.flat())
    assert isinstance(again, State)
    assert again["block3"]["0"]["attn"]["q_lif"] is state["block3"]["0"]["attn"]["q_lif"]
    assert State.from_flat({}).flat() == {}


def test_save_and_load(tmp_path):
    state = _state()
    state.save(tmp_path / "state.safetensors")
    loaded = State.load(tmp_path / "state.safetensors")
    assert _equal(
        State.from_flat(dict(sorted(state.flat().items()))), State.from_flat(dict(sorted(loaded.flat().items())))
    )


def test_save_shared_and_strided_tensors(tmp_path):
    whole = torch.arange(12.0).view(3, 4)
    State({"a": whole.T, "b": whole[1:]}).save(tmp_path / "state.safetensors")
    loaded = State.load(tmp_path / "state.safetensors")
    assert torch.equal(loaded["a"], whole.T)
    assert torch.equal(loaded["b"], whole[1:])


def test_clone_is_independent():
    state = _state()
    copy = state.clone()
    assert _equal(copy, state)
    copy["lif"].zero_()
    copy["block3"]["0"]["attn"]["q_lif"].zero_()
    assert state["lif"].any()
    assert state["block3"]["0"]["attn"]["q_lif"].any()


def test_detach_cuts_the_history():
    x = torch.ones(3, requires_grad=True)
    state = State({"a": {"b": x * 2}})
    cut = state.detach()
    assert state["a"]["b"].requires_grad
    assert not cut["a"]["b"].requires_grad
    assert torch.equal(cut["a"]["b"], state["a"]["b"])
    assert isinstance(cut, State)


def test_to_moves_every_tensor():
    moved = _state().to("meta")
    assert {x.device.type for x in moved.flat().values()} == {"meta"}
    assert moved["lif"].dtype == torch.float64


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\0\0\0\0\0\0\0{}      "])
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"state\.safetensors"):
        State.load(path)


def test_weights_and_missing_files_are_no_state(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors", metadata={"spikereel": "{}"})
    for name in ("weights.safetensors", "missing.safetensors"):
        with pytest.raises(StateError, match=name):
            State.load(tmp_path / name)


def test_torch_save_and_safe_load(tmp_path):
    state = State(lif=torch.ones(2), block={"0": {"q_lif": torch.zeros(3)}})
    torch.save(state, tmp_path / "state.pt")
    assert isinstance(copy.deepcopy(state), State)
    loaded = State(torch.load(tmp_path / "state.pt", weights_only=True))
    assert loaded.flat().keys() == state.flat().keys()
    assert all(torch.equal(x, state.flat()[name]) for name, x in loaded.flat().items())
