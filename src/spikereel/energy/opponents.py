"""What a spiking network is fairly compared with, and the firing rate at which each layer stops being worth it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from spikereel.energy.costs import CostModel, cost_model
from spikereel.energy.layer import Counted, LayerCost, largest_spike
from spikereel.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """A network that does the same work without spikes."""

    name: str
    bits: int
    """Of an activation."""
    energy_mj: float
    over_snn: float
    """Its energy over that of the spiking network, both under the same cost model; above 1 the spikes win, NaN where
    neurons are silent."""


def equal_bits(steps: int, levels: int = 1) -> int:
    """Bits of an activation that holds what `steps` spikes of up to `levels` can count to: log2(T levels + 1), up."""
    return max(1, math.ceil(math.log2(steps * levels + 1)))


def opponents(passport: Counted, cost: str | CostModel = "paper") -> list[Opponent]:
    """The ANN twin in words of the cost model; under an integer model also the one quantised to equal capacity.

    Both see as many frames as the spiking network. Quantised: weights of whole words, activations of `equal_bits`,
    never wider than a word.
    """
    model = cost_model(cost)
    found = [("ANN twin", model.word, None)]
    if model.integer:
        bits = min(equal_bits(passport.clip[0], largest_spike(passport.layers)), model.word)
        found.append(("ANN of equal capacity", bits, bits))
    dead = any(not any(rates) for rates in passport.firing.values())
    snn = model.clip_pj(passport.layers).total * 1e-9
    energies = [sum(model.ann_pj(x, bits).total for x in passport.layers) * 1e-9 for _, _, bits in found]
    return [
        Opponent(name=name, bits=bits, energy_mj=mj, over_snn=math.nan if dead else mj / snn if snn else 0.0)
        for (name, bits, _), mj in zip(found, energies, strict=True)
    ]


def effective_rate(layer: LayerCost) -> float | None:
    """Exact operations as a share of the dense ones, borders left out of both; None where nothing was counted."""
    if layer.synops is None or not layer.inner_macs:
        return None
    return sum(layer.synops) / layer.inner_macs


def rate_under(layer: LayerCost, cost: str | CostModel) -> float | None:
    """The firing rate that a cost model sees at a layer; None where it counts multiply-accumulates."""
    model = cost_model(cost)
    if model.multiplies(layer) or not model.dense(layer):
        return None
    return sum(model.accumulations(layer)) / model.dense(layer)


def break_even(layer: LayerCost, cost: str | CostModel = "paper", bits: int | None = None) -> float | None:
    """The firing rate at which the layer costs what that of the ANN does: below it spikes win, above it they lose.

    Neurons and data movement of the layer are included where the cost model has them, so it can be negative: no rate
    is low enough. bits: of the ANN's activations, None for whole words. None for layers that are multiply-accumulates
    in the spiking network too, where no rate decides, and for those that were folded into another.
    """
    model = cost_model(cost)
    if model.multiplies(layer) or not model.dense(layer):
        return None
    split = model.snn_pj(layer)
    fixed = sum(split["neurons"]) + sum(split["memory"])
    return (model.ann_pj(layer, bits).total - fixed) / (model.add_pj * model.dense(layer))


def implied_rate(passport: Counted, energy_mj: float, cost: str | CostModel = "paper") -> float:
    """The mean firing rate, the same in all weight layers on spikes, at which a clip would cost so much.

    Attention products are left out, as in the formula of the papers; layers that count as multiply-accumulates keep
    their energy. Raises ConfigError where these alone cost more, or where no layer is on spikes.
    """
    model = cost_model(cost)
    layers = [x for x in passport.layers if x.kind != "attention"]
    fixed = sum(model.mac_pj * model.dense(x) for x in layers if model.multiplies(x)) * 1e-9
    slope = sum(model.add_pj * model.dense(x) for x in layers if not model.multiplies(x)) * 1e-9
    if not slope or energy_mj < fixed:
        raise ConfigError(
            f"{energy_mj:g} mJ imply no firing rate {model.title}: multiply-accumulates alone take {fixed:.4g} mJ"
        )
    return (energy_mj - fixed) / slope


def verdict(passport: Counted, costs: Mapping[str, CostModel]) -> list[str]:
    """One sentence a cost model: against whom spikes win, and in how many layers they do not."""
    return [f"{name}: {_verdict(passport, model)}" for name, model in costs.items()]


def _verdict(passport: Counted, model: CostModel) -> str:
    if any(not any(rates) for rates in passport.firing.values()):
        return "no verdict, since neurons never fire"
    outcomes = [
        f"{'win' if x.over_snn > 1 else 'lose'} against the {x.name} of {x.bits} bits, which costs "
        f"{x.over_snn:.3g} times as much"
        for x in opponents(passport, model)
    ]
    lines = [(rate_under(x, model), break_even(x, model)) for x in passport.layers]
    lost = sum(rate > line for rate, line in lines if rate is not None and line is not None)
    real = sum(model.multiplies(x) and not x.analog for x in passport.layers)
    return (
        f"spikes {' and '.join(outcomes)}; {lost} of {len(lines)} layers are above their break-even rate, and {real} "
        "after the first spikes are multiply-accumulates all the same"
    )
