"""How a stream is doing: rates, latencies by stage, firing and energy, as numbers that a panel or a server shows."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.energy import measure, metering
from spikereel.layers.state import State
from spikereel.streaming.fronts import model_of
from spikereel.streaming.modes import FrameByFrame
from spikereel.streaming.session import Session

STAGES = ("wait", "see", "model", "sinks", "age")
"""In the queue; made ready for the network; the network; drawing and writing; all from arrival to answer."""
KEPT = 1000
"""Latencies that percentiles are of."""
WINDOW = 5.0
"""Seconds that rates are of."""


class Rate:
    """Events a second over the last seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=4096)

    def add(self, now: float) -> None:
        """One event."""
        self._times.append(now)

    def value(self, now: float) -> float:
        """Events a second; 0 before the second one."""
        while len(self._times) > 1 and now - self._times[0] > WINDOW:
            self._times.popleft()
        span = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return (len(self._times) - 1) / span if span else 0.0


class Latency:
    """Seconds of one stage."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """One more."""
        self._kept.append(seconds)

    def percentiles(self) -> dict[str, float]:
        """{"p50": ms, "p95": ms, "p99": ms}; empty before the first."""
        if not self._kept:
            return {}
        return dict(zip(("p50", "p95", "p99"), (1e3 * np.percentile(self._kept, (50, 95, 99))).tolist(), strict=True))


@dataclass(kw_only=True)
class Vital:
    """Of one source."""

    latency: dict[str, Latency] = field(default_factory=lambda: {stage: Latency() for stage in STAGES})
    arrived: Rate = field(default_factory=Rate)
    answered: Rate = field(default_factory=Rate)
    answers: int = 0
    errors: int = 0
    last_error: str = ""
    declared: float = 0.0
    """Frames a second by the source's own times."""
    rate: float | None = None
    """Firing rate of all neurons, weighted by the operations that it drives."""
    mj_per_frame: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        now = time.monotonic()
        fps = self.answered.value(now)
        energy = None if self.mj_per_frame is None else self.mj_per_frame * fps
        return {
            "frames_per_second": {
                "declared": round(self.declared, 3),
                "arrived": round(self.arrived.value(now), 3),
                "answered": round(fps, 3),
            },
            "latency_ms": {
                stage: {name: round(ms, 3) for name, ms in x.percentiles().items()} for stage, x in self.latency.items()
            },
            "answers": self.answers,
            "errors": self.errors,
            "last_error": self.last_error,
            "firing_rate": self.rate,
            "mj_per_frame": self.mj_per_frame,
            "mj_per_second": energy,
        }


def metered(session: Session, video: Tensor) -> tuple[float, float]:
    """(firing rate, millijoules a frame, as the papers count) of the last frame [1, 1, C, H, W] once more, from the
    state before it; by the model itself, also where an engine runs it."""
    mode, model = session.mode, model_of(session.mode.network)
    if isinstance(mode, FrameByFrame):
        with metering(model) as run:
            model(video, State(session.state.get("model") or {}))
        passport = run.passport()
        return passport.mean_rate, passport.energy_mj("paper")
    passport = measure(model, video.expand(mode.window, *video.shape[1:]).contiguous())
    frames = getattr(mode, "hop", mode.window)
    return passport.mean_rate, passport.energy_mj("paper") / frames


def declared_rate(times: list[float]) -> float:
    """Frames a second by rising times; 0 for fewer than two."""
    span = times[-1] - times[0] if len(times) > 1 else 0.0
    return (len(times) - 1) / span if span > 0 else 0.0


def threads() -> int:
    """Threads of the network."""
    return torch.get_num_threads()
