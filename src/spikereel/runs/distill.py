"""Learning from the answers of another network beside the labels."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.errors import DataError
from spikereel.hub import load_model
from spikereel.runs.config import DistillSpec
from spikereel.runs.objective import check_classes


@dataclass(frozen=True)
class Taught:
    """Labels int64 [B], or shares of classes [B, K] where clips are mixed, and what the teacher says of the clips."""

    labels: Tensor
    answers: Tensor
    """Logits [B, K]."""


class Teacher:
    """A trained network whose answers are learnt from: soft targets, after Hinton, Vinyals and Dean 2015.

    It sees the very clips of the student, mixed and augmented, in evaluation mode; nothing of it is saved. Raises
    DataError for weights of other classes or channels, WeightsError for a file that cannot be read.
    """

    def __init__(self, spec: DistillSpec, *, classes: tuple[str, ...], channels: int):
        self.spec, self.model = spec, load_model(spec.weights).eval().requires_grad_(False)
        if self.model.task != "classification":
            raise DataError(f"distill.weights={spec.weights} are of task={self.model.task}, and teach no classes")
        check_classes(classes, self.model)
        if self.model.config.in_channels != channels:
            raise DataError(
                f"distill.weights={spec.weights} see {self.model.config.in_channels} channels, these clips have "
                f"{channels}; teach with weights of the same kind of clips"
            )
        self.model.order_known = True
        known = self.model.metadata.classes
        self.order = torch.tensor([known.index(name) for name in classes] if known else range(len(classes)))

    def answers(self, clip: Tensor) -> Tensor:
        """Logits [B, K] in the order of the student's classes, of a clip [T, B, C, H, W]."""
        own = next(self.model.parameters())
        if own.device != clip.device:
            self.model.to(clip.device)
        with torch.no_grad(), torch.autocast(clip.device.type, enabled=False):
            logits, _ = self.model(clip.to(own.dtype))
        return logits[:, self.order.to(logits.device)]

    def loss(self, output: Tensor, answers: Tensor, labelled: Tensor) -> Tensor:
        """The loss of labels and answers together: shares of `spec.weight`; gradients of the answers keep their size
        at any temperature."""
        heat = self.spec.temperature
        said = F.log_softmax(output / heat, dim=1)
        apart = F.kl_div(said, F.log_softmax(answers.to(said) / heat, dim=1), log_target=True, reduction="batchmean")
        return (1.0 - self.spec.weight) * labelled + self.spec.weight * heat**2 * apart
