"""Membranes of neurons step by step: as the input charges them, and after their reset."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from spikereel.layers.neuron import Neuron, NeuronConfig

NEVER = 1e30
"""A threshold that no membrane reaches."""


def membranes(neuron: Neuron, x: Tensor, v: Tensor | None, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Membranes [T, K] of some neurons, charged with the input of each step, and after its reset.

    x [T, 1, ...]: input; v: membranes before it, None at rest. The neurons run once more, step by step, each by itself.
    """
    c = neuron.config
    if not neuron.spiking:
        inputs = x.flatten(1)[:, numbers]
        return inputs, torch.zeros_like(inputs)
    neuron = _of_some(neuron, x, numbers)
    free = unreached(neuron)
    now, charged, after = None if v is None else v.flatten()[numbers], [], []
    with torch.no_grad():
        for current in x.flatten(1)[:, numbers].split(1):
            # of a hook's own calls no hook should know
            before = now
            _, now = neuron.forward(current, before)
            charged.append(now if c.reset_delay else charge(free, current, before))
            after.append(now)
    return torch.stack(charged), torch.stack(after)


def following(neuron: Neuron, x: Tensor, v: Tensor | None, counts: Tensor) -> Tensor:
    """Charges [T, ...] of neurons whose spikes are given, whatever their own are; not of resets that come late.

    x [T, ...]: input; v: membranes before it, None at rest; counts [T, ...]: whole numbers of spikes.
    """
    c, free, charged = neuron.config, unreached(neuron), []
    with torch.no_grad():
        for current, s in zip(x.split(1), counts.to(x.dtype), strict=True):
            h = charge(free, current, v)
            charged.append(h)
            if c.kind != "ilif" and c.reset == "hard":
                v = torch.where(s > 0, c.v_reset, h)
            else:
                v = h - s * (1.0 if c.kind == "ilif" else c.threshold)
    return torch.stack(charged)


def charge(free: Neuron, current: Tensor, before: Tensor | None) -> Tensor:
    """The membrane that one step's input [1, ...] charges. free: of `unreached`."""
    if free.config.kind != "ilif":
        return free.forward(current, before)[1]
    start = torch.zeros_like(current[0]) if before is None else before
    return free.config.ilif_decay * start + current[0].to(start.dtype)


def unreached(neuron: Neuron) -> Neuron:
    """The same neuron with a threshold that it never reaches, whose membrane is never reset."""
    if neuron.config.kind == "ilif":
        return neuron
    return _with(neuron, replace(neuron.config, threshold=NEVER), dict(neuron.named_parameters()))


def _of_some(neuron: Neuron, x: Tensor, numbers: Tensor) -> Neuron:
    """The neuron for those values of a step of x [T, 1, C, ...] alone, side by side, each with its time constant."""
    if neuron.config.tau_spread is None:
        return neuron
    channels = numbers // x[0, 0, 0].numel()
    return _with(neuron, neuron.config, {"w": neuron.w.detach()[channels]})


def _with(neuron: Neuron, config: NeuronConfig, weights: Mapping[str, Tensor]) -> Neuron:
    """A twin with this configuration and these weights; of those that it is not given, the neuron's."""
    with torch.device("meta"):
        twin = Neuron(config, None if config.tau_spread is None else 1)
    for name, value in {**dict(neuron.named_buffers()), **weights}.items():
        delattr(twin, name)
        if isinstance(value, nn.Parameter):
            twin.register_parameter(name, value)
        else:
            twin.register_buffer(name, value)
    return twin
