"""Smoothing of poses and masks over time, frame by frame."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from spikereel.errors import ConfigError
from spikereel.layers.state import State
from spikereel.models.base import Task
from spikereel.tasks.smoothing import one_euro_step

Smooth = Literal["one_euro", "decay"]
FOR: dict[str, Task] = {"one_euro": "pose", "decay": "segmentation"}
USUAL_RATE = 30.0
"""Frames a second, where no times are given."""
USUAL_SPAN = 3.0
"""Frames: time constant of masks."""


def usual_smoothing(task: Task) -> Smooth | None:
    """What smooths the answers of a task; None for classes, which have a readout."""
    return next((name for name in get_args(Smooth) if FOR[name] == task), None)


@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """What is done to the answers of a mode, in their order: `outputs, state = smoothing(answers, times, state)`."""

    kind: Smooth | None = None
    span: float = USUAL_SPAN

    @classmethod
    def of(cls, kind: Smooth | None, task: Task, span: float | None) -> "Smoothing":
        """Raises ConfigError for a kind that does not exist or is for another task."""
        if kind is not None and FOR.get(kind) != task:
            own = [name for name, owner in FOR.items() if owner == task]
            raise ConfigError(f"smooth {kind!r} is not for {task}; choose {own[0] if own else 'a readout'}")
        if span is not None and not (span > 0 and math.isfinite(span)):
            raise ConfigError(f"span is {span}: give frames above 0")
        return cls(kind=kind, span=span or USUAL_SPAN)

    def __call__(
        self, answers: list[tuple[int, Any]], times: list[float] | None, state: State
    ) -> tuple[list[Any], State]:
        """The outputs alone, smoothed."""
        outputs = [x for _, x in answers]
        if self.kind is None or not outputs:
            return outputs, state
        after, out = State(state), []
        known = dict(after.get("smooth", {}))
        for position, x in answers:
            now = None if times is None or position < 0 else times[position]
            y, known = (self._pose if self.kind == "one_euro" else self._mask)(x, known, now)
            out.append(y)
        after["smooth"] = known
        return out, after

    def _pose(self, pose: Any, known: dict[str, Tensor], now: float | None) -> tuple[Any, dict[str, Tensor]]:
        rate = USUAL_RATE
        if now is not None and "time" in known:
            rate = 1.0 / max(now - float(known["time"]), 1e-6)
        parts, after = [], {} if now is None else {"time": torch.tensor(now, dtype=torch.float64)}
        for name, x in zip(pose._fields, pose, strict=True):
            before = (known[f"{name}_out"], known[f"{name}_speed"]) if f"{name}_out" in known else None
            y, (after[f"{name}_out"], after[f"{name}_speed"]) = one_euro_step(x, before, rate)
            parts.append(y)
        return type(pose)(*parts), after

    def _mask(self, logits: Tensor, known: dict[str, Tensor], _: float | None) -> tuple[Tensor, dict[str, Tensor]]:
        """Logarithms of probabilities that fade into each other, so that their softmax is the smoothed one."""
        now = logits.softmax(1)
        share = 1.0 - math.exp(-1.0 / self.span)
        mean = torch.lerp(known["mean"], now, share) if "mean" in known else now
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log(), {"mean": mean}
