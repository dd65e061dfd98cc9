"""What is known of the weights of a model, while not one byte of them changes."""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from spikereel.models.files import hash_of, plain_values

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
    """Worked out once: a small model whose weights are the same to the last bit is known again, in half of the time.

    Versions of tensors would not do: whoever writes through `weight.data` or NumPy leaves them as they are. Copies take
    as long as hashing and are made when a model comes for the second time: most are measured once.
    """
    values, before = dict(plain_values(model)), KNOWN.get(model)
    # a bytearray is compared with any buffer, without a copy
    if before is not None and before.copies == values:
        return before
    known = Weights(digest=hash_of(values.items()))
    if sum(memoryview(x).nbytes for x in values.values()) <= MOST:
        known.copies = {name: bytearray(x) for name, x in values.items()} if before is not None else {}
        KNOWN[model] = known
    return known
