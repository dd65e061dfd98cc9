"""A trace is what the network does anyway: spikes bit by bit, membranes, energy, outputs, and the state between."""

from copy import deepcopy
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from small import DATA, SMALL, small_weights, video_file
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.energy import COSTS, measure, metering
from spikereel.energy.contents import counts_of
from spikereel.errors import ConfigError, DataError, StateError
from spikereel.hub import Metadata
from spikereel.layers.neuron import Neuron
from spikereel.models.segmentation_head import SegmentationConfig
from spikereel.tracing import Options, Trace, pieces, trace
from spikereel.tracing.thin import set_between

CLIP = clip(4, 1)
NARROW = SegmentationConfig(width=16)
MODELS = {
    "spatial": {"attention": "spatial"},
    "joint": {"attention": "joint"},
    "factorised": {"attention": "factorised"},
    "causal": {"attention": "causal", "similarity": "dot"},
    "pose": {"attention": "causal", "task": "pose"},
    "masks": {"attention": "spatial", "task": "segmentation", "video": clip(4, 2, 32), "segmentation": NARROW},
}


class Models(dict):
    """Made when they are asked for."""

    def __missing__(self, name):
        self[name] = tiny_svformer() if name == "svformer" else tiny_model(**MODELS[name])
        return self[name]


@pytest.fixture(scope="module")
def models():
    return Models()


def plain(model, video, state=None):
    """{neuron: spikes [T, ...]} of an ordinary run, its output and its state."""
    spikes = {}
    hooks = [
        module.register_forward_hook(
            lambda m, _x, out, name=name: spikes.update({name: counts_of(out[0], m.config)[:, 0].numpy()})
        )
        for name, module in model.named_modules()
        if isinstance(module, Neuron)
    ]
    with torch.no_grad():
        output, after = model(video, state)
    for hook in hooks:
        hook.remove()
    return spikes, output, after


@pytest.mark.parametrize("name", ["joint", "factorised", "causal", "pose", "masks", "svformer"])
def test_a_trace_is_the_plain_run(models, name):
    model, video = models[name], clip(4, 1, 32) if name == "masks" else CLIP
    found = trace(model, video, neurons=3)
    spikes, output, after = plain(model, video)
    assert list(found.layers) == list(spikes)
    for layer, own in spikes.items():
        assert np.array_equal(found.spikes(layer), own), layer
        assert found.rates[layer].tolist() == pytest.approx(own.reshape(4, -1).mean(1))
        assert 0 < own.sum() < own.size
        held = found.membranes(layer)
        assert np.array_equal(held.spikes, own.reshape(4, -1)[:, held.neurons])
        assert np.array_equal(held.charged >= held.layer.threshold, held.spikes == 1), layer
        left = after.flat()[layer].flatten()[held.neurons].numpy()
        assert np.array_equal(held.after[-1], left.astype(np.float32))
    passport = measure(model, video)
    for cost in COSTS:
        assert found.energy(cost).tolist() == passport.energy_per_frame_mj(cost), cost
        assert sum(found.energy(cost, ann=True)) == pytest.approx(passport.ann_mj(cost), rel=1e-12)
    assert found.state.flat().keys() == after.flat().keys()
    assert all(torch.equal(x, found.state.flat()[key]) for key, x in after.flat().items())
    if name == "pose":
        assert np.array_equal(found.outputs["joints"], output.joints[:, 0].numpy())
    elif name == "masks":
        assert np.array_equal(found.outputs["masks"], output[:, 0].argmax(1).numpy())
    else:
        assert np.allclose(found.outputs["logits"][-1], output[0].numpy(), atol=1e-12)
    assert found.answered.tolist() == ([3] if "logits" in found.outputs and not model.can_stream else [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"kind": "ilif"}, "counts"),
        ({"kind": "ilif", "replay": True, "normalise": True}, "counts"),
        ({"kind": "plif", "reset": "soft"}, "bits"),
        ({"kind": "lif", "reset": "soft", "reset_delay": True}, "bits"),
        ({"kind": "relu"}, "active"),
    ],
)
def test_of_every_neuron(fields, kind):
    torch.manual_seed(0)
    model = spikereel.create_model(
        "spikevideoformer_ti", attention="spatial", **SMALL | {"threshold": 0.5}, neuron=fields
    )
    video = CLIP.float()
    found = trace(model, video, neurons=5, energy=False)
    spikes, _, after = plain(model.eval(), video)
    for layer, own in spikes.items():
        mine = found.layers[layer]
        assert mine.kind == kind or layer.endswith(("q_lif", "k_lif"))
        assert np.array_equal(found.spikes(layer), own != 0 if kind == "active" else own), layer
        held = found.membranes(layer)
        assert np.array_equal(held.spikes, found.spikes(layer).reshape(4, -1)[:, held.neurons])
        if kind == "active":
            continue
        assert np.array_equal(held.after[-1], after.flat()[layer].flatten()[held.neurons].numpy())
        if mine.kind == "counts":
            assert np.array_equal(held.charged.clip(0, 4).round(), held.spikes)
        else:
            assert np.array_equal(held.charged >= mine.threshold, held.spikes == 1)
    assert sum(x.sum() for x in spikes.values()) > 0


