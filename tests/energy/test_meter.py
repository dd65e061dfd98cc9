"""The energy passport: operations of the paper's models, rates counted by hand, and operands as observed."""

import json

import pytest
import torch
from tiny import clip, randomise_norms, tiny_config, tiny_model
from torch import nn
from torch.nn import functional as F

from spikereel.energy import COSTS, SCHEMA, Passport, measure
from spikereel.errors import DataError
from spikereel.hub import create_model
from spikereel.layers.calibrate import calibrate
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.observe import count_macs, firing_rates
from spikereel.models.spikevideoformer import SpikeVideoFormer, SpikeVideoFormerConfig

REPCONV = ("_conv.0.body.0", "_conv.0.body.2.0", "_conv.0.body.2.1")


def _giga(layers, field="macs"):
    return sum(getattr(layer, field) for layer in layers) / 1e9


def _parts(passport):
    weights = [x for x in passport.layers if x.kind != "attention"]
    attention = [x for x in passport.layers if x.kind == "attention"]
    return weights, [x for x in weights if x.name.endswith(REPCONV)], attention


@pytest.fixture(scope="module")
def small():
    """The 15 M model on one frame of 224 x 224."""
    torch.manual_seed(0)
    return measure(SpikeVideoFormer(), torch.rand(1, 1, 3, 224, 224))


def test_operations_of_the_15_m_model(small):
    weights, repconv, attention = _parts(small)
    assert _giga(weights) == pytest.approx(6.441, rel=1e-3)
    assert _giga(attention) == pytest.approx(0.032, abs=5e-4)
    assert small.macs / 1e9 == pytest.approx(6.473, rel=1e-3)
    assert _giga(repconv) == pytest.approx(1.039, rel=1e-3)
    assert _giga(repconv, "folded_macs") == pytest.approx(4.603, rel=1e-3)
    assert _giga([x for x in weights if x.analog]) == pytest.approx(0.059, abs=5e-4)
    assert len(repconv) == 3 * 4 * 8
    assert sum(x.macs for x in attention) == 2 * 196 * (6 * 256**2 + 2 * 360**2) / 8


def test_operations_of_the_55_m_model():
    model = SpikeVideoFormer(SpikeVideoFormerConfig(widths=(128, 256, 512, 640)))
    passport = measure(model, torch.rand(1, 1, 3, 224, 224))
    weights, repconv, attention = _parts(passport)
    assert _giga(weights) == pytest.approx(24.700, rel=1e-3)
    assert _giga(attention) == pytest.approx(0.117, abs=5e-4)
    assert _giga(repconv) == pytest.approx(3.782, rel=1e-3)
    assert _giga(repconv, "folded_macs") == pytest.approx(16.878, rel=1e-3)


def test_all_terms_grow_with_the_clip_and_not_with_the_batch():
    model = tiny_model()
    one, four = measure(model, clip(1, 1)), measure(model, clip(4, 3))
    assert four.macs == 4 * one.macs
    assert four.clips == 3
    assert four.clip == (4, 3, 64, 64)


