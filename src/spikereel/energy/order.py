"""The order of time and batch where a model has folded both into one axis: found out, not assumed.

The clips of a batch change places, and what reaches a layer is compared with before: if time comes first, the entries
of every time step have changed places; if the batch comes first, blocks of T entries have. A model may have both
orders.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.energy.unchanged import first_tensor
from spikereel.layers.modes import submodules


def mark(x: Tensor, lead: int) -> Tensor:
    """A number for each entry of the first axes of an operand, float64 [entries]: the same for the same values."""
    entries = x.flatten(0, lead - 1) if lead > 1 else x
    flat = entries.flatten(1).double()
    return flat @ torch.linspace(0.5, 1.5, flat.shape[1], dtype=torch.float64, device=x.device)


def time_first(
    model: nn.Module, clip: Tensor, marks: Mapping[str, tuple[Tensor, int]], *, steps: int, batch: int, axis: int
) -> dict[str, bool]:
    """Whether time comes before the batch in what reaches each layer, for those of which that can be told.

    marks: of the clip as it is, at the first call of each layer, and how many first axes they are of. axis: that of the
    batch in the clip. A copy of the model runs, so that nothing of it changes.
    """
    # tensors with a history, such as pruned weights, are copied without it
    held = [x for m in submodules(model).values() for x in vars(m).values() if isinstance(x, Tensor) and not x.is_leaf]
    try:
        model = copy.deepcopy(model, {id(x): x.detach().clone() for x in held})
    except (RuntimeError, TypeError):
        # it holds what cannot be copied
        return {}
    found: dict[str, Tensor] = {}

    def listen(name: str):
        def hook(_layer: nn.Module, inputs: Any, kwargs: Any) -> None:
            x = first_tensor(inputs, kwargs)
            if x is not None and name not in found:
                found[name] = mark(x, marks[name][1])

        return hook

    layers = submodules(model)
    for name in marks:
        layers[name].register_forward_pre_hook(listen(name), with_kwargs=True)
    model(clip.roll(1, axis))
    told = {name: _first(x, found.get(name), steps, batch) for name, (x, _) in marks.items()}
    return {name: first for name, first in told.items() if first is not None}


def _first(before: Tensor, after: Tensor | None, steps: int, batch: int) -> bool | None:
    if after is None or after.shape != before.shape:
        return None
    first = before.view(steps, batch, -1).roll(1, 1).flatten()
    second = before.view(batch, steps, -1).roll(1, 0).flatten()
    agree = [torch.allclose(after, wanted, rtol=1e-4, atol=1e-6) for wanted in (first, second)]
    return None if agree[0] == agree[1] else agree[0]
