"""Spike-driven attention without softmax: dot-product and Hamming similarity, quadratic and linear, clip and causal.

Axes: *b any leading axes (batch, heads), N tokens, d head width; q, k, v are spikes. All sums are of small integers;
they are computed in float32 or wider with TF32 and autocast off, hence exact up to 2^24.
"""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Literal, get_args

import torch
from jaxtyping import Float, Num
from torch import Tensor

from spikereel.errors import ConfigError

Similarity = Literal["dot", "hamming"]

DOT_SCALE = 0.125
"""Scale of the dot-product form for every head width, as in the released code of SpikeVideoFormer."""


def attention_scale(similarity: Similarity, dim: int) -> float:
    """What the attended sum is divided by: 2 D for Hamming, D the full channel width; 8 for the dot product."""
    if similarity not in get_args(Similarity):
        raise ConfigError(f"similarity {similarity!r} does not exist; choose dot or hamming")
    return 2.0 * dim if similarity == "hamming" else 1.0 / DOT_SCALE


def hamming_similarity(q: Float[Tensor, "*b N d"], k: Float[Tensor, "*b M d"]) -> Float[Tensor, "*b N M"]:
    """Fraction of equal bits, 1/2 + (2q - 1)(2k - 1)^T / (2d), for binary q and k.

    Proposition 3.1: for signs of Gaussian projections it is within delta of 1 - arccos(cosine) / pi with a probability
    that grows with d. Source: SpikeVideoFormer (Zou et al., ICML 2025), section 3.
    """
    with _exact_products(q):
        q, k = _wide(q), _wide(k)
        return 0.5 + _bipolar(q, "hamming") @ _bipolar(k, "hamming").mT / (2.0 * q.shape[-1])


def attention_reference(
    q: Float[Tensor, "*b N d"],
    k: Float[Tensor, "*b M d"],
    v: Float[Tensor, "*b M e"],
    *,
    similarity: Similarity,
    scale: float,
) -> Float[Tensor, "*b N e"]:
    """(f(q) f(k)^T) v / scale with the N x M similarity written out; f(s) = 2s - 1 for Hamming, s for dot."""
    with _exact_products(q):
        q, k, v = _wide(q), _wide(k), _wide(v)
        return (_bipolar(q, similarity) @ _bipolar(k, similarity).mT) @ v / scale


def attention(
    q: Float[Tensor, "*b N d"],
    k: Float[Tensor, "*b M d"],
    v: Float[Tensor, "*b M e"],
    *,
    similarity: Similarity,
    scale: float,
) -> Float[Tensor, "*b N e"]:
    """f(q) (f(k)^T v) / scale: the same integers as `attention_reference`, linear in the number of tokens."""
    with _exact_products(q):
        q, k, v = _wide(q), _wide(k), _wide(v)
        if q.is_cuda and max(q.shape[-1], v.shape[-1]) <= 128:
            from spikereel.kernels import dispatch, hamming_triton

            if dispatch.by_triton(q):
                return hamming_triton.attention(q, k, v, similarity=similarity, scale=scale)
        return _bipolar(q, similarity) @ (_bipolar(k, similarity).mT @ v) / scale


def attention_row(
    q: Float[Tensor, "*b d"], k: Float[Tensor, "*b M d"], *, similarity: Similarity
) -> Float[Tensor, "*b M"]:
    """f(q) f(K)^T of one token: the row of the similarity that the linear form never writes out, exact, in O(M d).

    It is what `attention` gives for that token with the identity in place of v, times the scale.
    """
    with _exact_products(q):
        return (_bipolar(_wide(k), similarity) @ _bipolar(_wide(q), similarity)[..., None])[..., 0]


