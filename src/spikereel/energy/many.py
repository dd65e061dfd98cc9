"""Energy of many clips of one shape from their firing rates: layers are counted once, rates are put in for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from spikereel.energy.passport import Passport
from spikereel.energy.rates import estimate
from spikereel.layers.neuron import Neuron
from spikereel.models.base import VideoModel

Rates = Mapping[str, Sequence[float]]
"""{neuron: firing rate at each time step}."""

EXACT = 1e-9
"""Largest difference of a rate that is put in from one that is counted."""

DRAWS = 3
"""Counts that a map is learned from; one more proves it."""


@dataclass(frozen=True, kw_only=True)
class _Drive:
    """How the rate of a layer comes from those of neurons: a sum of their rates and of their means over time."""

    neurons: tuple[str, ...]
    weights: np.ndarray
    """Of each neuron's rate, then of each one's mean, then a constant."""

    def rate(self, rates: Rates) -> tuple[float, ...]:
        """Of every time step."""
        return tuple((_features(self.neurons, rates) @ self.weights).tolist())


class Estimates:
    """`estimate(model, rates, clip=clip)` for one clip after another, at a hundredth of its time.

    A few counts with rates drawn at random tell which neurons drive each layer, and another one proves it. A network
    in which that does not hold to `EXACT` is counted anew for every clip.
    """

    def __init__(self, model: VideoModel, *, weights: str = ""):
        self.model, self.origin = model, {"model": model.metadata.name, "weights": weights}

    def passport(self, rates: Rates, clip: tuple[int, int, int, int]) -> Passport:
        """The passport of a clip [T, C, H, W] whose neurons fired so. Raises as `estimate` does."""
        known = self.learn(clip)
        if known is None:
            return estimate(self.model, rates, clip=clip, weights=self.origin["weights"])
        passport = _filled(*known, rates)
        return replace(passport, origin=replace(passport.origin, **self.origin))

    def energy_mj(self, rates: Rates, clip: tuple[int, int, int, int]) -> float:
        """`passport(rates, clip).energy_mj()`, as a sum over neurons where that is the same."""
        known = _energies(type(self.model), self.model.config, clip)
        if known is None:
            return self.passport(rates, clip).energy_mj()
        silent, each = known
        return silent + sum(each[name] * sum(own) / len(own) for name, own in rates.items() if name in each)

    def learn(self, clip: tuple[int, int, int, int]) -> "tuple[Passport, list[_Drive]] | None":
        """What is known of clips of this shape, learned at the first call for any network of these dimensions."""
        return _learned(type(self.model), self.model.config, clip)


@lru_cache(maxsize=16)
def _learned(
    family: type[VideoModel], config: Any, clip: tuple[int, int, int, int]
) -> tuple[Passport, list[_Drive]] | None:
    """A passport of the shape and what drives each of its layers; None where that cannot be told."""
    with torch.device("meta"):
        model = family(config).eval()
    names = [name for name, m in model.named_modules() if isinstance(m, Neuron) and m.spiking]
    random = np.random.default_rng(0)
    draws: list[Rates] = [
        dict(zip(names, random.uniform(0.05, 0.5, (len(names), clip[0])).tolist(), strict=True))
        for _ in range(DRAWS + 1)
    ]
    counted = [estimate(model, rates, clip=clip) for rates in draws]
    drives = [
        _drive(layer.name, names, draws[:-1], [passport.layers[i].rate for passport in counted[:-1]])
        for i, layer in enumerate(counted[0].layers)
    ]
    proof = _filled(counted[0], drives, draws[-1])
    pairs = zip(proof.layers, counted[-1].layers, strict=True)
    return (counted[0], drives) if all(np.allclose(a.rate, b.rate, 0.0, EXACT) for a, b in pairs) else None


@lru_cache(maxsize=16)
def _energies(
    family: type[VideoModel], config: Any, clip: tuple[int, int, int, int]
) -> tuple[float, dict[str, float]] | None:
    """Millijoules of a silent clip, and what each neuron adds at a rate of 1; None where energy is no such sum."""
    known = _learned(family, config, clip)
    if known is None:
        return None
    names = list(known[0].firing)
    none: dict[str, Sequence[float]] = dict.fromkeys(names, (0.0,) * clip[0])
    silent = _filled(*known, none).energy_mj()
    each = {name: _filled(*known, {**none, name: (1.0,) * clip[0]}).energy_mj() - silent for name in names}
    draw = np.random.default_rng(1).uniform(0.05, 0.5, (len(names), clip[0]))
    proof = _filled(*known, dict(zip(names, draw.tolist(), strict=True))).energy_mj()
    summed = silent + sum(each[name] * own.mean() for name, own in zip(names, draw, strict=True))
    return (silent, each) if abs(summed - proof) <= EXACT * proof else None


def _filled(passport: Passport, drives: Sequence[_Drive], rates: Rates) -> Passport:
    layers = tuple(replace(x, rate=drive.rate(rates)) for x, drive in zip(passport.layers, drives, strict=True))
    return replace(passport, layers=layers, firing={name: tuple(rates[name]) for name in passport.firing})


def _drive(layer: str, names: Sequence[str], draws: Sequence[Rates], seen: Sequence[Sequence[float]]) -> _Drive:
    """One neuron, one mean over time, or the least-squares sum of the neurons nearest to a layer by name."""
    target = np.concatenate([np.asarray(x, dtype=np.float64) for x in seen])
    for name in names:
        columns = np.concatenate([_features((name,), rates) for rates in draws])
        for column, weights in enumerate(np.eye(3)):
            if np.allclose(columns[:, column], target, 0.0, EXACT):
                return _Drive(neurons=(name,), weights=weights)
    near = tuple(name for name in names if name.rpartition(".")[0] == layer.rpartition(".")[0])
    columns = np.concatenate([_features(near, rates) for rates in draws])
    return _Drive(neurons=near, weights=np.linalg.lstsq(columns, target, rcond=None)[0])


def _features(names: Sequence[str], rates: Rates) -> np.ndarray:
    """[T, 2 N + 1]: rates of neurons, their means over time, and 1."""
    own = np.array([rates[name] for name in names], dtype=np.float64).reshape(len(names), -1).T
    steps = len(next(iter(rates.values())))
    own = own if names else np.empty((steps, 0))
    return np.concatenate([own, np.broadcast_to(own.mean(0), own.shape), np.ones((steps, 1))], axis=1)
