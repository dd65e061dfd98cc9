"""Looking at spikes while a network runs, without changing what it computes."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spikereel.layers.neuron import Neuron


class FiringRates(dict[str, Tensor]):
    """{neuron: mean spikes per time step, float64 [T]}, averaged over all calls of the same length."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[str, int] = {}

    def add(self, name: str, spikes: Tensor) -> None:
        """Count the spikes [T, ...] of one call."""
        rate = spikes.detach().flatten(1).mean(1, dtype=torch.float64).cpu()
        if name in self and self[name].shape == rate.shape:
            n = self._calls[name]
            rate = (self[name] * n + rate) / (n + 1)
        self._calls[name] = self._calls.get(name, 0) + 1
        self[name] = rate

    def means(self) -> dict[str, float]:
        """{neuron: mean over time}."""
        return {name: float(rate.mean()) for name, rate in self.items()}

    def silent(self) -> list[str]:
        """Neurons that never fired."""
        return [name for name, rate in self.items() if not rate.any()]


@contextmanager
def firing_rates(model: nn.Module) -> Generator[FiringRates, None, None]:
    """Collect the firing rates of every neuron of `model` inside the block."""
    rates = FiringRates()
    hooks = [
        module.register_forward_hook(lambda _m, _x, out, name=name: rates.add(name, out[0]))
        for name, module in model.named_modules()
        if isinstance(module, Neuron)
    ]
    try:
        yield rates
    finally:
        for hook in hooks:
            hook.remove()
