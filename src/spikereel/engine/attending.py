"""From counts of coinciding spikes to the matrix between q and the output of an attention: the references of the native
`attend_between` and `attend_past`."""

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
