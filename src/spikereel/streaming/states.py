"""States of several streams as one, and back: tensors along their first axis, counts of frames one for each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from spikereel.layers.state import State

COUNTER = "frames"
"""Last part of the names of 0-dim counts that may differ between the clips of a batch."""
FIXED = "model.clip.frames"
"""The count of SVFormer, whose norms may depend on it: alike in all."""


def joined(states: Sequence[State]) -> State:
    """One state of a batch, of states of one clip each with the same parts."""
    if len(states) == 1:
        return states[0]
    flats = [state.flat() for state in states]
    return State.from_flat({name: _join(name, [flat[name] for flat in flats]) for name in flats[0]})


def share(state: State, b: int, count: int) -> State:
    """The state of clip b of so many."""
    if count == 1:
        return state
    return State.from_flat({name: _part(name, x, b, count) for name, x in state.flat().items()})


def _join(name: str, own: list[Tensor]) -> Tensor:
    if own[0].ndim:
        return torch.cat(own)
    return torch.stack(own) if name.endswith(COUNTER) and name != FIXED else own[0]


def _part(name: str, x: Tensor, b: int, count: int) -> Tensor:
    if not x.ndim:
        return x
    return x[b] if name.endswith(COUNTER) and x.shape == (count,) else x[b : b + 1].clone()
