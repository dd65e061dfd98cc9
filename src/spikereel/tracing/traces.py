"""A trace: what a network did on a clip, frame by frame; spikes are packed bits until somebody looks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Self

import numpy as np
import torch

from spikereel.config import unknown_key
from spikereel.energy.layer import PARTS
from spikereel.errors import ConfigError, DataError
from spikereel.layers.state import State
from spikereel.tracing import store
from spikereel.tracing.about import About, from_json, to_json
from spikereel.tracing.attend import Row, Token, row
from spikereel.tracing.call import plain
from spikereel.tracing.layers import AttentionLayer, Layer
from spikereel.tracing.parts import FIRED, MEMBRANES, OUTPUT, SPIKES, STATE, cut, numbers_in, of_end, stateless
from spikereel.tracing.thin import picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Membranes:
    """Membranes of some neurons of a layer, float32 [T, K]."""

    layer: Layer
    neurons: np.ndarray
    """int64 [K]: flat numbers."""
    charged: np.ndarray
    """With the input of the step, before the reset: what is held against the threshold."""
    after: np.ndarray
    """After the reset."""
    spikes: np.ndarray
    """uint8 [T, K]."""


class Trace:
    """`trace.spikes(layer)`, `trace.attention(token)`, `trace.energy(cost)`; made by `spikereel.trace`.

    Frames of a trace count from 0; `frames` has their numbers in the source. Nothing is unpacked before it is asked
    for, and a trace that was loaded is mapped, so that looking at a part of it reads that part.
    """

    def __init__(self, about: About, parts: Sequence[store.Arrays]):
        self.about, self.parts = about, tuple(parts)

    def __len__(self) -> int:
        return sum(len(part["rates"]) for part in self.parts)

    def __repr__(self) -> str:
        a, recorded = self.about, sum(x.recorded for x in self.about.layers)
        return (
            f"Trace({a.model or 'a model'} on {a.source}: {len(self)} frames, {recorded} of {len(a.layers)} layers, "
            f"{self.bytes / 1e6:.1f} MB)"
        )

    def _repr_html_(self) -> str:
        from spikereel.energy.charts import raster
        from spikereel.energy.page import in_notebook

        return in_notebook(repr(self), raster({name: rates.tolist() for name, rates in self.rates.items()}))

    @property
    def model(self) -> str:
        """Name of the architecture."""
        return self.about.model

    @property
    def weights(self) -> str:
        """sha256."""
        return self.about.weights

    @property
    def task(self) -> str:
        """What the output is."""
        return self.about.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.about.classes

    @property
    def source(self) -> str:
        """The file; "clip" for a tensor."""
        return self.about.source

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known before any figure."""
        return self.about.notes

    @property
    def clip(self) -> tuple[int, int, int, int]:
        """(T, C, H, W) of what the network saw."""
        return (len(self), *self.about.frame)

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """Left, top, width and height of what the network saw, in pixels of the source."""
        return self.about.box

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Those that were asked for."""
        return self.about.tokens

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        return sum(x.nbytes for part in self.parts for x in part.values())

    @property
    def layers(self) -> dict[str, Layer]:
        """All neurons by name, in order of execution."""
        return {layer.name: layer for layer in self.about.layers}

    @property
    def attentions(self) -> dict[str, AttentionLayer]:
        """All attentions by name, in order of execution."""
        return {layer.name: layer for layer in self.about.attentions}

    @property
    def frames(self) -> np.ndarray:
        """int64 [T]: numbers in the source."""
        return self._all("frames")

    @property
    def times(self) -> np.ndarray | None:
        """float64 [T] seconds at which the frames are shown; None where the source does not say."""
        return self._all("times") if "times" in self.parts[0] else None

    @property
    def pictures(self) -> np.ndarray | None:
        """uint8 [T, 3, h, w] of what the network saw; None where they were not kept."""
        return self._all("pictures") if "pictures" in self.parts[0] else None

    @cached_property
    def rates(self) -> dict[str, np.ndarray]:
        """{layer: float64 [T]}: mean spikes of a neuron in each frame."""
        return dict(zip(self.layers, self._all("rates").T, strict=True))

    @cached_property
    def starts(self) -> np.ndarray:
        """int64: frames before which the state began anew; empty where it only went on."""
        return np.flatnonzero(self._all("begins"))

    @property
    def state(self) -> State:
        """Of the network after the last frame; the next trace goes on from it."""
        last = self.parts[-1]
        flat = {name.removeprefix(STATE): x for name, x in last.items() if name.startswith(STATE)}
        return State.from_flat({name: torch.from_numpy(np.array(x)) for name, x in flat.items()})

    def spikes(
        self, layer: str, start: int = 0, stop: int | None = None, neurons: Sequence[int] | None = None
    ) -> np.ndarray:
        """Spikes of a layer in frames `start` to `stop`: uint8 [t, *shape], or [t, K] of neurons by flat number.

        Raises ConfigError for a layer that is not there, or was not recorded.
        """
        own = self._recorded(layer)
        packed = self.between(SPIKES + layer, start, stop)
        if neurons is not None:
            numbers = numbers_in(own, neurons)
            if own.kind == "counts":
                return np.concatenate([x[:, numbers] for x in packed])
            return np.concatenate([(x[:, numbers // 8] >> (7 - numbers % 8).astype(np.uint8)) & 1 for x in packed])
        rows = np.concatenate(packed)
        flat = rows if own.kind == "counts" else np.unpackbits(rows, axis=1, count=own.size)
        return flat.reshape(len(flat), *own.shape)

    def packed(self, layer: str) -> np.ndarray:
        """As it is kept: uint8 [T, bytes], bits as of `numpy.packbits`; of Integer-LIF a byte a neuron."""
        self._recorded(layer)
        return self._all(SPIKES + layer)

    def events(
        self, layer: str, start: int = 0, stop: int | None = None, neurons: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frame and flat number of every neuron that fired, int64 [n] each, in order of time."""
        found = self.spikes(layer, start, stop, neurons)
        frame, neuron = np.nonzero(found.reshape(len(found), -1))
        return frame + start, neuron if neurons is None else np.asarray(neurons)[neuron]

    def picture_of(
        self, layer: str, start: int = 0, stop: int | None = None, *, rows: int = 256, columns: int = 1024
    ) -> np.ndarray:
        """float32 [at most rows, at most columns]: mean spikes of neighbouring neurons and frames, thinned evenly."""
        own = self._recorded(layer)
        return picture(own, self.between(SPIKES + layer, start, stop), rows, columns)

    def membranes(self, layer: str) -> Membranes:
        """Membranes of the neurons that were chosen. Raises ConfigError where none were."""
        if MEMBRANES + layer not in self.parts[0]:
            have = [name.removeprefix(MEMBRANES) for name in self.parts[0] if name.startswith(MEMBRANES)]
            said = f"membranes are of {', '.join(have)}" if have else f'trace with neurons={{"{layer}": 8}}'
            raise ConfigError(f"no membranes of {layer!r} were recorded; {said}")
        charged, after = self._all(MEMBRANES + layer).transpose(1, 0, 2)
        return Membranes(
            layer=self.layers[layer],
            neurons=np.array(self.parts[0][f"numbers/{layer}"]),
            charged=charged,
            after=after,
            spikes=self._all(FIRED + layer),
        )

    def attention(self, token: Token, layer: str | None = None) -> Row:
        """What a token (frame, y, x) of the grid looks at; `layer` is a name of `attentions`, None the last.

        Raises ConfigError for a model without one, a token that is not there, and where q and k were not recorded.
        """
        if not self.attentions:
            raise ConfigError("this network has no attention of spikes to look at")
        name = next(reversed(self.attentions)) if layer is None else layer
        if name not in self.attentions:
            raise unknown_key(name, self.attentions, "attention")
        own, sizes = self.attentions[name], (len(self), *self.attentions[name].grid)
        if len(token) != 3 or any(not 0 <= i < n for i, n in zip(token, sizes, strict=True)):
            raise ConfigError(f"token {tuple(token)} is not there: {name} has (frame, y, x) below {sizes}")
        since = int(max(self.starts[self.starts <= token[0]], default=0))
        later = self.starts[self.starts > token[0]]
        before = 0 if since in self.starts else self.about.before
        until = int(later[0]) if len(later) else len(self)
        return row(own, token, self.spikes, since=since, until=until, before=before)

    def energy(self, cost: str = "paper", *, ann: bool = False) -> np.ndarray:
        """float64 [T]: millijoules of each frame under a cost model; ann: of the same network as an ANN.

        Raises ConfigError where energy was not counted.
        """
        if ann:
            return self._all("ann")[:, self._cost(cost)] * 1e-9
        return np.array([sum(x) * 1e-9 for x in self._all("energy")[:, self._cost(cost)].tolist()])

    def energy_parts(self, cost: str = "paper") -> dict[str, np.ndarray]:
        """{part: float64 [T] mJ}: mac, ac, attention, neurons, memory."""
        return dict(zip(PARTS, self._all("energy")[:, self._cost(cost)].T * 1e-9, strict=True))

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        """{name: [A, ...]}, one entry for each of `answered`: logits of classes, parts of a pose, or masks."""
        names = [name.removeprefix(OUTPUT) for name in self.parts[0] if name.startswith(OUTPUT)]
        return {name: self._all(OUTPUT + name) for name in names}

    @cached_property
    def answered(self) -> np.ndarray:
        """int64 [A]: frames that there is an output of; of classes all frames so far, or the clip that ends there."""
        lengths = np.cumsum([0, *(len(part["rates"]) for part in self.parts)])
        return np.concatenate([part["answered"] + n for part, n in zip(self.parts, lengths, strict=False)])

    @property
    def probabilities(self) -> np.ndarray | None:
        """float64 [A, classes] after each frame of `answered`; None for other tasks."""
        if "logits" not in self.outputs:
            return None
        return torch.from_numpy(np.array(self.outputs["logits"])).double().softmax(1).numpy()

    @property
    def label(self) -> str | None:
        """The most probable class at the end; None for other tasks."""
        found = self.probabilities
        return None if found is None else self.classes[int(found[-1].argmax())]

    def part(self, start: int = 0, stop: int | None = None) -> Self:
        """A trace of some of the frames; nothing is copied. Raises ConfigError for no frames."""
        start, stop, _ = slice(start, stop).indices(len(self))
        if start >= stop:
            raise ConfigError(f"frames {start} to {stop} of {len(self)} are none")
        parts, first = [], 0
        for part in self.parts:
            length = len(part["rates"])
            a, b = max(start - first, 0), min(stop - first, length)
            if a < b:
                parts.append(cut(part, a, b))
            first += length
        since = self.starts[self.starts <= start]
        before = start - int(since[-1]) if len(since) else self.about.before + start
        return type(self)(replace(self.about, before=before), parts)

    @classmethod
    def joined(cls, traces: Iterable["Trace"]) -> "Trace":
        """Traces of frames that follow each other as one; nothing is copied.

        Raises ConfigError for none, and for traces of other networks or layers.
        """
        parts: list[store.Arrays] = []
        notes: dict[str, None] = {}
        first: About | None = None
        for x in traces:
            first = x.about if first is None else first
            if (x.about.weights, x.about.layers, x.about.costs) != (first.weights, first.layers, first.costs):
                raise ConfigError("traces of other weights or layers do not follow each other; trace them alike")
            # of the states before the last one nobody will ask
            parts[-1:] = map(stateless, parts[-1:])
            parts += [*map(stateless, x.parts[:-1]), x.parts[-1]]
            notes |= dict.fromkeys(x.about.notes)
        if first is None:
            raise ConfigError("there is no trace to join; give at least one")
        return cls(replace(first, notes=tuple(notes)), parts)

    def without_state(self) -> Self:
        """The same without the state, which may be larger than all the rest."""
        return type(self)(self.about, [*self.parts[:-1], stateless(self.parts[-1])])

    def with_state(self, state: State) -> Self:
        """The same with another state after its last frame."""
        flat = {STATE + name: plain(x) for name, x in state.flat().items()}
        return type(self)(self.about, [*self.parts[:-1], {**stateless(self.parts[-1]), **flat}])

    def save(self, path: str | PathLike) -> None:
        """Write one safetensors file, whole or not at all. Raises OSError where it cannot be written."""
        lengths = np.cumsum([0, *(len(part["rates"]) for part in self.parts)])
        arrays = {name: [part[name] for part in self.parts] for name in self.parts[0] if not of_end(name)}
        arrays |= {name: [x] for name, x in self.parts[-1].items() if name.startswith(STATE)}
        arrays |= {name: [x] for name, x in self.parts[0].items() if name.startswith("numbers/")}
        arrays["answered"] = [part["answered"] + n for part, n in zip(self.parts, lengths, strict=False)]
        store.write(str(path), arrays, to_json(self.about))

    @classmethod
    def load(cls, path: str | PathLike) -> "Trace":
        """Open a file of `save`; nothing is read before it is looked at. Raises DataError for any other file."""
        arrays, about = store.read(str(path))
        if "rates" not in arrays:
            raise DataError(f"{path}: is a trace of another version; trace the clip again")
        return cls(from_json(about, str(path)), [arrays])

    def between(self, name: str, start: int = 0, stop: int | None = None) -> list[np.ndarray]:
        """An array in frames `start` to `stop`, in the parts in which it lies; nothing is copied."""
        start, stop, _ = slice(start, stop).indices(len(self))
        found, first = [], 0
        for part in self.parts:
            length = len(part["rates"])
            a, b = max(start - first, 0), min(stop - first, length)
            if a < b:
                found.append(part[name][a:b])
            first += length
        return found or [self.parts[0][name][:0]]

    def _all(self, name: str) -> np.ndarray:
        arrays = [part[name] for part in self.parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def _recorded(self, layer: str) -> Layer:
        if layer not in self.layers:
            raise unknown_key(layer, self.layers, "layer")
        if not self.layers[layer].recorded:
            raise ConfigError(f"of {layer!r} rates alone were recorded; trace with layers=[{layer!r}]")
        return self.layers[layer]

    def _cost(self, cost: str) -> int:
        if not self.about.costs:
            raise ConfigError("energy was not counted; trace with energy=True")
        if cost not in self.about.costs:
            raise unknown_key(cost, self.about.costs, "cost model")
        return self.about.costs.index(cost)
