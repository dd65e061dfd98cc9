"""Traces that were written before, as sources: what a network saw, and all that was found of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikereel.errors import ConfigError
from spikereel.hub import Metadata
from spikereel.inference.frames import Frames, info_of, to_pictures
from spikereel.tracing import Trace

SUFFIXES = frozenset({".trace", ".safetensors"})
"""Endings of files that are opened as traces."""

FRAMES = 64
"""Of a window."""

BLANK = (3, 64, 64)
"""Size of the frames of a trace that kept no pictures."""


def frames_of(trace: Trace, name: str) -> Frames:
    """The pictures that a trace kept, numbered from 0; black ones where it kept none."""
    kept = trace.pictures
    shape = BLANK if kept is None else kept.shape[1:]

    def read(indices: Sequence[int], _each: Any = None) -> torch.Tensor:
        found = np.zeros((len(indices), *shape), np.uint8) if kept is None else kept[list(indices)]
        return torch.from_numpy(np.array(found))

    info = info_of((len(trace), *shape), "trace", _rate(trace))
    return Frames(name=name, info=info, channels=3, numbers=range(len(trace)), reader=read, paint=to_pictures)


def notes_of(trace: Trace) -> tuple[str, ...]:
    """What a person must know of it."""
    where = f"frames {trace.frames[0]} to {trace.frames[-1]} of {Path(trace.source).name}"
    kept = () if trace.pictures is not None else ("the trace kept no pictures",)
    return (f"a trace of {trace.model or 'a network'} on {where}", *kept, *trace.notes)


def _rate(trace: Trace) -> float:
    """Frames a second, 0.0 where they are not shown at equal steps."""
    steps = np.diff(trace.times) if trace.times is not None else np.empty(0)
    return float(1 / steps.mean()) if len(steps) and np.ptp(steps) < 0.01 * steps.mean() else 0.0


@dataclass
class Recorded:
    """A trace in the place of a network, its tracer and its windows; nothing is computed."""

    trace: Trace

    @property
    def task(self) -> str:
        """What the output is."""
        return self.trace.task

    @property
    def metadata(self) -> Metadata:
        """The name of the network, and its classes."""
        given = self.trace.classes
        if not given and self.trace.probabilities is not None:
            given = tuple(f"class {i}" for i in range(self.trace.probabilities.shape[1]))
        return Metadata(name=self.trace.model, classes=given)

    @property
    def config(self) -> None:
        """That of the network is not kept in a form that is needed here."""

    @property
    def spans(self) -> list[tuple[int, int]]:
        """See `Windows`."""
        total = len(self.trace)
        return [(first, min(first + FRAMES, total)) for first in range(0, total, FRAMES)]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """See `Windows`: all of the picture, which is what the network saw."""
        pictures = self.trace.pictures
        height, width = BLANK[1:] if pictures is None else pictures.shape[2:]
        return 0.0, 0.0, float(width), float(height)

    def given(self, number: int) -> tuple[Trace, dict[str, Any], Sequence[int]]:
        """See `Windows`."""
        first, stop = self.spans[number]
        return self.trace.part(first, stop), {}, range(first, stop)

    def __call__(self, part: Trace, **_: Any) -> Trace:
        """See `Tracer`."""
        return part

    def membranes(self, _part: Trace, layer: str, _neurons: Any, **_: Any) -> Trace:
        """See `Tracer`. Raises ConfigError: what was not kept is gone."""
        numbers = self.trace.membranes(layer).neurons.tolist()
        raise ConfigError(f"this trace kept membranes of the neurons {', '.join(map(str, numbers))} alone")
