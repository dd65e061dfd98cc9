"""Attention of spikes in Triton, exact: sums of whole numbers, in int32 for counts and in float32 without TF32 else.

f(q) (f(k)^T v) / scale with f(s) = 2s - 1 (hamming) or s (dot): twin of `spikereel.ops.hamming.attention`.
"""

from importlib.util import find_spec

import torch
from torch import Tensor

if find_spec("triton") is not None:
    import triton  # ty: ignore[import-not-found]
    import triton.language as tl  # ty: ignore[import-not-found]

TOKENS = 64
"""Tokens that a program has at a time."""

CHUNK = 1024
"""Tokens that one sum of f(k)^T v is over; the sums are added up in the order of the chunks, in whole numbers."""


def attention(q: Tensor, k: Tensor, v: Tensor, *, similarity: str, scale: float) -> Tensor:
    """As `spikereel.ops.hamming.attention`, float32; with v of counts in int8 the first product is one of integers."""
    return _Attention.apply(q, k, v, similarity == "hamming", scale)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, hamming, scale):
        ctx.hamming, ctx.scale = hamming, scale
        ctx.save_for_backward(q, k, v)
        lead = q.shape[:-2]
        q, k, v = (x.reshape(-1, *x.shape[-2:]).contiguous() for x in (q, k, v))
        summed = keys_values(k, v, hamming=hamming)
        return queries(q, summed, hamming=hamming, scale=scale).view(*lead, *q.shape[1:2], v.shape[2])

    @staticmethod
    def backward(ctx, grad):  # ty: ignore[incompatible-method-override]
        q, k, v = (x.float() for x in ctx.saved_tensors)
        if ctx.hamming:
            q, k = 2.0 * q - 1.0, 2.0 * k - 1.0
        grad = grad / ctx.scale
        through = 2.0 if ctx.hamming else 1.0
        to_sum = q.mT @ grad
        to_q = through * (grad @ (k.mT @ v).mT)
        to_k = through * (v @ to_sum.mT)
        to_v = k @ to_sum if ctx.needs_input_grad[2] else None
        return to_q, to_k, to_v, None, None


def keys_values(k: Tensor, v: Tensor, *, hamming: bool) -> Tensor:
    """f(k)^T v of k [B, N, d] and v [B, N, e]: int32 where v is int8, else float32; [B, d, e]."""
    batch, tokens, dim = k.shape
    whole, chunks = not v.is_floating_point(), triton.cdiv(tokens, CHUNK)
    parts = k.new_empty(batch, chunks, dim, v.shape[2], dtype=torch.int32 if whole else torch.float32)
    d, e = _padded(dim), _padded(v.shape[2])
    _keys_values[(batch, chunks)](
        k, v, parts, tokens, dim, v.shape[2], chunks, HAMMING=hamming, WHOLE=whole, D=d, E=e, TOKENS=TOKENS, CHUNK=CHUNK
    )
    return parts.sum(1, dtype=parts.dtype)


def queries(q: Tensor, summed: Tensor, *, hamming: bool, scale: float) -> Tensor:
    """f(q) S / scale of q [B, N, d] and S [B, d, e], float32 [B, N, e]."""
    batch, tokens, dim = q.shape
    out = q.new_empty(batch, tokens, summed.shape[2], dtype=torch.float32)
    d, e = _padded(dim), _padded(summed.shape[2])
    _queries[(batch, triton.cdiv(tokens, TOKENS))](
        q, summed.contiguous(), out, tokens, dim, summed.shape[2], scale, HAMMING=hamming, D=d, E=e, TOKENS=TOKENS
    )
    return out


def _padded(size: int) -> int:
    """Sides of products are powers of 2 from 16 on."""
    return max(16, 1 << (size - 1).bit_length())


if find_spec("triton") is not None:

    @triton.jit
    def _keys_values(
        k,
        v,
        parts,
        tokens,
        dim,
        width,
        chunks,
        HAMMING: tl.constexpr,
        WHOLE: tl.constexpr,
        D: tl.constexpr,
        E: tl.constexpr,
        TOKENS: tl.constexpr,
        CHUNK: tl.constexpr,
    ):
        batch, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
        i, d, e = tl.arange(0, TOKENS), tl.arange(0, D), tl.arange(0, E)
        total = tl.zeros([D, E], tl.int32 if WHOLE else tl.float32)
        for n in range(CHUNK // TOKENS):
            row = chunk * CHUNK + n * TOKENS + i
            there = (d[:, None] < dim) & (row[None, :] < tokens)
            one = tl.load(k + (batch * tokens + row[None, :]) * dim + d[:, None], mask=there, other=0.0).to(tl.float32)
            if HAMMING:
                one = tl.where(there, 2.0 * one - 1.0, 0.0)
            inside = (row[:, None] < tokens) & (e[None, :] < width)
            two = tl.load(v + (batch * tokens + row[:, None]) * width + e[None, :], mask=inside, other=0)
            if WHOLE:
                total += tl.dot(one.to(tl.int8), two.to(tl.int8))
            else:
                total += tl.dot(one, two.to(tl.float32), input_precision="ieee")
        out = parts + ((batch * chunks + chunk) * dim + d[:, None]) * width + e[None, :]
        tl.store(out, total, mask=(d[:, None] < dim) & (e[None, :] < width))

    @triton.jit
    def _queries(
        q,
        summed,
        out,
        tokens,
        dim,
        width,
        scale,
        HAMMING: tl.constexpr,
        D: tl.constexpr,
        E: tl.constexpr,
        TOKENS: tl.constexpr,
    ):
        batch = tl.program_id(0).to(tl.int64)
        row = tl.program_id(1).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
        d, e = tl.arange(0, D), tl.arange(0, E)
        there = (row[:, None] < tokens) & (d[None, :] < dim)
        one = tl.load(q + (batch * tokens + row[:, None]) * dim + d[None, :], mask=there, other=0.0).to(tl.float32)
        if HAMMING:
            one = tl.where(there, 2.0 * one - 1.0, 0.0)
        inside = (d[:, None] < dim) & (e[None, :] < width)
        two = tl.load(summed + (batch * dim + d[:, None]) * width + e[None, :], mask=inside, other=0).to(tl.float32)
        y = tl.dot(one, two, input_precision="ieee") / scale
        tl.store(
            out + (batch * tokens + row[:, None]) * width + e[None, :],
            y,
            mask=(row[:, None] < tokens) & (e[None, :] < width),
        )
