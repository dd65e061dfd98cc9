"""A layer over time as a small picture, however many spikes it holds."""

from collections.abc import Sequence

import numpy as np

from spikereel.tracing.layers import Layer

AT_ONCE = 2**25
"""Bytes of spikes that are looked at together."""


def picture(layer: Layer, packed: Sequence[np.ndarray], rows: int, columns: int) -> np.ndarray:
    """float32 [at most rows, at most columns]: mean spikes of neighbouring neurons (down) and frames (across).

    packed: uint8 [t, bytes] as a trace keeps them. Neurons are grouped by whole bytes where they are grouped at all.
    """
    total = sum(len(x) for x in packed)
    width = packed[0].shape[1]
    single = layer.kind != "counts" and layer.size <= rows
    groups = _edges(layer.size if single or layer.kind == "counts" else width, rows)
    sums = np.zeros((total, len(groups) - 1))
    at = 0
    for array in packed:
        step = max(AT_ONCE // max(width, 1), 1)
        for start in range(0, len(array), step):
            own = array[start : start + step]
            values = _values(layer, own, single)
            sums[at : at + len(own)] = np.add.reduceat(values, groups[:-1], axis=1, dtype=np.uint32)
            at += len(own)
    neurons = np.diff(groups) * (8 if layer.kind != "counts" and not single else 1)
    # the last byte may have bits that are no neurons
    neurons[-1] -= neurons.sum() - layer.size
    frames = _edges(total, columns)
    means = np.add.reduceat(sums, frames[:-1], axis=0) / np.diff(frames)[:, None]
    return (means / neurons).T.astype(np.float32)


def _values(layer: Layer, packed: np.ndarray, single: bool) -> np.ndarray:
    if layer.kind == "counts":
        return packed
    return np.unpackbits(packed, axis=1, count=layer.size) if single else np.bitwise_count(packed)


def set_between(packed: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """uint32 [t, rows]: bits set from each edge up to the next, in bytes uint8 [t, n] as of `numpy.packbits`.

    edges int64 [rows + 1] are at least 8 apart. Whole bytes are counted: a twentieth of the time of unpacking them.
    """
    byte, bit = np.divmod(edges, 8)
    whole = np.bitwise_count(packed[:, : byte[-1]])
    sums = np.add.reduceat(whole, byte[:-1], axis=1, dtype=np.uint32)
    cut = packed[:, np.minimum(byte, packed.shape[1] - 1)].astype(np.uint16)
    before = np.bitwise_count(cut >> (8 - bit)).astype(np.uint32)
    return sums + before[:, 1:] - before[:, :-1]


def _edges(count: int, most: int) -> np.ndarray:
    """Where `count` things are cut into at most so many groups, even ones."""
    return np.linspace(0, count, min(count, most) + 1).round().astype(np.int64)
