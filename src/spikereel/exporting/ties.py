"""Decisions of a clip that float32 leaves open: charges nearer to where a spike is decided than they are known.

A file is compared by the membranes after a call. Where a call has several steps, a spike that rounding decides before
the last one is seen by what it causes alone; which charges it can have been is known from the model: those that float64
moves by more than they are from their threshold.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from spikereel.layers.charged import following
from spikereel.layers.neuron import Neuron, collected
from spikereel.models.base import VideoModel


@dataclass(frozen=True, kw_only=True)
class Tie:
    """The nearest open decision of a neuron layer."""

    layer: str
    step: int
    open: int
    """Decisions of the layer, of all steps, that float32 leaves open."""
    distance: float
    """Of the charge, in float32, from where the decision changes."""
    off: float
    """What charges of its channel are off by in float32."""

    def __str__(self) -> str:
        near = f"a charge within {self.distance:.1g} of the threshold, known to {self.off:.1g}"
        return f"{self.layer} has at step {self.step} {near}"


def ties(model: VideoModel, clip: Tensor, *, until: str | None = None) -> tuple[Tie, ...]:
    """Of the layers up to `until`, or all, in the order in which they run. clip: float32 [T, B, C, H, W]."""
    seen = charges(model, clip)
    # what each layer gives is that of float32, so that one spike that falls otherwise moves nothing behind it
    exact = charges(copy.deepcopy(model).double(), clip.double(), seen)
    found, names = [], list(seen)
    for name in names[: names.index(until) + 1 if until in names else None]:
        charged, neuron = seen[name].charged.double(), model.get_submodule(name)
        assert isinstance(neuron, Neuron)
        near, off = distance(neuron, charged), (charged - exact[name].charged).abs()
        # a charge may be right by luck, in a channel of which others are not
        off = off.amax(tuple(i for i in range(off.ndim) if i != 2), keepdim=True).expand_as(near)
        open_ = near < off
        if open_.any():
            first = near.where(open_, torch.inf).flatten().argmin()
            at, of = (float(x.flatten()[first]) for x in (near, off))
            step = int(first) // near[0].numel()
            found.append(Tie(layer=name, step=step, open=int(open_.sum()), distance=at, off=of))
    return tuple(found)


class Seen(NamedTuple):
    """Of a neuron layer and a clip."""

    charged: Tensor
    """Charges of each step [T, B, ...]."""
    output: Tensor


def charges(model: VideoModel, clip: Tensor, given: dict[str, Seen] | None = None) -> dict[str, Seen]:
    """{neuron layer: what a clip does there}, in the order in which they run; not of artificial neurons.

    given: what the layers give, whatever their own charges are. Layers whose resets come late are left out.
    """
    found: dict[str, Seen] = {}

    def hook(name: str):
        def look(neuron: Neuron, inputs: Sequence, output: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            x, v = inputs[0], inputs[1] if len(inputs) > 1 else None
            s = output[0] if given is None else given[name].output.to(x.dtype)
            counts = (collected(s, neuron.config) / neuron.config.unit).round()
            found[name] = Seen(following(neuron, x, v, counts), s)
            return s, output[1]

        return look

    neurons = [(name, m) for name, m in model.named_modules() if isinstance(m, Neuron) and m.spiking]
    known = [(name, m) for name, m in neurons if not (m.config.reset_delay or m.config.recheck)]
    hooks = [m.register_forward_hook(hook(name)) for name, m in known]
    try:
        with torch.no_grad():
            model(clip)
    finally:
        for handle in hooks:
            handle.remove()
    return found


def distance(neuron: Neuron, charge: Tensor) -> Tensor:
    """How far charges are from where a decision changes."""
    c = neuron.config
    if c.kind != "ilif":
        return (charge - c.threshold).abs()
    top = c.levels if c.top is None else c.top
    return (charge - (charge.floor().clamp(0, top - 1) + 0.5)).abs()
