"""What is known of the weights of a model, while not one byte of them changes."""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from spikereel.models.files import plain_bytes, weights_hash

MOST = 1 << 24
"""Bytes of weights that a copy is kept of: a hash of more is little beside a run of such a model."""


@dataclass(kw_only=True, eq=False)
class Weights:
    """Of one model."""

    digest: str = ""
    """`weights_hash`."""
    copies: dict[str, bytearray] = field(default_factory=dict)
    """The bytes of all values."""
    nonzero: dict[nn.Module, tuple[Tensor, int, int]] = field(default_factory=dict)
    """Of layers seen: the weight, its version, and how many of its values are not zero."""
    sparsity: float | None = None
    """Share of weights of layers that are zero, once all are through."""


KNOWN: WeakKeyDictionary[nn.Module, Weights] = WeakKeyDictionary()


def weights_of(model: nn.Module) -> Weights:
    """Worked out once: a small model whose weights are the same to the last bit is known again, in a third of the time.

    Versions of tensors would not do: whoever writes through `weight.data` or NumPy leaves them as they are.
    """
    found = {name: plain_bytes(x) for name, x in model.state_dict(keep_vars=True).items()}
    known = KNOWN.get(model)
    # a bytearray is compared with any buffer, without a copy
    if known is not None and known.copies == found:
        return known
    known = Weights(digest=weights_hash(model))
    if sum(memoryview(x).nbytes for x in found.values()) <= MOST:
        known.copies = {name: bytearray(x) for name, x in found.items()}
        KNOWN[model] = known
    return known
