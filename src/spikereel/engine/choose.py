"""Which engine runs a model: the one asked for, or the best there is."""

from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

from torch import Tensor

from spikereel.engine.engine import Engine, compile
from spikereel.engine.loaded import available, stale
from spikereel.errors import ConfigError
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.layers.state import State
from spikereel.models.base import VideoModel

Choice = Literal["auto", "reference", "native"]


class Reference:
    """The model itself, with a name for what ran."""

    name = "reference"

    def __init__(self, model: VideoModel, why: str = "it was asked for"):
        self.model = model
        self.why = why
        """Why it is not the native engine."""

    def __call__(self, video: Tensor, state: State | None = None) -> tuple[Any, State]:
        """`model(video, state)`."""
        return self.model(video, state)

    @property
    def front(self) -> VideoModel:
        """The model itself; see `Engine.front`."""
        return self.model

    def firing_rates(self) -> AbstractContextManager[FiringRates]:
        """Collect the firing rates of every neuron inside the block."""
        return firing_rates(self.model)


def engine_for(model: VideoModel, choice: Choice = "auto", *, threads: int | None = None) -> Engine | Reference:
    """What to call in place of the model; its `name` says which engine runs.

    auto: native kernels where the installation has them and they know the model, otherwise the model itself (`why`).
    Raises ConfigError for a choice that does not exist, and for `native` where that cannot be.
    """
    if choice not in get_args(Choice):
        raise ConfigError(f"engine {choice!r} does not exist; choose one of {', '.join(get_args(Choice))}")
    if choice == "reference":
        return Reference(model)
    if choice == "auto" and not available():
        return Reference(model, stale() or "this installation has no native engine")
    try:
        engine = compile(model, threads=threads)
    except ConfigError as error:
        if choice == "native":
            raise
        return Reference(model, str(error))
    engine.asked_for = choice == "native"
    return engine
