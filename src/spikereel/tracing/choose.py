"""Which neurons: by number, by place, or so many spread evenly."""

from collections.abc import Mapping, Sequence

import numpy as np

from spikereel.config import unknown_key
from spikereel.errors import ConfigError
from spikereel.tracing.layers import Layer

Chosen = int | Sequence[int | tuple[int, ...]]
Neurons = Chosen | Mapping[str, Chosen] | None


def numbers_of(layers: Sequence[Layer], neurons: Neurons, kept: set[str]) -> dict[str, np.ndarray]:
    """{layer: flat numbers int64 [K]} of what `spikereel.trace` takes as `neurons`.

    Raises ConfigError for a layer or a neuron that is not there.
    """
    if neurons is None:
        return {}
    own = {layer.name: layer for layer in layers}
    wanted = neurons if isinstance(neurons, Mapping) else {name: neurons for name in own if name in kept}
    for name in wanted:
        if name not in own:
            raise unknown_key(name, own, "layer")
    return {name: _of_layer(own[name], x) for name, x in wanted.items()}


def _of_layer(layer: Layer, neurons: Chosen) -> np.ndarray:
    if isinstance(neurons, int):
        if neurons < 1:
            raise ConfigError(f"{neurons} neurons of {layer.name} are none; give at least 1")
        return np.linspace(0, layer.size - 1, min(neurons, layer.size)).round().astype(np.int64)
    return np.array([_number(layer, neuron) for neuron in neurons], dtype=np.int64)


def _number(layer: Layer, neuron: int | tuple[int, ...]) -> int:
    place = (neuron,) if isinstance(neuron, int | np.integer) else tuple(neuron)
    sizes = (layer.size,) if len(place) == 1 else layer.shape
    if len(place) != len(sizes) or any(not 0 <= i < n for i, n in zip(place, sizes, strict=True)):
        raise ConfigError(
            f"{layer.name} has no neuron {neuron}: it has {layer.size}, shaped {layer.shape}; give a number or a place"
        )
    return int(np.ravel_multi_index(place, sizes))
