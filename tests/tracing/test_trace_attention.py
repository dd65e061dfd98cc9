"""The row of a token, with v behind it, is what the network attends to: for every scheme and similarity."""

import numpy as np
import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer

import spikereel
from spikereel.errors import ConfigError
from spikereel.layers.attention import SpikeAttention
from spikereel.streaming.fronts import windowed
from spikereel.tracing import trace

CLIP = clip(4, 1)
CASES = [
    *(("spatial", "hamming"), ("joint", "hamming"), ("hierarchical", "hamming"), ("factorised", "hamming")),
    *(("causal", "hamming"), ("causal", "dot"), ("joint", "dot")),
]


def attended(model, video, monkeypatch):
    """{module: [sums that its attention gave, float64 [T, C, H, W], one for each grouping]} of a plain run."""
    found, names = {}, {module: name for name, module in model.named_modules()}
    plain = SpikeAttention._attend

    def note(self, *args):
        out = plain(self, *args)
        found.setdefault(names[self], []).append(out[:, 0].numpy() * self.scale)
        return out

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(SpikeAttention, "_attend", note)
        model(video)
    return found


def with_v(found, row):
    """[C] of a row: its similarities times v, summed over all tokens that it sees."""
    layer = row.layer
    v = found.spikes(layer.q.replace(".q_lif", ".v_lif"))[row.frames]
    v = v.reshape(len(v), layer.heads, layer.head_dim, *layer.grid).astype(np.float64)
    return np.einsum("mthw,tmdhw,t->md", row.values.astype(np.float64), v, row.weights).reshape(-1)


@pytest.mark.parametrize(("attention", "similarity"), CASES)
def test_a_row_is_what_the_network_attends_to(attention, similarity, monkeypatch):
    model = tiny_model(attention=attention, similarity=similarity)
    found, sums = trace(model, CLIP, energy=False), attended(model, CLIP, monkeypatch)
    assert len(found.attentions) == sum(map(len, sums.values()))
    for name, layer in found.attentions.items():
        for token in ((0, 0, 0), (2, 1, 3)):
            row, (t, y, x) = found.attention(token, name), token
            own = sums[name.removesuffix("_t") if name not in sums else name][-1 if layer.q.endswith("_t") else 0]
            assert np.allclose(with_v(found, row), own[t, :, y, x], atol=1e-9), (name, token)
            width = layer.head_dim
            assert row.values.min() >= (-width if similarity == "hamming" else 0)
            assert row.values.max() <= width
            assert np.isnan(row.mean()[~row.seen]).all()
            # the token is wholly like itself where q and k agree, and never beyond
            assert np.nanmax(np.abs(row.mean())) <= 1


def test_a_window_slides(monkeypatch):
    model = windowed(tiny_model(attention="joint").float(), 3)
    video = clip(5, 1).float()
    sums, found = attended(model, video, monkeypatch), trace(model, video, energy=False)
    for t, seen in ((0, [0]), (1, [0, 1]), (4, [2, 3, 4])):
        row = found.attention((t, 1, 2), "block3.0.attn")
        assert row.frames.tolist() == seen
        assert row.weights.sum() == 3
        assert np.allclose(with_v(found, row), sums["block3.0.attn"][0][t, :, 1, 2], rtol=1e-5, atol=1e-4)


def test_of_svformer():
    model = tiny_svformer()
    sums = {}
    name = "blocks3.0.attn"
    proj = model.get_submodule(f"{name}.proj_lif")
    hook = proj.register_forward_pre_hook(lambda _m, x: sums.update(own=x[0][:, 0].numpy()))
    found = trace(model, CLIP, energy=False)
    hook.remove()
    row = found.attention((2, 1, 1), name)
    assert row.layer.similarity == "dot"
    assert np.allclose(with_v(found, row) / row.layer.head_dim**0.5, sums["own"][2, :, 1, 1], atol=1e-12)


def test_artificial_neurons_have_none():
    ann = spikereel.create_model("svformer_ti.ann")
    found = trace(ann, torch.rand(8, 1, 3, 64, 64), energy=False, layers=["blocks4"])
    with pytest.raises(ConfigError, match="no attention"):
        found.attention((0, 0, 0))
