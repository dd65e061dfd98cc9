"""Energy from stated firing rates alone: the layers of a model, run without data on the meta device."""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.energy.contents import Contents, Figures, axes_of, one_sub_step
from spikereel.energy.meter import LAYOUT, Meter
from spikereel.energy.passport import Origin, Passport, code_hash
from spikereel.energy.tally import Call
from spikereel.errors import ConfigError, DataError
from spikereel.layers.neuron import Neuron
from spikereel.models.base import VideoModel
from spikereel.models.wrappers import plain_names

Rates = Mapping[str, float | Sequence[float]]

INSIDE = ("fr", "firing", "rates")
"""Keys under which files keep their rates: the authors' logs, our passports, others."""


def estimate(
    model: VideoModel,
    rates: Rates | float,
    *,
    clip: tuple[int, int, int, int],
    views: int = 1,
    weights: str = "",
    notes: tuple[str, ...] = (),
) -> Passport:
    """The passport of a clip [T, C, H, W] whose neurons fire as stated; exact counts need clips and are left out.

    rates: {neuron: rate, or one a time step}, names as ours or the authors' (those of other modules of the model are
    passed over); or one rate for all neurons. Where a value is above what a neuron can fire, all are per cent.
    Raises DataError for a neuron without a rate, a name that the model does not have, or a value that is no rate.
    """
    neurons = {name: m for name, m in model.named_modules() if isinstance(m, Neuron)}
    if not all(m.spiking for m in neurons.values()):
        raise ConfigError("an ANN has no firing rates; give the spiking model")
    if isinstance(rates, Mapping):
        stated, unit = _resolve(model, neurons, rates, clip[0])
        notes = (*notes, f"firing rates as stated, {unit}")
    else:
        stated = {name: [float(rates)] * clip[0] for name in neurons}
    with torch.device("meta"):
        empty = type(model)(model.config).eval()
        video = torch.zeros(clip[0], 1, *clip[1:])
    meter = _Stated(empty, steps=clip[0], axes=LAYOUT.split(), rates=stated)
    with torch.no_grad():
        meter.run(video, 1)
    origin = Origin(model=model.metadata.name, weights=weights, code=code_hash(), rates="stated")
    return meter.passport(clip, views=views, origin=origin, notes=notes)


def read_rates(path: str | Path) -> Rates:
    """{name: rate} from a JSON file, the authors' logs or a passport. Raises DataError for anything else."""
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({str(error).splitlines()[0]})") from None
    for key in INSIDE:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: holds no firing rates; give a JSON object of neuron name: rate")
    for name, value in content.items():
        values = value if isinstance(value, list) and value else [value]
        if not all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in values):
            raise DataError(f"{path}: {name} is {value!r}; give a number, or one a time step")
        if min(values) < 0:
            raise DataError(f"{path}: {name} is {value!r}; a firing rate is not negative")
    return content


class _Stated(Meter):
    """The same count, where rates are given and spikes are known by the neuron that they come from."""

    exact = False

    def __init__(self, model: nn.Module, *, steps: int, axes: Sequence[str], rates: dict[str, list[float]]):
        super().__init__(model, steps=steps, axes=axes)
        self.stated = {name: np.array(x, dtype=np.float64) for name, x in rates.items()}
        self.fresh: Contents | None = None

    def fired(self, name: str, module: Neuron, counts: Tensor) -> Contents:
        levels = _levels(module)
        integer = levels > 1 and not module.config.replays
        operand = "integer" if integer else "binary"
        self.fresh = Contents(operand=operand, levels=levels, lead=tuple(counts.shape[:2]), rate=self.stated[name])
        return self.fresh

    def contents(self, x: Tensor, module: nn.Module) -> Contents:
        # a copy of what the last neuron gave, unless a weight layer has been in between
        found = self.known_as(x, module) or self.fresh or Contents(operand="real")
        self.fresh = None
        return replace(found, lead=tuple(one_sub_step(x, module).shape[: axes_of(module, x)[0]]))

    def mean_over_time(self, call: Call, x: Tensor) -> Contents | None:
        one = self.steps > 1 and self.axes.forms(call.contents.lead, self.batch) == ["one"]
        return call.contents if one and call.contents.rate is not None else None

    def _sums(self, seen: Contents) -> Figures:
        return np.zeros(self.steps)

    def coincidences(self, k: Tensor, v: Tensor, head_dim: int) -> Figures:
        return np.zeros(self.steps)


def _resolve(
    model: nn.Module, neurons: Mapping[str, Neuron], rates: Rates, steps: int
) -> tuple[dict[str, list[float]], str]:
    """A rate for every neuron and time step, and the unit that the values had."""
    given = plain_names(rates)
    known = dict(model.named_modules())
    if strange := [name for name in given if name not in known]:
        near = difflib.get_close_matches(strange[0], neurons, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "check which model the rates are of"
        raise DataError(f"{len(strange)} firing rates are of no module of this model, first {strange[0]!r}; {hint}")
    if missing := [name for name in neurons if name not in given]:
        raise DataError(f"{len(missing)} of {len(neurons)} neurons have no firing rate, first {missing[0]!r}; give all")
    values = {name: _per_step(name, x, steps) for name, x in given.items()}
    most = max(_levels(m) for m in neurons.values())
    percent = max(max(x) for x in values.values()) > most
    scale, unit = (100.0, "per cent") if percent else (1.0, "spikes a neuron and time step")
    stated = {name: [x / scale for x in values[name]] for name in neurons}
    for name, m in neurons.items():
        if max(stated[name]) > _levels(m):
            raise DataError(
                f"{name} fires at {max(stated[name]):g}, more than its {_levels(m)} a time step; check the unit"
            )
    return stated, unit


def _per_step(name: str, x: float | Sequence[float], steps: int) -> list[float]:
    if isinstance(x, int | float):
        return [float(x)] * steps
    if len(x) != steps:
        raise DataError(f"{name} has {len(x)} firing rates for {steps} time steps; give one, or {steps}")
    return [float(v) for v in x]


def _levels(neuron: Neuron) -> int:
    c = neuron.config
    return 1 if c.kind != "ilif" else c.levels if c.top is None else c.top
