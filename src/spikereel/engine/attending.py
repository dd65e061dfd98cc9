"""From counts of coinciding spikes to the matrix between q and the output of an attention: the references of the native
`attend_between`, `attend_past` and `attend_recent`."""

import numpy as np
from numpy.typing import NDArray


def between(counts: NDArray, hamming: bool) -> NDArray[np.float32]:
    """f(k)^T v of each group and head, and in the last row what one q of all zeros takes away.

    counts [..., d + 1, e]: k^T v, and in the last row the column sums of v. Hamming: (2k - 1)^T v = 2 k^T v - colsum v,
    and (2q - 1) S = 2 q S - colsum S. Whole numbers, exact in float32 up to 2^24.
    """
    sums = np.empty(counts.shape, np.float32)
    sums[..., :-1, :] = 2 * counts[..., :-1, :] - counts[..., -1:, :] if hamming else counts[..., :-1, :]
    sums[..., -1, :] = sums[..., :-1, :].sum(-2) if hamming else 0.0
    return sums


def so_far(
    sums: NDArray[np.float32], hamming: bool, *, seen: int, before: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Means up to each frame in place of the sums of each, and the running sums after the last one.

    sums [T, heads, d + 1, e] as `between` gives them; before [heads, d, d]: the sums over `seen` frames. Whole numbers,
    exact in float64.
    """
    d = before.shape[-1]
    running = before + np.cumsum(sums[:, :, :d, :d], axis=0, dtype=np.float64)
    means = np.zeros_like(sums)
    means[:, :, :d, :d] = running / np.arange(seen + 1, seen + 1 + len(sums))[:, None, None, None]
    means[:, :, -1] = means[:, :, :-1].sum(2) if hamming else 0.0
    return means, running[-1]


def of_the_last(
    sums: NDArray[np.float32],
    hamming: bool,
    *,
    window: int,
    summed: NDArray[np.float64] | None = None,
    recent: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
    """Sums over the last `window` frames in place of those of each; their sum and what it is made of, after the last.

    sums [T, heads, d + 1, e] as `between` gives them; summed [heads, d, d], recent [window, heads, d, d], oldest first,
    None at the start: see `spikereel.ops.hamming.window_attention`.
    """
    d = sums.shape[2] - 1
    own = sums[:, :, :d, :d]
    if summed is None or recent is None:
        recent = np.repeat(own[:1], window, axis=0)
        summed = window * own[0].astype(np.float64)
    history = np.concatenate([recent, own])
    out = np.zeros_like(sums)
    for t in range(len(sums)):
        summed = summed + own[t] - history[t].astype(np.float64)
        out[t, :, :d, :d] = summed
    out[:, :, -1] = out[:, :, :-1].sum(2) if hamming else 0.0
    return out, summed, history[-window:]
