"""SpikeVideoFormer: a convolutional stem and a spike-driven Transformer over space and time.

Source: Zou et al., "SpikeVideoFormer: An Efficient Spike-Driven Video Transformer with Hamming Attention and O(T)
Complexity", ICML 2025, and its released code. The names of all blocks are those of the published weights.
With `attention="spatial"` and `similarity="dot"` it is Meta-SpikeFormer (Spike-driven Transformer V2).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.errors import ConfigError, StateError
from spikereel.layers.attention import STREAMING, Attention, SpikeAttention, schemes
from spikereel.layers.contrast import ContrastConfig, contrast_of
from spikereel.layers.conv import ConvBlock, Downsample
from spikereel.layers.mlp import MLP
from spikereel.layers.neuron import Neuron, NeuronConfig, collected
from spikereel.layers.positions import TimePositions
from spikereel.layers.state import State
from spikereel.layers.time import DropPath, per_frame
from spikereel.models.base import Task, VideoModel, neuron_names
from spikereel.models.pose_head import Pose, PoseConfig, PoseHead
from spikereel.models.segmentation_head import HEADS, SegmentationConfig, enlarged, segmentation_head
from spikereel.ops.hamming import Similarity

Positions = Literal["none", "time"]

PATCH = 16
"""Pixels of a frame along one side of the coarsest features."""


@dataclass(frozen=True, kw_only=True)
class SpikeVideoFormerConfig(ContrastConfig):
    """Every constant of the architecture; the defaults are the published ones."""

    task: Task = "classification"
    num_classes: int = 1000
    """Of the clip, or of each pixel with task="segmentation"; unused by task="pose"."""
    in_channels: int = 3
    widths: tuple[int, int, int, int] = (64, 128, 256, 360)
    """Channels of the four stages, C0 to C3; the first block runs at C0 / 2."""
    depths: tuple[int, int] = (6, 2)
    """Transformer blocks at C2 and at C3."""
    heads: int = 8
    mlp_ratio: float = 4.0
    attention: Attention = "joint"
    similarity: Similarity = "hamming"
    attention_clip: tuple[int, int, int] | None = None
    """Frames, height and width in pixels of the clips on which attention sums as published; on others its sums are
    divided by their tokens over those of such a clip, so that weights hold at any length and size. None: sums grow with
    the number of tokens, as published."""
    positions: Positions = "none"
    """time: before the Transformer blocks each token is told which frame of the clip it is of, see `TimePositions`. For
    attention over whole clips; causal and spatial attention have no first frame. Not in the published model."""
    drop_path: float = 0.0
    """Largest rate of stochastic depth, growing linearly over the Transformer blocks; off in the published model."""
    residual_gain: float = 1.0
    """Initial weight of the last norm of every residual branch; 1 as published. With 1, gradients grow by about 2.5 a
    block on the way back; 0 starts all branches at nothing, from where a small network learns much sooner."""
    neuron: NeuronConfig = field(default_factory=NeuronConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        schemes(self.attention)
        for name in ("num_classes", "in_channels", "heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if len(self.widths) != 4 or min(self.widths) < 2 or self.widths[0] % 2:
            raise ConfigError(f"widths must be four positive numbers, the first even, got {tuple(self.widths)}")
        if len(self.depths) != 2 or min(self.depths) < 1:
            raise ConfigError(f"depths must be two positive numbers of blocks, got {tuple(self.depths)}")
        if self.attention_clip is not None and min(self.attention_clip) < 1:
            raise ConfigError(
                f"attention_clip must be frames, height and width, each at least 1, got {tuple(self.attention_clip)}"
            )
        if self.positions not in get_args(Positions):
            known = ", ".join(get_args(Positions))
            raise ConfigError(f"positions={self.positions!r} does not exist; choose one of {known}")
        if self.positions == "time" and self.attention in STREAMING:
            whole = ", ".join(name for name in get_args(Attention) if name not in STREAMING)
            raise ConfigError(
                f"positions='time' count from the beginning of a clip, and attention={self.attention!r} goes on "
                f"without one: take {whole}, or positions='none'"
            )
        if not self.mlp_ratio > 0.0:
            raise ConfigError(f"mlp_ratio must be above 0, got {self.mlp_ratio}")
        if not 0.0 <= self.drop_path < 1.0:
            raise ConfigError(f"drop_path must lie in [0, 1), got {self.drop_path}")

    @property
    def reference(self) -> tuple[int, int] | None:
        """Frames, and tokens of a frame, of `attention_clip`."""
        if self.attention_clip is None:
            return None
        frames, height, width = self.attention_clip
        return frames, -(-height // PATCH) * -(-width // PATCH)


class TransformerBlock(nn.Module):
    """x + A(x) for each attention of the scheme, then x + MLP(x); no layer norm."""

    def __init__(self, dim: int, config: SpikeVideoFormerConfig, drop_path: float):
        super().__init__()
        neuron = config.neuron
        # integer counts would break the Hamming reading of q and k, so those stay binary
        binary = replace(neuron, kind="lif") if neuron.kind == "ilif" else neuron
        dot = config.similarity == "dot"
        attn_neuron = replace(neuron, threshold=neuron.threshold / 2) if dot else neuron
        self.attentions = []
        for groupings, name in zip(schemes(config.attention), ("attn", "attn_t"), strict=False):
            module = SpikeAttention(
                dim,
                config.heads,
                groupings=groupings,
                similarity=config.similarity,
                neuron=neuron,
                qk_neuron=binary,
                attn_neuron=attn_neuron,
                reference=config.reference,
            )
            self.add_module(name, module)
            self.attentions.append(name)
        self.mlp = MLP(dim, config.mlp_ratio, neuron)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        """x [T, B, D, H, W] to the same shape."""
        state, after = state or {}, {}
        for name in (*self.attentions, "mlp"):
            y, after[name] = self.get_submodule(name)(x, state.get(name))
            x = x + self.drop_path(y)
        return x, after


class SpikeVideoFormer(VideoModel):
    """`output, state = model(video, state)`; one frame is one time step.

    The output is that of `config.task`: logits of the clip, the pose at every time step, or logits of every pixel.
    """

    family = "spikevideoformer"
    config_class = SpikeVideoFormerConfig
    config: SpikeVideoFormerConfig

    def __init__(self, config: SpikeVideoFormerConfig | None = None):
        super().__init__(config)
        config = self.config
        c0, c1, c2, c3 = config.widths
        neuron = config.neuron
        self.contrast = contrast_of(config)
        self.downsample1_1 = Downsample(config.channels(config.in_channels), c0 // 2, kernel=7, stride=2, neuron=None)
        self.ConvBlock1_1 = nn.ModuleList([ConvBlock(c0 // 2, neuron)])
        self.downsample1_2 = Downsample(c0 // 2, c0, kernel=3, stride=2, neuron=neuron)
        self.ConvBlock1_2 = nn.ModuleList([ConvBlock(c0, neuron)])
        self.downsample2 = Downsample(c0, c1, kernel=3, stride=2, neuron=neuron)
        self.ConvBlock2_1 = nn.ModuleList([ConvBlock(c1, neuron)])
        self.ConvBlock2_2 = nn.ModuleList([ConvBlock(c1, neuron)])
        self.downsample3 = Downsample(c1, c2, kernel=3, stride=2, neuron=neuron)
        blocks = sum(config.depths)
        ramp = [config.drop_path * i / max(blocks - 1, 1) for i in range(blocks)]
        self.positions = TimePositions(c2) if config.positions == "time" else None
        self.block3 = nn.ModuleList(TransformerBlock(c2, config, rate) for rate in ramp[: config.depths[0]])
        self.downsample4 = Downsample(c2, c3, kernel=3, stride=1, neuron=neuron)
        self.block4 = nn.ModuleList(TransformerBlock(c3, config, rate) for rate in ramp[config.depths[0] :])
        if config.task == "segmentation":
            channels = {"ConvBlock1_1": c0 // 2, "ConvBlock1_2": c0, "ConvBlock2_2": c1, "block3": c2, "block4": c3}
            self.head = segmentation_head(config.segmentation, channels, config.num_classes, neuron)
        else:
            self.lif = Neuron(neuron, c3)
            self.head = PoseHead(c3, config.pose) if config.task == "pose" else _classifier(c3, config.num_classes)
        for norm in self._last_norms():
            nn.init.constant_(norm.get_parameter("weight"), config.residual_gain)

    def forward(
        self, video: Float[Tensor, "T B C H W"], state: State | None = None
    ) -> tuple[Float[Tensor, "B classes"] | Float[Tensor, "T B classes H W"] | Pose, State]:
        """The output of the task, and the state after the last frame.

        Classification: logits of all frames seen since the state began, the head applied to the mean spikes over time;
        this equals the published mean over time of the head, and does not depend on how the frames were split.
        Pose: `JointPose` or `BodyPose` at each of these frames.
        Segmentation: logits [T, B, classes, H, W] of each pixel of these frames, at the resolution of the video, whose
        sides may have any length: they are continued to multiples of 16, and the result is cut.
        state: None at the start of a clip. Only `spatial` and `causal` attention can go on from a state; the others see
        a whole clip at once, and raise StateError.
        Raises DataError for a video of the wrong shape or with values that are not finite.
        """
        if self.config.task == "segmentation":
            self._check(video, state)
            return self._class_maps(video, state)
        features, after = self.features(video, state)
        output, own = self.readout(features, state)
        after.update(own)
        return output, after

    def features(
        self, video: Float[Tensor, "T B C H W"], state: State | None = None
    ) -> tuple[Float[Tensor, "T B D h w"], State]:
        """Real-valued features of the backbone at 1/16 of the resolution, before the last neuron.

        Raises DataError and StateError as the model itself.
        """
        self._check(video, state)
        (x,), after = self.pyramid(video, ("block4",), state)
        return x, after

    def readout(
        self, features: Float[Tensor, "T B D h w"], state: State | None = None
    ) -> tuple[Float[Tensor, "B classes"] | Pose, State]:
        """The output that features lead to, and the state of what lies behind the backbone."""
        previous = state or {}
        spikes, after = self.pooled(features, state)
        if self.config.task == "pose":
            return self.head(spikes), after
        mean, after["head"] = _mean_so_far(spikes, previous.get("head"))
        return self.head(mean), after

    def pooled(
        self, features: Float[Tensor, "T B D h w"], state: State | None = None
    ) -> tuple[Float[Tensor, "T B D"], State]:
        """The spikes of each frame that the head sees, and the membranes behind them."""
        spikes, v = self.lif(features.flatten(3).mean(3), (state or {}).get("lif"))
        return collected(spikes, self.config.neuron), State(lif=v)

    def pyramid(
        self, video: Float[Tensor, "T B C H W"], taps: tuple[str, ...], state: State | None = None
    ) -> tuple[list[Tensor], State]:
        """Real-valued outputs [T, B, D, h, w] of those of `stages()` that `taps` names, and the state of the backbone.

        "ConvBlock1_1" is at 1/2 of the resolution, "ConvBlock1_2" at 1/4, "ConvBlock2_2" at 1/8, "block3" and "block4"
        at 1/16.
        """
        previous, after, x = state or State(), State(), video
        found = {}
        if self.contrast is not None:
            x, after["contrast"] = self.contrast(x, previous.get("contrast"))
        for name, stage in self.stages():
            if isinstance(stage, nn.ModuleList):
                after[name] = {}
                for i, block in enumerate(stage):
                    x, after[name][str(i)] = self.run_block(block, x, previous.get(name, {}).get(str(i)))
            else:
                x, after[name] = self.run_block(stage, x, previous.get(name))
            found[name] = x
        return [found[name] for name in taps], after

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The parts of the backbone, in order of execution."""
        names = (
            "downsample1_1",
            "ConvBlock1_1",
            "downsample1_2",
            "ConvBlock1_2",
            "downsample2",
            "ConvBlock2_1",
            "ConvBlock2_2",
            "downsample3",
            "block3",
            "downsample4",
            "block4",
        )
        if self.positions is not None:
            names = (*names[: names.index("block3")], "positions", *names[names.index("block3") :])
        return [(name, self.get_submodule(name)) for name in names]

    def _class_maps(self, video: Tensor, state: State | None) -> tuple[Tensor, State]:
        height, width = video.shape[3:]
        padded = per_frame(lambda x: F.pad(x, (0, -width % PATCH, 0, -height % PATCH), mode="replicate"), video)
        maps, after = self.small_maps(padded, state)
        return enlarged(maps, padded.shape[3:])[..., :height, :width], after

    def small_maps(
        self, video: Float[Tensor, "T B C H W"], state: State | None = None
    ) -> tuple[Float[Tensor, "T B classes h w"], State]:
        """Segmentation: class maps at the scale of the head, of frames whose sides 16 divides."""
        features, after = self.pyramid(video, HEADS[self.config.segmentation.head].taps, state)
        maps, after["head"] = self.run_block(self.head, features, (state or {}).get("head"))
        return maps, after

    def _last_norms(self) -> Iterator[nn.Module]:
        for module in self.modules():
            if isinstance(module, ConvBlock):
                yield from (module.Conv.bn2, module.bn2)
            elif isinstance(module, SpikeAttention):
                yield module.proj_conv[1]
            elif isinstance(module, MLP):
                yield module.fc2_bn

    @property
    def can_stream(self) -> bool:
        """Whether a call may go on from the state of the call before."""
        return self.config.attention in STREAMING

    def state_names(self) -> frozenset[str]:
        """Membranes of all neurons; running sums of causal attention and of the head of a classifier; the past of a
        contrast front."""
        names = neuron_names(self) | ({"contrast"} if self.contrast is not None else set())
        for name, module in self.named_modules():
            if isinstance(module, SpikeAttention) and "past" in module.groupings:
                names |= {f"{name}.summed", f"{name}.frames"}
            if isinstance(module, SpikeAttention) and "recent" in module.groupings:
                names |= {f"{name}.summed", f"{name}.recent"}
        return frozenset(names | ({"head.counts", "head.frames"} if self.task == "classification" else set()))

    def _check(self, video: Tensor, state: State | None) -> None:
        self.check_video(video)
        if state is None:
            self.warn_of_order(video)
        if state and not self.can_stream and not (self.windowed and self.training):
            raise StateError(
                f"attention={self.config.attention!r} sees a whole clip at once and cannot go on from a state; "
                f"modes that can: {', '.join(STREAMING)}. Pass state=None"
            )
        if state and self.positions is not None:
            raise StateError(
                "positions count from the beginning of a clip, and a part of one has none: give whole clips, in "
                "training optim.truncate=0"
            )
        self.check_state(state)
        if state and "counts" in state.get("head", {}):
            self.check_batch(video, state["head"]["counts"])


