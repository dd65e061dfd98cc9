"""The published sizes and names, streaming, causality, gradients, and refusals, on calibrated models."""

import hashlib
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import BATCH_NORMS, assert_at_work, clip, tiny_config, tiny_model

import spikereel
from spikereel.errors import ConfigError, DataError, StateError
from spikereel.layers.attention import SCHEMES, STREAMING
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.observe import firing_rates
from spikereel.layers.state import State
from spikereel.layers.time import DropPath
from spikereel.models.spikevideoformer import SpikeVideoFormer, SpikeVideoFormerConfig

SIMILARITIES = ("dot", "hamming")
SIZES = {
    "s": ((64, 128, 256, 360), 15_116_720, 15_112_208, 14_900_120, 14_755_720),
    "m": ((96, 192, 384, 480), 31_340_392, 31_333_864, 31_051_792, 30_859_392),
    "b": ((128, 256, 512, 640), 55_358_952, 55_350_248, 54_974_352, 54_717_952),
    "l": ((192, 384, 768, 960), 123_754_216, 123_741_160, 123_177_616, 122_793_216),
}
"""Widths; parameters with 1000 classes as 3D_ham and as 2D, with 400 classes, without head. Spec section 2.1."""


def _on_meta(**fields):
    with torch.device("meta"):
        return SpikeVideoFormer(SpikeVideoFormerConfig(**fields))


def _count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("size", SIZES)
def test_parameters_are_the_published_ones(size):
    widths, joint, spatial, joint_400, backbone = SIZES[size]
    model = _on_meta(widths=widths)
    assert _count(model) == joint
    assert _count(model) - _count(model.head) == backbone
    assert _count(_on_meta(widths=widths, attention="spatial", similarity="dot")) == spatial
    assert _count(_on_meta(widths=widths, similarity="dot")) == spatial
    assert _count(_on_meta(widths=widths, num_classes=400)) == joint_400


KEYS = {
    ("joint", "hamming"): (865, "11dbcaad905673b98f9cf8516ded0f05e1c32b32ed8c8c78be73d0c2e6960f70"),
    ("spatial", "dot"): (825, "dfcae9cedaa4c5985ea80f47e6ec46c26d8635cb1875b10757d67e12a96d149f"),
}
"""Entries of the published state_dict of width 512, and sha256 of its sorted lines "name [shape]"."""


@pytest.mark.parametrize(("attention", "similarity"), KEYS)
def test_state_dict_is_the_published_one(attention, similarity):
    model = _on_meta(widths=(128, 256, 512, 640), attention=attention, similarity=similarity)
    lines = sorted(f"{name} {list(x.shape)}" for name, x in model.state_dict().items())
    spelled = {
        "downsample1_1.encode_conv.weight [64, 3, 7, 7]",
        "ConvBlock1_1.0.Conv.dwconv.weight [128, 1, 7, 7]",
        "ConvBlock2_2.0.conv1.weight [1024, 256, 3, 3]",
        "block3.5.attn.q_conv.0.body.1.bn.running_var [512]",
        "block3.0.attn.proj_conv.0.body.2.0.weight [512, 1, 3, 3]",
        "block4.1.attn.v_conv.1.num_batches_tracked []",
        "block4.1.mlp.fc1_conv.weight [2560, 640, 1]",
        "downsample4.encode_conv.bias [640]",
        "head.weight [1000, 640]",
    }
    assert spelled <= set(lines)
    assert ("block3.0.attn.attn_bn.weight [512]" in lines) == (similarity == "hamming")
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()) == KEYS[attention, similarity]


def test_there_are_77_neurons_with_the_published_thresholds():
    for similarity, low in (("hamming", 0), ("dot", 8)):
        neurons = [m for m in _on_meta(similarity=similarity).modules() if isinstance(m, Neuron)]
        assert len(neurons) == 77
        assert sorted(m.config.threshold for m in neurons) == [0.5] * low + [1.0] * (77 - low)


def test_features_are_a_sixteenth_rounded_up():
    model = tiny_model()
    for size, small in ((64, 4), (33, 3), (16, 1)):
        features, _ = model.features(clip(2, 1, size))
        assert features.shape == (2, 1, 24, small, small)


def test_logits_are_the_head_on_spikes_averaged_over_time():
    model, video = tiny_model(), clip()
    features, _ = model.features(video)
    spikes, _ = model.lif(features.mean((3, 4)))
    assert 0 < spikes.mean() < 1
    wanted = torch.stack([model.head(s) for s in spikes]).mean(0)
    torch.testing.assert_close(model(video)[0], wanted, rtol=0, atol=1e-13)


def _in_pieces(model, video, parts, state=None):
    for piece in video.split(parts):
        logits, state = model(piece, state)
    return logits, state


def _equal_states(one, two):
    one, two = one.flat(), two.flat()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("attention", STREAMING)
