"""Time constants of channels: by hand, each channel as a neuron of its own, gradients against autograd, files."""

import copy
import dataclasses
import itertools
import math

import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.errors import ConfigError
from spikereel.hub import load_model, save_model
from spikereel.layers.charged import following, membranes
from spikereel.layers.neuron import Neuron, NeuronConfig, spread
from spikereel.layers.state import State
from spikereel.ops.lif import lif, plif
from spikereel.runs.config import OptimSpec
from spikereel.runs.start import start_from

TAUS = (2.0, 4.0, 8.0)


def w_of(*taus, dtype=torch.float64):
    return -torch.log(torch.tensor(taus, dtype=dtype) - 1.0)


def test_taus_are_in_equal_ratios():
    assert spread(2.0, 16.0, 4).tolist() == pytest.approx([2.0, 4.0, 8.0, 16.0], rel=1e-6)
    assert spread(8.0, 2.0, 3).tolist() == pytest.approx([8.0, 4.0, 2.0], rel=1e-6)
    assert spread(3.0, 9.0, 1).tolist() == [3.0]


@pytest.mark.parametrize("backend", ["reference", "fused"])
@pytest.mark.parametrize(
    ("reset", "spikes", "membranes"),
    [
        # tau 2: 1 at once, equality fires; tau 4: 0.5, 0.875, 1.15625; x = 2 each step
        ("hard", [[1, 0], [1, 0], [1, 1]], [0.0, 0.0]),
        ("soft", [[1, 0], [1, 0], [1, 1]], [0.0, 0.15625]),
    ],
)
def test_two_channels_by_hand(reset, spikes, membranes, backend):
    x = torch.full((3, 1, 2), 2.0, dtype=torch.float64)
    s, v = plif(x, None, torch.tensor([0.0, -math.log(3.0)], dtype=torch.float64), reset=reset, backend=backend)
    assert s[:, 0].tolist() == spikes
    assert v[0].tolist() == pytest.approx(membranes, abs=1e-15)


@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 2, 3, 4), (5, 2, 3, 4, 2), (1, 1, 3, 1, 1)])
@pytest.mark.parametrize("kind", ["lif", "plif"])
def test_each_channel_is_a_neuron_of_its_own(kind, shape):
    config = NeuronConfig(kind=kind, tau_spread=(2.0, 8.0), v_reset=-0.25)
    neuron = Neuron(config, 3).double()
    x = 2 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    s, v = neuron(x)
    assert 0 < s.mean() < 1
    for i, tau in enumerate(TAUS):
        own, last = lif(x[:, :, i], tau=tau, v_reset=-0.25)
        torch.testing.assert_close(s[:, :, i], own, rtol=0, atol=0)
        torch.testing.assert_close(v[:, i], last, rtol=1e-6, atol=1e-6)
    if len(x) > 1:
        first, between = neuron(x[:2])
        second, after = neuron(x[2:], between)
        assert torch.equal(torch.cat([first, second]), s)
        assert torch.equal(after, v)


@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_charges_at_the_threshold_fire_in_every_channel(backend):
    w = w_of(2.0, 4.0, 8.0)
    exact = 1.0 / torch.sigmoid(w)
    for way, wanted in ((0.0, 0.0), (9.0, 1.0)):
        x = torch.nextafter(torch.ones(3, dtype=torch.float64), torch.tensor(way, dtype=torch.float64))
        s, _ = plif(x.view(1, 1, 3), None, w, decay_input=False, backend=backend)
        assert s.flatten().tolist() == [wanted] * 3
    s, _ = plif(torch.ones(1, 1, 3, dtype=torch.float64), None, w, decay_input=False, backend=backend)
    assert s.flatten().tolist() == [1.0] * 3
    # 1 / tau is a power of two here, so that the charge is exactly the threshold
    s, _ = plif(torch.tensor([[[2.0, 4.0, 8.0]]]), None, w_of(2.0, dtype=torch.float32).expand(3), backend=backend)
    assert s.flatten().tolist() == [1.0] * 3
    assert exact.tolist() == pytest.approx(TAUS)


