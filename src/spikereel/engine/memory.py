"""One block of memory for all buffers of a program, those that never live at the same time in the same place."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikereel.engine.packing import LANES, spike_words, whole
from spikereel.engine.plan import Buffer, Layer, Program, Resize

ALIGNED = 64
CHUNKS = (8, 4, 2, 1)
"""Frames of a chunk that are tried, most first."""
CHUNK_BYTES = 12 << 20
"""Memory that the chunk buffers of one part may take."""


Grid = tuple[NDArray[np.int32], NDArray[np.float32]]
"""For each output the two inputs [n, 2] that it lies between, and the share of the second one [n]."""


@dataclass
class Layout:
    """Sizes of everything for clips of one length and resolution."""

    frames: int
    height: int
    width: int
    parts: list[list[Layer]] = field(default_factory=list)
    """Those of the program."""
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Height and width of the output of each layer, by id."""
    input_sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    chunks: list[int] = field(default_factory=list)
    """Frames of a chunk in each part."""
    arrays: dict[int, NDArray] = field(default_factory=dict)
    """Bits [planes, T, P, words] or values [T, P, lanes] of each buffer, by id."""
    bytes: int = 0
    grids: dict[int, tuple[Grid, Grid]] = field(default_factory=dict)
    """Of each change of size by id: for rows and for columns."""
    targets: dict[tuple[int, ...], dict[tuple[int, ...], Any]] = field(default_factory=dict)
    """Where results of calls go, by the numbers of the blocks of membranes that they read and write, then by layer and
    frames: made once, as a call of one frame takes no longer than making them."""

    def forget(self, alive: Collection[int]) -> None:
        """Let go of all but these blocks of membranes (see `spikereel.engine.rooms`)."""
        gone = [key for key in self.targets if not {key[0], key[1] or key[0]} <= set(alive)]
        for key in gone:
            del self.targets[key]


def lay_out(program: Program, frames: int, height: int, width: int) -> Layout:
    """Sizes, chunks and places for clips of this shape."""
    layout = Layout(frames, height, width, program.parts())
    places: dict[int, tuple[int, int]] = {}
    for layer in program.layers:
        before = places[id(layer.inputs()[0])] if layer.inputs() else (height, width)
        size = layout.sizes[id(layer.like)] if isinstance(layer, Resize) else layer.size(*before)
        if isinstance(layer, Resize):
            rows, columns = (grid(*lengths, layer.bilinear) for lengths in zip(before, size, strict=True))
            layout.grids[id(layer)] = rows, columns
        layout.input_sizes[id(layer)], layout.sizes[id(layer)] = before, size
        for buffer in (layer.value, layer.spikes):
            if buffer is not None:
                places[id(buffer)] = size
    pixels = {name: h * w for name, (h, w) in places.items()}
    layout.chunks = [_chunk(part, pixels, frames) for part in layout.parts]
    lengths = {id(b): frames if b.whole_clip else layout.chunks[program.layers[b.first].part] for b in program.buffers}
    offsets, layout.bytes = _place(
        program, {id(b): lengths[id(b)] * b.frame_bytes(pixels[id(b)]) for b in program.buffers}
    )
    arena = np.zeros(layout.bytes + ALIGNED, np.uint8)
    start = -arena.ctypes.data % ALIGNED
    for b in program.buffers:
        layout.arrays[id(b)] = _view(arena[start:], offsets[id(b)], b, lengths[id(b)], pixels[id(b)])
    return layout


def grid(length: int, out: int, bilinear: bool) -> Grid:
    """Where a line of `out` values lies on one of `length`, corners not aligned: `torch.nn.functional.interpolate`."""
    at = np.arange(out) * (length / out)
    if bilinear:
        at = np.maximum((np.arange(out) + 0.5) * (length / out) - 0.5, 0.0)
    first = np.minimum(np.floor(at).astype(np.int32), length - 1)
    second = np.minimum(first + 1, length - 1) if bilinear else first
    share = at - first if bilinear else np.zeros(out)
    return np.stack([first, second], axis=1), share.astype(np.float32)


def _view(arena: NDArray, offset: int, buffer: Buffer, frames: int, pixels: int) -> NDArray:
    raw = arena[offset : offset + frames * buffer.frame_bytes(pixels)]
    if buffer.kind == "bits":
        return raw.view(np.uint16).reshape(buffer.planes, frames, pixels, spike_words(buffer.channels))
    return raw.view(np.float32).reshape(frames, pixels, whole(buffer.channels) * LANES)


def _chunk(part: list[Layer], pixels: dict[int, int], frames: int) -> int:
    """The longest chunk whose largest buffers fit the memory."""
    buffers = {id(b): b for layer in part for b in (layer.value, layer.spikes) if b is not None and not b.whole_clip}
    most = max((sum(b.frame_bytes(pixels[i]) for i, b in _alive(buffers, n)) for n in _moments(buffers)), default=1)
    for chunk in CHUNKS:
        if chunk == 1 or chunk * most <= CHUNK_BYTES:
            return min(chunk, frames)
    return 1


def _moments(buffers: dict[int, Buffer]) -> set[int]:
    return {b.first for b in buffers.values()}


def _alive(buffers: dict[int, Buffer], moment: int) -> list[tuple[int, Buffer]]:
    return [(i, b) for i, b in buffers.items() if b.first <= moment <= b.last]


def _place(program: Program, sizes: dict[int, int]) -> tuple[dict[int, int], int]:
    """An offset for every buffer: largest first, each as low as those alive with it allow."""
    firsts, lasts = _part_bounds(program)
    life = {}
    for b in program.buffers:
        first, last = b.first, b.last
        if b.whole_clip:
            # a part runs in a loop: what crosses its border lives from its first layer to its last one
            first, last = firsts[program.layers[first].part], lasts[program.layers[last].part]
        life[id(b)] = (first, len(program.layers) if b.kept else last)
    offsets: dict[int, int] = {}
    for key in sorted(sizes, key=lambda k: -sizes[k]):
        taken = sorted(
            (offsets[k], offsets[k] + sizes[k])
            for k in offsets
            if life[k][0] <= life[key][1] and life[key][0] <= life[k][1]
        )
        at = 0
        for low, high in taken:
            if at + sizes[key] <= low:
                break
            at = max(at, -(-high // ALIGNED) * ALIGNED)
        offsets[key] = at
    return offsets, max((offsets[k] + sizes[k] for k in sizes), default=0)


def _part_bounds(program: Program) -> tuple[dict[int, int], dict[int, int]]:
    firsts: dict[int, int] = {}
    lasts: dict[int, int] = {}
    for i, layer in enumerate(program.layers):
        firsts.setdefault(layer.part, i)
        lasts[layer.part] = i
    return firsts, lasts
