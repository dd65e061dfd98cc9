"""Two traces of one clip: which layer differs first and where, whether the answers do, and what else does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.config import flat
from spikereel.errors import ConfigError
from spikereel.tracing.layers import Layer
from spikereel.tracing.parts import SPIKES
from spikereel.tracing.traces import Trace

NEAR = 1e-3
"""Metres that a joint may move before a pose counts as another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerDifference:
    """Spikes of one layer in two traces."""

    name: str
    shares: np.ndarray
    """float64 [T]: share of neurons whose spikes differ in each frame."""
    by_rate: bool = False
    """Whether rates alone were recorded, so that a share is that of the difference of their numbers, and a lower
    bound."""

    @property
    def differs(self) -> bool:
        """In any frame."""
        return bool(self.shares.any())

    @property
    def frame(self) -> int:
        """The first frame of the trace in which it differs; -1 for none."""
        return int(np.flatnonzero(self.shares)[0]) if self.differs else -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Difference:
    """What differs between two traces of one clip."""

    source: str
    frames: tuple[int, ...]
    """Numbers in the source."""
    layers: tuple[LayerDifference, ...]
    """Of those that both have in one shape, in the order of execution of the first."""
    alone: tuple[tuple[str, ...], tuple[str, ...]]
    """Layers that only one of them has, or has in another shape."""
    answers: tuple[str, str]
    """What each says of the clip, in few words."""
    answers_differ: bool
    settings: dict[str, tuple[Any, Any]]
    """{name: values} of those that differ, weights among them."""
    figures: dict[str, tuple[float, float]]
    """{name: values} of those that differ."""

    @property
    def first(self) -> LayerDifference | None:
        """The first layer, in order of execution, whose spikes differ; None where none do."""
        return next((layer for layer in self.layers if layer.differs), None)

    @property
    def differs(self) -> bool:
        """Whether any spike, or any answer does."""
        return self.answers_differ or self.first is not None or any(self.alone)

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        first = self.first
        return {
            "source": self.source,
            "answers": list(self.answers),
            "answers_differ": self.answers_differ,
            "first": None
            if first is None
            else {"layer": first.name, "frame": self.frames[first.frame], "share": float(first.shares[first.frame])},
            "layers": [
                {"layer": x.name, "frame": self.frames[x.frame], "share": float(x.shares.mean()), "by_rate": x.by_rate}
                for x in self.layers
                if x.differs
            ],
            "compared": len(self.layers),
            "alone": [list(x) for x in self.alone],
            "settings": {name: list(x) for name, x in self.settings.items()},
            "figures": {name: list(x) for name, x in self.figures.items()},
        }


def tensors_apart(a: nn.Module, b: nn.Module) -> tuple[str, ...]:
    """Names of the weights of two networks that differ, or that only one has; in the order of the first."""
    one, other = a.state_dict(), b.state_dict()
    return tuple(n for n in {**one, **other} if n not in one or n not in other or not _same(one[n], other[n]))


def _same(x: Tensor, y: Tensor) -> bool:
    return x.dtype == y.dtype and torch.equal(x, y)


def words_of(tensors: Sequence[str], most: int = 4) -> str:
    """A sentence that says which weights differ."""
    if not tensors:
        return "All weights are the same"
    named = ", ".join(tensors[:most]) + (", ..." if len(tensors) > most else "")
    if len(tensors) == 1:
        return f"1 tensor of the weights differs: {named}"
    return f"{len(tensors)} tensors of the weights differ: {named}"


def compare(a: Trace, b: Trace) -> Difference:
    """What differs between two traces of one clip, spike by spike where both recorded them.

    Answers differ where the most probable class does, any pixel has another class, or a joint is a millimetre away.
    Raises ConfigError for traces of different frames, tasks or numbers of frames.
    """
    if a.task != b.task:
        raise ConfigError(f"a model for {a.task} and one for {b.task} give no answers to compare; give two of one task")
    if len(a) != len(b) or not np.array_equal(a.frames, b.frames):
        raise ConfigError(
            f"the traces are of different frames, {len(a)} of {a.source} and {len(b)} of {b.source}; trace the same "
            "ones: frames=(first, last), --frames FIRST:LAST"
        )
    both = [name for name, layer in a.layers.items() if _alike(layer, b.layers.get(name))]
    answers, differ = _answers(a, b)
    return Difference(
        source=a.source,
        frames=tuple(a.frames.tolist()),
        layers=tuple(_layer(a, b, name) for name in both),
        alone=tuple(tuple(n for n in x.layers if n not in both) for x in (a, b)),  # ty: ignore[invalid-argument-type]
        answers=answers,
        answers_differ=differ,
        settings=_differing(_settings(a), _settings(b)),
        figures=_differing(_figures(a), _figures(b)),
    )


def _alike(a: Layer, b: Layer | None) -> bool:
    return b is not None and (a.shape, a.kind) == (b.shape, b.kind)


def _layer(a: Trace, b: Trace, name: str) -> LayerDifference:
    layer = a.layers[name]
    if not (layer.recorded and b.layers[name].recorded):
        return LayerDifference(name=name, shares=np.abs(a.rates[name] - b.rates[name]), by_rate=True)
    counts = []
    for start in range(0, len(a), 64):
        x, y = (np.concatenate(t.between(SPIKES + name, start, start + 64)) for t in (a, b))
        other = x != y if layer.kind == "counts" else np.bitwise_count(x ^ y)
        counts.append(other.sum(1, dtype=np.int64))
    return LayerDifference(name=name, shares=np.concatenate(counts) / layer.size)


def _answers(a: Trace, b: Trace) -> tuple[tuple[str, str], bool]:
    if a.probabilities is not None and b.probabilities is not None:
        said = tuple(f"{t.label} {100 * t.probabilities[-1].max():.1f} %" for t in (a, b))  # ty: ignore[not-subscriptable]
        return said, a.label != b.label  # ty: ignore[invalid-explicit-return]
    if a.outputs.keys() != b.outputs.keys():
        return (", ".join(a.outputs), ", ".join(b.outputs)), True
    if "masks" in a.outputs:
        other = _shape_or(a.outputs["masks"], b.outputs["masks"])
        share = 1.0 if other is None else float((other[0] != other[1]).mean())
        return ("masks", f"{100 * share:.3g} % of pixels differ"), share > 0
    apart = [_shape_or(x, b.outputs[name]) for name, x in a.outputs.items()]
    most = max(np.inf if x is None else float(np.abs(x[0] - x[1]).max()) for x in apart)
    return ("pose", f"at most {1000 * most:.3g} mm apart"), most > NEAR


def _shape_or(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    return (x, y) if x.shape == y.shape else None


def _settings(trace: Trace) -> dict[str, Any]:
    head = {"architecture": trace.model, "weights": trace.weights[:12], "classes": list(trace.classes)}
    return {**head, **dict(flat(trace.about.settings))}


def _figures(trace: Trace) -> dict[str, float]:
    spikes = sum(float(trace.rates[name].sum()) * layer.size for name, layer in trace.layers.items())
    neurons = sum(layer.size for layer in trace.layers.values()) * len(trace)
    costs = {f"energy, mJ, {cost}": float(trace.energy(cost).sum()) for cost in trace.about.costs}
    return {"spikes": spikes, "spikes a neuron and frame": spikes / neurons, **costs}


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in {**a, **b} if a.get(name) != b.get(name)}
