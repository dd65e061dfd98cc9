"""What kernels of training are told of norm and neuron; the types themselves stand above, in `spikereel.ops`."""

from typing import Any, Protocol

from torch import Tensor


class Unit(Protocol):
    """`spikereel.ops.training.Unit`, as far as it is needed here."""

    @property
    def integer(self) -> bool: ...
    @property
    def top(self) -> int: ...
    @property
    def per(self) -> float: ...
    @property
    def decay(self) -> float: ...
    @property
    def constants(self) -> Any: ...


class Affine(Protocol):
    """`spikereel.ops.training.Affine`."""

    @property
    def scale(self) -> Tensor: ...
    @property
    def shift(self) -> Tensor: ...
    @property
    def mean(self) -> Tensor: ...
