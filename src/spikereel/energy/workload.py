"""The same run by the definitions of NeuroBench (Yik et al. 2025; release 2.3.0): what `Passport.neurobench` gives.

It sees convolutions, linear layers and activations that are modules, each call by itself. Zeros make no operations:
neither zero operands nor zero weights. Products of a call are accumulations where all its operands are -1, 0 or 1, and
multiply-accumulates otherwise. Dense are those of a full operand and full weights; places of padding are none.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.contents import Contents, Figures, axes_of, summed
from spikereel.energy.counts import fan_out
from spikereel.energy.unchanged import own_parameters
from spikereel.layers.conv import OnSpikes
from spikereel.layers.modes import submodules
from spikereel.layers.observe import WEIGHT_LAYERS
from spikereel.models.svformer import ClipConv

ACTIVATIONS = (nn.ReLU, nn.Sigmoid)
"""Activations besides neurons that NeuroBench knows."""


class Workload:
    """Sums over all clips."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.dense = self.macs = self.acs = 0.0
        self.values = self.active = 0.0
        self.full: dict[nn.Module, bool] = {}
        """Layers seen, and whether they have no weight of zero."""

    def meet(
        self, layer: _ConvNd | nn.Linear, x: Tensor, contents: Contents, *, grid: Figures | None, inner: float
    ) -> None:
        """A call of a layer with the operand x. grid: outputs that look at each place; inner: operations of ones."""
        spiking = not contents.real and (contents.operand == "binary" or contents.levels == 1) and contents.unit == 1
        self.dense += inner * (layer.neuron.sub_steps if isinstance(layer, OnSpikes) else 1)
        if not self._full(layer):
            done = _products(layer, x)
        elif contents.spikes is not None and (contents.operand == "binary" or contents.levels == 1):
            done = _met(layer, contents, grid)
        elif int(torch.count_nonzero(x)) == x.numel():
            done = inner
        else:
            done = _met(layer, summed(x != 0, "binary", 1, *axes_of(layer, x)), grid)
        if spiking:
            self.acs += done
        else:
            self.macs += done

    def fire(self, values: float, active: float) -> None:
        """Outputs of a neuron or activation, and how many of them are not zero."""
        self.values += values
        self.active += active

    def figures(self, samples: int) -> dict[str, float]:
        """By NeuroBench's names: bytes, shares of zeros, and operations of a clip."""
        return {
            "Footprint": float(sum(x.numel() * x.element_size() for x in _held(self.model))),
            "ConnectionSparsity": _sparsity(self.model),
            "ActivationSparsity": 1 - self.active / self.values if self.values else 0.0,
            "Dense": self.dense / samples,
            "Effective_MACs": self.macs / samples,
            "Effective_ACs": self.acs / samples,
        }

    def _full(self, layer: _ConvNd | nn.Linear) -> bool:
        if layer not in self.full:
            self.full[layer] = bool(layer.weight.all())
        return self.full[layer]


def _met(layer: _ConvNd | nn.Linear, contents: Contents, grid: Figures | None) -> float:
    assert contents.spikes is not None
    assert contents.planes is not None
    sums = contents.spikes if grid is None else contents.planes @ grid
    return float(sums.sum()) * fan_out(layer)


def _products(layer: _ConvNd | nn.Linear, x: Tensor) -> float:
    """Operands that are not zero with weights that are not, one by one."""
    operand, weight = (x != 0).float(), (layer.weight != 0).float()
    if isinstance(layer, nn.Linear):
        return float(operand.flatten(0, -2).sum(0, dtype=torch.float64) @ weight.sum(0, dtype=torch.float64))
    if isinstance(layer, ClipConv):
        found = F.conv3d(operand.movedim(0, 2), weight, groups=layer.groups)
    else:
        found = layer._conv_forward(operand, weight, None)
    return float(found.sum(dtype=torch.float64))


def _held(model: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers, each once."""
    found: dict[int, Tensor] = {}
    for module in submodules(model).values():
        found |= {id(x): x for x in (*own_parameters(module), *module._buffers.values()) if x is not None}
    return iter(found.values())


def _sparsity(model: nn.Module) -> float:
    """Share of weights that are zero, to four digits; a layer in two places counts twice, as there."""
    layers = [m for _, m in nn.Module.named_modules(model, remove_duplicate=False) if isinstance(m, WEIGHT_LAYERS)]
    weights = [m.weight for m in layers if not m._modules]
    total = sum(x.numel() for x in weights)
    return round(1 - sum(int(torch.count_nonzero(x)) for x in weights) / total, 4) if total else 0.0
