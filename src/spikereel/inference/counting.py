"""What a run costs, whichever engine it runs on."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from spikereel.energy import Passport, metering
from spikereel.energy.rates import estimate
from spikereel.engine.engine import Engine
from spikereel.hub import weights_hash
from spikereel.layers.observe import FiringRates
from spikereel.models.base import VideoModel

NOTE = "counted from the firing rates that the native engine measured"


class Run(Protocol):
    """Clips that go through a model while they are counted."""

    def begin(self, clip: Tensor) -> None:
        """A clip comes next; for those who call parts of the model."""
        ...

    def passport(self) -> Passport:
        """What was counted, per clip."""
        ...


@contextmanager
def counting(model: VideoModel) -> Generator[Run, None, None]:
    """Counts what a model does inside the block: `metering`, which runs its modules; where the native engine was asked
    for by name, `model` being its front, the engine runs and the count is that of its firing rates."""
    engine = engine_of(model)
    if engine is None or not engine.asked_for:
        with metering(model) as run:
            yield run
        return
    with torch.no_grad(), engine.firing_rates() as rates:
        run = _ByRates(engine.model, rates)
        hook = model.register_forward_pre_hook(lambda _model, inputs: run.begin(inputs[0]))
        try:
            yield run
        finally:
            hook.remove()


def engine_of(model: VideoModel) -> Engine | None:
    """The native engine whose front this is."""
    return getattr(model, "engine", None)


def ran_on(model: VideoModel, *, counted: bool) -> str:
    """Name of what ran a model, everything it did being counted or not."""
    engine = engine_of(model)
    return "reference" if engine is None or (counted and not engine.asked_for) else engine.name


class _ByRates:
    def __init__(self, model: VideoModel, rates: FiringRates):
        self.model, self.rates = model, rates
        self.shape: tuple[int, int, int, int] | None = None

    def begin(self, clip: Tensor) -> None:
        frames, _, channels, height, width = clip.shape
        self.shape = frames, channels, height, width

    def passport(self) -> Passport:
        assert self.shape is not None
        rates = {name: x.tolist() for name, x in self.rates.items()}
        return estimate(self.model, rates, clip=self.shape, weights=weights_hash(self.model), notes=(NOTE,))
