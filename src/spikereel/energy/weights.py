"""What is known of the weights of a model, while not one byte of them changes."""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor, nn

from spikereel.models.files import plain_parts

MOST = 1 << 23
"""Bytes of weights that a copy is kept of: a hash of more is little beside a run of such a model."""


@dataclass(kw_only=True, eq=False)
class Weights:
    """Of one model."""

    parts: list[bytearray] | None = None
    """What `weights_hash` is of, as it was; None where that is too much to keep."""
    nonzero: dict[nn.Module, tuple[Tensor, int, int]] = field(default_factory=dict)
    """Of layers seen: the weight, its version, and how many of its values are not zero."""
    sparsity: float | None = None
    """Share of weights of layers that are zero, once all are through."""


KNOWN: WeakKeyDictionary[nn.Module, Weights] = WeakKeyDictionary()


def weights_of(model: nn.Module) -> Weights:
    """Looked at once: a small model whose weights are the same to the last bit is known again.

    Versions of tensors would not do: whoever writes through `weight.data` or NumPy leaves them as they are.
    """
    parts, before = list(plain_parts(model)), KNOWN.get(model)
    # a bytearray is compared with any buffer, without a copy
    if before is not None and before.parts == parts:
        return before
    if sum(x.nbytes if isinstance(x, np.ndarray) else len(x) for x in parts) > MOST:
        return Weights()
    known = KNOWN[model] = Weights(parts=[bytearray(x) for x in parts])
    return known
