"""Attention on spikes: the linear form, the causal form and streaming give the very integers of the quadratic form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikereel.errors import ConfigError
from spikereel.ops.hamming import (
    attention,
    attention_reference,
    attention_row,
    attention_scale,
    causal_attention,
    hamming_similarity,
)

SIMILARITIES = ("dot", "hamming")
sizes = st.integers(1, 9)
similarities = st.sampled_from(SIMILARITIES)


def _spikes(*shape, rate=0.4, seed=0, dtype=torch.float64):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).to(dtype)


def _qkv(*shape, seed=0, **kwargs):
    return [_spikes(*shape, seed=3 * seed + i, **kwargs) for i in range(3)]


def _by_loops(q, k, v, similarity):
    """Integers of one head, [N][e], token by token."""
    f = (lambda s: 2 * s - 1) if similarity == "hamming" else (lambda s: s)
    q, k, v = q.int().tolist(), k.int().tolist(), v.int().tolist()
    return [
        [
            sum(sum(f(a) * f(b) for a, b in zip(qi, kj, strict=True)) * vj[e] for kj, vj in zip(k, v, strict=True))
            for e in range(len(v[0]))
        ]
        for qi in q
    ]


@given(sizes, sizes, sizes, sizes, similarities, st.integers(0, 1000))
def test_linear_form_is_the_quadratic_form(n, m, d, e, similarity, seed):
    q, k, v = _spikes(2, n, d, seed=seed), _spikes(2, m, d, seed=seed + 1), _spikes(2, m, e, seed=seed + 2)
    linear = attention(q, k, v, similarity=similarity, scale=1.0)
    quadratic = attention_reference(q, k, v, similarity=similarity, scale=1.0)
    assert torch.equal(linear, quadratic)
    assert linear[1].tolist() == _by_loops(q[1], k[1], v[1], similarity)


@given(sizes, sizes, sizes, similarities, st.integers(0, 1000))
def test_a_row_of_the_similarity(n, m, d, similarity, seed):
    q, k = _spikes(2, n, d, seed=seed, dtype=torch.float32), _spikes(2, m, d, seed=seed + 1, dtype=torch.float32)
    written_out = attention_reference(q, k, torch.eye(m).expand(2, -1, -1), similarity=similarity, scale=1.0)
    rows = [attention_row(q[:, i], k, similarity=similarity) for i in range(n)]
    assert torch.equal(torch.stack(rows, dim=1), written_out)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_scale_divides(similarity):
    q, k, v = _qkv(1, 6, 5)
    whole = attention(q, k, v, similarity=similarity, scale=1.0)
    assert torch.equal(attention(q, k, v, similarity=similarity, scale=16.0), whole / 16)
    assert torch.equal(attention_reference(q, k, v, similarity=similarity, scale=16.0), whole / 16)


def test_scales_are_the_published_ones(as_user):
    assert attention_scale("hamming", 360) == 720.0
    assert attention_scale("dot", 360) == attention_scale("dot", 512) == 8.0
    with pytest.raises(ConfigError, match="'cosine'"):
        attention_scale("cosine", 8)


@given(st.integers(1, 5), sizes, sizes, similarities, st.integers(0, 1000))
def test_causal_is_the_loop_over_frames(frames, n, d, similarity, seed):
    q, k, v = _qkv(frames, 2, n, d, seed=seed)
    a, summed = causal_attention(q, k, v, similarity=similarity, scale=1.0)
    for head in range(2):
        for t in range(frames):
            keys, values = k[: t + 1, head].flatten(0, 1), v[: t + 1, head].flatten(0, 1)
            wanted = torch.tensor(_by_loops(q[t, head], keys, values, similarity), dtype=torch.float64) / (t + 1)
            torch.testing.assert_close(a[t, head], wanted, rtol=1e-13, atol=1e-13)
    assert torch.equal(summed, summed.round())


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_first_causal_frame_is_spatial(similarity):
    q, k, v = _qkv(4, 2, 9, 5)
    causal, _ = causal_attention(q, k, v, similarity=similarity, scale=10.0)
    assert torch.equal(causal[0], attention(q[0], k[0], v[0], similarity=similarity, scale=10.0))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), similarities, st.integers(0, 1000))
def test_any_split_of_the_causal_form_is_the_clip(parts, similarity, seed):
    q, k, v = _qkv(sum(parts), 2, 6, 5, seed=seed)
    whole, last = causal_attention(q, k, v, similarity=similarity, scale=10.0)
    pieces, summed, frames = [], None, 0
    for qs, ks, vs in zip(q.split(parts), k.split(parts), v.split(parts), strict=True):
        a, summed = causal_attention(qs, ks, vs, summed, frames, similarity=similarity, scale=10.0)
        pieces.append(a)
        frames += len(qs)
    assert torch.equal(torch.cat(pieces), whole)
    assert torch.equal(summed, last)


def test_a_stream_of_days_stays_exact():
    """The running sum is float64 from the first frame: in float32 it would stand still at 2^24."""
    ones = torch.ones(3, 1, 1, 1)
    _, summed = causal_attention(ones, ones, ones, similarity="dot", scale=1.0)
    assert summed.dtype == torch.float64
    summed = summed.fill_(2.0**24)
    for frame in range(5):
        _, summed = causal_attention(ones, ones, ones, summed, 2**24 + 3 * frame, similarity="dot", scale=1.0)
    assert summed.item() == 2**24 + 15


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_causal_magnitude_does_not_grow_with_time(similarity):
    q, k, v = _qkv(400, 1, 16, 8)
    a, _ = causal_attention(q, k, v, similarity=similarity, scale=8.0)
    early, late = a[:40].abs().mean(), a[-40:].abs().mean()
    assert late < 1.5 * early
    frame = attention(q, k, v, similarity=similarity, scale=8.0).abs().mean()
    assert late < 1.5 * frame


def _int64(q, k, v, similarity):
    f = (lambda s: 2 * s.long() - 1) if similarity == "hamming" else torch.Tensor.long
    return f(q) @ (f(k).T @ v.long())


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_five_thousand_tokens_are_exact_in_float32(similarity, autocast):
    q, k, v = _qkv(5000, 64, rate=0.9, dtype=torch.float32)
    wanted = _int64(q, k, v, similarity)
    assert wanted.abs().max() > 2**14
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        linear = attention(q, k, v, similarity=similarity, scale=1.0)
        causal, _ = causal_attention(q[None], k[None], v[None], similarity=similarity, scale=1.0)
    assert linear.dtype == torch.float32
    assert torch.equal(linear.long(), wanted)
    assert torch.equal(causal[0].long(), wanted)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_bfloat16_spikes_are_exact(similarity):
    q, k, v = _qkv(600, 33, rate=0.8, dtype=torch.bfloat16)
    a = attention(q, k, v, similarity=similarity, scale=1.0)
    assert torch.equal(a.long(), _int64(q, k, v, similarity))
    assert torch.equal(attention_reference(q, k, v, similarity=similarity, scale=1.0), a)


@given(sizes, sizes, st.sampled_from([1, 2, 3, 5, 64, 80, 640]), st.integers(0, 1000))
def test_hamming_similarity_is_the_fraction_of_equal_bits(n, m, d, seed):
    q, k = _spikes(n, d, seed=seed), _spikes(m, d, seed=seed + 1)
    wanted = (q[:, None] == k[None]).double().mean(-1)
    torch.testing.assert_close(hamming_similarity(q, k), wanted, rtol=0, atol=1e-15)


def test_hamming_similarity_under_autocast():
    q, k = _spikes(20, 640, dtype=torch.float32), _spikes(20, 640, seed=1, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        similarity = hamming_similarity(q, k)
    assert torch.equal(similarity, hamming_similarity(q, k))


MEASURED = {32: 0.063, 64: 0.046, 80: 0.041, 256: 0.023, 512: 0.016, 640: 0.014}
"""Mean |f_H - (1 - arccos(f_C) / pi)| by the number of projections; spec section 3, point 6."""


def _proposition_errors(d, pairs=4000):
    """|f_H - g(f_C)| of Gaussian vectors under Gaussian sign projections, all angles alike."""
    generator = torch.Generator().manual_seed(d)
    q = torch.randn(pairs, 16, dtype=torch.float64, generator=generator)
    other = torch.randn(pairs, 16, dtype=torch.float64, generator=generator)
    k = torch.lerp(q, other, torch.rand(pairs, 1, dtype=torch.float64, generator=generator))
    projection = torch.randn(16, d, dtype=torch.float64, generator=generator)
    bits = [((x @ projection) > 0).double()[:, None] for x in (q, k)]
    hamming = hamming_similarity(*bits)[:, 0, 0]
    cosine = torch.cosine_similarity(q, k).clamp(-1, 1)
    return (hamming - (1 - torch.arccos(cosine) / math.pi)).abs(), cosine


def _independent_errors(d, pairs=3000):
    """The same for independent pairs, each with projections of its own, as the proposition has it."""
    generator = torch.Generator().manual_seed(d)
    q, k = torch.randn(2, pairs, 1, 8, dtype=torch.float64, generator=generator)
    projection = torch.randn(pairs, 8, d, dtype=torch.float64, generator=generator)
    hamming = hamming_similarity(*(((x @ projection) > 0).double() for x in (q, k)))[:, 0, 0]
    cosine = torch.cosine_similarity(q[:, 0], k[:, 0])
    return (hamming - (1 - torch.arccos(cosine) / math.pi)).abs()


@pytest.mark.parametrize("d", MEASURED)
def test_proposition_3_1(d):
    errors = _independent_errors(d)
    assert errors.mean().item() == pytest.approx(MEASURED[d], rel=0.3)
    for delta in (0.05, 0.1, 0.2):
        assert (errors > delta).double().mean() <= 2 * math.exp(-2 * delta**2 * d)


def test_proposition_needs_the_arccosine():
    """Cosine itself, brought to [0, 1], is not what the Hamming similarity tends to."""
    errors, cosine = _proposition_errors(640)
    assert errors.mean() < 0.03
    assert ((1 + cosine) / 2 - (1 - torch.arccos(cosine) / math.pi)).abs().max() > 0.05


@settings(max_examples=20)
@given(similarities, st.integers(0, 100))
def test_gradients_of_the_linear_form_are_those_of_the_quadratic_form(similarity, seed):
    grads = []
    for form in (attention, attention_reference):
        leaves = [x.requires_grad_() for x in _qkv(2, 7, 5, seed=seed)]
        a = form(*leaves, similarity=similarity, scale=8.0)
        (a * torch.arange(70.0, dtype=torch.float64).view(2, 7, 5)).sum().backward()
        grads.append([x.grad for x in leaves])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
