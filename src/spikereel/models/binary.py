"""Integer-LIF as it runs on binary hardware: the same network, each count replayed as ones over sub-steps."""

from dataclasses import replace
from typing import TypeVar

import torch

from spikereel.errors import ConfigError
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer

M = TypeVar("M", bound=VideoModel)


def to_binary(model: M) -> M:
    """A copy of a model with Integer-LIF whose neurons give binary spikes over sub-steps, with the same output.

    A count s of 0..D becomes s ones among D sub-steps, ones first; every weight layer works on binary operands, one
    sub-step after the other, and their sum is what the count would have given: equal but for the rounding of sums. Sums
    come before biases, norms and membranes, which go on once a time step; states of either run continue the other.
    The copy is saved and loaded as any model. Source: SpikeYOLO (Luo et al. 2024); docs/integer_lif.md.
    Raises ConfigError for a model without Integer-LIF, and for SVFormer, whose products of integers have no such form.
    """
    if not isinstance(model, SpikeVideoFormer):
        raise ConfigError(f"to_binary is for SpikeVideoFormer; this is a {type(model).__name__}")
    neuron = model.config.neuron
    if neuron.kind != "ilif":
        raise ConfigError(f"to_binary replays integer spikes, the neurons here are {neuron.kind!r}; use neuron='ilif'")
    with torch.device("meta"):
        binary = type(model)(replace(model.config, neuron=replace(neuron, replay=True)))
    binary.load_state_dict({name: x.clone() for name, x in model.state_dict().items()}, assign=True)
    binary.metadata, binary.checkpointing = model.metadata, model.checkpointing
    return binary.train(model.training)
