"""The order of time and batch where a model has folded both into one axis: found out, not assumed.

The clips of a batch change places, and what reaches one layer is compared with before: if time comes first, the entries
of every time step have changed places; if the batch comes first, blocks of T entries have.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.energy.unchanged import first_tensor
from spikereel.layers.modes import submodules


class _Enough(Exception):
    """The layer was reached."""


def mark(x: Tensor, lead: int) -> Tensor:
    """A number for each entry of the first axes of an operand, float64 [entries]: the same for the same values."""
    entries = x.flatten(0, lead - 1) if lead > 1 else x
    flat = entries.flatten(1).double()
    return flat @ torch.linspace(0.5, 1.5, flat.shape[1], dtype=torch.float64, device=x.device)


def time_first(
    model: nn.Module, clip: Tensor, layer: str, marks: Tensor, *, lead: int, steps: int, batch: int, axis: int
) -> bool | None:
    """Whether time comes before the batch in what reaches `layer`; None where that cannot be told.

    marks: of the clip as it is, at the first call of the layer. axis: that of the batch in the clip. A copy of the
    model runs, so that nothing of it changes.
    """
    # tensors with a history, such as pruned weights, are copied without it
    held = [x for m in submodules(model).values() for x in vars(m).values() if isinstance(x, Tensor) and not x.is_leaf]
    try:
        model = copy.deepcopy(model, {id(x): x.detach().clone() for x in held})
    except (RuntimeError, TypeError):
        # it holds what cannot be copied
        return None
    found: list[Tensor] = []

    def stop(_layer: nn.Module, inputs: Any, kwargs: Any) -> None:
        x = first_tensor(inputs, kwargs)
        if x is not None:
            found.append(mark(x, lead))
        raise _Enough

    hook = submodules(model)[layer].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model(clip.roll(1, axis))
    except _Enough:
        pass
    finally:
        hook.remove()
    if not found or found[0].shape != marks.shape:
        return None
    first = marks.view(steps, batch, -1).roll(1, 1).flatten()
    second = marks.view(batch, steps, -1).roll(1, 0).flatten()
    agree = [torch.allclose(found[0], wanted, rtol=1e-4, atol=1e-6) for wanted in (first, second)]
    return None if agree[0] == agree[1] else agree[0]
