"""Spikes as bits, and weights in the order in which the native kernels read them."""

import numpy as np
from numpy.typing import NDArray

LANES = 16
"""Channels of a vector; values and weights are padded to whole ones."""
WORD = 64
"""Channels of a word of spikes."""
GROUP, COARSE_GROUP = 5, 6
"""Inputs of a group of a table, and of one with weights of 16 bits."""
COARSE_RUN = 40
"""Groups that a kernel adds up in 16 bits."""

MOST = 2**31 - 1
"""Largest sum that 32 bits hold."""

THREE_DIGITS = 127 * (1 + 256 + 256**2)
"""Largest whole number of three digits, -128 to 127 each."""

Floats = NDArray[np.float32]
Fixed = NDArray[np.int32]
Words = NDArray[np.uint16]


def whole(channels: int) -> int:
    """Vectors that hold so many channels."""
    return -(-channels // LANES)


def spike_words(channels: int) -> int:
    """16-bit words of a pixel's spikes: whole words of 64 channels."""
    return -(-channels // WORD) * (WORD // 16)


def pack_spikes(counts: NDArray, planes: int = 1) -> Words:
    """Counts [T, C, H, W] of 0..planes as bits [planes, T, H W, words], plane d set where the count is above d."""
    frames, channels, height, width = counts.shape
    last = counts.reshape(frames, channels, height * width).transpose(0, 2, 1)
    above = np.stack([last > d for d in range(planes)])
    padded = np.zeros((*above.shape[:3], spike_words(channels) * 16), np.uint8)
    padded[..., :channels] = above
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint16)


def unpack_spikes(words: Words, channels: int, height: int, width: int) -> Floats:
    """The counts [T, C, H, W] behind `pack_spikes`."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")[..., :channels]
    counts = bits.sum(0, dtype=np.float32).transpose(0, 2, 1)
    return counts.reshape(counts.shape[0], channels, height, width)


def fixed_point(weight: NDArray, planes: int = 1) -> tuple[Fixed, Floats]:
    """Weights [C', ...] as whole numbers, and what one is worth in each output, a power of two.

    No subset of the inputs, each at most `planes` times, sums to more than 32 bits hold: neither the positive nor the
    negative weights of an output do. So the sums are exact, and the same in any order. Weights that meet counts give up
    to two bits where three digits then hold them (`digit_rows`).
    """
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    # rounding moves each weight by half a unit
    room = MOST / planes - flat.shape[1]
    most = np.maximum(np.maximum(flat, 0).sum(1), np.maximum(-flat, 0).sum(1))
    exponent = np.floor(np.log2(room / np.where(most > 0, most, 1.0)))
    if planes > 1:
        largest = np.maximum(np.abs(flat).max(1, initial=0), 1e-60)
        held = np.floor(np.log2(THREE_DIGITS / largest))
        exponent = np.where(exponent - held <= 2, np.minimum(exponent, held), exponent)
    # beyond, one unit is no normal number of float32
    exponent = np.clip(exponent, -120, 120)
    whole_numbers = np.rint(np.ldexp(flat, exponent.astype(int)[:, None])).astype(np.int64)
    sums = np.maximum(np.maximum(whole_numbers, 0).sum(1), np.maximum(-whole_numbers, 0).sum(1))
    assert (sums * planes <= MOST).all()
    fixed = whole_numbers.astype(np.int32).reshape(weight.shape)
    return fixed, np.exp2(-exponent).astype(np.float32)


def _padded(weight: NDArray, outputs: int) -> NDArray:
    """Rows of zeros up to so many."""
    rows = np.zeros((outputs, *weight.shape[1:]), np.int32 if weight.dtype == np.int32 else np.float32)
    rows[: len(weight)] = weight
    return rows


def event_rows(weight: Fixed, block: int) -> Fixed:
    """Weights [C', C, k, k] as [block][tap][input][block * 16 outputs]."""
    blocks = -(-whole(len(weight)) // block)
    rows = _padded(weight, blocks * block * LANES).reshape(blocks, block * LANES, weight.shape[1], -1)
    return np.ascontiguousarray(rows.transpose(0, 3, 2, 1)).ravel()


def digits_of(weight: Fixed) -> int:
    """Digits of eight bits, -128 to 127, that hold all of these whole numbers."""
    least, most = int(weight.min(initial=0)), int(weight.max(initial=0))
    ones = {n: (256**n - 1) // 255 for n in (1, 2, 3)}
    return next((n for n, one in ones.items() if -128 * one <= least and most <= 127 * one), 4)


def digit_rows(weight: Fixed) -> NDArray[np.int8]:
    """Weights [C', C, k, k] as digits [vector][tap and word][digit][fours of inputs, 16 outputs, 4], the lowest first.

    Digits times 256 to their place sum to the weight, in 32 bits that wrap around.
    """
    outputs, inputs, k, _ = weight.shape
    words = -(-inputs // WORD)
    rows = np.zeros((whole(outputs) * LANES, k * k, words * WORD), np.int64)
    rows[:outputs, :, :inputs] = weight.reshape(outputs, inputs, k * k).transpose(0, 2, 1)
    digits = []
    for _ in range(digits_of(weight)):
        digit = (rows + 128) % 256 - 128
        rows = (rows - digit) // 256
        digits.append(digit.astype(np.int8))
    parts = np.stack(digits).reshape(len(digits), -1, LANES, k * k * words, WORD // 4, 4)
    return np.ascontiguousarray(parts.transpose(1, 3, 0, 4, 2, 5)).reshape(-1, k * k * words, len(digits), WORD * LANES)


def table_groups(channels: int, group: int = GROUP) -> int:
    """Groups of the inputs of one pixel, which do not cross words of 64."""
    return channels // WORD * -(-WORD // group) + min(-(-WORD // group), -(-(channels % WORD) // group))


def table_rows(weight: NDArray, group: int = GROUP) -> NDArray:
    """Weights [C', C, k, k] as [output][tap][group][its inputs], of their type."""
    outputs, inputs, k, _ = weight.shape
    words, in_word = -(-inputs // WORD), -(-WORD // group)
    taps = np.zeros((whole(outputs) * LANES, k * k, words, in_word * group), weight.dtype)
    for w in range(words):
        own = weight[:, w * WORD : (w + 1) * WORD].reshape(outputs, -1, k * k)
        taps[:outputs, :, w, : own.shape[1]] = own.transpose(0, 2, 1)
    groups = taps.reshape(len(taps), k * k, -1, group)[:, :, : table_groups(inputs, group)]
    return np.ascontiguousarray(groups).ravel()


def coarse_rows(weight: Fixed, planes: int = 1) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Weights in fixed point rounded to 16 bits, in the order of `table_rows`, and what one is worth in each output.

    The native kernel adds up COARSE_RUN groups in 16 bits before it goes on in 32: neither the positive nor the
    negative weights of a run, each `planes` times, leave them.
    """
    groups = weight.shape[2] ** 2 * table_groups(weight.shape[1], COARSE_GROUP)
    rows = table_rows(weight, COARSE_GROUP).reshape(-1, groups, COARSE_GROUP)
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % COARSE_RUN), (0, 0))).astype(np.float64)
    runs = padded.reshape(len(rows), -1, COARSE_RUN * COARSE_GROUP)
    most = np.maximum(np.maximum(runs, 0).sum(2), np.maximum(-runs, 0).sum(2)).max(1)
    # rounding moves each weight by half a unit
    room = 32767 / planes - COARSE_RUN * COARSE_GROUP / 2
    unit = np.maximum(most / room, 1.0)
    return np.rint(rows / unit[:, None, None]).astype(np.int16).ravel(), unit[: len(weight)]


def panels(vectors: int) -> list[tuple[int, int]]:
    """First vector, and the one after the last, of each panel of a matrix."""
    count = -(-vectors // 2)
    return [(vectors * i // count, vectors * (i + 1) // count) for i in range(count)]


def matrix_panels(weight: NDArray) -> Floats:
    """A matrix [C', K] as [panel][K][outputs of the panel]."""
    vectors = whole(len(weight))
    rows = _padded(weight, vectors * LANES)
    parts = [rows[first * LANES : last * LANES].T.ravel() for first, last in panels(vectors)]
    return np.ascontiguousarray(np.concatenate(parts))


def depthwise_taps(weight: NDArray) -> NDArray:
    """Weights [C, 1, k, k] as [tap][channel], whole numbers or float32."""
    rows = _padded(weight.reshape(len(weight), -1), whole(len(weight)) * LANES)
    return np.ascontiguousarray(rows.T).ravel()


def affine_rows(values: NDArray) -> Floats:
    """Vectors [frames or 1, C] padded to whole vectors."""
    rows = np.zeros((len(values), whole(values.shape[1]) * LANES), np.float32)
    rows[:, : values.shape[1]] = values
    return rows
