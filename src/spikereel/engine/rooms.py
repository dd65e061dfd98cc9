"""Memory for membranes: one block for all neurons of a call, taken again once nobody holds a state that lies in it."""

import itertools
import weakref
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikereel.engine.memory import Layout
from spikereel.engine.packing import LANES, whole
from spikereel.engine.plan import Program

NUMBERS = itertools.count(1)


class Room:
    """The membranes of all neurons for a batch, those of the last call that it was taken for."""

    def __init__(self, program: Program, layout: Layout, batch: int):
        self.number = next(NUMBERS)
        self.key = key_of(layout, batch)
        shapes = {}
        for layer in program.neurons():
            assert layer.neuron is not None
            channels = layer.channels * layer.neuron.parts
            shapes[layer.neuron] = channels, (batch, *layout.sizes[id(layer)], whole(channels) * LANES)
        self.block = torch.empty(sum(prod(shape) for _, shape in shapes.values()))
        numbers, at = self.block.numpy(), 0
        self.views: dict[str, Tensor] = {}
        """By neuron as in a state, [B, C, H, W]."""
        self.arrays: list[dict[str, NDArray[np.float32]]] = [{} for _ in range(batch)]
        """By clip and neuron as the kernels take them, [pixels, lanes]."""
        for neuron, (channels, shape) in shapes.items():
            part = slice(at, at + prod(shape))
            at = part.stop
            view = self.block[part].view(shape)[..., :channels].permute(0, 3, 1, 2)
            self.views[neuron.name] = view.flatten(2) if neuron.flat else view
            for array, of_clip in zip(numbers[part].reshape(batch, -1, shape[-1]), self.arrays, strict=True):
                of_clip[neuron.name] = array
        self.given: dict[str, weakref.ref] = {}
        self.own = self._holders()

    def give(self) -> dict[str, Tensor]:
        """What a state holds of it."""
        found = {name: x.detach() for name, x in self.views.items()}
        self.given = {name: weakref.ref(x) for name, x in found.items()}
        return found

    def gave(self, known: Mapping[str, Tensor]) -> bool:
        """Whether a flat state is what this block gave last, tensor by tensor."""
        return bool(self.given) and all(
            (x := ref()) is not None and known.get(name) is x for name, ref in self.given.items()
        )

    @property
    def free(self) -> bool:
        """Whether nobody else holds any of it; never, where PyTorch does not say."""
        return 0 < self._holders() <= self.own

    def _holders(self) -> int:
        count: Any = getattr(torch._C, "_storage_Use_Count", None)
        return 0 if count is None else count(self.block.untyped_storage()._cdata)


class Rooms:
    """The blocks of an engine."""

    def __init__(self) -> None:
        self.all: list[Room] = []

    def take(self, program: Program, layout: Layout, batch: int) -> Room:
        """A block for the membranes of a call, an old one where it can be: fresh pages are dear.

        While a state is carried on, the block that comes in and the one that goes out change places: no other is kept.
        """
        key, free = key_of(layout, batch), [room for room in self.all if room.free]
        taken = next((room for room in free if room.key == key), None) or Room(program, layout, batch)
        self.all = [*(room for room in self.all if room not in free), taken]
        layout.forget({room.number for room in self.all})
        return taken

    def of(self, known: Mapping[str, Tensor], layout: Layout, batch: int) -> Room | None:
        """The block that a flat state lies in, as it was given; None for any other state."""
        key = key_of(layout, batch)
        return next((room for room in reversed(self.all) if room.key == key and room.gave(known)), None)


def key_of(layout: Layout, batch: int) -> tuple[int, ...]:
    """What blocks that can stand for each other have in common; memory of inference mode stays there."""
    return (batch, layout.height, layout.width, torch.is_inference_mode_enabled())
