"""What a session says of the frames that it was given."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikereel.errors import ConfigError
from spikereel.models.base import Task


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """Answers, one for each of `frames`; none where a window or clip is not full yet."""

    task: Task
    frames: tuple[int, ...]
    """Numbers of the frames that are answered for, counted from the first one of the session."""
    times: tuple[float, ...] | None
    """Seconds, as they were given with the frames."""
    output: Any
    """classification: logits [n, classes]; pose: JointPose or BodyPose of [n, ...]; segmentation: logits [n, classes,
    H, W]. With a batch axis behind the first where frames had one. None without answers."""
    classes: tuple[str, ...] = ()
    gaps: int = 0
    """Gaps in time among the frames of this call, see `Session`."""

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        if not self.frames:
            return "Result(no answer yet)"
        said = f"{self.label} {100 * self.confidence:.1f} %" if self.task == "classification" else self.task
        return f"Result(frames {self.frames[0]} to {self.frames[-1]}: {said})"

    @property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, float64 [n, classes] or [n, classes, H, W]; raises ConfigError for poses."""
        if self.task == "pose" or self.output is None:
            raise ConfigError("this result has no classes; see `output`")
        return self.output.double().softmax(-3 if self.task == "segmentation" else -1)

    @property
    def label(self) -> str:
        """Classification: the most probable class of the last frame."""
        best = int(self.probabilities[-1].reshape(-1, self.output.shape[-1])[0].argmax())
        return self.classes[best] if self.classes else f"class {best}"

    @property
    def confidence(self) -> float:
        """Classification: its probability."""
        return float(self.probabilities[-1].reshape(-1, self.output.shape[-1])[0].max())

    @property
    def labels(self) -> Tensor:
        """The most probable class: int64 [n], or [n, H, W] of every pixel."""
        return self.probabilities.argmax(-3 if self.task == "segmentation" else -1)


def stacked(answers: list[Any], *, squeeze: bool) -> Any:
    """Outputs of single frames with an axis of frames; squeeze: without the one of the batch."""
    if not answers:
        return None
    if isinstance(answers[0], Tensor):
        return torch.stack([x[0] if squeeze else x for x in answers])
    parts = [torch.stack([x[0] if squeeze else x for x in part]) for part in zip(*answers, strict=True)]
    return type(answers[0])(*parts)