def at_any_size(model: VideoModel, clip: tuple[int, int, int] | None = None) -> SpikeVideoFormer:
    """A twin with the same weights whose attention holds at any length and size; see `attention_clip`.

    clip: frames, height and width that the weights were trained at; None is what they say of themselves. On such clips
    the twin computes what the model does. Raises ConfigError for another family, and for weights that do not say.
    """
    if not isinstance(model, SpikeVideoFormer):
        raise ConfigError(f"attention_clip is for SpikeVideoFormer, this is a {type(model).__name__}")
    seen, known = model.metadata.preprocess, ("frames", "size")
    if clip is None and not all(isinstance(seen.get(name), int) and seen[name] for name in known):
        raise ConfigError("these weights do not say what clips they were trained on; give frames, height and width")
    with torch.device("meta"):
        clip = clip or (seen["frames"], seen["size"], seen["size"])
        twin = SpikeVideoFormer(replace(model.config, attention_clip=clip))
    twin.load_state_dict(model.state_dict(), assign=True)
    twin.metadata = model.metadata
    return twin.train(model.training)


def _classifier(dim: int, classes: int) -> nn.Linear:
    head = nn.Linear(dim, classes)
    nn.init.trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return head


def _mean_so_far(spikes: Tensor, sums: dict[str, Tensor] | None) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean over time of spikes [T, B, D] and of those counted before; the sums go on."""
    # bfloat16 counts to 256, and float32 for a week of 25 frames a second
    counts = spikes.sum(0, dtype=torch.float64)
    frames = torch.full((), len(spikes), dtype=torch.int64, device=spikes.device)
    if sums is not None:
        counts, frames = counts + sums["counts"], frames + sums["frames"]
    # one number of frames for all clips, or one for each
    return (counts.mT / frames).mT.to(spikes.dtype), {"counts": counts, "frames": frames}