@pytest.mark.parametrize("name", ["causal", "svformer"])
def test_pieces_equal_the_whole(models, name):
    whole, parts = trace(models[name], CLIP, energy=False), list(pieces(models[name], CLIP, Options(piece=2)))
    assert [len(part) for part in parts] == [2, 2]
    joined = Trace.joined(parts)
    assert joined.starts.tolist() == [0]
    for layer in whole.layers:
        assert np.array_equal(joined.spikes(layer), whole.spikes(layer)), layer
        assert np.array_equal(joined.spikes(layer, 1, 3), whole.spikes(layer, 1, 3)), layer
        assert np.array_equal(joined.part(1, 3).spikes(layer), whole.spikes(layer, 1, 3)), layer
    assert all(np.allclose(x, joined.outputs[key], atol=1e-12) for key, x in whole.outputs.items())
    assert joined.answered.tolist() == whole.answered.tolist()
    assert joined.part(1, 3).answered.tolist() == [0, 1]
    assert all(torch.equal(x, joined.state.flat()[key]) for key, x in whole.state.flat().items())
    # a piece costs what the call costs that made it
    with metering(models[name]) as run:
        models[name](CLIP[2:], parts[0].state)
    assert joined.energy("executed")[2:].tolist() == run.passport().energy_per_frame_mj("executed")
    token = (3, 0, 1)
    assert np.array_equal(joined.attention(token).values, whole.attention(token).values)
    assert np.array_equal(joined.attention(token).weights, whole.attention(token).weights)


def test_a_state_goes_in_and_out(models):
    model = models["causal"]
    first = trace(model, CLIP[:1], energy=False)
    rest = trace(model, CLIP[1:], state=first.state, energy=False)
    whole = trace(model, CLIP, energy=False)
    assert all(np.array_equal(rest.spikes(layer), whole.spikes(layer, 1)) for layer in whole.layers)
    assert np.array_equal(rest.outputs["logits"], whole.outputs["logits"][1:])
    assert rest.starts.tolist() == []
    row = rest.attention((1, 2, 2))
    assert row.missing == 1
    assert np.array_equal(row.weights, whole.attention((2, 2, 2)).weights[1:])
    with pytest.raises(StateError):
        trace(models["joint"], CLIP, state=first.state)


def test_the_last_clip_of_a_file_may_be_short(models, tmp_path):
    model = deepcopy(models["svformer"]).float()
    model.metadata = Metadata(name="svformer", preprocess=asdict(replace(DATA, modality="rgb", size=64)))
    found = trace(model, video_file(tmp_path / "clip.mp4", frames=6), frames="all", energy=False)
    assert len(found) == 6
    assert found.starts.tolist() == [0, 4]
    with pytest.raises(DataError, match="T=4 frames, got 3"):
        trace(models["svformer"], CLIP[:3])


