"""Attention over the last frames through a sum that slides, against pairs of tokens and against a recount."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikereel.ops.hamming import attention_reference, causal_attention, window_attention


def _spikes(*shape, seed=0, dtype=torch.float64):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).to(dtype)


def _qkv(*shape, seed=0, **kwargs):
    return [_spikes(*shape, seed=3 * seed + i, **kwargs) for i in range(3)]


@settings(max_examples=15)
@given(st.sampled_from(["dot", "hamming"]), st.integers(1, 4), st.integers(1, 7), st.integers(0, 50))
def test_a_frame_sees_the_last_ones_pair_by_pair(similarity, window, frames, seed):
    q, k, v = _qkv(frames, 2, 3, 4, 5, seed=seed)
    a, _, recent = window_attention(q, k, v, window=window, similarity=similarity, scale=10.0)
    for t in range(frames):
        seen = [max(s, 0) for s in range(t - window + 1, t + 1)]
        keys, values = (torch.cat([x[s] for s in seen], dim=-2) for x in (k, v))
        wanted = attention_reference(q[t], keys, values, similarity=similarity, scale=10.0)
        torch.testing.assert_close(a[t], wanted, rtol=0, atol=1e-12)
    assert recent.shape[1] == window


@settings(max_examples=10)
@given(st.sampled_from(["dot", "hamming"]), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_a_stream_in_pieces_is_the_whole(similarity, parts):
    q, k, v = _qkv(sum(parts), 1, 2, 3, 4)
    whole, last, kept = window_attention(q, k, v, window=3, similarity=similarity, scale=8.0)
    summed = recent = None
    pieces = []
    for qs, ks, vs in zip(q.split(parts), k.split(parts), v.split(parts), strict=True):
        a, summed, recent = window_attention(qs, ks, vs, summed, recent, window=3, similarity=similarity, scale=8.0)
        pieces.append(a)
    assert torch.equal(torch.cat(pieces), whole)
    assert torch.equal(summed, last)
    assert torch.equal(recent, kept)


@pytest.mark.parametrize("frames", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_nothing_drifts(frames):
    """The sum after many frames is a recount of the last ones in whole numbers."""
    summed = recent = None
    generator = torch.Generator().manual_seed(0)
    for _ in range(frames // 100):
        k, v = (torch.rand(2, 100, 1, 1, 4, 3, generator=generator) < 0.5).float()
        _, summed, recent = window_attention(k, k, v, summed, recent, window=16, similarity="hamming", scale=1.0)
    bits = (2 * k[-16:, 0, 0].long() - 1).flatten(0, 1)
    assert torch.equal(summed[0, 0].long(), bits.T @ v[-16:, 0, 0].long().flatten(0, 1))
    assert torch.equal(summed, summed.round())


@pytest.mark.parametrize("similarity", ["dot", "hamming"])
def test_clips_of_one_batch_may_be_of_different_ages(similarity):
    q, k, v = _qkv(2, 2, 3, 4, 5)
    past, ages = _spikes(2, 3, 5, 5, seed=9) * 7, torch.tensor([3, 40])
    both, summed = causal_attention(q, k, v, past, ages, similarity=similarity, scale=10.0)
    for b in range(2):
        one, own = causal_attention(
            q[:, b : b + 1],
            k[:, b : b + 1],
            v[:, b : b + 1],
            past[b : b + 1],
            ages[b],
            similarity=similarity,
            scale=10.0,
        )
        assert torch.equal(both[:, b : b + 1], one)
        assert torch.equal(summed[b : b + 1], own)
