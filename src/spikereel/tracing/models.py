"""Two networks on the same clips: where they part, and on which clips they disagree."""

from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, Self

from spikereel.errors import ConfigError
from spikereel.hub import load_model
from spikereel.models.base import VideoModel
from spikereel.tracing.clips import Span
from spikereel.tracing.compare import Difference, compare, tensors_apart
from spikereel.tracing.make import trace
from spikereel.tracing.traces import Trace
from spikereel.versions import provenance


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What two networks did on some clips."""

    names: tuple[str, str]
    differences: tuple[Difference, ...]
    """One a clip."""
    traces: tuple[Trace, Trace]
    """Of the first clip on which they disagree, or of the first one."""
    shown: Difference
    """Of that clip."""
    tensors: tuple[str, ...] = ()
    """Names of the weights that differ."""

    @property
    def disagreed(self) -> tuple[Difference, ...]:
        """The clips on which the answers differ."""
        return tuple(x for x in self.differences if x.answers_differ)

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        clips = [x.to_json() for x in self.differences]
        return {
            "a": self.names[0],
            "b": self.names[1],
            "weights": [x.weights for x in self.traces],
            "tensors": list(self.tensors),
            "answers_differ": [x.source for x in self.disagreed],
            "settings": {name: list(x) for name, x in self.shown.settings.items()},
            "clips": [{name: x for name, x in clip.items() if name != "settings"} for clip in clips],
            **provenance(),
        }


@dataclass(kw_only=True)
class Models:
    """Two networks that go from clip to clip; traces of one clip alone are kept."""

    a: VideoModel
    b: VideoModel
    names: tuple[str, str]
    differences: list[Difference] = field(default_factory=list)
    kept: tuple[Trace, Trace, Difference] | None = None

    @classmethod
    def load(cls, a: str | PathLike, b: str | PathLike, *, names: tuple[str, str] | None = None) -> Self:
        """Weights by name or path. Raises WeightsError for what is none, ConfigError for networks of two tasks."""
        one, other = load_model(fspath(a)), load_model(fspath(b))
        if one.task != other.task:
            raise ConfigError(f"{a} is for {one.task}, {b} for {other.task}; give two of one task")
        return cls(a=one, b=other, names=names or (fspath(a), fspath(b)))

    def on(self, clip: str | PathLike, *, frames: Span = None) -> Difference:
        """Trace both on a clip and say what differs; layers that are too large are compared by their rates.

        Raises as `trace` and `compare`.
        """
        a, b = (trace(model, clip, frames=frames, fit="reduce") for model in (self.a, self.b))
        found = compare(a, b)
        self.differences.append(found)
        if self.kept is None or (found.answers_differ and not self.kept[2].answers_differ):
            self.kept = a, b, found
        return found

    def found(self) -> Compared:
        """All clips together. Raises ConfigError where there was none."""
        if self.kept is None:
            raise ConfigError("there is no clip to compare on; give one")
        a, b, shown = self.kept
        return Compared(
            names=self.names,
            differences=tuple(self.differences),
            traces=(a, b),
            shown=shown,
            tensors=tensors_apart(self.a, self.b),
        )
