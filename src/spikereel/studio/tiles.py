"""Spikes as small pictures: what share of the neurons of a row fires in the time of a column.

A page gets tiles of at most `ROWS` x `COLUMNS` bytes, however many spikes there are.
"""

from collections.abc import Iterator

import numpy as np

from spikereel.errors import DataError
from spikereel.studio.analysis import Analysis
from spikereel.tracing.thin import set_between

ROWS, COLUMNS = 512, 2048
"""The most of a tile."""

UNKNOWN = 255
"""Byte of what is not computed yet, or was forgotten; shares go from 0 to 254."""

PER_COLUMN = 4
"""Steps of a column that are looked at, evenly spread, where there are more."""


def raster(
    analysis: Analysis, layer: str, neurons: tuple[int, int], frames: tuple[float, float], size: tuple[int, int]
) -> np.ndarray:
    """uint8 [rows, columns] of the neurons from the first up to the second number, and of the frames likewise.

    Frames are equally wide. A row holds at least one neuron, and a frame shows the step that was the last to begin.
    Raises DataError for a layer, neurons or a size that there are not.
    """
    rows, columns = size
    if not (1 <= rows <= ROWS and 1 <= columns <= COLUMNS):
        raise DataError(f"a tile has 1 to {ROWS} rows and 1 to {COLUMNS} columns, not {rows} x {columns}")
    known = {x["name"]: x for x in analysis.about.get("layers", [])}
    if layer not in known:
        raise DataError(f"{layer[:80]!r} is no layer of this network, or nothing is computed yet")
    low, high = neurons
    if not 0 <= low < high <= known[layer]["size"]:
        raise DataError(f"neurons {low} to {high} are not in {layer}, which has {known[layer]['size']}")
    first, stop = frames
    if not first < stop:
        raise DataError(f"frames {first} to {stop} are none")
    rows = min(rows, high - low)
    sums, counts = np.zeros((columns, rows)), np.zeros(columns)
    for number, column, step in _looked_at(analysis, np.linspace(first, stop, columns + 1)):
        made = analysis.kept(number)
        if made is None or not made.layers[layer].recorded:
            continue
        own, place = np.unique(step, return_inverse=True)
        shares = _shares(made.packed(layer)[own], made.layers[layer].kind, neurons, rows)
        np.add.at(sums, column, shares[place])
        np.add.at(counts, column, 1)
    means = sums / np.maximum(counts, 1)[:, None]
    tile = np.minimum(means * 254.0 + 0.5, 254).astype(np.uint8)
    tile[counts == 0] = UNKNOWN
    return tile.T


def _looked_at(analysis: Analysis, edges: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(window, columns, steps): which steps a column shows, each of them once."""
    starts = np.array([first for first, _ in analysis.spans] or [0])
    within = np.arange(PER_COLUMN) / PER_COLUMN
    at = np.floor(edges[:-1, None] + within * np.diff(edges)[:, None]).ravel()
    column = np.arange(len(edges) - 1).repeat(PER_COLUMN)
    windows = np.searchsorted(starts, at, side="right") - 1
    for number in np.unique(windows).tolist():
        known = analysis.found.get(number)
        if known is None:
            continue
        here = (windows == number) & (at >= known["first"]) & (at < known["stop"])
        step = np.maximum(np.searchsorted(known["frames"], at[here], side="right") - 1, 0)
        # a column of less than a frame sees the same step again
        pairs = np.unique(np.stack([column[here], step]), axis=1)
        yield number, pairs[0], pairs[1]


def _shares(packed: np.ndarray, kind: str, neurons: tuple[int, int], rows: int) -> np.ndarray:
    """float32 [steps, rows]: share of the neurons of each row that fire."""
    low, high = neurons
    edges = np.linspace(low, high, rows + 1).astype(int)
    # counts of more than one spike are a byte each
    if kind == "counts":
        sums = np.add.reduceat(packed[:, low:high] > 0, edges[:-1] - low, axis=1, dtype=np.uint32)
    elif high - low < 8 * rows:
        fired = np.unpackbits(packed[:, low // 8 : -(-high // 8)], axis=1)[:, low % 8 : low % 8 + high - low]
        sums = np.add.reduceat(fired, edges[:-1] - low, axis=1, dtype=np.uint32)
    else:
        sums = set_between(packed, edges)
    return (sums / np.diff(edges)).astype(np.float32)
