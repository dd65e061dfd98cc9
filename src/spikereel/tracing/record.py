"""Hooks that write down what the neurons of a network do in one call, and change nothing."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor

from spikereel.energy.contents import counts_of
from spikereel.layers.charged import membranes
from spikereel.layers.neuron import Neuron
from spikereel.models.base import VideoModel
from spikereel.tracing.layers import Layer


@dataclass(kw_only=True)
class Recorder:
    """What the layers of a model did while they were watched: `arrays`, by name, with time as their first axis."""

    model: VideoModel
    layers: Sequence[Layer]
    neurons: Mapping[str, np.ndarray]
    """{layer: flat numbers of the neurons whose membranes are kept}."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Generator[None, None, None]:
        """Write down what happens inside the block, which is one call of every neuron."""
        rates: dict[str, np.ndarray] = {}
        with ExitStack() as stack:
            for layer in self.layers:
                module = cast(Neuron, self.model.get_submodule(layer.name))
                stack.callback(module.register_forward_hook(self._hook(layer, rates)).remove)
            yield
        self.arrays["rates"] = np.stack([rates[layer.name] for layer in self.layers], axis=1)

    def _hook(self, layer: Layer, rates: dict[str, np.ndarray]) -> Callable:
        def hook(module: Neuron, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
            counts = fired(module, output[0].detach())
            rates[layer.name] = (counts.sum(1, dtype=torch.int64).double() / layer.size).cpu().numpy()
            if layer.recorded:
                self.arrays[f"spikes/{layer.name}"] = packed(layer, counts)
            if layer.name in self.neurons:
                numbers = torch.from_numpy(self.neurons[layer.name]).to(counts.device)
                v = inputs[1] if len(inputs) > 1 else None
                charged, after = membranes(module, inputs[0].detach(), v, numbers)
                both = torch.stack([charged, after], dim=1).to(torch.float32)
                self.arrays[f"membranes/{layer.name}"] = both.cpu().numpy()
                self.arrays[f"fired/{layer.name}"] = counts[:, numbers].to(torch.uint8).cpu().numpy()

        return hook


def fired(neuron: Neuron, out: Tensor) -> Tensor:
    """Spikes of one clip, whole numbers [T, neurons], of the output of a neuron [T, 1, ...], sub-steps summed up."""
    counts = counts_of(out, neuron.config) if neuron.spiking else out != 0
    return counts.flatten(1)


def packed(layer: Layer, counts: Tensor) -> np.ndarray:
    """uint8 [T, bytes] of spikes [T, neurons]."""
    if layer.kind == "counts":
        return counts.to(torch.uint8).cpu().numpy()
    return np.packbits(counts.to(torch.bool).cpu().numpy(), axis=1)
