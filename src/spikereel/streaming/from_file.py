"""An exported file behind a stream: the runtime computes, the session owns the state, as for the model itself."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from spikereel.errors import ConfigError, DataError, StateError
from spikereel.exporting.run import Exported
from spikereel.layers.state import State
from spikereel.models.metadata import Metadata
from spikereel.streaming.states import COUNTER


class FileModel:
    """What a session asks of a model, answered by a file.

    Its states are those of the model that it was made of: a session that was saved from one goes on with the other.
    """

    def __init__(self, exported: Exported):
        self.exported = exported

    def __repr__(self) -> str:
        return repr(self.exported)

    def __call__(self, video: Tensor, state: State | None = None) -> tuple[Any, State]:
        """As `Exported`. Raises StateError where the clips of a batch saw unlike numbers of frames."""
        return self.exported(video, _of_one_count(state) if state else None)

    @property
    def task(self) -> Any:
        """What the output is."""
        return self.exported.task

    @property
    def metadata(self) -> Metadata:
        """What the weights said of themselves."""
        return self.exported.metadata

    @property
    def weights(self) -> str:
        """sha256 of the weights that the file was made of."""
        return self.exported.contract.weights

    @property
    def config(self) -> Any:
        """Channels, and how many classes or joints."""
        c = self.exported.contract
        known = SimpleNamespace(in_channels=c.channels, num_classes=len(c.classes))
        if len(c.fields) > 1:
            output, _ = self(torch.zeros(c.steps, c.batch or 1, c.channels, *c.size))
            known.pose = SimpleNamespace(joints=output[0].shape[-2])
        return known

    @property
    def mode(self) -> str:
        """As a model of that attention streams; a file that takes whole clips gives an answer for each."""
        c = self.exported.contract
        if c.whole:
            return "chunk"
        return "causal" if any(part.name.endswith(".summed") for part in c.parts) else "spatial"

    def parameters(self) -> Iterator[Tensor]:
        """One tensor of the type and the place that frames have to have."""
        yield torch.empty(0)

    def check_video(self, video: Tensor) -> None:
        """Raises DataError for frames that the file does not take, and for values that are not finite."""
        self.exported.check_video(video)
        if not torch.isfinite(video).all():
            raise DataError("video holds NaN or infinite values; check how it was decoded and normalised")


def _of_one_count(state: State) -> State:
    """The state with one number of frames for all clips, where a session of a model has one for each."""
    flat = state.flat()
    for name, x in flat.items():
        if name.endswith(COUNTER) and x.ndim:
            if (x != x[0]).any():
                raise StateError(f"the clips of this state saw {x.tolist()} frames, and a file has one count for all")
            flat[name] = x[0]
    return State.from_flat(flat)


def file_model(exported: Exported) -> FileModel:
    """Raises ConfigError for a file that cannot answer a stream."""
    c = exported.contract
    if c.part is not None:
        raise ConfigError(f"this file ends at {c.part} and gives features; a stream needs the whole model")
    if not c.whole and c.steps != 1:
        raise ConfigError(f"this file takes {c.steps} frames a call, and a stream has one: export with --steps 1")
    return FileModel(exported)