def test_models_that_see_whole_clips_begin_anew(models):
    found = trace(models["joint"], CLIP, piece=2, energy=False)
    assert found.starts.tolist() == [0, 2]
    assert found.answered.tolist() == [1, 3]
    assert np.array_equal(found.spikes("lif", 2), trace(models["joint"], CLIP[2:], energy=False).spikes("lif"))
    assert found.attention((3, 0, 0)).frames.tolist() == [2, 3]
    assert found.attention((1, 0, 0)).frames.tolist() == [0, 1]


def test_one_file(models, tmp_path):
    path = tmp_path / "clip.trace"
    found = trace(models["causal"], CLIP, neurons={"lif": [0, 5]}, tokens=[(1, 2, 3)])
    found.save(path)
    loaded = Trace.load(path)
    assert loaded.about == found.about
    assert [x.name for x in tmp_path.iterdir()] == ["clip.trace"]
    assert isinstance(loaded.packed("lif"), np.memmap)
    for layer in found.layers:
        assert np.array_equal(loaded.spikes(layer, 1, 3), found.spikes(layer, 1, 3))
    assert loaded.energy("memory").tolist() == found.energy("memory").tolist()
    assert np.array_equal(loaded.membranes("lif").charged, found.membranes("lif").charged)
    assert loaded.state.flat().keys() == found.state.flat().keys()
    assert np.array_equal(loaded.attention((1, 2, 3)).values, found.attention((1, 2, 3)).values)
    # written as it grows, and the same
    grown = trace(models["causal"], CLIP, neurons={"lif": [0, 5]}, tokens=[(1, 2, 3)], piece=1, out=tmp_path / "grown")
    assert np.array_equal(grown.spikes("lif"), found.spikes("lif"))
    assert all(torch.equal(x, grown.state.flat()[name]) for name, x in found.state.flat().items())
    assert sorted(x.name for x in tmp_path.iterdir()) == ["clip.trace", "grown"]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"clip\.trace"):
        Trace.load(path)
    torch.save({}, path)
    with pytest.raises(DataError, match=r"clip\.trace"):
        Trace.load(path)


def test_what_does_not_fit(models):
    model = models["spatial"]
    need = trace(model, CLIP)
    # the bound is one: all that is kept counts, and little else does
    assert trace(model, CLIP, memory=need.bytes + 64).bytes == need.bytes
    with pytest.raises(DataError, match="a trace of 4 frames takes"):
        trace(model, CLIP, memory=need.bytes - 64)
    reduced = trace(model, CLIP, memory=need.bytes - 64, fit="reduce")
    left_out = [name for name, layer in reduced.layers.items() if not layer.recorded]
    assert left_out == ["ConvBlock1_1.0.lif2"]
    assert left_out[0] in reduced.notes[-1]
    assert np.array_equal(reduced.rates[left_out[0]], need.rates[left_out[0]])
    assert reduced.bytes < need.bytes - 64
    with pytest.raises(ConfigError, match="rates alone"):
        reduced.spikes(left_out[0])
    with pytest.raises(DataError):
        trace(model, CLIP, memory=1000, fit="reduce")
    pieces_of_it = trace(model, CLIP, piece=1)
    assert pieces_of_it.bytes == need.bytes
    assert len(pieces_of_it.without_state().state) == 0


def test_chosen_layers_and_neurons(models):
    found = trace(models["spatial"], CLIP, layers=["block3", "*.lif1"], tokens=[(0, 0, 0)], energy=False)
    kept = {name for name, layer in found.layers.items() if layer.recorded}
    assert {"block3.0.attn.q_lif", "ConvBlock1_1.0.lif1", "block4.0.attn.k_lif"} <= kept
    assert "lif" not in kept
    assert len(found.rates) == len(found.layers)
    place = trace(models["spatial"], CLIP, neurons={"ConvBlock1_1.0.lif1": [(1, 2, 3), 7]}, energy=False)
    assert place.membranes("ConvBlock1_1.0.lif1").neurons.tolist() == [1 * 1024 + 2 * 32 + 3, 7]
    same = trace(models["spatial"], CLIP, layers=["block4"], neurons=[3, 5], energy=False)
    assert same.membranes("block4.0.attn.q_lif").neurons.tolist() == [3, 5]
    with pytest.raises(ConfigError, match="did you mean"):
        trace(models["spatial"], CLIP, layers=["block5.0.attn.q_lif"])
    with pytest.raises(ConfigError, match="no neuron"):
        trace(models["spatial"], CLIP, neurons={"lif": [24]})
    with pytest.raises(ConfigError, match="is not there"):
        found.attention((4, 0, 0))
    with pytest.raises(DataError, match="batch of 2"):
        trace(models["spatial"], clip(4, 2))


