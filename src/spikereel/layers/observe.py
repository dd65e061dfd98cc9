"""Looking at spikes while a network runs, without changing what it computes."""

from collections.abc import Callable, Container, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.layers.attention import ProductAttention
from spikereel.layers.contrast import Contrast
from spikereel.layers.modes import mode
from spikereel.layers.neuron import Neuron, collected

WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def dense_macs(layer: nn.Module, output: Tensor) -> int:
    """Multiply-accumulates of one call of a convolution or linear layer with this output, biases left out."""
    # not `get_parameter`: weights may be pruned, or parametrised
    weight: Any = layer.weight
    return output.numel() * (weight.numel() // len(weight))


def count_macs(model: nn.Module, clip: Tensor) -> int:
    """Dense multiply-accumulates of `model(clip)`: convolutions, linear layers, the products of attention and the
    contrast front.

    The meta device is enough. A linear head behind a mean over time counts once.
    """
    return sum(macs_by_module(model, clip).values())


def macs_by_module(model: nn.Module, clip: Tensor) -> dict[str, int]:
    """{module: multiply-accumulates} of what `count_macs` adds up; those of its products are an attention's own."""
    found: dict[str, int] = {}

    def weights(layer: nn.Module, _inputs: tuple, output: Tensor | tuple) -> int:
        return dense_macs(layer, output[0] if isinstance(output, tuple) else output)

    def products(attention: ProductAttention, inputs: tuple, _output: tuple) -> int:
        return 2 * len(attention.suffixes) * inputs[0].numel() * attention.head_dim

    def contrast(front: Contrast, inputs: tuple, _output: tuple) -> int:
        return front.macs(inputs[0])

    def noting(name: str, count: Callable[..., int]) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple, output: Any) -> None:
            found[name] = found.get(name, 0) + count(module, inputs, output)

        return hook

    counters = {WEIGHT_LAYERS: weights, ProductAttention: products, Contrast: contrast}
    hooks = [
        module.register_forward_hook(noting(name, count))
        for name, module in model.named_modules()
        for kinds, count in counters.items()
        if isinstance(module, kinds)
    ]
    try:
        with mode(model, training=False), torch.no_grad():
            model(clip)
    finally:
        for hook in hooks:
            hook.remove()
    return found


class FiringRates(dict[str, Tensor]):
    """{neuron: mean spikes per time step, float64 [T]}, averaged over all calls of the same length.

    An artificial neuron (ReLU) has the share of its outputs that are not zero in place of a firing rate.
    """

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
def firing_rates(model: nn.Module, *, beside: Container[str] = ()) -> Generator[FiringRates, None, None]:
    """Collect the firing rates of every neuron of `model` inside the block, of those named in `beside` none."""
    rates = FiringRates()
    hooks = [
        module.register_forward_hook(
            lambda m, _x, out, name=name: rates.add(
                name, collected(out[0], m.config) if m.spiking else (out[0] != 0).float()
            )
        )
        for name, module in model.named_modules()
        if isinstance(module, Neuron) and name not in beside
    ]
    try:
        yield rates
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def rates_by_clip(model: nn.Module) -> Generator[dict[str, Tensor], None, None]:
    """{neuron: firing rates float64 [T, B]} of the last call inside the block, each clip of the batch by itself."""
    rates: dict[str, Tensor] = {}

    def look(name: str) -> Any:
        def hook(m: Neuron, _inputs: tuple, out: tuple) -> None:
            spikes = collected(out[0], m.config) if m.spiking else (out[0] != 0).float()
            rates[name] = spikes.detach().flatten(2).mean(2, dtype=torch.float64).cpu()

        return hook

    hooks = [m.register_forward_hook(look(name)) for name, m in model.named_modules() if isinstance(m, Neuron)]
    try:
        yield rates
    finally:
        for hook in hooks:
            hook.remove()


class SpikeOperations:
    """Synaptic operations that spikes cause, with gradients: firing rate x dense operations where they enter."""

    def __init__(self) -> None:
        self.done: Tensor | float = 0.0
        self.dense = 0.0

    @property
    def share(self) -> Tensor:
        """Operations done over dense ones, 0-dim; 1 where every binary neuron always fires."""
        return torch.as_tensor(self.done) / max(self.dense, 1.0)


@contextmanager
def spike_operations(model: nn.Module) -> Generator[SpikeOperations, None, None]:
    """Collect the operations of all weight layers of `model` that take spikes straight from a neuron.

    A term of the loss for training: gradients reach the neurons through their surrogates.
    """
    spent = SpikeOperations()
    # spikes by their storage, kept so that none is used again; copies come right after their neuron
    spikes: dict[int, Tensor] = {}
    last: Tensor | None = None

    def fire(neuron: Neuron, _inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        nonlocal last
        if neuron.spiking:
            last = spikes[output[0].untyped_storage()._cdata] = output[0]

    def meet(layer: nn.Module, inputs: tuple, output: Tensor | tuple) -> None:
        nonlocal last
        copied = last is not None and last.numel() == inputs[0].numel()
        last = None
        if copied or inputs[0].untyped_storage()._cdata in spikes:
            macs = dense_macs(layer, output[0] if isinstance(output, tuple) else output)
            spent.done = spent.done + macs * inputs[0].mean(dtype=torch.float32)
            spent.dense += macs

    hooks = [
        module.register_forward_hook(fire if isinstance(module, Neuron) else meet)
        for module in model.modules()
        if isinstance(module, (Neuron, *WEIGHT_LAYERS))
    ]
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()
