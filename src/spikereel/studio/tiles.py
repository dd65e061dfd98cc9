"""Spikes as small pictures: what share of the neurons of a row fires in the time of a column.

A page gets tiles of at most `ROWS` x `COLUMNS` bytes, however many spikes there are.
"""

import numpy as np

from spikereel.errors import DataError
from spikereel.studio.analysis import Analysis

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
    tile = np.full((columns, min(rows, high - low)), UNKNOWN, np.uint8)
    edges = np.linspace(first, stop, columns + 1)
    for number, steps in _steps(analysis, edges).items():
        made = analysis.kept(number)
        if made is None or not made.layers[layer].recorded:
            continue
        shares = _binned(
            made.packed(layer), made.layers[layer].kind, neurons, tile.shape[1], sorted(set(steps.values()))
        )
        sums: dict[int, list[np.ndarray]] = {}
        for column, step in ((c, s) for (c, _), s in steps.items()):
            sums.setdefault(column, []).append(shares[step])
        for column, parts in sums.items():
            tile[column] = np.minimum(np.mean(parts, axis=0) * 254.0 + 0.5, 254).astype(np.uint8)
    return tile.T


def _steps(analysis: Analysis, edges: np.ndarray) -> dict[int, dict[tuple[int, int], int]]:
    """{window: {(column, place in it): step}}."""
    found: dict[int, dict[tuple[int, int], int]] = {}
    spans = analysis.spans
    starts = np.array([first for first, _ in spans] or [0])
    within = np.arange(PER_COLUMN) / PER_COLUMN
    at = np.floor(edges[:-1, None] + within * np.diff(edges)[:, None])
    windows = np.searchsorted(starts, at, side="right") - 1
    for (column, place), window in np.ndenumerate(windows):
        known = analysis.found.get(int(window))
        frame = at[column, place]
        if known is None or not known["first"] <= frame < known["stop"]:
            continue
        # seen again by a column of less than a frame
        step = max(int(np.searchsorted(known["frames"], frame, side="right")) - 1, 0)
        own = found.setdefault(int(window), {})
        if step not in (own.get((column, p)) for p in range(place)):
            own[column, place] = step
    return found


def _binned(
    packed: np.ndarray, kind: str, neurons: tuple[int, int], rows: int, steps: list[int]
) -> dict[int, np.ndarray]:
    """{step: share of the neurons of each row that fire}."""
    low, high = neurons
    edges = np.linspace(low, high, rows + 1).astype(int)
    shares = {}
    for step in steps:
        # counts of more than one spike are a byte each
        if kind == "counts":
            fired = packed[step, low:high] > 0
        else:
            fired = np.unpackbits(packed[step, low // 8 : -(-high // 8)])[low % 8 : low % 8 + high - low]
        shares[step] = np.add.reduceat(fired.astype(np.float32), edges[:-1] - low) / np.diff(edges)
    return shares
