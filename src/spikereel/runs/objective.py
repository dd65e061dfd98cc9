"""What a task asks of a network: a loss to train on, and a judge of trained weights."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from spikereel.errors import ConfigError, DataError
from spikereel.models.base import VideoModel
from spikereel.runs.config import OptimSpec
from spikereel.runs.windows import Window


class Objective(nn.Module):
    """The loss of a task, and the figures that choose the best weights. It has nothing that is saved."""

    monitor: str
    """The figure of validation that the best weights are chosen by."""
    higher_is_better: bool = True
    mixes: ClassVar[tuple[str, ...]] = ()
    """Of "mixup" and "cutmix", those that the task can do."""

    def __init__(self, task: str, optim: OptimSpec):
        super().__init__()
        if wrong := [name for name in ("mixup", "cutmix") if getattr(optim, name) and name not in self.mixes]:
            raise ConfigError(f"optim.{wrong[0]} is not for task={task}; leave it at 0")
        self.optim = optim

    def prepare(self, batch: Any) -> tuple[Tensor, Any]:
        """The clip [T, B, C, H, W] of a batch, and what its output is held against; mixed where `self.training`."""
        raise NotImplementedError

    def loss(self, output: Any, target: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of an output, and figures to show."""
        raise NotImplementedError

    def window_loss(self, output: Any, target: Any, window: Window) -> tuple[Tensor, dict[str, Tensor]]:
        """What the output of a window of a clip adds to the loss, of the target of the whole clip; and figures."""
        raise NotImplementedError

    def begin_score(self) -> None:
        """Forget all that was judged."""
        raise NotImplementedError

    def judge(self, model: VideoModel, batch: Any) -> None:
        """Count a batch of validation."""
        raise NotImplementedError

    def figures(self) -> dict[str, float]:
        """What validation found, with `monitor` among it."""
        raise NotImplementedError


class Judge(Protocol):
    """Counts what a model makes of a data set, batch by batch and in order."""

    score: Any
    views: int
    """Views that a video was seen in."""

    def add(self, videos: Tensor, target: Any) -> None:
        """Count a batch: videos [B, T, C, H, W], or [B, views, T, C, H, W], on the device of the model."""
        ...

    def figures(self) -> dict[str, Any]:
        """The score in plain types."""
        ...


def check_classes(data: Sequence[str], model: VideoModel) -> None:
    """Raises DataError where the data has other classes than the model, by number or by name."""
    own, count = model.metadata.classes, model.config.num_classes
    if len(data) != count:
        raise DataError(f"the data has {len(data)} classes, the model {count}: {', '.join(data[:8])}")
    if own and (other := [name for name in data if name not in own]):
        raise DataError(
            f"the data has the class {other[0]}, the model has not: its classes are {', '.join(own[:8])}; "
            "rename the classes of the data"
        )
