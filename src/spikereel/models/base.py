"""What every video model here is: `logits, state = model(video, state)`, a configuration, and where it came from."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from spikereel.errors import DataError, StateError
from spikereel.layers.checkpoint import checkpointed
from spikereel.layers.state import State
from spikereel.models.metadata import Metadata
from spikereel.models.pretrained import Pretrained

Task = Literal["classification", "pose", "segmentation"]
"""What a model is for: what its output is."""


class VideoModel(Pretrained, nn.Module):
    """A network over clips [T, B, C, H, W] with explicit state."""

    family: ClassVar[str]
    """Name of the architecture, written into weights files."""
    config_class: ClassVar[type[Any]]

    config: Any
    metadata: Metadata
    checkpointing: bool = False
    """Trade time for memory in training: keep no activations inside blocks. Gradients stay the same."""

    def __repr__(self) -> str:
        """One line; `torch.nn.Module.__repr__(model)` has every layer."""
        count = sum(x.numel() for x in self.parameters())
        name = self.metadata.name if getattr(self, "metadata", None) and self.metadata.name else self.family
        return f"{type(self).__name__}({name}, {1e-6 * count:.1f} M parameters)"

    def __init__(self, config: Any = None):
        super().__init__()
        self.config = config or self.config_class()
        self.metadata = Metadata()

    @property
    def task(self) -> Task:
        """What the output is."""
        return getattr(self.config, "task", "classification")

    @property
    def can_stream(self) -> bool:
        """Whether a call may go on from the state of the call before."""
        raise NotImplementedError

    def features(self, video: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What the backbone makes of a video [T, B, C, H, W], and its state."""
        raise NotImplementedError

    def readout(self, features: Tensor, state: State | None = None) -> tuple[Any, State]:
        """The output that features lead to, and the state of what lies behind the backbone."""
        raise NotImplementedError

    def run_block(self, block: nn.Module, x: Tensor | list[Tensor], *rest: Any) -> tuple[Tensor, dict]:
        """`block(x, *rest)`, checkpointed where that is on and gradients are wanted."""
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpointed(block, x, *rest)
        return block(x, *rest)

    def check_batch(self, video: Tensor, sums: Tensor) -> None:
        """Raises StateError where running sums [B, ...] are of another number of clips than the video [T, B, ...]."""
        if len(sums) != video.shape[1]:
            raise StateError(
                f"the state is that of {len(sums)} clips a batch, the video has {video.shape[1]}; batch size and "
                "resolution must stay the same while a state is carried: start again with state=None"
            )

    def check_video(self, video: Tensor) -> None:
        """Raises DataError for a video of the wrong shape or type, or with values that are not finite."""
        channels = self.config.in_channels
        if video.ndim != 5 or video.shape[2] != channels or 0 in video.shape:
            raise DataError(
                f"this model takes video [T, B, C={channels}, H, W] with at least one frame, got {list(video.shape)}"
            )
        if not video.is_floating_point():
            raise DataError(f"video must be floating point, got {video.dtype}; divide pixel values by 255")
        if not torch.compiler.is_compiling() and not video.is_meta and not torch.isfinite(video).all():
            raise DataError("video holds NaN or infinite values; check how it was decoded and normalised")