@pytest.mark.parametrize("layer", ["ConvBlock1_1.0.lif2", "lif"])
def test_thinned_and_sparse(models, layer):
    found = trace(models["spatial"], CLIP, piece=1, energy=False)
    flat = found.spikes(layer).reshape(4, -1)
    frame, neuron = found.events(layer, 1, 4)
    assert set(zip(frame.tolist(), neuron.tolist(), strict=True)) == {
        (int(t) + 1, int(n)) for t, n in np.argwhere(flat[1:])
    }
    fine = found.picture_of(layer, rows=flat.shape[1], columns=4)
    assert np.array_equal(fine, flat.T)
    coarse = found.picture_of(layer, rows=3, columns=2)
    assert coarse.shape == (3, 2)
    assert np.average(coarse, axis=0, weights=_sizes(flat.shape[1], 3)) == pytest.approx(
        flat.reshape(2, 2, -1).mean((1, 2)), rel=1e-6
    )
    some = np.array([0, 3, flat.shape[1] - 1])
    assert np.array_equal(found.spikes(layer, 1, 3, neurons=some), flat[1:3, some])


def test_bits_between_any_edges():
    rng = np.random.default_rng(0)
    bits = rng.random((5, 1003)) < 0.3
    for _ in range(50):
        edges = np.cumsum(rng.integers(8, 60, 12)) + rng.integers(0, 300) - 8
        wanted = [bits[:, a:b].sum(1) for a, b in pairwise(edges)]
        np.testing.assert_array_equal(set_between(np.packbits(bits, axis=1), edges), np.stack(wanted, 1))
    last = np.array([0, 503, 1003])
    np.testing.assert_array_equal(set_between(np.packbits(bits, axis=1), last).sum(1), bits.sum(1))
    # a whole number of bytes: the last edge lies behind them
    whole = bits[:, :1000]
    np.testing.assert_array_equal(set_between(np.packbits(whole, axis=1), last - [0, 0, 3]).sum(1), whole.sum(1))


def _sizes(neurons, rows):
    """Neurons in each row, cut at whole bytes where they are many."""
    unit = 8 if neurons > rows else 1
    edges = np.linspace(0, -(-neurons // unit), rows + 1).round() * unit
    return np.diff(edges.clip(max=neurons))


def test_a_file_is_seen_as_predict_sees_it(tmp_path, monkeypatch):
    weights, video = tmp_path / "w.safetensors", video_file(tmp_path / "clip.mp4", frames=9)
    small_weights(weights)
    found, prediction = trace(weights, video), spikereel.predict(weights, video, views=1)
    assert found.frames.tolist() == list(prediction.indices)
    assert found.energy().tolist() == prediction.passport.energy_per_frame_mj()
    assert found.probabilities[-1].tolist() == pytest.approx(prediction.probabilities, abs=1e-12)
    assert found.times.tolist() == pytest.approx([i / 10 for i in prediction.indices])
    assert found.classes[0] in prediction.classes
    at_once = trace(weights, video, frames="all", energy=False)
    monkeypatch.setattr("spikereel.tracing.clips.AT_ONCE", 2)
    everything = trace(weights, video, frames="all", energy=False, out=tmp_path / "all")
    assert np.array_equal(everything.spikes("lif"), at_once.spikes("lif"))
    assert np.array_equal(everything.pictures, at_once.pictures)
    assert everything.frames.tolist() == list(range(9))
    assert everything.starts.tolist() == [0, 4, 8]
    assert trace(weights, video, frames=(2, 6), energy=False).frames.tolist() == [2, 3, 4, 5]
    assert everything.box == (8.0, 0.0, 48.0, 48.0)
    with pytest.raises(ConfigError, match="0 to 9"):
        trace(weights, video, frames=(2, 10))