@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("surrogate", ["sigmoid", "atan"])
@pytest.mark.parametrize(("reset", "v_reset"), [("hard", 0.0), ("hard", -0.3), ("soft", 0.0), ("soft", 0.2)])
def test_gradients_are_those_of_autograd(reset, v_reset, surrogate, decay_input):
    """Of the fused backward pass against the written-out equations in float64, for learnt and for fixed ones."""
    constants = {"reset": reset, "v_reset": v_reset, "surrogate": surrogate, "decay_input": decay_input}
    for shape, learnt, given in itertools.product(((1, 1, 3), (9, 2, 3, 4, 2)), (True, False), (True, False)):
        generator = torch.Generator().manual_seed(7)
        x = 1.5 * torch.randn(shape, dtype=torch.float64, generator=generator) + 0.5
        v = torch.randn(shape[1:], dtype=torch.float64, generator=generator) if given else None
        w = w_of(*TAUS).view(-1, *[1] * (len(shape) - 3))
        to_s, to_v = (torch.randn(a, dtype=x.dtype, generator=generator) for a in (shape, shape[1:]))
        found = []
        for backend in ("reference", "fused"):
            leaves = [None if a is None else a.clone().requires_grad_() for a in (x, v)]
            own = w.clone().requires_grad_(learnt)
            s, last = plif(*leaves, own, backend=backend, **constants)
            ((s * to_s).sum() + (last * to_v).sum()).backward()
            found.append((s, last, *(a.grad for a in (*leaves, own) if a is not None and a.requires_grad)))
        for one, two in zip(*found, strict=True):
            torch.testing.assert_close(two, one, rtol=0, atol=1e-12 * max(1.0, float(one.detach().abs().max())))
        assert len(found[0]) == 3 + given + learnt


def test_gradients_of_the_constants_are_finite_differences():
    x = torch.tensor([[0.4, 0.7], [0.5, 0.9]], dtype=torch.float64, requires_grad=True)[:, None]
    w = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
    assert not plif(x, None, w)[0].any()
    assert torch.autograd.gradcheck(lambda x, w: plif(x, None, w, backend="fused")[1], (x.detach().requires_grad_(), w))


@pytest.mark.parametrize("make", [tiny_model, tiny_svformer], ids=["spikevideoformer", "svformer"])
def test_a_spread_from_two_to_two_is_the_neuron_without(make):
    """Fixed ones are LIF with tau = 2 bit by bit, and learnt ones begin as PLIF, with a gradient for each channel."""
    kind = NeuronConfig(surrogate="atan")
    plain = make(neuron=kind)
    for name in ("lif", "plif"):
        config = dataclasses.replace(plain.config, neuron=dataclasses.replace(kind, kind=name, tau_spread=(2.0, 2.0)))
        own = type(plain)(config).double()
        missing, unexpected = own.load_state_dict(plain.state_dict(), strict=False)
        assert not unexpected
        assert missing
        assert all(key.endswith(".w") for key in missing)
        grads = []
        for model in (plain, own):
            model = copy.deepcopy(model).train()
            output, _ = model(clip())
            output.square().sum().backward()
            grads.append((output, {key: p.grad for key, p in model.named_parameters()}))
        assert torch.equal(grads[0][0], grads[1][0])
        for key, grad in grads[0][1].items():
            torch.testing.assert_close(grads[1][1][key], grad, rtol=1e-9, atol=1e-12)
        learnt = [grad for key, grad in grads[1][1].items() if key.endswith(".w")]
        assert len(learnt) == (len(missing) if name == "plif" else 0)
        assert all(grad.ndim == 1 and grad.any() for grad in learnt)


@pytest.mark.parametrize("kind", ["lif", "plif"])
def test_they_are_kept_with_the_weights_and_stream(kind, tmp_path):
    model = tiny_model(attention="causal", neuron=NeuronConfig(kind=kind, tau_spread=(2.0, 6.0))).float().eval()
    save_model(model, tmp_path / "model.safetensors")
    loaded, video = load_model(tmp_path / "model.safetensors"), clip().float()
    assert loaded.config == model.config
    with torch.no_grad():
        whole, _ = model(video)
        assert torch.equal(loaded(video)[0], whole)
        state = State()
        for frame in video.split(1):
            output, state = loaded(frame, state)
        torch.testing.assert_close(output, whole)
        session = spikereel.stream(loaded, readout="mean")
        streamed = [session.push(frame[0, :1]) for frame in video[:, :1].split(1)]
        torch.testing.assert_close(streamed[-1].output[0], model(video[:, :1])[0][0])
    passport = spikereel.energy.measure(loaded, video)
    assert passport.energy_mj("paper") > 0
    with torch.no_grad():
        assert "tau=2 to 6" in repr(loaded.lif)