class OneConv(nn.Module):
    """An analog convolution, a neuron, and a convolution on its spikes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.lif = Neuron(NeuronConfig(threshold=0.2))
        self.second = nn.Conv2d(3, 5, 3, padding=1, padding_mode="circular", bias=False)

    def forward(self, x):
        y = self.first(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        s, _ = self.lif(y)
        self.spikes = s.detach()
        return self.second(s.flatten(0, 1))


def test_rate_times_dense_is_the_mean_of_the_operations_done():
    """Every weight met by a spike, counted one by one; on a torus, since padding counts as input by convention."""
    torch.manual_seed(3)
    model = OneConv()
    passport = measure(model, torch.randn(4, 3, 2, 9, 7))
    first, second = passport.layers
    spikes = model.spikes
    assert 0.05 < spikes.mean() < 0.95
    assert second.macs == 4 * 5 * 9 * 7 * 3 * 9
    for t, rate in enumerate(second.rate):
        assert rate == pytest.approx(spikes[t].double().mean().item(), abs=1e-12)
    wanted = sum(0.9 * 5 * 9 * 7 * 3 * 9 * spikes[t].double().mean().item() for t in range(4))
    assert sum(COSTS["paper"].snn_pj(second)["ac"]) == pytest.approx(wanted, rel=1e-12)
    # an accumulation wherever a weight meets a spike
    wrapped = F.pad(spikes.flatten(0, 1), (1, 1, 1, 1), mode="circular").double()
    done = F.conv2d(wrapped, torch.ones_like(model.second.weight).double()).sum().item()
    assert done / 3 == pytest.approx(second.macs * sum(second.rate) / 4, rel=1e-12)
    assert done / 3 == pytest.approx(sum(second.synops), rel=1e-12)
    assert first.analog
    assert first.operand == "real"
    assert first.rate == (1.0,) * 4
    assert not second.analog
    assert second.operand == "binary"
    assert list(passport.firing) == ["lif"]


def test_rates_are_averaged_over_clips():
    torch.manual_seed(3)
    model, clips = OneConv(), [torch.randn(2, n, 2, 6, 6) for n in (1, 3)]
    both = measure(model, clips)
    one, two = (measure(model, x) for x in clips)
    assert both.clips == 4
    for a, b, c in zip(both.layers, one.layers, two.layers, strict=True):
        assert a.macs == b.macs == c.macs
        assert a.rate == pytest.approx([(x + 3 * y) / 4 for x, y in zip(b.rate, c.rate, strict=True)])


@pytest.fixture(scope="module")
def tiny():
    model, video = tiny_model(), clip()
    return model, video, measure(model, video)


class Thrice(nn.Module):
    """One neuron and two layers that work three times in a pass, the second on what is real."""

    def __init__(self):
        super().__init__()
        self.lif, self.first, self.second = Neuron(NeuronConfig(threshold=0.5)), nn.Linear(8, 4), nn.Linear(4, 8)

    def forward(self, x):
        for _ in range(3):
            spikes, _ = self.lif(x)
            x = x + self.second(self.first(spikes))
        return x


def test_layers_that_work_several_times_have_the_mean_rate_of_their_calls():
    torch.manual_seed(0)
    model, spikes = Thrice(), []
    model.first.register_forward_hook(lambda _m, inputs, _out: spikes.append(inputs[0]))
    passport = measure(model, torch.rand(4, 2, 8), layout="T B C")
    rates = torch.stack(spikes).double().mean((0, 2, 3)).tolist()
    first, second = passport.layers
    assert first.macs == 3 * 4 * 8 * 4
    assert first.rate == pytest.approx(rates)
    assert second.rate == pytest.approx(rates)
    assert passport.firing["lif"] == pytest.approx(rates)
    assert sum(first.synops) == pytest.approx(sum(x.sum().item() for x in spikes) * 4 / 2)
    assert first.macs * sum(first.rate) / 4 == pytest.approx(sum(first.synops))


def test_first_convolution_is_analog_and_the_only_one(tiny):
    assert [x.name for x in tiny[2].layers if x.analog] == ["downsample1_1.encode_conv"]
    first = tiny[2].layers[0]
    assert sum(COSTS["paper"].snn_pj(first)["mac"]) == pytest.approx(4.6 * first.macs)


def test_operands_are_observed(tiny):
    operands = {x.name: x.operand for x in tiny[2].layers}
    for part in "q_conv", "proj_conv":
        assert operands[f"block3.0.attn.{part}.0.body.0"] == "binary"
        assert operands[f"block3.0.attn.{part}.0.body.2.0"] == "real"
        assert operands[f"block3.0.attn.{part}.0.body.2.1"] == "real"
    assert operands["ConvBlock1_1.0.Conv.pwconv1"] == operands["ConvBlock1_1.0.Conv.dwconv"] == "binary"
    assert operands["ConvBlock1_1.0.Conv.pwconv2"] == "real"
    assert operands["block4.0.mlp.fc1_conv"] == operands["head"] == "binary"
    model = tiny_model(neuron=NeuronConfig(kind="ilif"))
    assert {x.name: x.operand for x in measure(model, clip()).layers}["block4.0.mlp.fc1_conv"] == "integer"


def test_real_operands_count_at_the_rate_that_enters_the_chain(tiny):
    rates = {x.name: x.rate for x in tiny[2].layers}
    firing = tiny[2].firing
    chain = [rates[f"block3.0.attn.q_conv{part}"] for part in (".0.body.0", ".0.body.2.0", ".0.body.2.1")]
    assert chain[0] == chain[1] == chain[2] == pytest.approx(firing["block3.0.attn.head_lif"])
    assert rates["ConvBlock1_1.0.Conv.pwconv2"] == pytest.approx(firing["ConvBlock1_1.0.Conv.lif2"])
    assert rates["block3.0.attn.proj_conv.0.body.2.1"] == pytest.approx(firing["block3.0.attn.attn_lif"])
    assert rates["head"] == pytest.approx([sum(firing["lif"]) / 4] * 4)


def test_the_second_product_is_dense_for_hamming_and_sparse_for_dot(tiny):
    rates = {x.name: x.rate for x in tiny[2].layers}
    assert rates["block3.0.attn.q (k^T v)"] == (1.0,) * 4
    assert rates["block3.0.attn.k^T v"] == pytest.approx(tiny[2].firing["block3.0.attn.v_lif"])
    dot = measure(tiny_model(attention="factorised", similarity="dot"), clip())
    rates = {x.name: x.rate for x in dot.layers}
    assert rates["block3.0.attn.q (k^T v)_t"] == pytest.approx(dot.firing["block3.0.attn.q_lif_t"])
    assert sum(x.macs for x in dot.layers if x.kind == "attention") == 2 * sum(
        x.macs for x in tiny[2].layers if x.kind == "attention"
    )


def test_mean_rate_is_weighted_by_operations(tiny):
    spiking = [x for x in tiny[2].layers if not x.analog and x.kind != "attention"]
    wanted = sum(x.macs * sum(x.rate) / 4 for x in spiking) / sum(x.macs for x in spiking)
    assert tiny[2].mean_rate == pytest.approx(wanted, rel=1e-12)
    assert 0.1 < wanted < 0.9


def test_json_is_plain_and_whole(tiny):
    content = json.loads(json.dumps(tiny[2].to_json(["paper", "executed"])))
    assert content["clip"] == [4, 3, 64, 64]
    assert content["gmac"] == pytest.approx(tiny[2].macs * 1e-9)
    assert len(content["layers"]) == len(tiny[2].layers)
    assert len(content["firing"]) == 4 * 4 + 4 + 2 * 7 + 1
    assert content["energy_mj"].keys() == {"paper", "executed"}
    assert content["energy_mj"]["paper"]["total"] == pytest.approx(tiny[2].energy_mj())
    assert content["schema"] == SCHEMA
    assert Passport.from_json(content).parts_mj("memory") == pytest.approx(tiny[2].parts_mj("memory"))


def test_measuring_leaves_the_model_as_it_was(tiny):
    _, video, passport = tiny
    model = tiny_model()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    logits = model(video)[0]
    model.train()
    assert measure(model, video) == passport
    assert model.training
    assert not any(m._forward_hooks or "forward" in vars(m) for m in model.modules())
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert torch.equal(model.eval()(video)[0], logits)


def test_spikes_that_a_hook_of_a_user_changes_are_counted_as_they_enter():
    """Inference tensors carry no version: a model with hooks of others is not run on them."""
    torch.manual_seed(0)
    model = tiny_model().eval()
    video = clip(batch=1)
    calibrate(model, [video])
    before = measure(model, video)
    fed = next(x for x in before.layers if x.kind == "conv2d" and x.operand == "binary" and sum(x.synops) > 0)

    def silence(_layer, inputs):
        inputs[0].zero_()

    handle = model.get_submodule(fed.name).register_forward_pre_hook(silence)
    after = next(x for x in measure(model, video).layers if x.name == fed.name)
    handle.remove()
    assert sum(after.synops) == 0


def test_parts_that_are_compiled_count_as_they_are():
    torch.manual_seed(0)
    model, video = tiny_model().eval(), clip(batch=1)
    calibrate(model, [video])
    wanted = measure(model, video)
    part = model.get_submodule("downsample1_1")
    part.compile(backend="eager")
    compiled = part._compiled_call_impl
    assert measure(model, video) == wanted
    assert part._compiled_call_impl is compiled


def test_a_layer_with_a_forward_of_its_own_keeps_it():
    torch.manual_seed(0)
    model, video = tiny_model().eval(), clip(batch=1)
    calibrate(model, [video])
    fed = next(x for x in measure(model, video).layers if x.kind == "conv2d" and x.operand == "binary")
    layer, calls = model.get_submodule(fed.name), []

    def own(x):
        calls.append(x)
        return type(layer).forward(layer, x)

    layer.forward = own
    assert next(x for x in measure(model, video).layers if x.name == fed.name) == fed
    assert calls
    assert layer.forward is own


@pytest.mark.parametrize("name", ["spikevideoformer_ti", "svformer_ti", "meta_spikeformer_s"])
def test_our_models_change_no_spikes_in_place(name):
    """What the meter takes for granted where it runs them on inference tensors."""
    torch.manual_seed(0)
    model, seen = create_model(name).eval(), []
    for m in model.modules():
        if isinstance(m, Neuron):
            m.register_forward_hook(lambda _m, _x, out: seen.append((out[0], out[0]._version)))
    with torch.no_grad():
        model(torch.rand(8 if "svformer" in name else 2, 1, 3, 64, 64))
    assert seen
    assert all(x._version == version for x, version in seen)


def test_hooks_go_when_a_clip_is_refused():
    model = tiny_model()
    with pytest.raises(DataError, match="NaN"):
        measure(model, clip() * torch.nan)
    assert not any(m._forward_hooks or "forward" in vars(m) for m in model.modules())


def test_no_clips_and_unequal_clips():
    model = SpikeVideoFormer(tiny_config())
    randomise_norms(model)
    with pytest.raises(DataError, match="at least one clip"):
        measure(model, [])
    with pytest.raises(DataError, match=r"one shape.*\(1, 3, 64, 64\).*\(2, 3, 64, 64\)"):
        measure(model, [clip(2).float(), clip(1).float()])


SVF = {"frames": 4, "image_size": 64, "widths": (16, 32, 48, 64), "head_dim": 16, "num_classes": 5}


def _svformer(**fields):
    model = create_model("svformer", **SVF | fields)
    calibrate(model, [torch.randn(4, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 3])
    return model.eval()


def test_svformer_counts_every_operation_and_sees_its_real_operands():
    torch.manual_seed(0)
    model, video = _svformer(), torch.randn(4, 2, 3, 64, 64)
    passport = measure(model, video)
    assert passport.macs == count_macs(model, video[:, :1])
    seen = {x.name: x for x in passport.layers}
    real = {name for name, x in seen.items() if x.operand == "real"}
    local = {f"blocks{i}.0.{part}" for i in (1, 2) for part in ("attn", "conv2")}
    assert real == {"patch_embed1.proj", "lpPWConv", "head", *local}
    assert {name for name, x in seen.items() if x.analog} == {"patch_embed1.proj"}
    with firing_rates(model) as rates:
        model(video)
    for layer, neuron in (
        ("dwconv_bf_head", "lif_bf_head"),
        ("blocks3.0.attn.qkv", "blocks3.0.attn.in_lif"),
        ("blocks1.0.conv2", "blocks1.0.act1"),
        ("lpPWConv", "lplif"),
    ):
        assert seen[layer].rate == pytest.approx(rates[neuron].tolist()), layer


@pytest.mark.parametrize("name", ["spikevideoformer_ti.ann", "svformer.ann"])
def test_a_twin_is_all_macs(name):
    torch.manual_seed(0)
    model = _svformer(neuron="relu") if name == "svformer.ann" else create_model(name, num_classes=5).eval()
    passport = measure(model, torch.rand(4, 2, 3, 64, 64))
    assert not passport.spiking
    assert passport.mean_rate == 0.0
    for cost in COSTS:
        assert passport.energy_mj(cost) == pytest.approx(passport.ann_mj(cost)), cost
    assert passport.energy_mj("paper") == pytest.approx(passport.macs * 4.6e-9)
