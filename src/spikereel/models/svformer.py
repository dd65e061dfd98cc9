"""SVFormer: local convolutional blocks, spiking self-attention inside each frame, and a local path around it.

Source: Yu et al., "SVFormer: A Direct Training Spiking Transformer for Efficient Video Action Recognition", 2024, the
variant of the published 84.03 % on UCF101. The names of all parts are those of the published weights.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.errors import ConfigError, DataError, StateError
from spikereel.layers.attention import ProductAttention
from spikereel.layers.contrast import ContrastConfig, contrast_of
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.norm import ClipNorm
from spikereel.layers.state import State
from spikereel.layers.time import DropPath, per_frame
from spikereel.models.base import VideoModel, neuron_names
from spikereel.ops.hamming import Similarity, attention

Head = Literal["conv", "mean"]


@dataclass(frozen=True, kw_only=True)
class SVFormerConfig(ContrastConfig):
    """Every constant of the architecture; the defaults are the published ones."""

    num_classes: int = 101
    in_channels: int = 3
    frames: int = 16
    """T, time steps of a clip; with time norms or the conv head the weights fit this number only."""
    image_size: int = 224
    """Side of the square frames, a multiple of 32; with the conv head the weights fit this size only."""
    widths: tuple[int, int, int, int] = (128, 256, 384, 512)
    depths: tuple[int, int, int, int] = (1, 1, 3, 1)
    """Blocks of the four stages: two of local blocks, two of attention blocks."""
    head_dim: int = 64
    mlp_ratio: float = 2.0
    time_norm: bool = True
    """Batch norms with statistics and affine of their own for each time step; False shares them over time."""
    local_path: bool = True
    """A depthwise and a pointwise convolution around the last two stages, joined before the head."""
    head: Head = "conv"
    """conv: a grouped convolution over the whole clip; mean: the mean over space and time, with no neuron before it
    and none at the start of the local path."""
    drop_path: float = 0.0
    """Largest rate of stochastic depth, growing linearly over the blocks; 0 as published."""
    drop_path_over_time: bool = False
    """Drop whole time steps instead of samples, and in local blocks before the norm: a fault of the published code."""
    neuron: NeuronConfig = field(default_factory=lambda: NeuronConfig(kind="plif", surrogate="atan"))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_classes", "in_channels", "frames", "image_size", "head_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.image_size % 32:
            raise ConfigError(f"image_size must be a multiple of 32, got {self.image_size}")
        for name, least in (("widths", 1), ("depths", 1)):
            values = getattr(self, name)
            if len(values) != 4 or min(values) < least:
                raise ConfigError(f"{name} must be four positive numbers, got {tuple(values)}")
        for width in self.widths[2:]:
            if width % self.head_dim:
                raise ConfigError(f"width {width} cannot be split into heads of {self.head_dim}; change head_dim")
        if self.neuron.replay:
            raise ConfigError("replay is for SpikeVideoFormer; SVFormer runs integer spikes as they are")
        if self.head not in get_args(Head):
            raise ConfigError(f"head {self.head!r} does not exist; choose one of {', '.join(get_args(Head))}")
        if not self.mlp_ratio > 0.0:
            raise ConfigError(f"mlp_ratio must be above 0, got {self.mlp_ratio}")
        if not 0.0 <= self.drop_path < 1.0:
            raise ConfigError(f"drop_path must lie in [0, 1), got {self.drop_path}")

    @property
    def steps(self) -> int | None:
        """Time steps that the norms tell apart."""
        return self.frames if self.time_norm else None


def mix_channels(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer on the channel axis of [T, B, C, H, W], or a 2-D convolution of every frame."""
    if isinstance(layer, nn.Linear):
        return layer(x.movedim(2, -1)).movedim(-1, 2)
    return per_frame(layer, x)