def test_stream_is_the_clip(attention, similarity):
    model = tiny_model(attention=attention, similarity=similarity)
    video = clip(6, seed=5)
    assert_at_work(model, video)
    with torch.no_grad():
        logits, state = model(video)

    @settings(max_examples=5)
    @given(st.permutations([1, 2, 3]) | st.sampled_from([[1] * 6, [5, 1], [6]]))
    def check(parts):
        with torch.no_grad():
            pieces, last = _in_pieces(model, video, parts)
        assert torch.equal(pieces, logits)
        assert _equal_states(last, state)

    check()


@pytest.mark.parametrize("attention", STREAMING)
def test_saved_state_goes_on_as_if_never_interrupted(attention, tmp_path):
    model, video = tiny_model(attention=attention), clip(5)
    with torch.no_grad():
        whole, last = model(video)
        _, state = model(video[:2])
        state.save(tmp_path / "state.safetensors")
        logits, after = model(video[2:], State.load(tmp_path / "state.safetensors"))
    assert torch.equal(logits, whole)
    assert _equal_states(after, last)


def test_logits_of_a_stream_longer_than_bfloat16_can_count():
    """The 257th frame counts, under autocast as well."""
    model = tiny_model(attention="spatial", similarity="dot").float()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, state = model(clip().float())
        assert {x.dtype for x in state.flat().values()} <= {torch.float32, torch.float64, torch.int64}
        state["head"] = {"counts": torch.full((2, 24), 256.0), "frames": torch.tensor(256)}
        _, after = model(clip(4, seed=1).float(), state)
    assert after["head"]["counts"].max() > 256
    assert after["head"]["frames"] == 260


@pytest.mark.parametrize("attention", sorted(set(SCHEMES) - set(STREAMING)))
def test_schemes_that_see_a_whole_clip_refuse_a_state(attention):
    model, video = tiny_model(attention=attention, similarity="hamming"), clip()
    assert not model.can_stream
    _, state = model(video)
    with pytest.raises(StateError, match=rf"{attention}.*spatial, causal"):
        model(video, state)


def _first_feature_change(attention, changed_frame):
    model, video = tiny_model(attention=attention), clip()
    other = video.clone()
    other[changed_frame] = clip(1, seed=9)[0]
    with torch.no_grad():
        before, after = model.features(video)[0], model.features(other)[0]
    return (before - after).abs().flatten(1).max(1).values


@pytest.mark.parametrize(
    ("attention", "looks_ahead"),
    [("joint", True), ("hierarchical", True), ("factorised", True), ("spatial", False), ("causal", False)],
)
def test_whether_the_last_frame_changes_the_first_feature(attention, looks_ahead):
    change = _first_feature_change(attention, -1)
    assert bool(change[0] > 1e-6) == looks_ahead
    assert looks_ahead or not change[:-1].any()
    assert change[-1] > 1e-6


@pytest.mark.parametrize("attention", SCHEMES)
def test_order_of_the_batch_does_not_matter(attention):
    model, video = tiny_model(attention=attention), clip(4, 4)
    with torch.no_grad():
        logits, turned = model(video)[0], model(video.flip(1))[0]
        alone = model(video[:, 2:3])[0]
    assert torch.equal(turned.flip(0), logits)
    torch.testing.assert_close(alone[0], logits[2], rtol=0, atol=1e-12)
    assert not torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize(("attention", "similarity"), list(itertools.product(SCHEMES, SIMILARITIES)))
def test_every_parameter_gets_a_gradient(attention, similarity):
    model, video = tiny_model(attention=attention, similarity=similarity), clip()
    assert_at_work(model, video)
    video.requires_grad_()
    logits, _ = model(video)
    (logits * torch.arange(1.0, 6.0)).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert video.grad.flatten(2).any(-1).all()


@pytest.mark.parametrize("kind", ["plif", "ilif"])
@pytest.mark.parametrize("attention", STREAMING)
def test_other_neurons_stream_and_learn(kind, attention):
    model = tiny_model(attention=attention, neuron=NeuronConfig(kind=kind, surrogate="atan"))
    video = clip(5, seed=3)
    logits, state = model(video)
    pieces, last = _in_pieces(model, video, [2, 2, 1])
    assert torch.equal(pieces, logits)
    assert _equal_states(last, state)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    kinds = {name.rsplit(".", 1)[-1]: m.config.kind for name, m in model.named_modules() if isinstance(m, Neuron)}
    assert kinds["q_lif"] == kinds["k_lif"] == ("lif" if kind == "ilif" else kind)
    assert kinds["v_lif"] == kinds["fc1_lif"] == kind


def test_integer_neurons_count_above_one():
    model = tiny_model(neuron=NeuronConfig(kind="ilif"))
    seen = {}
    for name, m in model.named_modules():
        if isinstance(m, Neuron):
            m.register_forward_hook(lambda _m, _x, out, name=name: seen.update({name: out[0].detach()}))
    model(clip())
    assert max(s.max() for s in seen.values()) > 1
    assert all(torch.equal(s, s.round()) and s.min() >= 0 and s.max() <= 4 for s in seen.values())
    assert all(s.max() <= 1 for name, s in seen.items() if name.endswith(("q_lif", "k_lif")))