def causal_attention(
    q: Float[Tensor, "T *b N d"],
    k: Float[Tensor, "T *b N d"],
    v: Float[Tensor, "T *b N e"],
    summed: Num[Tensor, "*b d e"] | None = None,
    frames: int | Tensor = 0,
    *,
    similarity: Similarity,
    scale: float,
) -> tuple[Float[Tensor, "T *b N e"], Num[Tensor, "*b d e"]]:
    """Each frame attends to itself and all earlier ones through a running sum, N tokens a frame.

    S_t = S_(t-1) + f(k_t)^T v_t          A_t = f(q_t) S_t / (scale t)

    summed, frames: S and the count of frames so far (None and 0 at the start), one count for all or one for each of
    the first axis behind time. Dividing by the tokens seen (t N, in
    units of one frame's N) keeps the magnitude that of `spatial` attention, equal to it on the first frame.
    S is held in float64: whole numbers to 2^53, so that a stream of days stays exact and equals the clip. A sum that
    comes in int32 stays so, exact to 2^31, for runtimes without float64.

    Returns A and the sum after the last frame.
    """
    with _exact_products(q):
        q, k, v = _wide(q), _wide(k), _wide(v)
        kind = torch.int32 if summed is not None and summed.dtype == torch.int32 else torch.float64
        past = (_bipolar(k, similarity).mT @ v).to(kind).cumsum(0, dtype=kind)
        if summed is not None:
            past = past + summed
        before = torch.as_tensor(frames, device=q.device).reshape(1, -1)
        seen = torch.arange(1, len(q) + 1, device=q.device, dtype=torch.float64)[:, None] + before
        mean = past / seen.view(*seen.shape, *[1] * (past.ndim - 2))
        return _bipolar(q, similarity) @ mean.to(q.dtype) / scale, past[-1]


def window_attention(
    q: Float[Tensor, "T B *h N d"],
    k: Float[Tensor, "T B *h N d"],
    v: Float[Tensor, "T B *h N e"],
    summed: Float[Tensor, "B *h d e"] | None = None,
    recent: Float[Tensor, "B W *h d e"] | None = None,
    *,
    window: int,
    similarity: Similarity,
    scale: float,
) -> tuple[Float[Tensor, "T B *h N e"], Float[Tensor, "B *h d e"], Float[Tensor, "B W *h d e"]]:
    """Each frame attends to the last W frames, itself among them, through a sum that slides, N tokens a frame.

    P_t = f(k_t)^T v_t          S_t = S_(t-1) + P_t - P_(t-W)          A_t = f(q_t) S_t / scale

    summed, recent: S and the last W of P, oldest first; None at the start, where the first frame stands for those
    before it: S_1 = W P_1, as of a still picture. P are whole numbers, exact in float32 to 2^24, and S in float64 to
    2^53: what is taken away is what was added, so that nothing drifts however long the stream.

    Returns A, and S and the last W of P after the last frame.
    """
    with _exact_products(q):
        q, k, v = _wide(q), _wide(k), _wide(v)
        out = []
        for query, own in zip(_bipolar(q, similarity), _bipolar(k, similarity).mT @ v, strict=True):
            if summed is None or recent is None:
                recent = own[:, None].repeat_interleave(window, 1)
                summed = window * own.double()
            else:
                summed = summed + own.double() - recent[:, 0].double()
                recent = torch.cat([recent[:, 1:], own[:, None]], dim=1)
            out.append(query @ summed.to(q.dtype) / scale)
        assert summed is not None
        assert recent is not None
        return torch.stack(out), summed, recent


def _bipolar(s: Tensor, similarity: Similarity) -> Tensor:
    return 2.0 * s - 1.0 if similarity == "hamming" else s


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


@contextmanager
def _exact_products(x: Tensor) -> Generator[None, None, None]:
    """Full float32 products: no autocast, no TF32 (11 bits would round sums above 2,048)."""
    before = torch.backends.cuda.matmul.allow_tf32 if x.is_cuda else False
    if before:
        torch.backends.cuda.matmul.allow_tf32 = False
    try:
        # the meta device has no autocast to turn off
        with nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            yield
    finally:
        if before:
            torch.backends.cuda.matmul.allow_tf32 = True
