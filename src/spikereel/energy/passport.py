"""The energy passport: every count that was made on a clip, and what it costs under one cost model at a time."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from spikereel import __version__
from spikereel.energy.costs import DEFAULT, CostModel, cost_model, spike_bits
from spikereel.energy.layer import LayerCost, Split, largest_spike
from spikereel.energy.opponents import break_even, effective_rate, opponents
from spikereel.errors import DataError

SCHEMA = "spikereel.energy/1"
"""Name and version of the JSON; docs/energy.md describes it."""

DIGITS = 10
"""Significant digits in JSON."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a passport comes from."""

    model: str = ""
    weights: str = field(default_factory=str)
    """sha256 of the weights."""
    data: str = field(default_factory=str)
    """sha256 of the clips; empty where rates were stated."""
    code: str = ""
    """Version, and sha256 of the code that counted."""
    seed: int | None = None
    """Of PyTorch's generator when counting began."""
    rates: str = "measured"
    """What the firing rates are: measured, or stated in a file."""

    @classmethod
    def unhashed(cls, hashes: Mapping[str, Callable[[], str]], **known: Any) -> "Origin":
        """An origin whose hashes are worked out when somebody asks: they take a tenth of a run of a small model.

        hashes: what gives them, by the name of the field.
        """
        origin = cls(**known)
        for name in hashes:
            del origin.__dict__[name]
        origin.__dict__["_hashes"] = dict(hashes)
        return origin

    def __getattr__(self, name: str) -> str:
        hashes = self.__dict__.get("_hashes", {})
        if name not in hashes:
            raise AttributeError(f"Origin has no {name!r}")
        found = self.__dict__[name] = hashes[name]()
        # let the copies go; another thread may have done so
        self.__dict__["_hashes"] = {key: of for key, of in hashes.items() if key != name}
        return found


