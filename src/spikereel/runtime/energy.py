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
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.conv import RepConv
from spikereel.layers.observe import firing_rates

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
    def mean_rate(self) -> float:
        """Mean firing rate, weighted by the operations it drives."""
        spiking = [layer for layer in self.layers if not layer.analog and layer.kind != "attention"]
        return sum(x.macs * sum(x.rate) / len(x.rate) for x in spiking) / sum(x.macs for x in spiking)

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
        self.kind, self.macs, self.folded, self.operand, self.analog = kind, 0.0, 0.0, "binary", False
        self.rate: Tensor | float = 0.0


class _Meter:
    """Forward hooks that count operations and look at operands."""

    def __init__(self, model: nn.Module):
        self.model, self.tallies, self.hooks = model, {}, []
        self.spiking: dict[nn.Module, Tensor] = {}
        self.folds = {
            conv: macs
            for module in model.modules()
            if isinstance(module, RepConv)
            for conv, macs in _folded_weights(module).items()
        }

    def begin(self, clip: Tensor) -> None:
        self.steps, self.batch, self.chain = clip.shape[0], clip.shape[1], None

    def __enter__(self) -> "_Meter":
        for name, module in self.model.named_modules():
            if isinstance(module, nn.Conv2d | nn.Conv1d | nn.Linear):
                self.hooks.append(module.register_forward_hook(self._weights(name)))
            elif isinstance(module, SpikeAttention):
                self.hooks.append(module.register_forward_hook(self._attention(name)))
                for part in module.children():
                    if hasattr(part, "config"):
                        self.hooks.append(part.register_forward_hook(self._remember))
        return self

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()

    def _remember(self, module: nn.Module, _inputs, output) -> None:
        self.spiking[module] = output[0].flatten(1).mean(1, dtype=torch.float64).cpu()

    def _weights(self, name: str):
        def hook(module, inputs, output):
            x = inputs[0].detach()
            # the head sees spikes summed over time: as many operations as one product a time step
            summed = isinstance(module, nn.Linear)
            tally = self.tallies.setdefault(name, _Tally(type(module).__name__.lower()))
            operand = "binary" if summed else _operand(x)
            if operand == "real":
                tally.analog = tally.analog or self.chain is None
                rate = torch.ones(self.steps, dtype=torch.float64) if self.chain is None else self.chain
            elif summed:
                rate = x.mean(dtype=torch.float64).cpu().expand(self.steps)
            else:
                rate = x.unflatten(0, (self.steps, self.batch)).flatten(1).mean(1, dtype=torch.float64).cpu()
                self.chain = rate
            macs = output.numel() * module.weight[0].numel() * (self.steps if summed else 1)
            tally.macs += macs
            tally.folded += macs * self.folds.get(module, 1.0)
            tally.operand = max(tally.operand, operand, key=("binary", "integer", "real").index)
            tally.rate = tally.rate + rate * self.batch

        return hook

    def _attention(self, name: str):
        def hook(module, inputs, _output):
            t, b, d, h, w = inputs[0].shape
            macs = t * b * h * w * d * d / module.heads
            for suffix in module.suffixes:
                dense = torch.ones(t, dtype=torch.float64)
                second = dense if module.similarity == "hamming" else self.spiking[getattr(module, f"q_lif{suffix}")]
                first = self.spiking[getattr(module, f"v_lif{suffix}")]
                for part, rate in (("kv", first), ("qkv", second)):
                    tally = self.tallies.setdefault(f"{name}.{part}{suffix}", _Tally("attention"))
                    tally.macs += macs
                    tally.folded += macs
                    tally.operand = "integer" if part == "qkv" else "binary"
                    tally.rate = tally.rate + rate * b

        return hook

    def costs(self, samples: int) -> tuple[LayerCost, ...]:
        return tuple(
            LayerCost(
                name=name, kind=x.kind, macs=x.macs / samples, folded_macs=x.folded / samples, operand=x.operand,
                rate=tuple((x.rate / samples).tolist()), analog=x.analog,
            )
            for name, x in self.tallies.items()
        )  # fmt: skip


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
