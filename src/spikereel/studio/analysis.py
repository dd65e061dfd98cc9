"""A network on a source, window by window, nearest to where somebody looks first."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikereel.energy.costs import COSTS
from spikereel.errors import DataError, SpikereelError
from spikereel.models.base import VideoModel
from spikereel.studio.opened import Opened
from spikereel.studio.recorded import Recorded
from spikereel.studio.tracer import Tracer
from spikereel.studio.turns import Turns
from spikereel.studio.windows import Windows
from spikereel.tracing import Trace

MEMORY = 384 << 20
"""Bytes of traces that are kept; beyond it the spikes of the windows that were not looked at for longest are forgotten,
and counted again when they are asked for. Rates, answers and energies of all windows stay."""

MOST_MEMBRANES = 256
"""Windows whose membranes of chosen neurons are kept."""


@dataclass
class Analysis:
    """What one network makes of one source. `step` computes; all else may be called from any thread."""

    id: str
    model: VideoModel | Recorded
    weights: str
    """As they were asked for."""
    opened: Opened
    windows: Windows
    found: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What a page shows of each window, in plain types."""
    order: list[int] = field(default_factory=list)
    """Windows in the order in which they were found."""
    about: dict[str, Any] = field(default_factory=dict)
    """Layers and classes, known with the first window."""
    turns: Turns = field(default_factory=Turns)
    playhead: int = 0
    fault: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    tracer: Tracer | Recorded = field(init=False)
    _traces: "OrderedDict[int, Trace]" = field(default_factory=OrderedDict)
    _membranes: "OrderedDict[tuple[int, str, tuple[int, ...]], Trace]" = field(default_factory=OrderedDict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.tracer = self.model if isinstance(self.model, Recorded) else Tracer(self.model, MEMORY // 2)

    @property
    def spans(self) -> Sequence[tuple[int, int]]:
        """Frames of each window."""
        return self.windows.spans

    @property
    def done(self) -> bool:
        """Whether nothing is left to compute now."""
        if self.fault is not None or not self.spans:
            return True
        return len(self.found) >= len(self.spans) and self.window_at(self.playhead) in self._traces

    def window_at(self, frame: int) -> int:
        """The window that a frame lies in, 0 before the first."""
        starts = [first for first, _ in self.spans]
        return max(int(np.searchsorted(starts, frame, side="right")) - 1, 0)

    def step(self) -> bool:
        """Compute the next window: the one looked at, those behind it, then those before it. False if none is left."""
        here, count = self.window_at(self.playhead), len(self.spans)
        order = (*range(here, count), *range(here - 1, -1, -1))
        forgotten = here < count and here in self.found and here not in self._traces
        wanted = here if forgotten else next((n for n in order if n not in self.found), None)
        if wanted is None or self.fault is not None:
            return False
        try:
            with self.turns.later():
                self.trace(wanted)
        except SpikereelError as error:
            self.fail(str(error))
            return False
        return True

    def fail(self, reason: str) -> None:
        """Nothing more comes, and why."""
        with self.changed:
            self.fault = " ".join(reason.split())
            self.changed.notify_all()

    def wait(self, seen: int, seconds: float) -> None:
        """Until there are more results than were seen, or a fault, at most so long."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.order) > seen or self.fault is not None, seconds)

    def trace(self, number: int) -> Trace:
        """The trace of a window, computed where it is not kept. Raises DataError for a window that is none."""
        if not 0 <= number < len(self.spans):
            raise DataError(f"there are {len(self.spans)} windows, {number} is none")
        known = self.kept(number)
        if known is not None:
            return known
        # nobody who only looks waits for a network
        with self.turns.now():
            known = self.kept(number)
            if known is not None:
                return known
            made, frames = self._traced(number)
        with self._lock:
            self._traces[number] = made
            self._forget()
        self._tell(number, made, frames)
        return made

    def _traced(self, number: int) -> tuple[Trace, Sequence[int]]:
        """The trace of a window, and the frames of its steps."""
        try:
            clip, more, frames = self.windows.given(number)
            # every window begins at rest: its last state is larger than its spikes, and nobody asks for it
            made = self.tracer(clip, **more).without_state()
        except SpikereelError as error:
            raise DataError(self.opened.named(error)) from None
        return made, made.frames.tolist() if frames is None else list(frames)

    def membranes(self, number: int, layer: str, neurons: Sequence[int]) -> dict[str, Any]:
        """Membranes of neurons in a window, before and after the reset, [T][K] each; counted anew where the neurons are
        others than those that are kept. Raises ConfigError for a layer or a neuron that is not there."""
        made = self.trace(number)
        known = made.membranes(layer).neurons.tolist() if layer in made.layers else []
        if not set(neurons) <= set(known):
            key = number, layer, tuple(neurons)
            with self.turns.now():
                if key not in self._membranes:
                    clip, more, _ = self.windows.given(number)
                    self._membranes[key] = self.tracer.membranes(clip, layer, neurons, **more)
                    while len(self._membranes) > MOST_MEMBRANES:
                        self._membranes.popitem(last=False)
                made = self._membranes[key]
        found = made.membranes(layer)
        columns = [found.neurons.tolist().index(n) for n in neurons or known]
        return {
            "neurons": list(neurons or known),
            "threshold": found.layer.threshold,
            "charged": np.round(found.charged[:, columns].astype(float), 4).tolist(),
            "after": np.round(found.after[:, columns].astype(float), 4).tolist(),
            "spikes": found.spikes[:, columns].tolist(),
        }

    def kept(self, number: int) -> Trace | None:
        """The trace of a window where it is there."""
        with self._lock:
            if number in self._traces:
                self._traces.move_to_end(number)
            return self._traces.get(number)

    def _forget(self) -> None:
        if isinstance(self.tracer, Recorded):
            # lies in a file, and is read where it is looked at
            return
        while sum(x.bytes for x in self._traces.values()) > MEMORY and len(self._traces) > 1:
            self._traces.popitem(last=False)

    def _tell(self, number: int, made: Trace, frames: Sequence[int]) -> None:
        with self.changed:
            if number not in self.found:
                self.about = self.about or about(made)
                first, stop = self.spans[number]
                self.found[number] = {
                    "number": number,
                    "first": first,
                    "stop": stop,
                    "windows": len(self.spans),
                    **said(made, frames),
                }
            # said again of a window whose spikes had been forgotten, so that a page asks for them again
            self.order.append(number)
            self.changed.notify_all()

    @property
    def classes(self) -> list[str]:
        """Names of the classes, or numbers; none of a model without classes."""
        count = getattr(self.model.config, "num_classes", 0)
        return list(self.model.metadata.classes) or [f"class {i}" for i in range(count)]

    def to_json(self) -> dict[str, Any]:
        """What a page must know before any window."""
        return {
            "id": self.id,
            "weights": self.weights,
            "model": self.model.metadata.name,
            "task": self.model.task,
            "classes": self.classes,
            "source": self.opened.id,
            "box": self.windows.box,
            "windows": len(self.spans),
            "found": len(self.found),
            "fault": self.fault,
            **self.about,
        }


def about(made: Trace) -> dict[str, Any]:
    """What all windows have in common."""
    return {
        "layers": [
            {"name": x.name, "kind": x.kind, "shape": list(x.shape), "size": x.size, "recorded": x.recorded}
            for x in made.layers.values()
        ],
        "attentions": [
            {"name": x.name, "scheme": x.scheme, "similarity": x.similarity, "heads": x.heads, "grid": list(x.grid)}
            for x in made.attentions.values()
        ],
        "costs": {
            name: {"title": x.title, "source": x.source, "assumptions": list(x.assumptions)}
            for name, x in COSTS.items()
            if name in made.about.costs
        },
        "steps": len(made),
        "notes": list(made.notes),
    }


def said(made: Trace, frames: Sequence[int]) -> dict[str, Any]:
    """What a page shows of one window: a value for each of its steps."""
    probabilities = made.probabilities
    return {
        "frames": [int(n) for n in frames],
        "answered": made.answered.tolist(),
        "probabilities": None if probabilities is None else np.round(probabilities, 5).tolist(),
        "rates": {name: np.round(rate, 5).tolist() for name, rate in made.rates.items()},
        "energy": {cost: [float(f"{x:.6g}") for x in made.energy(cost)] for cost in made.about.costs},
    }
