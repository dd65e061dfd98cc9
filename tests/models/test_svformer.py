"""Streaming, gradients, stochastic depth and refusals, on calibrated models; sizes are in test_svformer_sizes.py."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import assert_at_work, clip, tiny_svformer, tiny_svformer_config
from torch import nn

from spikereel.errors import ConfigError, DataError, StateError
from spikereel.hub import create_model
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.observe import firing_rates
from spikereel.layers.state import State
from spikereel.layers.time import DropPath
from spikereel.models.svformer import SVFormer

IF = NeuronConfig(kind="if", surrogate="atan")
SIGMOID = NeuronConfig(kind="plif", surrogate="sigmoid")


def _spikes(run):
    """What `run(model)` gives, and the spikes of every neuron, all calls one after the other."""
    seen = {}

    def watched(model):
        hooks = [
            m.register_forward_hook(lambda _m, _x, out, name=name: seen.setdefault(name, []).append(out[0]))
            for name, m in model.named_modules()
            if isinstance(m, Neuron)
        ]
        with torch.no_grad():
            result = run(model)
        for hook in hooks:
            hook.remove()
        return result, {name: torch.cat(parts) for name, parts in seen.items()}

    return watched


def _in_pieces(model, video, parts):
    state = State()
    for piece in video.split(parts):
        logits, state = model(piece, state)
    return logits, state


def _assert_close(one, two):
    one, two = one.flat(), two.flat()
    assert one.keys() == two.keys()
    for name, x in one.items():
        torch.testing.assert_close(two[name], x, rtol=0, atol=1e-12, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"time_norm": False},
        {"head": "mean"},
        {"local_path": False},
        {"neuron": IF},
        {"head": "mean", "time_norm": False, "local_path": False},
    ],
    ids=str,
)
def test_stream_is_the_clip(fields):
    video = clip(6, seed=5)
    model = tiny_svformer(video, frames=6, **fields)
    assert model.can_stream
    (logits, state), spikes = _spikes(lambda m: m(video))(model)
    assert state["clip"]["frames"] == 6

    @settings(max_examples=5)
    @given(st.permutations([1, 2, 3]) | st.sampled_from([[1] * 6, [5, 1], [6]]))
    def check(parts):
        (pieces, last), same = _spikes(lambda m: _in_pieces(m, video, parts))(model)
        torch.testing.assert_close(pieces, logits, rtol=0, atol=1e-12)
        _assert_close(last, state)
        assert same.keys() == spikes.keys()
        assert all(torch.equal(same[name], s) for name, s in spikes.items())

    check()


def test_logits_on_the_way_take_the_frames_to_come_for_empty_ones():
    model, video = tiny_svformer(), clip()
    with torch.no_grad():
        early, state = model(video[:3], State())
        whole, _ = model(video[3:], state)
        spikes, _ = model.lif_bf_head(model.features(video)[0])
        spikes[3] = 0.0
        head = nn.functional.conv3d(spikes.movedim(0, 2), model.dwconv_bf_head.weight, groups=24)
        wanted = model.head(model.dwconv_bn(head + model.dwconv_bf_head.bias.view(1, -1, 1, 1, 1)).flatten(1))
    torch.testing.assert_close(early, wanted, rtol=0, atol=1e-12)
    assert (early - whole).abs().max() > 1e-3


def test_mean_head_with_shared_norms_takes_any_length():
    model, video = tiny_svformer(head="mean", time_norm=False, frames=4), clip(11, seed=2)
    assert not model.fixed_frames
    assert_at_work(model, video)
    with torch.no_grad():
        logits, state = model(video)
        early, middle = model(video[:5])
        late, last = model(video[5:], middle)
        features, _ = model.features(video)
        small, _ = model(clip(2, 1, 32))
    torch.testing.assert_close(late, logits, rtol=0, atol=1e-12)
    _assert_close(last, state)
    torch.testing.assert_close(logits, model.head(features.mean((0, 3, 4))), rtol=0, atol=1e-12)
    assert (early - logits).abs().max() > 1e-3
    assert small.shape == (1, 5)


@pytest.mark.parametrize("fields", [{"time_norm": True, "head": "mean"}, {"time_norm": False, "head": "conv"}], ids=str)
def test_norms_or_head_alone_tie_the_length(fields):
    model = tiny_svformer(**fields)
    assert model.fixed_frames
    with pytest.raises(DataError, match="T=4 frames, got 3"):
        model(clip(3))


def test_saved_state_goes_on_as_if_never_interrupted(tmp_path):
    model, video = tiny_svformer(), clip()
    with torch.no_grad():
        whole, last = model(video)
        _, state = model(video[:1], State())
        state.save(tmp_path / "state.safetensors")
        logits, after = model(video[1:], State.load(tmp_path / "state.safetensors"))
    torch.testing.assert_close(logits, whole, rtol=0, atol=1e-12)
    _assert_close(after, last)


def test_features_are_a_32nd_local_path_first():
    model, video = tiny_svformer(), clip()
    with torch.no_grad():
        features, _ = model.features(video)
        model.lpBN.bias += 1.0
        moved, _ = model.features(video)
    assert features.shape == (4, 2, 48, 2, 2)
    change = moved - features
    torch.testing.assert_close(change[:, :, :24], torch.ones_like(change[:, :, :24]), rtol=0, atol=1e-12)
    assert not change[:, :, 24:].any()


def test_attention_stays_in_its_frame_and_time_runs_forward():
    model, video = tiny_svformer(), clip()
    other = video.clone()
    other[2] = clip(1, seed=9)[0]
    with torch.no_grad():
        change = (model.features(other)[0] - model.features(video)[0]).abs().flatten(1).max(1).values
    assert not change[:2].any()
    assert (change[2:] > 1e-6).all()


def test_order_of_the_batch_does_not_matter():
    model, video = tiny_svformer(), clip(4, 4)
    with torch.no_grad():
        logits, turned, alone = model(video)[0], model(video.flip(1))[0], model(video[:, 2:3])[0]
    torch.testing.assert_close(turned.flip(0), logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(alone[0], logits[2], rtol=0, atol=1e-12)
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"local_path": False},
        {"neuron": IF},
        {"neuron": SIGMOID},
        {"head": "mean"},
        {"time_norm": False},
        {"head": "mean", "local_path": False, "time_norm": False},
        {"depths": (2, 1, 3, 1)},
    ],
    ids=str,
)
def test_every_parameter_gets_a_gradient(fields):
    model, video = tiny_svformer(**fields), clip()
    assert_at_work(model, video)
    video.requires_grad_()
    logits, _ = model(video)
    (logits * torch.arange(1.0, 6.0)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert video.grad.flatten(2).any(-1).all()


def test_neurons_and_surrogates_differ():
    kinds = {"plain": {}, "if": {"neuron": IF}, "sigmoid": {"neuron": SIGMOID}}
    results = {}
    for name, fields in kinds.items():
        torch.manual_seed(0)
        model = SVFormer(tiny_svformer_config(**fields)).double().train()
        video = clip(batch=3).requires_grad_()
        logits, _ = model(video)
        logits.square().sum().backward()
        results[name] = (logits.detach(), video.grad)
    assert torch.equal(results["plain"][0], results["sigmoid"][0])
    assert not torch.allclose(results["plain"][1], results["sigmoid"][1], atol=0)
    assert not torch.allclose(results["plain"][0], results["if"][0])


def test_stochastic_depth_grows_with_depth():
    model = SVFormer(tiny_svformer_config(drop_path=0.3, depths=(1, 1, 1, 1)))
    rates = [m.rate for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert all(m.rate == 0.0 for m in SVFormer(tiny_svformer_config()).modules() if isinstance(m, DropPath))


def _blocks(**fields):
    """A local and a global block that drop nearly everything, and an input for each."""
    torch.manual_seed(0)
    model = tiny_svformer(drop_path=0.9999, **fields)
    blocks = (model.blocks2[0], model.blocks4[0])
    for block in blocks:
        block.drop_path.rate = 0.9999
    return [
        (block, torch.randn(4, 2, width, 4, 4, dtype=torch.float64))
        for block, width in zip(blocks, (16, 24), strict=True)
    ]


def test_a_dropped_branch_leaves_the_input_as_it_was():
    for block, x in _blocks():
        assert torch.equal(block.train()(x)[0], x)
        assert not torch.equal(block.eval()(x)[0], x)


def test_dropping_before_the_norm_leaves_its_bias():
    """With `drop_path_over_time`, as published, the norm of a local block makes its bias of a dropped branch."""
    (local, x), (whole, y) = _blocks(drop_path_over_time=True)
    wanted = x + local.norm2.bias.view(4, 1, 16, 1, 1)
    torch.testing.assert_close(local.train()(x)[0], wanted, rtol=0, atol=1e-12)
    assert torch.equal(whole.train()(y)[0], y)


@pytest.mark.parametrize(("over_time", "alike"), [(False, 0), (True, 1)])
def test_clips_or_time_steps_are_dropped(over_time, alike):
    video = clip(8, 2)
    model = tiny_svformer(video, frames=8, drop_path=0.5, drop_path_over_time=over_time)
    block = model.blocks4[0].train()
    # one branch alone, and a rate at which some of eight stay
    block.mlp.norm2.weight.data.zero_()
    block.mlp.norm2.bias.data.zero_()
    torch.manual_seed(2)
    x = torch.randn(8, 8, 24, 4, 4, dtype=torch.float64)
    kept = (block(x)[0] != x).flatten(2).any(2)
    assert torch.equal(kept, kept.narrow(alike, 0, 1).expand_as(kept))
    assert kept.any()
    assert not kept.all()


def test_evaluation_and_rates_leave_the_model_as_it_was():
    model, video = tiny_svformer(), clip()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    with torch.no_grad(), firing_rates(model) as rates:
        first, _ = model(video)
        second, _ = model(video)
    assert torch.equal(first, second)
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert len(rates) == 3 * 2 + 3 + 7 * 2 + 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x: x[:, :, :2], r"C=3.*\[4, 2, 2, 64, 64\]"),
        (lambda x: x[0], r"\[2, 3, 64, 64\]"),
        (lambda x: x[:0], r"at least one frame.*\[0, 2, 3, 64, 64\]"),
        (lambda x: (x * 255).to(torch.uint8), r"uint8.*255"),
        (lambda x: x.index_fill(0, torch.tensor(1), torch.nan), "NaN"),
        (lambda x: x.index_fill(0, torch.tensor(1), torch.inf), "infinite"),
        (lambda x: x[:3], r"T=4 frames, got 3; sample 4"),
        (lambda x: torch.cat([x, x]), "T=4 frames, got 8"),
        (lambda x: x[..., :32, :32], r"64 x 64 pixels, got 32 x 32.*image_size=32"),
        (lambda x: x[..., :32], "64 x 64 pixels, got 64 x 32"),
    ],
)
def test_videos_that_are_refused(as_user, change, named):
    model = tiny_svformer()
    for state in (None, State()) if "T=4" not in named else (None,):
        with pytest.raises(DataError, match=named):
            model(change(clip()), state)


def test_sides_must_be_multiples_of_32_for_the_mean_head():
    model = tiny_svformer(head="mean")
    model(clip()[..., :32])
    with pytest.raises(DataError, match="32 divides, got 64 x 48"):
        model(clip()[..., :48])


def test_frames_past_the_end_of_the_clip():
    model, video = tiny_svformer(), clip()
    _, state = model(video[:3], State())
    with pytest.raises(StateError, match=r"T=4 frames: 3 are seen and 2 more"):
        model(video[:2], state)
    _, state = model(video)
    with pytest.raises(StateError, match=r"T=4 frames: 4 are seen and 1 more.*state=None"):
        model(video[:1], state)
    with pytest.raises(StateError, match=r"T=4 frames: 0 are seen and 5 more"):
        model(clip(5), State())


def test_one_clip_is_too_few_in_training():
    model, video = tiny_svformer(), clip(batch=1)
    with pytest.raises(DataError, match="at least 2 clips a batch in training, got 1"):
        model.train()(video)
    assert model.eval()(video)[0].shape == (1, 5)
    assert tiny_svformer(head="mean").train()(video)[0].shape == (1, 5)


@pytest.mark.parametrize("change", [lambda x: x[:, :1], lambda x: x[..., :32]])
def test_state_of_another_batch_or_resolution(as_user, change):
    model = tiny_svformer(head="mean", time_norm=False)
    _, state = model(clip())
    with pytest.raises(StateError, match="batch size and resolution must stay the same"):
        model(change(clip()), state)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"image_size": 100}, "multiple of 32, got 100"),
        ({"frames": 0}, "frames.*0"),
        ({"head": "max"}, "'max'.*conv"),
        ({"head_dim": 7}, "width 16.*heads of 7"),
        ({"head_dim": 0}, "head_dim.*0"),
        ({"widths": (8, 8, 8)}, "8, 8, 8"),
        ({"widths": (8, 0, 8, 8)}, "8, 0, 8, 8"),
        ({"depths": (1, 1, 0, 1)}, "1, 1, 0"),
        ({"num_classes": 0}, "num_classes.*0"),
        ({"in_channels": -1}, "in_channels.*-1"),
        ({"drop_path": 1.0}, r"drop_path.*1\.0"),
        ({"mlp_ratio": 0.0}, r"mlp_ratio.*0\.0"),
    ],
)
def test_impossible_constants(as_user, fields, named):
    with pytest.raises(ConfigError, match=named):
        tiny_svformer_config(**fields)


def test_whole_model_in_bfloat16():
    model = create_model("svformer_ti", num_classes=3, frames=2, image_size=32).bfloat16().eval()
    video = torch.rand(2, 1, 3, 32, 32, dtype=torch.bfloat16)
    logits, _ = model(video)
    assert logits.dtype == torch.bfloat16
    assert torch.isfinite(logits).all()


def test_attention_is_scaled_by_the_root_of_the_head_width():
    attn = tiny_svformer().blocks3[0].attn
    x, seen = torch.rand(4, 1, 16, 2, 3, dtype=torch.float64) * 2, {}
    for part in ("q_lif", "k_lif", "v_lif", "proj_lif"):
        attn.get_submodule(part).register_forward_hook(
            lambda _m, i, out, part=part: seen.update({part: (i[0], out[0])})
        )
    attn(x)
    # heads of consecutive channels, tokens row by row
    q, k, v = (seen[f"{part}_lif"][1].view(4, 1, 2, 8, 6).mT for part in "qkv")
    assert all(0 < s.mean() < 1 for s in (q, k, v))
    wanted = (q @ k.mT) @ v / math.sqrt(8)
    torch.testing.assert_close(seen["proj_lif"][0].view(4, 1, 2, 8, 6).mT, wanted, rtol=0, atol=1e-12)
