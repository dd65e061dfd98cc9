"""From counts of coinciding spikes to the matrix that stands between q and the output of an attention: the reference of
the native `attend_between`."""

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
