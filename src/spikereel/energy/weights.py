"""What is known of the weights of a model, while not one byte of them changes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.layers.modes import submodules
from spikereel.layers.observe import WEIGHT_LAYERS
from spikereel.models.files import LARGE, NUMPY, plain_bytes

MOST = 1 << 23
"""Bytes of weights that a copy is kept of: a hash of more is little beside a run of such a model."""


class Values:
    """The values of a state_dict: large ones as they lie in the model, small ones copied, in one piece for each type of
    number, and those of unusual types as bytes."""

    def __init__(self, values: Mapping[str, Any]):
        small: dict[torch.dtype, list[Tensor]] = defaultdict(list)
        self.large: dict[str, np.ndarray] = {}
        self.others: dict[str, bytes] = {}
        self.places: dict[str, tuple[torch.dtype, int, int]] = {}
        """Where each small value begins and ends in the piece of its type."""
        ends: dict[torch.dtype, int] = defaultdict(int)
        for name, x in values.items():
            if not isinstance(x, Tensor) or (dtype := x.dtype) not in NUMPY:
                self.others[name] = bytes(plain_bytes(x))
            elif (size := x.numel()) > LARGE:
                self.large[name] = plain_bytes(x)
            else:
                small[dtype].append(x if x.ndim == 1 else x.reshape(-1))
                start = ends[dtype]
                ends[dtype] = stop = start + size
                self.places[name] = dtype, start, stop
        with torch.inference_mode():
            self.small = {dtype: torch.cat(some).numpy(force=True) for dtype, some in small.items()}


class Copies:
    """Values as they were. Iterated over, they are the parts that `spikereel.models.files.weights_hash` is of."""

    def __init__(self, values: Values):
        # a bytearray is compared with any buffer, without a copy
        self.large = {name: bytearray(x) for name, x in values.large.items()}
        self.small = {dtype: bytearray(x) for dtype, x in values.small.items()}
        self.places, self.others = values.places, values.others
        self.known: str | None = None

    def hash(self) -> str:
        """`spikereel.models.files.weights_hash`, worked out once."""
        if self.known is None:
            self.known = hashlib.sha256(b"".join(self)).hexdigest()
        return self.known

    def __iter__(self) -> Iterator[Any]:
        for name in sorted([*self.large, *self.places, *self.others]):
            yield name.encode()
            yield self.large[name] if name in self.large else self._small(name)

    def _small(self, name: str) -> bytes | bytearray:
        if name in self.others:
            return self.others[name]
        dtype, start, stop = self.places[name]
        return self.small[dtype][start * dtype.itemsize : stop * dtype.itemsize]

    def same(self, values: Values) -> bool:
        """Whether all values are the same to the last bit."""
        return all(vars(self)[name] == x for name, x in vars(values).items())


@dataclass(kw_only=True, eq=False)
class Weights:
    """Of one model."""

    copies: Copies | None = None
    """As they were; None where that is too much to keep."""
    nonzero: dict[nn.Module, tuple[Tensor, int, int]] = field(default_factory=dict)
    """Of layers seen: the weight, its version, and how many of its values are not zero."""
    sparsity: float | None = None
    """Share of weights of layers that are zero, once all are through."""


KNOWN: WeakKeyDictionary[nn.Module, Weights] = WeakKeyDictionary()


def weights_of(model: nn.Module, modules: Mapping[str, nn.Module] | None = None) -> Weights:
    """Looked at once: a small model whose weights are the same to the last bit is known again.

    Versions of tensors would not do: whoever writes through `weight.data` or NumPy leaves them as they are.
    modules: all of the model by name, where they are at hand.
    """
    state, before = _state(model), KNOWN.get(model)
    if sum([x.nbytes for x in state.values() if isinstance(x, Tensor)]) > MOST:
        return Weights()
    values = Values(state)
    if before is not None and before.copies is not None and before.copies.same(values):
        return before
    nonzero = dict(_nonzero(values, submodules(model) if modules is None else modules))
    known = KNOWN[model] = Weights(copies=Copies(values), nonzero=nonzero)
    return known


def version(x: Tensor) -> int:
    """A number that changes with the values of a tensor, unless they are written past PyTorch."""
    return -1 if x.is_inference() else x._version


def _state(model: nn.Module) -> dict[str, Any]:
    """The state_dict in any order, at a third of its time where no module writes it in a way of its own."""
    found: dict[str, Any] = {}
    waiting = [("", model)]
    while waiting:
        start, module = waiting.pop()
        if module._state_dict_hooks or module._state_dict_pre_hooks or not _usual(type(module)):
            return model.state_dict(keep_vars=True)
        for key, x in module._parameters.items():
            if x is not None:
                found[start + key] = x
        for key, x in module._buffers.items():
            if x is not None and key not in module._non_persistent_buffers_set:
                found[start + key] = x
        waiting += [(f"{start}{key}.", part) for key, part in module._modules.items() if part is not None]
    return found


@cache
def _usual(kind: type[nn.Module]) -> bool:
    return all(
        getattr(kind, name) is getattr(nn.Module, name)
        for name in ("state_dict", "_save_to_state_dict", "get_extra_state")
    )


def _nonzero(values: Values, modules: Mapping[str, nn.Module]) -> Iterator[tuple[nn.Module, tuple[Tensor, int, int]]]:
    """For `Weights.nonzero`: layers whose weights are large parameters of their own."""
    for name, module in modules.items():
        weight = module._parameters.get("weight") if isinstance(module, WEIGHT_LAYERS) else None
        found = values.large.get(f"{name}.weight") if weight is not None else None
        if weight is not None and found is not None:
            yield module, (weight, version(weight), found.size - int(np.count_nonzero(found == 0)))
