"""The networks behind a stream: what an engine or a model is asked for, and twins that go where it cannot.

Twins share the weights of the model that they are made of.
"""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from spikereel.engine.engine import Engine
from spikereel.errors import ConfigError
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.neuron import Neuron
from spikereel.layers.norm import ClipNorm
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.models.files import weights_hash
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import PatchEmbed, SVFormer
from spikereel.streaming.from_file import FileModel

WARM_UP = 8
"""Frames that an engine chooses its kernels on: membranes have filled by then, and neurons fire as they will."""


def model_of(network: VideoModel | Engine | FileModel) -> Any:
    """The model itself, or a file in its place."""
    return network.model if isinstance(network, Engine) else network


def identity_of(model: VideoModel | FileModel) -> str:
    """sha256 of the weights, the same for a model and for its files."""
    return model.weights if isinstance(model, FileModel) else weights_hash(model)


def front_of(network: VideoModel | Engine) -> VideoModel:
    """What has `features`, `pooled` and `readout`: of an engine the model with the engine's backbone.

    It takes states on trust: a session's come from the model itself, and looking through all modules for the names of
    their parts takes longer than a frame of a small network.
    """
    front = copy.copy(network._front if isinstance(network, Engine) else network)
    object.__setattr__(front, "check_state", lambda _state: None)
    return front


def ready(network: VideoModel | Engine | FileModel, video: Tensor) -> None:
    """Let an engine choose its kernels, on the first frame [T, B, C, H, W] standing still."""
    if isinstance(network, Engine) and not network.tuned:
        model_of(network).check_video(video)
        network.tune(video[:1, :1].repeat(WARM_UP, 1, 1, 1, 1))


class RunningOn(SpikeVideoFormer):
    """Membranes go on from clip to clip, whatever the attention: of `joint` a clip then has a past."""

    @property
    def can_stream(self) -> bool:
        """Whether a call may go on from the state of the call before."""
        return True


def running_on(model: VideoModel) -> RunningOn:
    """A twin that takes a state with any attention. Raises ConfigError for another family."""
    if not isinstance(model, SpikeVideoFormer):
        raise ConfigError(f"membranes that run on are for SpikeVideoFormer, this is a {type(model).__name__}")
    with torch.device("meta"):
        twin = RunningOn(model.config)
    weights = model.state_dict()
    if missing := twin.state_dict().keys() - weights.keys():
        raise ConfigError(
            f"an engine from a file holds packed weights alone, {len(missing)} parts of the model are not there: give "
            "the model itself, or compile it"
        )
    twin.load_state_dict(weights, assign=True)
    twin.metadata = model.metadata
    return twin.eval()


def windowed(model: VideoModel, frames: int) -> RunningOn:
    """A twin of a `joint` model in which each frame attends to the last `frames`, see `window_attention`."""
    twin = running_on(model)
    if twin.config.attention != "joint":
        raise ConfigError(
            f"a window slides over joint attention, these weights have {twin.config.attention!r}; use mode='chunk'"
        )
    if getattr(twin, "positions", None) is not None:
        raise ConfigError(
            "these weights know the positions of frames in a clip, and a sliding window has none; use mode='chunk'"
        )
    for module in twin.modules():
        if isinstance(module, SpikeAttention):
            module.groupings, module.window = ("recent",), frames
    return twin


def restarted(model: VideoModel, state: State) -> State:
    """The state with all membranes of the backbone at rest; sums of attention and of the head stay."""
    flat = state.flat()
    for name, module in model.named_modules():
        if isinstance(module, Neuron) and name in flat:
            hard = module.config.kind != "ilif" and module.config.reset == "hard"
            flat[name] = torch.full_like(flat[name], module.config.v_reset if hard else 0.0)
    return State.from_flat(flat)


class _NormAlone(nn.Module):
    """The end of a patch embedding, behind a convolution that has been done."""

    def __init__(self, norm: ClipNorm):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W], normed."""
        return self.norm(x, first), {}


def first_of(model: SVFormer) -> PatchEmbed:
    """The first patch embedding."""
    return cast(PatchEmbed, model.get_submodule("patch_embed1"))


def embedded(model: SVFormer) -> SVFormer:
    """A twin that takes what the first convolution made of the frames, in place of the frames."""
    twin = copy.copy(model)
    twin._modules = dict(model._modules)
    twin._modules["patch_embed1"] = _NormAlone(first_of(model).norm)
    return twin
