"""What a token looks at: its row of the similarity of q and k, exact, over all frames that it sees."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from spikereel.ops.hamming import attention_row
from spikereel.tracing.layers import AttentionLayer

AT_ONCE = 2**26
"""Bytes of unpacked keys that are in memory together."""

Token = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """Row q of f(q) f(K)^T: f(s) = 2 s - 1 for Hamming similarity, s for the dot product.

    The network multiplies it by v, and by `weights`; no softmax.
    """

    token: Token
    """Frame of the trace, row and column on the grid of tokens."""
    layer: AttentionLayer
    frames: np.ndarray
    """int64 [F]: the frames of the trace that the token sees some of."""
    values: np.ndarray
    """int16 [heads, F, h, w]; whole numbers from -d to d (Hamming) or 0 to d (dot), d the width of a head."""
    seen: np.ndarray
    """bool [F, h, w]: the tokens that it sees; values of others are 0."""
    weights: np.ndarray
    """float64 [F]: what the similarity of a frame counts for."""
    missing: int = 0
    """Frames that the token sees too, but that come before the trace."""

    def mean(self) -> np.ndarray:
        """float32 [F, h, w]: the mean over heads as a share of the width, -1 to 1 (Hamming) or 0 to 1 (dot); NaN for
        tokens that this one does not see."""
        mean = self.values.mean(0, dtype=np.float64) / self.layer.head_dim
        return np.where(self.seen, mean, np.nan).astype(np.float32)


def row(
    layer: AttentionLayer,
    token: Token,
    spikes: Callable[[str, int, int], np.ndarray],
    *,
    since: int,
    until: int,
    before: int = 0,
) -> Row:
    """The row of a token, from spikes(layer, start, stop) -> uint8 [t, C, h, w].

    since, until: the frames between which its state or its clip lies; before: frames of it that come before the trace.
    """
    t, y, x = token
    first, last, missing = _span(layer, t, since, until, before)
    q = _heads(layer, spikes(layer.q, t, t + 1))[0, :, :, y, x]
    h, w = layer.grid
    at_once = max(AT_ONCE // (4 * layer.heads * layer.head_dim * h * w), 1)
    parts = []
    for start in range(first, last, at_once):
        k = _heads(layer, spikes(layer.k, start, min(start + at_once, last)))
        tokens = k.permute(1, 0, 3, 4, 2).flatten(1, 3)
        parts.append(attention_row(q, tokens, similarity=layer.similarity).unflatten(1, (-1, h, w)))
    values = torch.cat(parts, dim=1).to(torch.int16).numpy()
    seen = np.ones(values.shape[1:], dtype=bool)
    if layer.scheme == "pixel":
        seen[:] = False
        seen[:, y, x] = True
        values = values * seen
    frames = np.arange(first, last)
    return Row(
        token=token,
        layer=layer,
        frames=frames,
        values=values,
        seen=seen,
        weights=_weights(layer, t, frames, missing, before + t - since),
        missing=missing,
    )


def _span(layer: AttentionLayer, t: int, since: int, until: int, before: int) -> tuple[int, int, int]:
    """First frame that is seen and one behind the last, and how many come before the trace."""
    if layer.scheme == "frame":
        return t, t + 1, 0
    if layer.scheme in ("clip", "pixel"):
        return since, until, before
    if layer.scheme == "past":
        return since, t + 1, before
    first = t + 1 - layer.window
    return max(first, since), t + 1, min(max(since - first, 0), before)


def _weights(layer: AttentionLayer, t: int, frames: np.ndarray, missing: int, age: int) -> np.ndarray:
    """Of `past`, a mean over all frames so far; of `recent`, the first frame stands for those before it."""
    if layer.scheme == "past":
        return np.full(len(frames), 1.0 / (len(frames) + missing))
    weights = np.ones(len(frames))
    if layer.scheme == "recent":
        weights[0] += max(layer.window - 1 - age, 0)
    return weights


def _heads(layer: AttentionLayer, spikes: np.ndarray) -> torch.Tensor:
    """float32 [t, heads, d, h, w]."""
    return torch.from_numpy(spikes).float().unflatten(1, (layer.heads, layer.head_dim))