@dataclass(frozen=True, kw_only=True, repr=False)
class Passport:
    """Cost of one clip, measured on real clips."""

    clip: tuple[int, ...]
    """[T, C, H, W]."""
    clips: int
    """How many were seen."""
    layers: tuple[LayerCost, ...]
    firing: dict[str, tuple[float, ...]]
    """Firing rate of every neuron, per time step."""
    updates: dict[str, float] = field(default_factory=dict)
    """Neuron updates of a clip."""
    workload: dict[str, float] | None = None
    """By NeuroBench's definitions (`spikereel.energy.workload`); None where rates were only stated."""
    views: int = 1
    """Views x clips of one decision."""
    origin: Origin = Origin()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        total = f"{self.energy_mj():.4g} mJ as the papers count"
        said = f", {len(self.warnings)} warning(s): {self.warnings[0]}" if self.warnings else ""
        return f"Passport({self.origin.model}, clip {list(self.clip)}, {len(self.layers)} layers, {total}{said})"

    def _repr_html_(self) -> str:
        from spikereel.energy.page import brief

        return brief(self, {name: cost_model(name) for name in DEFAULT})

    @property
    def macs(self) -> float:
        """Dense multiply-accumulates of the clip."""
        return sum(layer.macs for layer in self.layers)

    @property
    def synops(self) -> float:
        """Exact synaptic operations of the clip, in the layers on spikes."""
        return sum(sum(layer.synops or ()) for layer in self.layers)

    @property
    def spiking(self) -> bool:
        """False for an ANN: no layer has spikes before it."""
        return not all(layer.analog for layer in self.layers)

    @property
    def silent(self) -> tuple[str, ...]:
        """Neurons that never fired."""
        return tuple(name for name, rates in self.firing.items() if not any(rates))

    @property
    def saturated(self) -> tuple[str, ...]:
        """Neurons that fired at every time step, all of them."""
        return tuple(name for name, rates in self.firing.items() if self.spiking and min(rates) >= 1 - 1e-9)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What has to be known before any figure, first of all; every form of the passport carries it."""
        count, said = len(self.firing), []
        if not self.firing:
            said.append("no spiking neuron was seen: firing rates, neuron updates and membranes are not counted")
        for names, what in (
            (self.silent, "never fire, so no ratio is given (train it)"),
            (self.saturated, "always fire"),
        ):
            if names:
                said.append(f"{len(names)} of {count} neurons {what}: {_few(names)}")
        return (*said, *self.notes)

    @property
    def levels(self) -> int:
        """Largest spike of any layer."""
        return largest_spike(self.layers)

    @property
    def mean_rate(self) -> float:
        """Mean firing rate, weighted by the operations it drives; 0 for an ANN."""
        spiking = [layer for layer in self.layers if not layer.analog and layer.kind != "attention"]
        macs = sum(x.macs for x in spiking)
        return sum(x.macs * sum(x.rate) / len(x.rate) for x in spiking) / macs if macs else 0.0

    def per_frame_pj(self, cost: str | CostModel = "paper", *, ann: bool = False) -> Split:
        """Picojoules of every time step by part; ann: of the same network as an ANN."""
        return cost_model(cost).clip_pj(self.layers, ann=ann)

    def energy_mj(self, cost: str | CostModel = "paper") -> float:
        """Millijoules of the clip."""
        return self.per_frame_pj(cost).total * 1e-9

    def ann_mj(self, cost: str | CostModel = "paper") -> float:
        """Millijoules of the clip in the same network as an ANN: the twin with ReLU, in the words of the cost model."""
        return self.per_frame_pj(cost, ann=True).total * 1e-9

    def energy_per_frame_mj(self, cost: str | CostModel = "paper", *, ann: bool = False) -> list[float]:
        """Millijoules of each time step."""
        split = self.per_frame_pj(cost, ann=ann)
        return [sum(x) * 1e-9 for x in zip(*split.values(), strict=True)]

    def parts_mj(self, cost: str | CostModel = "paper") -> dict[str, float]:
        """Millijoules by part, in total, of a decision, as an ANN, and how many times less than the ANN.

        The ratio is NaN for a network with silent neurons: one that says nothing costs nothing.
        """
        parts = {part: sum(x) * 1e-9 for part, x in self.per_frame_pj(cost).items()}
        total, ann = sum(parts.values()), self.ann_mj(cost)
        return {
            **parts,
            "total": total,
            "per_frame": total / self.clip[0],
            "per_view": total,
            "per_decision": total * self.views,
            "ann": ann,
            "ann_over_snn": math.nan if self.silent else ann / total if total else 0.0,
        }

    def stages(self) -> dict[str, list[LayerCost]]:
        """Layers by the first part of their name, in order of execution."""
        groups: dict[str, list[LayerCost]] = {}
        for layer in self.layers:
            groups.setdefault(layer.stage, []).append(layer)
        return groups

    def traffic_bits(self, *, word: int = 32, membrane: int = 32) -> dict[str, float]:
        """Bits that move for a clip: weights once a time step, membranes read and written, spikes and values."""
        steps = self.clip[0] if self.layers else 0
        values = sum(x.inputs * word * (1 if x.analog else 2) for x in self.layers if x.operand == "real")
        spikes = sum(x.inputs * spike_bits(x.levels) for x in self.layers if x.operand != "real")
        return {
            "weights": float(sum(x.weights for x in self.layers) * word * steps),
            "membranes": 2 * membrane * sum(x.membranes for x in self.layers),
            "spikes": spikes + sum(x.spike_bits for x in self.layers),
            "values": values + 2 * word * sum(x.intermediates for x in self.layers),
        }

    def to_json(self, costs: Iterable[str] | Mapping[str, CostModel] = DEFAULT) -> dict[str, Any]:
        """Plain types under `SCHEMA`, for `json.dump`; energies under each of the cost models."""
        models = costs if isinstance(costs, Mapping) else {name: cost_model(name) for name in costs}
        content = {
            "schema": SCHEMA,
            **dataclasses.asdict(self.origin),
            "clip": self.clip,
            "clips": self.clips,
            "views": self.views,
            "spiking": self.spiking,
            "gmac": self.macs * 1e-9,
            "gsop": self.synops * 1e-9,
            "neuron_updates": sum(self.updates.values()),
            "mean_rate": self.mean_rate,
            "traffic_bits": self.traffic_bits(),
            "energy_mj": {name: self.parts_mj(x) for name, x in models.items()},
            "energy_per_frame_mj": {name: self.energy_per_frame_mj(x) for name, x in models.items()},
            "opponents": {name: [dataclasses.asdict(o) for o in opponents(self, x)] for name, x in models.items()},
            "stages": {
                stage: {
                    "gmac": sum(x.macs for x in layers) * 1e-9,
                    "energy_mj": {name: sum(m.snn_pj(x).total for x in layers) * 1e-9 for name, m in models.items()},
                }
                for stage, layers in self.stages().items()
            },
            "cost_models": {name: x.to_json() for name, x in models.items()},
            "firing": self.firing,
            "updates": self.updates,
            "neurobench": self.workload,
            "notes": self.notes,
            "warnings": self.warnings,
            "layers": [self._layer(x, models) for x in self.layers],
        }
        return _plain(content)

    def neurobench(self) -> dict[str, float]:
        """What NeuroBench counts on the same clips, by its names and definitions: Footprint (bytes of parameters and
        buffers), ConnectionSparsity, ActivationSparsity, and of a clip Dense, Effective_MACs and Effective_ACs.

        docs/energy.md says where they differ from the other figures. Raises DataError for stated firing rates.
        """
        if self.workload is None:
            raise DataError("NeuroBench's figures need clips, and this passport has none; measure the model on some")
        return dict(self.workload)

    def to_html(self, costs: Iterable[str] = DEFAULT) -> str:
        """One page with tables and charts, with nothing outside it."""
        from spikereel.energy.page import html

        return html({self.origin.model: self}, {name: cost_model(name) for name in costs})

    def to_markdown(self, costs: Iterable[str] = DEFAULT) -> str:
        """For notes."""
        from spikereel.energy.report import markdown

        return markdown({self.origin.model: self}, {name: cost_model(name) for name in costs})

    def to_latex(self, costs: Iterable[str] = DEFAULT) -> str:
        """Tables for papers, with the packages booktabs and graphicx."""
        from spikereel.energy.report import latex

        return latex({self.origin.model: self}, {name: cost_model(name) for name in costs})

    def _layer(self, layer: LayerCost, models: Mapping[str, CostModel]) -> dict[str, Any]:
        return {
            **dataclasses.asdict(layer),
            "stage": layer.stage,
            "effective_rate": effective_rate(layer),
            "energy_mj": {name: x.snn_pj(layer).total * 1e-9 for name, x in models.items()},
            "ann_mj": {name: x.ann_pj(layer).total * 1e-9 for name, x in models.items()},
            "break_even_rate": {name: break_even(layer, x) for name, x in models.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Passport":
        """What `to_json` gave. Raises DataError for anything else."""
        if content.get("schema") != SCHEMA:
            raise DataError(f"this is no passport of schema {SCHEMA}, but {content.get('schema')!r}; make it again")
        own = {f.name for f in dataclasses.fields(LayerCost)}
        try:
            layers = tuple(LayerCost(**{k: _tuple(v) for k, v in x.items() if k in own}) for x in content["layers"])
            origin = Origin(**{f.name: content[f.name] for f in dataclasses.fields(Origin)})
            firing = {name: tuple(rates) for name, rates in content["firing"].items()}
            return cls(
                clip=tuple(content["clip"]),
                clips=content["clips"],
                layers=layers,
                firing=firing,
                updates=content["updates"],
                workload=content.get("neurobench"),
                views=content["views"],
                origin=origin,
                notes=tuple(content["notes"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"this passport of schema {SCHEMA} is not whole ({error}); make it again") from None


@cache
def code_hash() -> str:
    """Version of the package, and sha256 of the files that count."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return f"spikereel {__version__}, {digest.hexdigest()}"


def read_passport(path: str | Path) -> Passport:
    """A passport from its JSON; DataError, naming the file, for anything else."""
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds no passport; give what `spikereel energy --json` wrote")
    try:
        return Passport.from_json(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _tuple(x: Any) -> Any:
    return tuple(x) if isinstance(x, list) else x


def _plain(x: Any) -> Any:
    """Lists for tuples, no more digits than `DIGITS`, and null for what is no number."""
    if isinstance(x, Mapping):
        return {key: _plain(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    if isinstance(x, float):
        return None if math.isnan(x) else float(f"{x:.{DIGITS}g}")
    return x
