"""What a peer is: a name, an environment, and `build(model, clip)`, which gives something to call with a clip."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel.models.base import VideoModel

REQUIREMENTS = Path(__file__).parent / "requirements"
TRIALS = 3
"""Calls of each candidate when a peer chooses its fastest setting."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """A peer ready to run: `output = built(clip)` for a clip [T, B, C, H, W], from a fresh state at every call."""

    run: Callable[[Tensor], Tensor]
    settings: dict[str, Any] = field(default_factory=dict)
    """How it runs, for the record: memory format, quantisation, seconds that compiling took."""

    def __call__(self, clip: Tensor) -> Tensor:
        return self.run(clip)


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another way to compute what our model computes, or what its twin of ReLU neurons does."""

    name: str
    what: str
    build: Callable[[VideoModel, Tensor], Built]
    """From the model in evaluation mode and a clip of the shape to come. Threads are those torch is set to."""
    tolerance: float | None
    """Largest difference of an output from that of our model, in shares of the largest output, on the timed clip; None
    where `build` looks at every spike of that clip instead."""
    artificial: bool = False
    """Whether `build` takes the twin of ReLU neurons in place of the spiking model."""
    exact: bool = False
    """Whether `build` also takes a model in float64, and then has to agree with it to rounding."""
    environment: str | None = None
    """File of pinned packages in requirements/; None where torch is enough."""

    def pins(self) -> dict[str, str]:
        """{distribution: version} that this peer is measured with."""
        if self.environment is None:
            return {}
        lines = (REQUIREMENTS / f"{self.environment}.txt").read_text().splitlines()
        return dict(line.split("==") for line in lines if line and not line.startswith("#"))

    def missing(self) -> str | None:
        """Why this environment cannot run the peer, with the way out; None where it can."""
        for name, wanted in self.pins().items():
            found = _installed(name)
            if found != wanted:
                return (
                    f"peer {self.name} needs {name}=={wanted}, here is {found or 'none'}; "
                    f"benchmarks/peers/environments.sh makes the environment {self.environment!r}"
                )
        return None

    def versions(self) -> dict[str, str]:
        """Versions in force of what the peer runs on."""
        return {"torch": version("torch"), **{name: _installed(name) or "none" for name in self.pins()}}


def fastest(candidates: dict[str, Callable[[Tensor], Tensor]], clip: Tensor) -> Built:
    """The candidate with the shortest of a few calls, after one to warm up; all their times are in the settings."""
    seconds = {}
    for label, run in candidates.items():
        run(clip)
        seconds[label] = min(_seconds(run, clip) for _ in range(TRIALS))
    best = min(seconds, key=seconds.__getitem__)
    return Built(run=candidates[best], settings={"chosen": best, "trials": seconds})


def without_gradients(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same callable in inference mode."""

    def run(clip: Tensor) -> Tensor:
        with torch.inference_mode():
            return model(clip)

    return run


def _seconds(run: Callable[[Tensor], Tensor], clip: Tensor) -> float:
    started = time.perf_counter()
    run(clip)
    return time.perf_counter() - started


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
