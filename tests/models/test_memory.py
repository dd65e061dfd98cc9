"""memory = fast and lean keep less for the backward pass, and every number is that of plain."""

import copy

import pytest
import torch
from tiny import clip, tiny_config, tiny_model, tiny_svformer

from spikereel.errors import ConfigError
from spikereel.layers.fused import set_memory
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.state import State
from spikereel.models.spikevideoformer import SpikeVideoFormer

MODELS = {
    "spikevideoformer": tiny_model,
    "hierarchical-dot": lambda: tiny_model(attention="hierarchical", similarity="dot"),
    "factorised-integer": lambda: tiny_model(
        attention="factorised", neuron=NeuronConfig(kind="ilif", levels=3, normalise=True)
    ),
    "causal-plif-soft": lambda: tiny_model(
        attention="causal", neuron=NeuronConfig(kind="plif", reset="soft", detach_reset=False)
    ),
    "spatial-if": lambda: tiny_model(attention="spatial", neuron=NeuronConfig(kind="if", v_reset=-0.1)),
    "svformer": tiny_svformer,
    "svformer-shared-mean": lambda: tiny_svformer(time_norm=False, head="mean", drop_path=0.5),
    "svformer-over-time": lambda: tiny_svformer(drop_path=0.5, drop_path_over_time=True),
}
PARTS = {"causal-plif-soft": (1, 3), "spatial-if": (3, 1), "svformer": (2, 2)}
"""Clips in parts, with gradients through the state that is carried."""


def _step(model, memory, *, parts=(4,), double=True):
    """Everything that a training step leaves behind, and the bytes kept for its backward pass."""
    model, kept = copy.deepcopy(model).train(), {}
    model = model if double else model.float()
    set_memory(model, memory)
    video = clip(batch=2, seed=3).to(next(model.parameters()).dtype).requires_grad_()
    torch.manual_seed(0)

    def note(x):
        kept[x.untyped_storage()._cdata] = x.untyped_storage().nbytes(), x
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        loss, state = 0.0, State() if len(parts) > 1 else None
        for part in video.split(parts):
            logits, state = model(part, state)
            loss = loss + (logits * torch.arange(1.0, 6.0)).square().sum()
        # membranes have gradients too
        loss = loss + sum(v.sum() for v in state.flat().values() if v.requires_grad) * 1e-3
    loss.backward()
    found = {"logits": logits.detach(), "video": video.grad, **dict(model.named_buffers())}
    found |= {f"state {name}": x.detach() for name, x in state.flat().items()}
    found |= {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    return found, sum(size for data, (size, _) in kept.items() if data not in weights)


def _assert_close(one, two, share):
    assert one.keys() == two.keys()
    most = max(float(x.abs().max()) for name, x in one.items() if name.endswith("weight"))
    for name, x in one.items():
        assert two[name].shape == x.shape
        assert two[name].dtype == x.dtype
        # what a norm behind takes away again, as biases and scales, has no gradient but what rounding leaves of others
        of = one.get(f"{name.removesuffix('bias')}weight", x) if name.endswith("bias") else x
        scale = max(1e-3 * most, *(float(y.abs().max()) if y.numel() else 0.0 for y in (x, of)))
        torch.testing.assert_close(two[name], x, rtol=0, atol=share * scale, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("name", MODELS)
def test_every_number_is_that_of_plain(name):
    model, parts = MODELS[name](), PARTS.get(name, (4,))
    plain, kept = _step(model, "plain", parts=parts)
    assert plain["video"].abs().max() > 1e-3
    for memory, times in (("fast", 2), ("lean", 3)):
        found, less = _step(model, memory, parts=parts)
        _assert_close(plain, found, 1e-10)
        assert times * less < kept


@pytest.mark.parametrize("name", ["spikevideoformer", "svformer", "factorised-integer"])
def test_so_it_is_in_float32(name):
    model = MODELS[name]()
    plain, _ = _step(model, "plain", double=False)
    for memory in ("fast", "lean"):
        _assert_close(plain, _step(model, memory, double=False)[0], 1e-4)


def test_evaluation_is_what_it_was():
    model = tiny_model()
    before = model(clip())[0]
    set_memory(model, "lean")
    assert torch.equal(model(clip())[0], before)


def test_there_is_no_second_derivative():
    model = tiny_model().train()
    set_memory(model, "fast")
    y, _ = model.run_block(model.downsample1_1, clip())
    with pytest.raises(ConfigError, match="no second derivatives; give memory='plain'"):
        torch.autograd.grad(y.square().sum(), model.downsample1_1.encode_conv.weight, create_graph=True)


@pytest.mark.parametrize(
    ("neuron", "named"),
    [
        (NeuronConfig(kind="relu"), "lif1 is relu"),
        (NeuronConfig(reset="soft", reset_delay=True), "one step late"),
        (NeuronConfig(kind="ilif", replay=True), "4 sub-step"),
        (NeuronConfig(kind="plif", tau_spread=(2.0, 8.0)), "without .* tau_spread; .* tau=2 to 8"),
    ],
)
def test_neurons_that_it_does_not_know_are_named(neuron, named):
    model = SpikeVideoFormer(tiny_config(neuron=neuron))
    with pytest.raises(ConfigError, match=named):
        set_memory(model, "lean")
    assert model.memory == "plain"


def test_hooks_see_their_layers():
    model, seen = tiny_model().train(), []
    set_memory(model, "fast")
    neuron = model.ConvBlock1_1[0].lif1
    assert isinstance(neuron, Neuron)
    with neuron.register_forward_hook(lambda _m, _x, y: seen.append(y[0])):
        model(clip())
    model(clip())
    assert len(seen) == 1
    assert seen[0].unique().tolist() == [0.0, 1.0]


def test_a_word_that_is_none():
    with pytest.raises(ConfigError, match="memory 'small' does not exist; choose one of plain, fast, lean"):
        set_memory(tiny_model(), "small")
