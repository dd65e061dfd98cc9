"""What a weights file says of itself besides the configuration."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Origin of a model, `model.metadata`; empty for one that was made by hand."""

    name: str = ""
    """Architecture the model was created from."""
    classes: tuple[str, ...] = ()
    """Names of the classes, in the order of the logits."""
    preprocess: dict[str, Any] = field(default_factory=dict)
    """How clips were sampled and normalised: frames, size, stride, mean, std."""
    training: dict[str, Any] = field(default_factory=dict)
    """Recipe and figures."""
