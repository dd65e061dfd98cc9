"""The arrays of a trace, by name: one part of it for each piece of the clip."""

from collections.abc import Sequence

import numpy as np

from spikereel.errors import ConfigError
from spikereel.tracing.layers import Layer
from spikereel.tracing.store import Arrays

STATE, OUTPUT, SPIKES = "state/", "output/", "spikes/"
MEMBRANES, FIRED = "membranes/", "fired/"


def numbers_in(layer: Layer, neurons: Sequence[int]) -> np.ndarray:
    """Flat numbers int64 [K]. Raises ConfigError for one that the layer does not have."""
    numbers = np.asarray(neurons, dtype=np.int64)
    if len(wrong := numbers[(numbers < 0) | (numbers >= layer.size)]):
        raise ConfigError(f"{layer.name} has neurons 0 to {layer.size - 1}, got {wrong[0]}")
    return numbers


def stateless(part: Arrays) -> Arrays:
    """A part without the state after it."""
    return {name: x for name, x in part.items() if not name.startswith(STATE)}


def of_end(name: str) -> bool:
    """Whether an array has no axis of frames."""
    return name.startswith((STATE, "numbers/"))


def cut(part: Arrays, start: int, stop: int) -> Arrays:
    """Some of the frames of a part, and their answers; nothing is copied but those."""
    inside = (part["answered"] >= start) & (part["answered"] < stop)
    whole = stop == len(part["rates"])

    def own(name: str, x: np.ndarray) -> np.ndarray:
        if name.startswith("numbers/"):
            return x
        if name == "answered":
            return x[inside] - start
        return x[inside] if name.startswith(OUTPUT) else x[start:stop]

    # the state is that after the last frame
    return {
        name: x if name.startswith(STATE) else own(name, x)
        for name, x in part.items()
        if whole or not name.startswith(STATE)
    }
