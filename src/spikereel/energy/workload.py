"""The same run by the definitions of NeuroBench (Yik et al. 2025; release 2.3.0): what `Passport.neurobench` gives.

It sees convolutions, linear layers and activations that are modules, each call by itself. Zeros make no operations:
neither zero operands nor zero weights. Products of a call are accumulations where all its operands are -1, 0 or 1, and
multiply-accumulates otherwise. Dense are those of a full operand and full weights; places of padding are none.
"""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from spikereel.energy.contents import Contents, Figures, axes_of, nonzero, summed, zeros
from spikereel.energy.counts import Plan
from spikereel.energy.weights import Weights, version
from spikereel.layers.observe import WEIGHT_LAYERS
from spikereel.models.svformer import ClipConv

ACTIVATIONS = (nn.ReLU, nn.Sigmoid)
"""Activations besides neurons that NeuroBench knows."""


class Workload:
    """Sums over all clips."""

    def __init__(self, modules: Mapping[str, nn.Module]):
        self.modules = modules
        """All of a model, by name."""
        self.dense = self.macs = self.acs = 0.0
        self.values = self.active = 0.0
        self.known = Weights()

    def look(self, layer: _ConvNd | nn.Linear, x: Tensor, contents: Contents, plan: Plan) -> float | None:
        """Operations of a call, where spikes do not tell: with weights that are zero, or of values of which some are.
        The operand has to be there for it."""
        if self._nonzero(layer, layer.weight) != plan.weights:
            return _products(layer, x)
        if contents.sums is not None and _once(contents):
            return None
        silent = zeros(x)
        if contents.real and not silent:
            return plan.inner * plan.sub_steps
        if plan.grid is None:
            return float(x.numel() - silent) * plan.fan
        return plan.all_meet(summed(nonzero(x), "binary", 1, *axes_of(layer, x)))

    def meet(self, plan: Plan, contents: Contents, meets: Figures | None, looked: float | None) -> None:
        """A call of a layer. meets: synaptic operations, where there are spikes; looked: what `look` gave."""
        self.dense += plan.inner * plan.sub_steps
        done = looked if looked is not None else 0.0 if meets is None else float(meets.sum())
        if not contents.real and _once(contents) and contents.unit == 1:
            self.acs += done
        else:
            self.macs += done

    def fire(self, values: float, active: float) -> None:
        """Outputs of a neuron or activation, and how many of them are not zero."""
        self.values += values
        self.active += active

    def figures(self, samples: int) -> dict[str, float]:
        """By NeuroBench's names: bytes, shares of zeros, and operations of a clip."""
        if self.known.sparsity is None:
            self.known.sparsity = self._sparsity()
        return {
            "Footprint": float(sum(x.nbytes for x in _held(self.modules.values()))),
            "ConnectionSparsity": self.known.sparsity,
            "ActivationSparsity": 1 - self.active / self.values if self.values else 0.0,
            "Dense": self.dense / samples,
            "Effective_MACs": self.macs / samples,
            "Effective_ACs": self.acs / samples,
        }

    def _nonzero(self, layer: _ConvNd | nn.Linear, weight: Tensor) -> int:
        """How many weights are not zero, counted once while they stay the same."""
        known = self.known.nonzero.get(layer)
        if known is None or known[0] is not weight or known[1] != version(weight):
            known = self.known.nonzero[layer] = weight, version(weight), weight.numel() - zeros(weight)
        return known[2]

    def _sparsity(self) -> float:
        """Share of weights that are zero, to four digits; a layer in two places counts twice, as there."""
        layers = [m for m in _everywhere(self.modules[""]) if isinstance(m, WEIGHT_LAYERS) and not m._modules]
        weights = [m.weight for m in layers]
        total = sum([x.numel() for x in weights])
        return round(1 - sum(map(self._nonzero, layers, weights)) / total, 4) if total else 0.0


def _once(contents: Contents) -> bool:
    """No more than one spike, so that spikes are values that are not zero."""
    return contents.operand == "binary" or contents.levels == 1


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


def _held(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    """Parameters and buffers, each once."""
    found: dict[int, Tensor] = {}
    for module in modules:
        for x in (*module._parameters.values(), *module._buffers.values()):
            if x is not None:
                found[id(x)] = x
    return iter(found.values())


def _everywhere(model: nn.Module) -> Iterator[nn.Module]:
    """All modules, those in two places twice."""
    waiting = [model]
    while waiting:
        module = waiting.pop()
        yield module
        waiting += [part for part in module._modules.values() if part is not None]