@pytest.mark.parametrize("suffix", ["pt2", pytest.param("onnx", marks=pytest.mark.slow)])
def test_an_exported_file_has_their_spikes(suffix, tmp_path):
    if suffix == "onnx":
        pytest.importorskip("onnxruntime")
    model = tiny_model(attention="spatial", neuron=NeuronConfig(kind="plif", tau_spread=(2.0, 6.0))).float().eval()
    video, path = clip(3, 1).float(), tmp_path / f"net.{suffix}"
    certificate = spikereel.export(model, path, clips=[video], size=(64, 64), grid=False)
    assert certificate.faithful
    exported = spikereel.open_export(path)
    assert len(exported.contract.neurons["lif"]["decay"]) == 24
    with torch.no_grad():
        torch.testing.assert_close(exported(video)[0], model(video)[0], rtol=1e-4, atol=1e-5)


def test_membranes_of_some_neurons_have_the_constants_of_their_channels():
    neuron = Neuron(NeuronConfig(kind="plif", tau_spread=(2.0, 8.0)), 3)
    x = 2 * torch.randn(6, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    numbers = torch.tensor([11, 0, 5])
    charged, after = membranes(neuron, x, None, numbers)
    s, last = neuron(x)
    assert torch.equal((charged >= 1.0).float(), s.flatten(1)[:, numbers])
    assert torch.equal(after[-1], last.flatten()[numbers])
    assert torch.equal(following(neuron, x, None, s)[-1].flatten()[numbers], charged[-1])


@pytest.mark.parametrize("kind", ["if", "ilif", "relu"])
def test_neurons_without_a_time_constant_have_none_to_spread(kind):
    with pytest.raises(ConfigError, match=f"tau_spread is for neuron lif and plif, this is {kind}; leave"):
        NeuronConfig(kind=kind, tau_spread=(2.0, 8.0))


def test_what_is_no_spread():
    for kind, taus, said in (
        ("lif", (0.5, 2.0), "of lif must be at least 1 time step and finite"),
        ("lif", (2.0, math.inf), "of lif must be at least 1 time step and finite"),
        ("plif", (1.0, 2.0), "of plif must be above 1 time step and finite"),
    ):
        with pytest.raises(ConfigError, match=said):
            NeuronConfig(kind=kind, tau_spread=taus)
    assert torch.sigmoid(Neuron(NeuronConfig(tau_spread=(1.0, 2.0)), 2).w).tolist() == [1.0, 0.5]
    with pytest.raises(ConfigError, match=r"has to know its channels; give Neuron\(config, channels\)"):
        Neuron(NeuronConfig(tau_spread=(2.0, 8.0)))


def test_weights_without_them_say_what_to_change(tmp_path):
    model = spikereel.create_model("spikevideoformer_ti", num_classes=10, in_channels=2, tau_spread=(2.0, 8.0))
    with pytest.raises(spikereel.errors.WeightsError, match=r"model\.tau_spread=None \(here \[2\.0, 8\.0\]\)"):
        start_from(model, "spikevideoformer_ti.motion")


def test_weight_decay_spares_them_unless_asked():
    from spikereel.runs.classification import ClassificationObjective
    from spikereel.train.module import TrainingModule

    model = tiny_model(neuron=NeuronConfig(kind="plif", tau_spread=(2.0, 8.0)))
    for asked in (False, True):
        optim = OptimSpec(decay_time_constants=asked, weight_decay=0.3)
        groups = TrainingModule(model, ClassificationObjective(optim, classes=5))._groups()
        decay = {name: group["weight_decay"] for group in groups for name in group["names"]}
        assert {decay[name] for name in decay if name.endswith(".w")} == {0.3 if asked else 0.0}
        assert decay["block3.0.attn.attn_bn.weight"] == 0.0


def test_a_compiled_graph_has_their_gradients():
    from spikereel.kernels.lif_compiled import _lif_backward

    x, v, w = torch.randn(4, 1, 3, 2), torch.randn(1, 3, 2), torch.sigmoid(w_of(*TAUS, dtype=torch.float32))[:, None]
    rest = (0.0, 1.0, "hard", 0.0, True, "sigmoid", 4.0)
    given = (torch.randn(4, 1, 3, 2), torch.randn(1, 3, 2), x, v, w, *rest)
    to_x, to_v, to_w = _lif_backward(*given)
    assert (to_x.shape, to_v.shape, to_w.shape) == (x.shape, v.shape, w.shape)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.spikereel.lif_backward.default, given, test_utils=checks)
    leaves = (x.requires_grad_(), v, w.requires_grad_())
    torch.library.opcheck(torch.ops.spikereel.lif.default, (*leaves, *rest), test_utils=checks)
