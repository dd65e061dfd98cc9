"""What a clip costs: multiply-accumulates, accumulates, and their energy beside the same network as an ANN.

The model of this literature, 45 nm: 4.6 pJ a MAC, 0.9 pJ an AC (Horowitz 2014); an operation on spikes counts as an AC
times the firing rate of the tensor that enters the layer. What it leaves out is said in `ASSUMPTIONS`.
Source: spec of SpikeVideoFormer, section 11.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from spikereel.errors import DataError
from spikereel.layers.attention import ProductAttention
from spikereel.layers.conv import RepConv
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import WEIGHT_LAYERS, dense_macs, firing_rates

MAC_PJ = 4.6
AC_PJ = 0.9

ASSUMPTIONS = (
    "45 nm: 4.6 pJ a MAC, 0.9 pJ an AC",
    "a spiking layer costs its dense operations times the measured firing rate of its input",
    "paper: layers without a neuron in between count at the rate of the spikes that enter the chain",
    "folded: each RepConv is one dense 3x3 convolution on spikes",
    "as it runs: layers whose input is observed to be real-valued are MACs",
    "attention: first product at the rate of v; second at rate 1 for Hamming (2q - 1 is dense), at that of q for dot",
    "not counted: neuron updates, norms, residual additions, memory traffic",
)

Operand = Literal["binary", "integer", "real"]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """One weight layer or attention product, per clip of one sample."""

    name: str
    kind: str
    macs: float
    """Dense multiply-accumulates."""
    folded_macs: float
    """The same with every RepConv folded into one dense 3x3."""
    operand: Operand
    """What was observed at the input."""
    rate: tuple[float, ...]
    """Per time step: firing rate of the spikes that enter the chain this layer belongs to; 1 for an analog input."""
    analog: bool
    """No spikes come before this layer: it is a MAC in every reading."""

    def energy_pj(self, reading: str = "paper") -> float:
        """Energy of the clip under "paper", "folded", "as_run" or "ann"."""
        return sum(self.energy_per_step_pj(reading))

    def energy_per_step_pj(self, reading: str = "paper") -> list[float]:
        """`energy_pj` split over the time steps."""
        steps = len(self.rate)
        if reading == "ann" or self.analog or (reading == "as_run" and self.operand == "real"):
            return [MAC_PJ * self.macs / steps] * steps
        macs = self.folded_macs if reading == "folded" else self.macs
        return [AC_PJ * rate * macs / steps for rate in self.rate]


@dataclass(frozen=True, kw_only=True)
class Passport:
    """Cost of one clip, measured on real clips."""

    clip: tuple[int, ...]
    """[T, C, H, W]."""
    clips: int
    layers: tuple[LayerCost, ...]
    firing: dict[str, tuple[float, ...]]
    """Measured firing rate of every neuron, per time step."""

    @property
    def macs(self) -> float:
        """Dense multiply-accumulates of the clip."""
        return sum(layer.macs for layer in self.layers)

    @property
    def spiking(self) -> bool:
        """False for an ANN: no layer has spikes before it."""
        return not all(layer.analog for layer in self.layers)

    @property
    def mean_rate(self) -> float:
        """Mean firing rate, weighted by the operations it drives; 0 for an ANN."""
        spiking = [layer for layer in self.layers if not layer.analog and layer.kind != "attention"]
        macs = sum(x.macs for x in spiking)
        return sum(x.macs * sum(x.rate) / len(x.rate) for x in spiking) / macs if macs else 0.0

    def energy_mj(self, reading: str = "paper") -> float:
        """Millijoules of the clip under "paper", "folded", "as_run" or "ann"."""
        return sum(layer.energy_pj(reading) for layer in self.layers) * 1e-9

    def energy_per_frame_mj(self, reading: str = "paper") -> list[float]:
        """Millijoules of each time step."""
        return [sum(x) * 1e-9 for x in zip(*(y.energy_per_step_pj(reading) for y in self.layers), strict=True)]

    def parts_mj(self) -> dict[str, float]:
        """The table of the spec: MAC part, AC as executed, AC folded, attention; then totals and the ANN."""
        weights = [x for x in self.layers if x.kind != "attention" and not x.analog]
        return {
            "mac": sum(x.energy_pj() for x in self.layers if x.analog) * 1e-9,
            "ac": sum(x.energy_pj() for x in weights) * 1e-9,
            "ac_folded": sum(x.energy_pj("folded") for x in weights) * 1e-9,
            "attention": sum(x.energy_pj() for x in self.layers if x.kind == "attention") * 1e-9,
            "total": self.energy_mj(),
            "total_folded": self.energy_mj("folded"),
            "total_as_run": self.energy_mj("as_run"),
            "ann": self.energy_mj("ann"),
        }

    def to_json(self) -> dict:
        """Plain types, for `json.dump`."""
        return {
            "clip": list(self.clip), "clips": self.clips, "gmac": self.macs * 1e-9, "mean_rate": self.mean_rate,
            "energy_mj": self.parts_mj(), "energy_per_frame_mj": self.energy_per_frame_mj(),
            "constants_pj": {"mac": MAC_PJ, "ac": AC_PJ}, "assumptions": list(ASSUMPTIONS),
            "firing": {name: list(rates) for name, rates in self.firing.items()},
            "layers": [asdict(layer) for layer in self.layers],
        }  # fmt: skip


def measure(model: nn.Module, clips: Tensor | Iterable[Tensor]) -> Passport:
    """Run clips [T, B, C, H, W] of one shape through a model in evaluation mode and count.

    Operands are observed at every layer, never assumed. Raises DataError without clips or with clips of unequal shape.
    """
    clips = [clips] if isinstance(clips, Tensor) else list(clips)
    if not clips:
        raise DataError("energy needs at least one clip to measure firing rates on")
    shapes = {(x.shape[0], *x.shape[2:]) for x in clips}
    if len(shapes) != 1:
        raise DataError(f"energy needs clips of one shape, got {sorted(shapes)}")
    meter = _Meter(model)
    training = model.training
    model.eval()
    try:
        with meter, firing_rates(model) as rates, torch.no_grad():
            for clip in clips:
                meter.begin(clip)
                model(clip)
    finally:
        model.train(training)
    samples = sum(x.shape[1] for x in clips)
    return Passport(
        clip=next(iter(shapes)), clips=samples, layers=meter.costs(samples),
        firing={name: tuple(rate.tolist()) for name, rate in rates.items()},
    )  # fmt: skip


class _Tally:
    """Running sums of one layer."""

    def __init__(self, kind: str):
        self.kind, self.macs, self.folded, self.analog = kind, 0.0, 0.0, False
        self.operand: Operand = "binary"
        self.rate: Tensor | float = 0.0

    def add(self, macs: float, folded: float, operand: Operand, rate: Tensor, samples: int) -> None:
        self.macs += macs
        self.folded += folded
        self.operand = _wider(self.operand, operand)
        self.rate = self.rate + rate * samples


class _Meter:
    """Forward hooks that count operations and look at operands."""

    def __init__(self, model: nn.Module):
        self.model, self.tallies, self.hooks = model, {}, []
        self.spiking: dict[nn.Module, tuple[Tensor, Operand]] = {}
        self.folds = {
            conv: macs
            for module in model.modules()
            if isinstance(module, RepConv)
            for conv, macs in _folded_weights(module).items()
        }

    def begin(self, clip: Tensor) -> None:
        self.steps, self.batch, self.chain = clip.shape[0], clip.shape[1], None
        self.always = torch.ones(self.steps, dtype=torch.float64)

    def __enter__(self) -> "_Meter":
        for name, module in self.model.named_modules():
            if isinstance(module, WEIGHT_LAYERS):
                self.hooks.append(module.register_forward_hook(self._weights(name)))
            elif isinstance(module, ProductAttention):
                self.hooks.append(module.register_forward_hook(self._attention(name)))
                for part in module.children():
                    if isinstance(part, Neuron):
                        self.hooks.append(part.register_forward_hook(self._remember))
        return self

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()

    def _remember(self, module: nn.Module, _inputs, output) -> None:
        self.spiking[module] = _rates(output[0]), _operand(output[0])

    def _weights(self, name: str):
        def hook(module, inputs, output):
            x = inputs[0].detach()
            macs = dense_macs(module, output[0] if isinstance(output, tuple) else output)
            operand, rate = _operand(x), self._rate(x)
            if rate is None and bool(_whole(x * self.steps)):
                # spikes averaged over time: as many operations as one product a time step
                operand, rate, macs = "binary", self.always * x.mean(dtype=torch.float64).cpu(), macs * self.steps
            tally = self.tallies.setdefault(name, _Tally(type(module).__name__.lower()))
            if operand == "real" or rate is None:
                tally.analog = tally.analog or self.chain is None
                rate = self.always if self.chain is None else self.chain
            else:
                self.chain = rate
            tally.add(macs, macs * self.folds.get(module, 1.0), operand, rate, self.batch)

        return hook

    def _rate(self, x: Tensor) -> Tensor | None:
        """Mean of each time step, [T]; None for a tensor that has no time axis (any more)."""
        if x.shape[:2] == (self.steps, self.batch):
            return _rates(x)
        if len(x) == self.steps * self.batch and (self.steps > 1 or x.ndim > 2):
            return _rates(x.unflatten(0, (self.steps, self.batch)))
        return None

    def _attention(self, name: str):
        def hook(module, inputs, _output):
            macs = inputs[0].numel() * module.head_dim
            for suffix in module.suffixes:
                (q, q_kind), (_, k_kind), (v, v_kind) = (
                    self.spiking[module.get_submodule(f"{part}_lif{suffix}")] for part in "qkv"
                )
                real = "real" in (q_kind, k_kind, v_kind)
                second = self.always if module.product == "hamming" else q
                for part, rate, operand in (("k^T v", v, _wider(k_kind, v_kind)), ("q (k^T v)", second, "integer")):
                    tally = self.tallies.setdefault(f"{name}.{part}{suffix}", _Tally("attention"))
                    tally.analog = tally.analog or real
                    tally.add(macs, macs, "real" if real else operand, self.always if real else rate, self.batch)

        return hook

    def costs(self, samples: int) -> tuple[LayerCost, ...]:
        return tuple(
            LayerCost(
                name=name, kind=x.kind, macs=x.macs / samples, folded_macs=x.folded / samples, operand=x.operand,
                rate=tuple((x.rate / samples).tolist()), analog=x.analog,
            )
            for name, x in self.tallies.items()
        )  # fmt: skip


def _rates(x: Tensor) -> Tensor:
    """Mean of [T, ...] at each time step, float64 [T] on the CPU."""
    return x.detach().flatten(1).mean(1, dtype=torch.float64).cpu()


def _whole(x: Tensor) -> Tensor:
    return ((x - x.round()).abs() < 1e-4).all()


def _wider(a: Operand, b: Operand) -> Operand:
    return max(a, b, key=("binary", "integer", "real").index)


def _operand(x: Tensor) -> Operand:
    if bool(((x == 0) | (x == 1)).all()):
        return "binary"
    return "integer" if bool((x == x.round()).all()) else "real"


def _folded_weights(module: RepConv) -> dict[nn.Module, float]:
    """Factor on the executed MACs of each convolution when the whole RepConv is one dense 3x3 on spikes."""
    first, tail = module.body[0], module.body[2]
    assert isinstance(first, nn.Conv2d)
    assert isinstance(tail, nn.Sequential)
    # the border makes the first 1x1 and its norm no larger, so all three run on the same pixels
    dense = 9.0 * first.in_channels
    return {first: dense / first.weight[0].numel(), tail[0]: 0.0, tail[1]: 0.0}
