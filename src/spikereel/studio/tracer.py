"""Traces of the windows of a source: what is alike in all of them is found out once."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from spikereel.models.base import VideoModel
from spikereel.tracing import Options, Trace, pieces
from spikereel.tracing.about import About
from spikereel.tracing.choose import Chosen, numbers_of
from spikereel.tracing.clips import clip_of
from spikereel.tracing.make import Tracing, piece_of

SPREAD = 3
"""Neurons of each layer, spread evenly, whose membranes are always kept."""


@dataclass
class Tracer:
    """A model, and how its windows are traced."""

    model: VideoModel
    memory: int
    """Bytes of one trace; layers that are too large keep their rates alone."""
    _about: About | None = None

    def __call__(self, clip: Tensor | str, **more: Any) -> Trace:
        """The whole trace of a window: a clip [T, 1, C, H, W], or a path with `frames`."""
        options = Options(neurons=SPREAD, fit="reduce", memory=self.memory, pictures=False, **more)
        if self._about is None or not isinstance(clip, Tensor) or clip.shape[2:] != self._about.frame:
            made = Trace.joined(pieces(self.model, clip, options))
            self._about = made.about if isinstance(clip, Tensor) else None
            return made
        return self._again(clip, self._about, options, SPREAD)

    def membranes(self, clip: Tensor | str, layer: str, neurons: Chosen, **more: Any) -> Trace:
        """A trace of a window with membranes of chosen neurons of one layer, and nothing else that costs."""
        chosen = {layer: neurons}
        options = Options(neurons=chosen, layers=(), energy=False, memory=self.memory, pictures=False, **more)
        if self._about is None or not isinstance(clip, Tensor):
            return Trace.joined(pieces(self.model, clip, options))
        rates_alone = replace(
            self._about, costs=(), layers=tuple(replace(x, recorded=False) for x in self._about.layers)
        )
        return self._again(clip, rates_alone, options, chosen)

    def _again(self, clip: Tensor, about: About, options: Options, neurons: Any) -> Trace:
        kept = {x.name for x in about.layers if x.recorded}
        numbers: dict[str, np.ndarray] = numbers_of(about.layers, neurons, kept)
        source = clip_of(self.model, clip, None, piece_of(self.model, None))
        return Trace.joined(Tracing(model=self.model, about=about, numbers=numbers, options=options).over(source))
