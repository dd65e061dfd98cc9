"""Neurons of other libraries, known by what they do: they turn real values into spikes, or remember.

A neuron may hold its membrane itself, or return (spikes, state); it may hold its surrogate as a part. The innermost
module that makes the spikes is the neuron, unless it is no more than a function inside the one that remembers.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from spikereel.energy.contents import active, look, operand_of, unit_of
from spikereel.energy.tally import Call
from spikereel.energy.unchanged import first_tensor, own_parameters


class Candidate:
    """What a module was seen to do, over all its calls."""

    def __init__(self, name: str):
        self.name = name
        self.calls: list[Call] = []
        """Of the clip that runs."""
        self.unit: float | None = None
        """What a spike is worth, where that is not 1."""
        self.spoiled = self.makes_spikes = self.remembers = self.rests = False

    @property
    def is_neuron(self) -> bool:
        """All that it gave were whole numbers, and some of them it made."""
        return not self.spoiled and (self.makes_spikes or self.remembers) and (self.rests or not self.unit)


class Frame:
    """A module that is running: what was called inside it."""

    def __init__(self, module: nn.Module):
        self.module = module
        self.inside: list[nn.Module] = []
        self.fired: list[tuple[Candidate, Call]] = []


def eligible(name: str, module: nn.Module) -> bool:
    """Whether a module can be a neuron at all: no model as a whole, no part of PyTorch or of this library."""
    package = type(module).__module__.partition(".")[0]
    return bool(name) and package not in ("torch", "spikereel")


def observe(candidate: Candidate, frame: Frame, inputs: Any, output: Any, call: Call) -> Call | None:
    """Note a call; the call with what it gave, where these are spikes that the module made itself."""
    x, y = first_tensor(inputs), first_tensor(output)
    if x is None or y is None or y.ndim < 2 or y.numel() == 0:
        return None
    if frame.fired and not _absorbs(frame, y):
        return None
    kind, *_ = operand_of(y)
    if kind == "real":
        # spikes may be worth something else than 1, the same at every call
        unit = unit_of(y)
        candidate.spoiled |= not unit or candidate.unit not in (None, unit)
        candidate.unit, kind = unit, "binary"
        if candidate.spoiled:
            return None
    entered, _, high = operand_of(x)
    if entered == "real" and unit_of(x):
        entered = "binary"
    fresh = y.untyped_storage()._cdata != x.untyped_storage()._cdata
    candidate.makes_spikes |= fresh and (entered == "real" or (entered == "integer" and kind == "binary" and high > 1))
    candidate.remembers |= fresh and any(_is_state(s, y) for s in _states(frame.module, output, y))
    if candidate.spoiled or not fresh:
        return None
    lead = 2 if y.ndim > 2 else 1
    call.contents = look(y.detach(), lead, 0, scaled=True)
    call.values, call.active = y.numel(), active(y, call.contents)
    candidate.rests |= call.active < call.values
    return call


def forget(frame: Frame) -> None:
    """Take back what the functions inside a neuron were noted for."""
    for candidate, call in frame.fired:
        candidate.calls.remove(call)


def _absorbs(frame: Frame, y: Tensor) -> bool:
    """Whether the spikes made inside are those of plain functions, and the module is the neuron that calls them."""
    plain = all(not own_parameters(m) and not m._modules and not any(_tensors(vars(m))) for m in frame.inside)
    return plain and all(call.values == y.numel() for _, call in frame.fired)


def _states(module: nn.Module, output: Any, spikes: Tensor) -> Iterator[Tensor]:
    """Tensors that could be membranes: given back beside the spikes, or held by the module."""
    yield from (x for x in _tensors(output) if x is not spikes)
    yield from _tensors(vars(module))
    yield from module._buffers.values()  # ty: ignore[invalid-yield]


def _is_state(x: Any, spikes: Tensor) -> bool:
    if not isinstance(x, Tensor) or isinstance(x, nn.Parameter) or x.ndim < 1:
        return False
    fits = x.shape == spikes.shape or x.shape == spikes.shape[1:]
    return fits and x.untyped_storage()._cdata != spikes.untyped_storage()._cdata


def _tensors(values: Any) -> Iterator[Tensor]:
    inner = values.values() if isinstance(values, Mapping) else values if isinstance(values, tuple | list) else ()
    for value in inner:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list | Mapping) and not isinstance(value, nn.Module):
            yield from _tensors(value)
