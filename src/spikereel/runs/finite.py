"""Networks that say nothing: values that are not finite, and neurons that never or always fire."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.errors import DataError, WeightsError
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import FiringRates
from spikereel.runs.splits import named

ALWAYS = 0.999
"""Mean rate of a binary neuron from which on it is saturated."""

BINARY = ("lif", "plif", "if")


def check_weights(model: nn.Module) -> None:
    """Raises WeightsError for a parameter or a statistic that is not finite, and names its layer.

    Spikes hide such values: a membrane that is no number never fires.
    """
    for name, x in model.state_dict().items():
        if x.is_floating_point() and not torch.isfinite(x).all():
            raise WeightsError(f"these weights are not finite, first in {name}; they predict nothing: train them again")


@contextmanager
def finite_outputs(model: nn.Module) -> Generator[None, None, None]:
    """Inside the block, an output of `model` that is not finite is a WeightsError, with the layer where it begins; a
    clip that is not is a DataError, since spikes would hide it."""

    def look_at_clip(_module: nn.Module, inputs: tuple) -> None:
        if not torch.isfinite(inputs[0]).all():
            raise DataError("a clip of the data is not finite: it has pixels that are NaN or infinite; leave it out")

    def look(_module: nn.Module, inputs: tuple, output: Any) -> None:
        said = output[0] if isinstance(output, tuple) else output
        if not all(torch.isfinite(x).all() for x in tensors_of(said)):
            handle.remove()
            layer = first_non_finite(model, inputs[0])
            raise WeightsError(f"the output of the network is not finite; the first such layer is {layer}")

    before, handle = model.register_forward_pre_hook(look_at_clip), model.register_forward_hook(look)
    try:
        yield
    finally:
        before.remove()
        handle.remove()


def tensors_of(output: Any) -> list[Tensor]:
    """The floating-point tensors of an output, in order; those of its state are last."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, tuple):
        return [x for part in output for x in tensors_of(part)]
    return []


def first_non_finite(model: nn.Module, clip: Tensor) -> str:
    """Name of the first layer, in order of execution, with a parameter or an output that is not finite."""
    found: list[str] = []

    def look(name: str):
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            own = (*module.parameters(recurse=False), output[0] if isinstance(output, tuple) else output)
            if not found and not all(torch.isfinite(x).all() for x in own):
                found.append(name)

        return hook

    hooks = [
        module.register_forward_hook(look(name)) for name, module in model.named_modules() if not any(module.children())
    ]
    try:
        with torch.no_grad():
            model(clip)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else "none (loss or gradient overflowed)"


def firing_notes(rates: FiringRates, model: nn.Module) -> list[str]:
    """Lines that name neurons that never fired, and binary ones that always did."""
    binary = {name for name, m in model.named_modules() if isinstance(m, Neuron) and m.config.kind in BINARY}
    always = [name for name, rate in rates.means().items() if name in binary and rate >= ALWAYS]
    lines = []
    for names, what in (
        (rates.silent(), "silent: {} of {} neurons never fired"),
        (always, "saturated: {} of {} neurons always fire"),
    ):
        if names:
            lines.append(f"{what.format(len(names), len(rates))}: {named(names, 3)}")
    return lines