class PatchEmbed(nn.Module):
    """Neuron (unless the input is analog), convolution, norm."""

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int, config: SVFormerConfig, *, spikes: bool
    ):
        super().__init__()
        self.in_lif = Neuron(config.neuron, channels_in) if spikes else None
        self.proj = nn.Conv2d(channels_in, channels, kernel, stride, 1)
        self.norm = ClipNorm(channels, config.steps)

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to [T, B, C', H / stride, W / stride]."""
        state, after = state or {}, {}
        if self.in_lif is not None:
            x, after["in_lif"] = self.in_lif(x, state.get("in_lif"))
        return self.norm(per_frame(self.proj, x), first), after


class ClipMLP(nn.Module):
    """Neuron, C to r C, norm, neuron, back to C, norm; `layer` makes the maps: 1x1 convolutions or linear layers."""

    def __init__(self, dim: int, layer: type[nn.Module], config: SVFormerConfig):
        super().__init__()
        wide = int(dim * config.mlp_ratio)
        self.act1 = Neuron(config.neuron, dim)
        self.fc1 = _map(layer, dim, wide)
        self.norm1 = ClipNorm(wide, config.steps)
        self.act2 = Neuron(config.neuron, wide)
        self.fc2 = _map(layer, wide, dim)
        self.norm2 = ClipNorm(dim, config.steps)

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to the same shape."""
        state, after = state or {}, {}
        x, after["act1"] = self.act1(x, state.get("act1"))
        x = self.norm1(mix_channels(self.fc1, x), first)
        x, after["act2"] = self.act2(x, state.get("act2"))
        return self.norm2(mix_channels(self.fc2, x), first), after


class LocalBlock(nn.Module):
    """x + norm(1x1, depthwise 5x5, 1x1), then x + MLP(x).

    The three convolutions have no neuron in between, so only the first one sees spikes.
    """

    def __init__(self, dim: int, config: SVFormerConfig, drop_path: float):
        super().__init__()
        self.act1 = Neuron(config.neuron, dim)
        self.conv1 = nn.Conv2d(dim, dim, 1)
        self.attn = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.conv2 = nn.Conv2d(dim, dim, 1)
        self.norm2 = ClipNorm(dim, config.steps)
        self.mlp = ClipMLP(dim, nn.Conv2d, config)
        self.drop_path = DropPath(drop_path, over_time=config.drop_path_over_time)

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to the same shape."""
        state, after = state or {}, {}
        y, after["act1"] = self.act1(x, state.get("act1"))
        y = per_frame(lambda z: self.conv2(self.attn(self.conv1(z))), y)
        x = x + (
            self.norm2(self.drop_path(y), first) if self.drop_path.over_time else self.drop_path(self.norm2(y, first))
        )
        y, after["mlp"] = self.mlp(x, state.get("mlp"), first)
        return x + self.drop_path(y), after


class SelfAttention(ProductAttention):
    """Spiking self-attention of the tokens of one frame: neuron(q (k^T v) / sqrt(d)), no softmax."""

    product: Similarity = "dot"

    def __init__(self, dim: int, config: SVFormerConfig):
        super().__init__()
        self.head_dim = config.head_dim
        self.in_lif = Neuron(config.neuron, dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.norm1 = ClipNorm(3 * dim, config.steps)
        for part in "qkv":
            self.add_module(f"{part}_lif", Neuron(config.neuron, dim))
        self.proj_lif = Neuron(config.neuron, dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = ClipNorm(dim, config.steps)

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to the same shape."""
        state, after = state or {}, {}
        x, after["in_lif"] = self.in_lif(x, state.get("in_lif"))
        x = self.norm1(mix_channels(self.qkv, x), first)
        heads = []
        for part, current in zip("qkv", x.chunk(3, dim=2), strict=True):
            name = f"{part}_lif"
            s, after[name] = self.get_submodule(name)(current, state.get(name))
            heads.append(s.flatten(3).unflatten(2, (-1, self.head_dim)).mT)
        a = attention(*heads, similarity=self.product, scale=self.head_dim**0.5)
        a = a.mT.flatten(2, 3).unflatten(3, x.shape[3:]).to(x.dtype)
        s, after["proj_lif"] = self.proj_lif(a, state.get("proj_lif"))
        return self.norm2(mix_channels(self.proj, s), first), after


class GlobalBlock(nn.Module):
    """x + attention(x), then x + MLP(x)."""

    def __init__(self, dim: int, config: SVFormerConfig, drop_path: float):
        super().__init__()
        self.attn = SelfAttention(dim, config)
        self.mlp = ClipMLP(dim, nn.Linear, config)
        self.drop_path = DropPath(drop_path, over_time=config.drop_path_over_time)

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        """x [T, B, C, H, W] to the same shape."""
        state, after = state or {}, {}
        for name in ("attn", "mlp"):
            y, after[name] = self.get_submodule(name)(x, state.get(name), first)
            x = x + self.drop_path(y)
        return x, after


class ClipConv(nn.Conv3d):
    """One convolution over a whole clip [T, B, C, H, W], its kernel as large as the clip; to be had in parts."""

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:  # ty: ignore[incompatible-method-override]
        """[B, C', 1, 1, 1] of the steps seen so far, those to come as zeros; x holds steps `first` to first + T."""
        assert self.bias is not None
        sums = F.conv3d(x.movedim(0, 2), self.weight[:, :, first : first + len(x)], groups=self.groups)
        if state:
            sums = sums + state["sums"]
        return sums + self.bias.view(-1, 1, 1, 1), {"sums": sums}


class SVFormer(VideoModel):
    """`logits, state = model(video, state)`; one frame is one time step."""

    family = "svformer"
    config_class = SVFormerConfig
    config: SVFormerConfig

    def __init__(self, config: SVFormerConfig | None = None):
        super().__init__(config)
        c = self.config
        widths, blocks = c.widths, sum(c.depths)
        rates = iter([c.drop_path * i / max(blocks - 1, 1) for i in range(blocks)])
        self.contrast = contrast_of(c)
        channels = (c.channels(c.in_channels), *widths)
        for i, (width, depth) in enumerate(zip(widths, c.depths, strict=True), start=1):
            kernel, stride = (6, 4) if i == 1 else (4, 2)
            self.add_module(f"patch_embed{i}", PatchEmbed(channels[i - 1], width, kernel, stride, c, spikes=i > 1))
            block = LocalBlock if i < 3 else GlobalBlock
            self.add_module(f"blocks{i}", nn.ModuleList(block(width, c, next(rates)) for _ in range(depth)))
        spiking = c.head == "conv"
        if c.local_path:
            self.lplif = Neuron(c.neuron, widths[2]) if spiking else None
            self.lpDWConv = nn.Conv2d(widths[2], widths[2], 3, 2, 1, groups=widths[2])
            self.lpPWConv = nn.Conv2d(widths[2], widths[3], 1)
            self.lpBN = ClipNorm(widths[3], c.steps)
        features = widths[3] * (2 if c.local_path else 1)
        if spiking:
            self.lif_bf_head = Neuron(c.neuron, features)
            side = c.image_size // 32
            self.dwconv_bf_head = ClipConv(features, features, (c.frames, side, side), groups=widths[3])
            self.dwconv_bn = nn.BatchNorm3d(features)
        self.head = nn.Linear(features, c.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(
        self, video: Float[Tensor, "T B C H W"], state: State | None = None
    ) -> tuple[Float[Tensor, "B classes"], State]:
        """Logits of all frames seen since the state began, and the state after the last one.

        state: None for a whole clip, which must have `config.frames` frames of `config.image_size` pixels unless the
        weights are free of them (mean head; shared norms for the frames). To give a clip in parts, begin with an empty
        `State()`: the conv head then takes the frames to come for empty ones, and the last part gives the logits of
        the clip. Raises DataError for a wrong shape or values that are not finite, StateError past the last frame.
        """
        features, after = self.features(video, state)
        output, own = self.readout(features, state)
        after.update(own)
        return output, after

    def readout(
        self, features: Float[Tensor, "T B D h w"], state: State | None = None
    ) -> tuple[Float[Tensor, "B classes"], State]:
        """The logits that features lead to, and the state of what lies behind the backbone."""
        previous, after = state or State(), State()
        first = _frames_seen(previous) if self.fixed_frames else 0
        seen = torch.full((), len(features), dtype=torch.int64, device=features.device)
        if "clip" in previous:
            seen = seen + previous["clip"]["frames"]
        if self.config.head == "conv":
            spikes, after["lif_bf_head"] = self.lif_bf_head(features, previous.get("lif_bf_head"))
            x, after["dwconv_bf_head"] = self.dwconv_bf_head(spikes, previous.get("dwconv_bf_head"), first)
            pooled = self.dwconv_bn(x).flatten(1)
        else:
            sums = self.pooled(features)[0].sum(0, dtype=torch.float64)
            sums = sums + previous["head"]["sums"] if "head" in previous else sums
            after["head"] = {"sums": sums}
            pooled = (sums / seen).to(features.dtype)
        after["clip"] = {"frames": seen}
        return self.head(pooled), after

    def pooled(
        self, features: Float[Tensor, "T B D h w"], state: State | None = None
    ) -> tuple[Float[Tensor, "T B D"], State]:
        """The mean of each frame, for the mean head; there are no neurons in between."""
        return features.flatten(3).mean(3), State()

    def features(
        self, video: Float[Tensor, "T B C H W"], state: State | None = None
    ) -> tuple[Float[Tensor, "T B D h w"], State]:
        """Real-valued features at 1/32 of the resolution before the head: local path first, then the global one.

        Raises DataError and StateError as the model itself.
        """
        return self.backbone(video, state, self.check_clip(video, state))

    def backbone(self, video: Tensor, state: State | None, first: int) -> tuple[Tensor, State]:
        """`features` of frames of any size that 32 divides, unchecked; first: frames seen before."""
        previous, after, x = state or State(), State(), video
        local = []
        if self.contrast is not None:
            x, after["contrast"] = self.contrast(x, previous.get("contrast"))
        for i in range(1, 5):
            name = f"patch_embed{i}"
            x, after[name] = self.run_block(self.get_submodule(name), x, previous.get(name), first)
            if i == 3 and self.config.local_path:
                local = [self._local(x, previous, after, first)]
            name = f"blocks{i}"
            after[name] = {}
            for j, block in enumerate(self.get_submodule(name).children()):
                x, after[name][str(j)] = self.run_block(block, x, previous.get(name, {}).get(str(j)), first)
        return torch.cat([*local, x], dim=2), after

    @property
    def can_stream(self) -> bool:
        """Always: attention looks at single frames, and the head adds up."""
        return True

    @property
    def fixed_frames(self) -> bool:
        """Whether the weights fit clips of `config.frames` frames only."""
        return self.config.time_norm or self.config.head == "conv"

    def state_names(self) -> frozenset[str]:
        """Membranes of all neurons, sums before the head, how many frames were seen, the past of a contrast front."""
        front = {"contrast"} if self.contrast is not None else set()
        head = "dwconv_bf_head.sums" if self.config.head == "conv" else "head.sums"
        return frozenset(neuron_names(self) | front | {head, "clip.frames"})

    def _local(self, x: Tensor, previous: State, after: State, first: int) -> Tensor:
        if self.lplif is not None:
            x, after["lplif"] = self.lplif(x, previous.get("lplif"))
        return self.lpBN(per_frame(lambda y: self.lpPWConv(self.lpDWConv(y)), x), first)

    def check_clip(self, video: Tensor, state: State | None) -> int:
        """The time step of the first frame, 0 where norms and head tell no steps apart; looks at what is given.

        Raises DataError and StateError as the model itself.
        """
        self.check_video(video)
        c, (t, b, _, h, w) = self.config, video.shape
        if c.head == "conv" and (h, w) != (c.image_size, c.image_size):
            raise DataError(
                f"these weights take frames of {c.image_size} x {c.image_size} pixels, got {h} x {w}; resize them, or "
                f"create the model with image_size={h}"
            )
        if h % 32 or w % 32:
            raise DataError(f"frames must have sides that 32 divides, got {h} x {w}; resize or pad them")
        if self.training and b == 1 and (c.head == "conv" or (c.time_norm and h == w == 32)):
            raise DataError(
                "norms over single pixels of one time step need at least 2 clips a batch in training, got 1"
            )
        self.check_state(state)
        for name in ("dwconv_bf_head", "head"):
            if state and name in state:
                self.check_batch(video, state[name]["sums"])
        if not self.fixed_frames:
            if state is None:
                self.warn_of_order(video)
            return 0
        first = _frames_seen(state or {})
        if state is None and t != c.frames:
            turned = f"; axis 1 has {b}: for [B, T, ...] give video.transpose(0, 1)" if b == c.frames else ""
            raise DataError(
                f"these weights take clips of T={c.frames} frames, got {t}{turned}; sample {c.frames}, create the "
                f"model with frames={t}, or give the clip in parts, beginning with state=spikereel.State()"
            )
        if first + t > c.frames:
            raise StateError(
                f"these weights take clips of T={c.frames} frames: {first} are seen and {t} more were given; "
                "begin the next clip with state=None"
            )
        return first


def _frames_seen(state: dict) -> int:
    return int(state["clip"]["frames"]) if "clip" in state else 0


def _map(layer: type[nn.Module], dim: int, out: int) -> nn.Module:
    return layer(dim, out, 1) if layer is nn.Conv2d else layer(dim, out)
