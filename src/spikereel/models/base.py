"""What every video model here is: `logits, state = model(video, state)`, a configuration, and where it came from."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.errors import DataError, StateError
from spikereel.layers.checkpoint import checkpointed
from spikereel.layers.fused import Memory
from spikereel.layers.neuron import Neuron
from spikereel.layers.state import State
from spikereel.models.metadata import Metadata
from spikereel.models.pretrained import Pretrained

if TYPE_CHECKING:
    from spikereel.models.summary import Summary

PIXELS = 16.0
"""Whole numbers above this are taken for pixels that nobody has normalised."""
TRAINED = 16
"""Batches after which the norms of a model are taken for trained."""

Task = Literal["classification", "pose", "segmentation"]
"""What a model is for: what its output is."""


def task_of(config: Any) -> Task:
    """The task of a configuration; families that have one task alone do not say so."""
    return getattr(config, "task", "classification")


class VideoModel(Pretrained, nn.Module):
    """A network over clips [T, B, C, H, W] with explicit state."""

    family: ClassVar[str]
    """Name of the architecture, written into weights files."""
    config_class: ClassVar[type[Any]]

    config: Any
    metadata: Metadata
    contrast: nn.Module | None
    """A front that shows the network what changed; None for none."""
    checkpointing: bool = False
    """Trade time for memory in training: keep no activations inside blocks. Gradients stay the same."""
    windowed: bool = False
    """In training, let attention over whole clips go on from a state: it then relates the frames of one call alone."""
    memory: Memory = "plain"
    """What training keeps for the backward pass; `spikereel.layers.fused.set_memory` sets it."""
    order_known: bool = False
    """Whether clips surely come as [T, B, ...], as those of our own training do: then nobody is warned of their order.
    One warning sets it too."""
    alone: int = 0
    """Calls in a row of one frame each and without a state."""

    def __repr__(self) -> str:
        """One line; `model.summary()` is a table, and `torch.nn.Module.__repr__(model)` has every layer."""
        count = sum(x.numel() for x in self.parameters())
        name = self.metadata.name if getattr(self, "metadata", None) and self.metadata.name else self.family
        return f"{type(self).__name__}({name}, {1e-6 * count:.1f} M parameters)"

    def summary(self, *, size: int | Sequence[int] | None = None, every: bool = False) -> "Summary":
        """A table of the parts: shape of a frame, parameters, operations, neurons; prints in 80 columns.

        size: side of the frames in pixels, or height and width; None is that of the weights, or 224. every: each layer
        and neuron has a row, not each block. `parts` has the rows. Raises ConfigError for a size of no pixels,
        DataError for one that the model does not take.
        """
        from spikereel.models.summary import summary

        return summary(self, size=size, every=every)

    def __init__(self, config: Any = None):
        super().__init__()
        self.config = config or self.config_class()
        self.metadata = Metadata()

    @property
    def task(self) -> Task:
        """What the output is."""
        return task_of(self.config)

    @property
    def can_stream(self) -> bool:
        """Whether a call may go on from the state of the call before."""
        raise NotImplementedError

    def features(self, video: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What the backbone makes of a video [T, B, C, H, W], and its state."""
        raise NotImplementedError

    def pooled(self, features: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """What each frame alone brings to the head, [T, B, D], and the state of the neurons in between."""
        raise NotImplementedError

    def readout(self, features: Tensor, state: State | None = None) -> tuple[Any, State]:
        """The output that features lead to, and the state of what lies behind the backbone."""
        raise NotImplementedError

    def run_block(self, block: nn.Module, x: Tensor | list[Tensor], *rest: Any) -> tuple[Tensor, dict]:
        """`block(x, *rest)`; where gradients are wanted, as `memory` says, or checkpointed where that is on."""
        if self.memory != "plain" and self.training and torch.is_grad_enabled():
            from spikereel.models.fused import run_fused

            return run_fused(block, self.memory, x, *rest)
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpointed(block, x, *rest)
        return block(x, *rest)

    def state_names(self) -> frozenset[str]:
        """Dotted names of everything that a state of this model holds."""
        raise NotImplementedError

    def check_state(self, state: Any) -> None:
        """Raises StateError for a state that lacks a part of this model's, or has one of another's."""
        if torch.compiler.is_compiling() or state is None:
            return
        if not isinstance(state, Mapping):
            raise StateError(
                f"a state is what the model gave back with its output, got a {type(state).__name__}; write "
                "output, state = model(video) and pass on the second"
            )
        self.alone = 0
        if not state:
            return
        given, own = _flat_names(state), self.state_names()
        problems = {"lacks": sorted(own - given), "has besides": sorted(given - own)}
        if found := [f"{what} {len(names)} ({names[0]!r} first)" for what, names in problems.items() if names]:
            raise StateError(
                f"this state is none of this model: of {len(own)} parts it {' and it '.join(found)}; pass back what "
                "the model gave as it is, a flat one through State.from_flat, or None to start again"
            )
        self._check_parts(state)

    def _check_parts(self, state: Mapping[str, Any]) -> None:
        """Raises StateError for parts that are no tensors, on another device, or membranes of a narrower type."""
        own, narrow = next(self.parameters()).device, {}
        for name, x in _parts(state):
            if not isinstance(x, Tensor):
                raise StateError(f"this state holds a {type(x).__name__} as {name!r}, a tensor is meant")
            if x.device != own:
                raise StateError(f"the state is on {x.device}, the model on {own}; give state.to({str(own)!r})")
            if x.numel() and (not x.is_floating_point() or x.element_size() < 4):
                narrow[name] = x.dtype
        # counts are whole numbers, and what attention keeps of its past may be narrow
        if first := min((name for name in narrow if _is_neuron(self, name)), default=None):
            raise StateError(f"the membrane {first!r} is {narrow[first]}; membranes are torch.float32 or wider")

    def check_batch(self, video: Tensor, sums: Tensor) -> None:
        """Raises StateError where running sums [B, ...] are of another number of clips than the video [T, B, ...]."""
        clips = sums.shape[0]
        if clips != video.shape[1]:
            turned = "; for a video [B, T, ...] give video.transpose(0, 1)" if clips == video.shape[0] else ""
            raise StateError(
                f"the state is that of {clips} clips a batch, the video has {video.shape[1]}; batch size and "
                f"resolution must stay the same while a state is carried: start again with state=None{turned}"
            )

    def preprocess(self, frames: Any, *, sample: bool = False, fps: int | float | None = None) -> Tensor:
        """Frames in memory as the network takes them, as training and `predict` do: float32 [T, B, C, H, W].

        frames: pictures uint8 [T, H, W, 3] (array or tensor), or float [T, C, H, W] in [0, 1]; for weights that see
        events a recording, of `spikereel.data.events.readers.read_events`; for depth uint16 [T, H, W] in millimetres,
        0 where nobody is. A list of these, or one array [T, B, ...], is a batch. The central view is made.
        sample: choose the frames of a clip from those of a whole video, as `predict` does; else every one is seen. For
        simulated events there is one picture more than time steps. Recordings and depth of actions are whole, and cut
        into the steps of a clip. fps: of the frames, for weights that see trails; 25 where it is not said.
        Raises ConfigError for weights that do not say how clips were made, DataError for frames that do not fit.
        """
        from spikereel.inference.prepare import prepared

        return prepared(self, frames, sample=sample, fps=fps)

    def input_contract(self) -> dict[str, Any] | None:
        """What `preprocess` does, as data, schema `spikereel.input/1`; None for weights that do not say."""
        from spikereel.inference.input_steps import input_of

        return input_of(self)

    def check_video(self, video: Tensor) -> None:
        """Raises DataError for a video of the wrong shape or type, or with values that are not finite."""
        if not isinstance(video, Tensor):
            raise DataError(f"video is a {type(video).__name__}; {tensor_of(video)}")
        channels = self.config.in_channels
        if video.ndim != 5 or video.shape[2] != channels or 0 in video.shape:
            hint = _axes_hint(video, channels)
            shape = f"[T, B, C={channels}, H, W]"
            raise DataError(f"this model takes video {shape} with at least one frame, got {list(video.shape)}{hint}")
        if not video.is_floating_point():
            how = "give video.float()" if video.dtype == torch.bool else "divide pixel values by 255"
            raise DataError(f"video must be floating point, got {video.dtype}; {how}")
        own = next(self.parameters()).dtype
        if video.dtype != own and not torch.is_autocast_enabled(video.device.type):
            name = str(own).removeprefix("torch.")
            raise DataError(f"video is {video.dtype}, the model {own}; give video.to(torch.{name})")
        if not torch.compiler.is_compiling() and not video.is_meta:
            self._check_values(video)
            self._warn_of_training()

    def warn_of_order(self, video: Tensor) -> None:
        """Warn where a clip from its start looks like [B, T, ...].

        Weights that say how many frames they saw: where there are as many clips, and another number of frames.
        Weights that do not say: once, where there are more clips than frames; exchanged, fewer look right. Of sizes
        alone no more can be told: T and B may have any. Models that answer for every frame are not warned of: they
        see clips of any length.
        """
        if self.task != "classification" or torch.compiler.is_compiling():
            return
        frames, (t, b) = self.metadata.preprocess.get("frames"), video.shape[:2]
        counts = f"{b} clip{'s' * (b > 1)} of {t} frame{'s' * (t > 1)}"
        if t == 1 and self.can_stream:
            # frames may come one by one
            self.alone += 1
            if self.alone == frames and frames > 1 and not self.training:
                warnings.warn(
                    f"{frames} calls in a row with one frame each and no state: these weights saw {frames} frames a "
                    "clip, and each call began a clip of its own; write output, state = model(frame, state)",
                    stacklevel=4,
                )
            return
        if frames is None and b > t and not self.order_known:
            self.order_known = True
            seen = f"this is read as {counts}: video is [T, B, C, H, W]"
        elif b == frames != t and not self.training:
            seen = f"{counts}, and these weights saw {frames} frames a clip: video is [T, B, C, H, W]"
        else:
            return
        warnings.warn(f"{seen}; if this one is [B, T, C, H, W], give video.transpose(0, 1)", stacklevel=4)

    def _warn_of_training(self) -> None:
        """Warn where a model is called in training mode for an answer alone, as far as missing gradients tell.

        Who takes statistics does so on purpose: then norms have no momentum, or 1. A fresh model has nothing to lose.
        """
        if not self.training or torch.is_grad_enabled():
            return
        norm = next((module for module in self.modules() if isinstance(module, _BatchNorm)), None)
        if norm is not None and norm.momentum not in (None, 1.0) and int(norm.num_batches_tracked or 0) > TRAINED:
            warnings.warn(
                "this model is in training mode, where each call changes its norms and clips of a batch change each "
                "other's answers; call model.eval() first",
                stacklevel=5,
            )

    def _check_values(self, video: Tensor) -> None:
        low, high = (float(x) for x in video.detach().aminmax())
        if not (isfinite(low) and isfinite(high)):
            raise DataError("video holds NaN or infinite values; check how it was decoded and normalised")
        # counts of events may be large, and have two channels
        if high > PIXELS and low >= 0 and self.config.in_channels != 2 and torch.equal(video, video.round()):
            raise DataError(f"video holds whole numbers to {high:g}, as pixels have; divide by 255 and normalise")


def tensor_of(video: Any) -> str:
    """What to write where no tensor was given."""
    if isinstance(video, State):
        return "the video comes first: model(video, state)"
    if isinstance(video, tuple) and any(isinstance(x, State) for x in video):
        return "a model gives back two things: output, state = model(video)"
    frames = isinstance(video, list | tuple) and all(isinstance(frame, Tensor) for frame in video)
    how = "torch.stack(video)[:, None], [T, B, C, H, W]" if frames else "torch.as_tensor(video).float()"
    return f"give a tensor: {how}"


def _axes_hint(video: Tensor, channels: int) -> str:
    """What to write for a video of the wrong shape, where that can be told."""
    if video.ndim == 4 and video.shape[1] == channels:
        return "; for one clip [T, C, H, W] give video[:, None]"
    if video.ndim != 5 or video.shape[2] == channels:
        return ""
    found = [i for i, n in enumerate(video.shape) if n == channels]
    return f"; axis {found[0]} has {channels}: permute it to the third place" if found else ""


def _flat_names(state: Mapping[str, Any], prefix: str = "") -> frozenset[str]:
    found: set[str] = set()
    for name, x in state.items():
        # a name with dots in it is no nested one
        own = prefix + str(name).replace(".", "/")
        found |= _flat_names(x, f"{own}.") if isinstance(x, Mapping) else {own}
    return frozenset(found)


def _parts(state: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, x in state.items():
        if isinstance(x, Mapping):
            yield from _parts(x, f"{prefix}{name}.")
        else:
            yield prefix + name, x


def _is_neuron(model: nn.Module, name: str) -> bool:
    try:
        return isinstance(model.get_submodule(name), Neuron)
    except AttributeError:
        return False


def neuron_names(model: nn.Module) -> set[str]:
    """Dotted names of all neurons."""
    return {name for name, module in model.named_modules() if isinstance(module, Neuron)}
