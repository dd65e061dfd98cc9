"""The model of a run: a listed architecture, what to change of it, and the weights it starts from."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from spikereel.hub import architecture, create_model
from spikereel.layers.attention import Attention
from spikereel.layers.contrast import Form, Placement
from spikereel.layers.neuron import Backend, Kind
from spikereel.models.base import VideoModel
from spikereel.models.pose_head import Body, Regressor
from spikereel.models.segmentation_head import SegmentationHead
from spikereel.models.spikevideoformer import Positions
from spikereel.ops.hamming import Similarity
from spikereel.ops.lif import Fires, Reset
from spikereel.ops.surrogate import Surrogate
from spikereel.runs.start import start_from


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A listed architecture, and what to change of it: every option of `create_model` that the data does not settle.

    None keeps the architecture's own value.
    """

    name: str = "spikevideoformer_ti"
    start: str | None = None
    """Weights to start from: a safetensors file, a listed name, or auto for listed ones that fit; another head starts
    fresh, and the first layer may see other channels (`spikereel.runs.start`)."""
    contrast: Placement | None = None
    """A front that shows the network what changed: beside the channels of the clip, or instead of them."""
    contrast_tau: float | None = None
    """Time constant of the past that a frame is held against, in frames of the clip."""
    contrast_more: tuple[float, ...] | None = None
    """Further time constants, each with channels of its own."""
    contrast_learnt: bool | None = None
    """Whether time constants are learnt."""
    contrast_surround: int | None = None
    """Radius in pixels of the surround that is taken off every change."""
    contrast_form: Form | None = None
    """signed: changes of every channel; on_off: two channels, how much brighter and darker."""
    attention: Attention | None = None
    similarity: Similarity | None = None
    attention_clip: tuple[int, int, int] | None = None
    """spikevideoformer: frames, height and width of clips on which attention sums as published; on others sums are
    divided by their number of tokens."""
    positions: Positions | None = None
    """spikevideoformer: time tells each token which frame of the clip it is of."""
    widths: tuple[int, ...] | None = None
    depths: tuple[int, ...] | None = None
    heads: int | None = None
    head_dim: int | None = None
    """svformer."""
    mlp_ratio: float | None = None
    residual_gain: float | None = None
    """spikevideoformer: initial weight of the last norm of every residual branch."""
    time_norm: bool | None = None
    """svformer, with the two below."""
    local_path: bool | None = None
    drop_path_over_time: bool | None = None
    head: Literal["conv", "mean"] | SegmentationHead | None = None
    """svformer: conv or mean; task=segmentation: mlp or fpn."""
    drop_path: float | None = None
    neuron: Kind | None = None
    threshold: float | None = None
    tau: float | None = None
    tau_spread: tuple[float, float] | None = None
    """neuron=lif and plif: time constants of the channels, from the first to the second in equal ratios."""
    reset: Reset | None = None
    v_reset: float | None = None
    decay_input: bool | None = None
    detach_reset: bool | None = None
    fires: Fires | None = None
    reset_delay: bool | None = None
    recheck: bool | None = None
    surrogate: Surrogate | None = None
    alpha: float | None = None
    """Sharpness of the surrogate."""
    backend: Backend | None = None
    """How neurons are computed: fused, or by the plain reference."""
    levels: int | None = None
    """neuron=ilif, with the four below: levels D."""
    top: int | None = None
    ilif_decay: float | None = None
    normalise: bool | None = None
    replay: bool | None = None
    body: Body | None = None
    """task=pose, with the four below: joints, or the parameters of SMPL; the skeleton is that of the data."""
    regressor: Regressor | None = None
    iterations: int | None = None
    hidden: int | None = None
    dropout: float | None = None
    width: int | None = None
    """task=segmentation: channels of the head."""
    neck: int | None = None
    """task=segmentation, head=fpn: channels of the pyramid."""


def build_model(
    spec: ModelSpec, *, frames: int, size: int, preprocess: dict[str, Any] | None = None, **settled: Any
) -> VideoModel:
    """The model of a recipe, from fresh weights or from `spec.start`.

    frames, size: of its clips, which weights of SVFormer are tied to. preprocess: how its clips are made, which tells
    what their channels show. settled: what the data settles, as `create_model` takes it: in_channels, task,
    num_classes, joints.
    """
    own = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec) if f.name not in ("name", "start")}
    changes = {name: value for name, value in own.items() if value is not None}
    known = {f.name for f in dataclasses.fields(architecture(spec.name).config)}
    tied = {"frames": frames, "image_size": size}
    changes |= {name: value for name, value in tied.items() if name in known}
    model = create_model(spec.name, norms="published", **changes, **settled)
    if preprocess is not None:
        model.metadata = dataclasses.replace(model.metadata, preprocess=preprocess)
    if spec.start is not None:
        start_from(model, spec.start)
    return model