def test_hierarchical_is_spatial_then_temporal():
    model = tiny_model(attention="hierarchical")
    block, x = model.block3[0], torch.randn(4, 2, 16, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        y = x + block.attn(x)[0]
        y = y + block.attn_t(y)[0]
        y = y + block.mlp(y)[0]
        assert torch.equal(block(x)[0], y)


def test_stochastic_depth_grows_with_depth_and_drops_whole_clips():
    config = tiny_config(drop_path=0.3, depths=(2, 2))
    model = SpikeVideoFormer(config)
    rates = [block.drop_path.rate for block in (*model.block3, *model.block4)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    model = tiny_model(drop_path=0.999, depths=(1, 1))
    block, x = model.block4[0].train(), torch.randn(4, 2, 24, 4, 4, dtype=torch.float64)
    assert torch.equal(block(x)[0], x)
    assert not torch.equal(block.eval()(x)[0], x)
    assert all(m.rate == 0.0 for m in SpikeVideoFormer(tiny_config()).modules() if isinstance(m, DropPath))


def test_residual_gain_is_the_weight_of_the_last_norm_of_every_branch():
    last = ("Conv.bn2", "0.bn2", "proj_conv.1", "fc2_bn")
    for gain in (1.0, 0.1):
        model = SpikeVideoFormer(tiny_config(residual_gain=gain, attention="hierarchical"))
        norms = {name: m for name, m in model.named_modules() if isinstance(m, BATCH_NORMS)}
        scaled = {name for name, m in norms.items() if m.weight.eq(gain).all()}
        assert scaled == {name for name in norms if gain == 1.0 or name.endswith(last)}
        assert sum(name.endswith(last) for name in norms) == 4 * 2 + 2 * 3
        assert all(m.weight.eq(1).all() for name, m in norms.items() if name not in scaled)


def test_evaluation_and_rates_leave_the_model_as_it_was():
    model, video = tiny_model(), clip()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with torch.no_grad(), firing_rates(model) as rates:
        first = model(video)[0]
        second = model(video)[0]
    assert torch.equal(first, second)
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert len(rates) == 4 * 4 + 4 + 2 * 7 + 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x: x[:, :, :2], r"C=3.*\[4, 2, 2, 64, 64\]"),
        (lambda x: x[0], r"\[2, 3, 64, 64\]"),
        (lambda x: x[:0], r"at least one frame.*\[0, 2, 3, 64, 64\]"),
        (lambda x: x[:, :0], r"\[4, 0, 3"),
        (lambda x: (x * 255).to(torch.uint8), r"uint8.*255"),
        (lambda x: x.index_fill(0, torch.tensor(1), torch.nan), "NaN"),
        (lambda x: x.index_fill(0, torch.tensor(1), torch.inf), "infinite"),
    ],
)
def test_videos_that_are_refused(as_user, change, named):
    with pytest.raises(DataError, match=named):
        tiny_model()(change(clip()))


def test_shape_types_are_checked_while_testing():
    """The import hook of conftest.py is at work: the annotation forestalls the model's own message."""
    with pytest.raises(Exception, match="Float"):
        SpikeVideoFormer(tiny_config())(torch.zeros(2, 3, 64, 64))


@pytest.mark.parametrize("change", [lambda x: x[:, :1], lambda x: x[..., :32]])
def test_state_of_another_batch_or_resolution(as_user, change):
    model = tiny_model(attention="causal")
    _, state = model(clip())
    with pytest.raises(StateError, match="batch size and resolution must stay the same"):
        model(change(clip()), state)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"attention": "global"}, "'global'"),
        ({"widths": (7, 8, 8, 8)}, "7, 8, 8, 8"),
        ({"widths": (8, 8, 8)}, "8, 8, 8"),
        ({"depths": (0, 1)}, "0, 1"),
        ({"num_classes": 0}, "num_classes.*0"),
        ({"in_channels": -1}, "in_channels.*-1"),
        ({"heads": 0}, "heads.*0"),
        ({"mlp_ratio": 0.0}, "mlp_ratio.*0"),
        ({"drop_path": 1.0}, "drop_path.*1"),
    ],
)
def test_impossible_constants(as_user, fields, named):
    with pytest.raises(ConfigError, match=named):
        tiny_config(**fields)


def test_impossible_similarity_and_heads(as_user):
    for fields, named in (({"similarity": "cosine"}, "'cosine'"), ({"heads": 5}, "16.*5")):
        with pytest.raises(ConfigError, match=named):
            SpikeVideoFormer(tiny_config(**fields))


@pytest.mark.parametrize(("attention", "similarity"), [("joint", "hamming"), ("spatial", "dot"), ("causal", "hamming")])
def test_whole_model_in_bfloat16(attention, similarity):
    model = spikereel.create_model(
        "spikevideoformer_ti",
        num_classes=3,
        widths=(8, 16, 16, 24),
        depths=(1, 1),
        heads=4,
        attention=attention,
        similarity=similarity,
    )
    logits, _ = model.bfloat16().eval()(torch.rand(2, 1, 3, 32, 32, dtype=torch.bfloat16))
    assert logits.shape == (1, 3)
    assert torch.isfinite(logits).all()
