"""Every model has an artificial twin: the same graph and weights, ReLU in place of every spiking neuron."""

import dataclasses

import pytest
import torch

from spikereel.errors import StateError
from spikereel.hub import create_model, list_models, load_model, save_model
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import count_macs
from spikereel.layers.state import State
from spikereel.models.architectures import ANN, ARCHITECTURES

BASES = [name for name in ARCHITECTURES if not name.endswith(ANN)]
SMALL = {
    "svformer": {"frames": 4, "image_size": 64, "widths": (8, 16, 16, 24), "head_dim": 8},
    "spikevideoformer": {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 2},
}
RUN = ("spikevideoformer_ti", "meta_spikeformer_s", "svformer")
MORE = {
    "spikevideoformer_ti": ({}, {"attention": "causal"}, {"attention": "factorised"}),
    "meta_spikeformer_s": ({},),
    "svformer": ({}, {"head": "mean", "time_norm": False}, {"local_path": False}),
}
CASES = [(name, fields) for name in RUN for fields in MORE[name]]


def _small(name, **fields):
    torch.manual_seed(0)
    small = SMALL["svformer" if name.startswith("svformer") else "spikevideoformer"]
    return create_model(name, num_classes=5, **small, **fields)


def _neurons(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, Neuron)}


def _video(seed=0):
    return torch.rand(4, 3, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_every_model_has_one():
    assert len(BASES) * 2 == len(ARCHITECTURES)
    assert {name + ".ann" for name in BASES} == set(ARCHITECTURES) - set(BASES)


@pytest.mark.parametrize("name", BASES)
def test_same_parameters_and_operations(name):
    with torch.device("meta"):
        spiking, twin = create_model(name), create_model(name + ".ann")
    neurons, artificial = _neurons(spiking), _neurons(twin)
    assert neurons.keys() == artificial.keys()
    assert {m.config.kind for m in artificial.values()} == {"relu"}
    assert all(m.spiking for m in neurons.values())
    time_constants = {f"{n}.w": () for n, m in neurons.items() if m.config.kind == "plif"}
    shapes, own = ({n: tuple(x.shape) for n, x in m.state_dict().items()} for m in (spiking, twin))
    assert shapes == own | time_constants
    assert bool(time_constants) == name.startswith("svformer")

    one, two = list_models()[name], list_models()[name + ".ann"]
    assert two.parameters == one.parameters - len(time_constants)
    assert one.macs == two.macs > 1e7
    assert (two.weights, two.published, two.clip) == ((), (), one.clip)
    assert two.config == dataclasses.replace(one.config, neuron=two.config.neuron)
    assert two.config.neuron == dataclasses.replace(one.config.neuron, kind="relu")


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_counted_operations_are_the_same(name, fields):
    model, twin = _small(name, **fields), _small(name + ".ann", **fields)
    assert count_macs(model, _video()) == count_macs(twin, _video())


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_runs_forward_and_backward_on_real_values(name, fields):
    twin, seen = _small(name + ".ann", **fields), {}
    for neuron, m in _neurons(twin).items():
        m.register_forward_hook(lambda _m, x, out, neuron=neuron: seen.update({neuron: (x[0], out[0])}))
    video = _video().requires_grad_()
    logits, _ = twin.train()(video)
    logits.square().sum().backward()
    assert seen.keys() == _neurons(twin).keys()
    for neuron, (x, y) in seen.items():
        assert torch.equal(y, x.clamp(min=0)), neuron
        assert y.unique().numel() > 2, f"{neuron} is binary"
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in twin.parameters())
    assert torch.isfinite(video.grad).all()
    assert video.grad.any()


def test_attention_of_real_values_is_the_plain_product():
    """2q - 1 means nothing for them, so q (k^T v) stands in for the Hamming product, divided by 2 D all the same."""
    twin, seen = _small("spikevideoformer_ti.ann").double(), {}
    attn = twin.block3[0].attn
    for part in "qkv":
        neuron = attn.get_submodule(f"{part}_lif")
        neuron.register_forward_hook(lambda _m, _x, out, part=part: seen.update({part: out[0]}))
    attn.attn_bn.register_forward_hook(lambda _m, x, _out: seen.update({"a": x[0]}))
    attn(torch.randn(4, 2, 16, 3, 3, dtype=torch.float64))
    # tokens of the whole clip, two heads of 8 channels
    q, k, v = (seen[part].view(4, 2, 2, 8, 9).permute(1, 2, 0, 4, 3).flatten(2, 3) for part in "qkv")
    wanted = (q @ k.mT) @ v / (2 * 16)
    got = seen["a"].view(4, 2, 2, 8, 9).permute(1, 2, 0, 4, 3).flatten(2, 3)
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["spikevideoformer_ti", "meta_spikeformer_s", "svformer"])
def test_twin_takes_the_weights_of_its_model(name):
    model, twin = _small(name), _small(name + ".ann")
    missing, unexpected = twin.load_state_dict(model.state_dict(), strict=False)
    assert missing == []
    assert all(key.endswith(".w") for key in unexpected)
    assert not torch.allclose(model.train()(_video())[0], twin.train()(_video())[0])


@pytest.mark.parametrize("fields", [{}, {"head": "mean", "time_norm": False}])
def test_twin_streams_like_its_model(fields):
    twin, video = _small("svformer.ann", **fields).double().eval(), _video().double()
    with torch.no_grad():
        whole, _ = twin(video)
        _, state = twin(video[:1], State())
        logits, _ = twin(video[1:], state)
    torch.testing.assert_close(logits, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [n + end for n in ("spikevideoformer_ti", "svformer") for end in ("", ".ann")])
def test_round_trip_is_bit_equal(name, tmp_path):
    model = _small(name)
    model.train()(_video(seed=1))
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert type(loaded) is type(model)
    assert (loaded.config, loaded.metadata) == (model.config, model.metadata)
    one, two = model.state_dict(), loaded.state_dict()
    assert list(one) == list(two)
    assert all(torch.equal(one[n], two[n]) and one[n].dtype == two[n].dtype for n in one)
    with torch.no_grad():
        assert torch.equal(loaded(_video())[0], model.eval()(_video())[0])


@pytest.mark.parametrize(("name", "fields"), [("spikevideoformer_ti", {"attention": "spatial"}), ("svformer", {})])
def test_a_twin_refuses_a_state_of_another_batch(name, fields):
    model, video = _small(name + ANN, **fields).eval(), _video()[:2]
    _, state = model(video, State())
    with pytest.raises(StateError, match="state is that of 3 clips a batch, the video has 1"):
        model(video[:, :1], state)
