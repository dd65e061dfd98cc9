"""Which tokens see each other, against a computation that visits every pair of tokens in turn."""

import itertools

import pytest
import torch
from tiny import randomise_norms, take_statistics

from spikereel.errors import ConfigError
from spikereel.layers.attention import SCHEMES, STREAMING, TOKENS, SpikeAttention, schemes
from spikereel.layers.neuron import Neuron, NeuronConfig

T, B, H, W, DIM, HEADS = 3, 2, 2, 3, 8, 2
SIZES = {"T": T, "B": B, "H": H, "W": W}

SEES = {
    "frame": lambda q, k: q[0] == k[0],
    "clip": lambda q, k: True,
    "pixel": lambda q, k: q[1:] == k[1:],
    "past": lambda q, k: k[0] <= q[0],
    "recent": lambda q, k: sum(max(t, 0) == k[0] for t in range(q[0] - WINDOW + 1, q[0] + 1)),
}
"""Whether, or how often, the query at (t, y, x) sees the key at (t, y, x)."""
WINDOW = 2


def _module(groupings, similarity, **neuron):
    torch.manual_seed(0)
    lif = NeuronConfig(threshold=0.5, **neuron)
    module = SpikeAttention(
        DIM, HEADS, groupings=groupings, similarity=similarity, neuron=lif, qk_neuron=lif, attn_neuron=lif
    )
    module.window = WINDOW
    module = module.double().eval()
    randomise_norms(module)
    take_statistics(module, _input())
    return module


def _run(module, x, state=None):
    """Output, state, output of every neuron, and what entered attn_lif."""
    seen = {}
    hooks = [
        m.register_forward_hook(lambda _m, inputs, out, name=name: seen.update({name: out[0], f"{name}.in": inputs[0]}))
        for name, m in module.named_modules()
        if isinstance(m, Neuron)
    ]
    with torch.no_grad():
        y, state = module(x, state)
    for hook in hooks:
        hook.remove()
    return y, state, seen


def _input(frames=T):
    return torch.randn(frames, B, DIM, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) + 1.0


def _pair_by_pair(q, k, v, grouping, similarity):
    """Unscaled A [T, B, D, H, W] from one pair of tokens after the other; channel = head * d + position."""
    d, a = DIM // HEADS, torch.zeros(T, B, DIM, H, W, dtype=torch.float64)
    places = list(itertools.product(range(T), range(H), range(W)))
    for b, head, (t, y, x), (t2, y2, x2) in itertools.product(range(B), range(HEADS), places, places):
        times = SEES[grouping]((t, y, x), (t2, y2, x2))
        if not times:
            continue
        own = slice(head * d, (head + 1) * d)
        query, key, value = q[t, b, own, y, x], k[t2, b, own, y2, x2], v[t2, b, own, y2, x2]
        if similarity == "hamming":
            likeness = int((query == key).sum()) - int((query != key).sum())
        else:
            likeness = int((query * key).sum())
        a[t, b, own, y, x] += times * likeness * value
    if grouping == "past":
        a /= torch.arange(1, T + 1, dtype=torch.float64).view(T, 1, 1, 1, 1)
    return a


def _normed(bn, a):
    scale = bn.weight / torch.sqrt(bn.running_var + 1e-5)
    per_channel = [x.detach().view(1, 1, -1, 1, 1) for x in (scale, bn.bias - bn.running_mean * scale)]
    return a * per_channel[0] + per_channel[1]


@pytest.mark.parametrize("similarity", ["dot", "hamming"])
@pytest.mark.parametrize("groupings", sorted({g for modules in SCHEMES.values() for g in modules} | {("recent",)}))
def test_groupings_pair_by_pair(groupings, similarity):
    module = _module(groupings, similarity)
    _, _, seen = _run(module, _input())
    wanted = 0
    for grouping, suffix in zip(groupings, ("", "_t"), strict=False):
        q, k, v = (seen[f"{part}_lif{suffix}"] for part in "qkv")
        assert all(0.1 < s.mean() < 0.9 for s in (q, k, v))
        a = _pair_by_pair(q, k, v, grouping, similarity)
        wanted += _normed(module.get_submodule(f"attn_bn{suffix}"), a / (2 * DIM)) if similarity == "hamming" else a / 8
    torch.testing.assert_close(seen["attn_lif.in"], wanted, rtol=0, atol=1e-12)


def test_schemes_are_those_of_the_spec():
    assert SCHEMES == {
        "spatial": (("frame",),),
        "joint": (("clip",),),
        "hierarchical": (("frame",), ("pixel",)),
        "factorised": (("frame", "pixel"),),
        "causal": (("past",),),
    }
    assert set(STREAMING) == {"spatial", "causal"}
    assert set(TOKENS) == set(SEES)


@pytest.mark.parametrize(
    ("scheme", "matrices"), [("joint", 4), ("spatial", 4), ("causal", 4), ("hierarchical", 8), ("factorised", 7)]
)
def test_parameters_of_a_scheme(scheme, matrices):
    """4 / 8 / 7 projections of 2 D^2 + 15 D each (spec section 4), and 2 D for every norm of an attention."""
    modules = [_module(groupings, "hamming") for groupings in SCHEMES[scheme]]
    norms = sum(len(groupings) for groupings in SCHEMES[scheme])
    count = sum(p.numel() for m in modules for p in m.parameters())
    assert count == matrices * (2 * DIM**2 + 15 * DIM) + 2 * DIM * norms


@pytest.mark.parametrize("similarity", ["dot", "hamming"])
@pytest.mark.parametrize("grouping", ["frame", "past"])
def test_streaming_is_the_clip(grouping, similarity):
    module, x = _module((grouping,), similarity), _input(5)
    whole, last, _ = _run(module, x)
    pieces, state = [], None
    for piece in x.split([2, 1, 2]):
        y, state, _ = _run(module, piece, state)
        pieces.append(y)
    assert torch.equal(torch.cat(pieces), whole)
    assert state.keys() == last.keys()
    assert all(torch.equal(state[name], last[name]) for name in last)


def test_causal_state_holds_one_matrix_a_head():
    module = _module(("past",), "hamming")
    _, state, _ = _run(module, _input())
    assert state["summed"].shape == (B, HEADS, DIM // HEADS, DIM // HEADS)
    assert state["summed"].dtype == torch.float64
    assert state["frames"].item() == T


def test_clips_of_a_batch_do_not_mix():
    for groupings in {g for modules in SCHEMES.values() for g in modules}:
        module, x = _module(groupings, "hamming"), _input()
        other = x.clone()
        other[:, 1] = -other[:, 1]
        assert torch.equal(_run(module, x)[0][:, 0], _run(module, other)[0][:, 0])


def test_unknown_scheme_and_odd_heads(as_user):
    with pytest.raises(ConfigError, match=r"'global'.*spatial"):
        schemes("global")
    lif = NeuronConfig()
    with pytest.raises(ConfigError, match=r"10.*3"):
        SpikeAttention(10, 3, groupings=("clip",), similarity="dot", neuron=lif, qk_neuron=lif, attn_neuron=lif)
