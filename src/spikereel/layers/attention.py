"""Spike-driven attention over video: one module, and a table that says which tokens see each other.

Source: Zou et al., "SpikeVideoFormer: An Efficient Spike-Driven Video Transformer with Hamming Attention and O(T)
Complexity", ICML 2025, section 3, and its released code; `hierarchical` and `factorised` are not in that code.
"""

from typing import Literal, cast, get_args

import torch
from einops import rearrange
from torch import Tensor, nn

from spikereel.errors import ConfigError
from spikereel.layers import plain
from spikereel.layers.conv import projection
from spikereel.layers.neuron import Neuron, NeuronConfig, collected
from spikereel.layers.time import per_frame
from spikereel.ops.hamming import Similarity, attention, attention_scale, causal_attention, window_attention

Attention = Literal["spatial", "joint", "hierarchical", "factorised", "causal"]
Grouping = Literal["frame", "clip", "pixel", "past", "recent"]
Size = int | torch.SymInt
"""A length; of exported files with sizes that are free, one that comes with the call."""

TOKENS: dict[str, str] = {
    "frame": "(T B) m (H W) d",
    "clip": "B m (T H W) d",
    "pixel": "(B H W) m T d",
    "past": "T B m (H W) d",
    "recent": "T B m (H W) d",
}
"""Which tokens attend to each other: those of one frame, of the whole clip, of one pixel over time, of the past, of the
last `SpikeAttention.window` frames."""

SCHEMES: dict[str, tuple[tuple[Grouping, ...], ...]] = {
    "spatial": (("frame",),),
    "joint": (("clip",),),
    "hierarchical": (("frame",), ("pixel",)),
    "factorised": (("frame", "pixel"),),
    "causal": (("past",),),
}
"""Attention modules of a block, one after the other; the groupings inside one module run in parallel."""

STREAMING: tuple[str, ...] = ("spatial", "causal")
"""Schemes that can go on from a state, frame by frame, with the same result as the whole clip."""


def schemes(name: str) -> tuple[tuple[Grouping, ...], ...]:
    """Row of SCHEMES. Raises ConfigError for a name that is not there."""
    if name not in SCHEMES:
        raise ConfigError(f"attention {name!r} does not exist; choose one of {', '.join(get_args(Attention))}")
    return SCHEMES[name]


def summed_tokens(grouping: Grouping, frames: Size, tokens: Size) -> Size:
    """Tokens that one token's sum goes over, in a clip or window of so many frames of so many tokens each.

    Of "past" those of one frame: its sum is a mean over frames already.
    """
    sums = {"frame": tokens, "past": tokens, "pixel": frames, "clip": frames * tokens, "recent": frames * tokens}
    return sums[grouping]


class ProductAttention(nn.Module):
    """An attention without softmax, and what has to be known to count its two products k^T v and q (k^T v)."""

    head_dim: int
    """Channels of a head: each product takes that many multiply-accumulates per value of q."""
    product: Similarity
    suffixes: tuple[str, ...] = ("",)
    """One for each set of neurons `q_lif`, `k_lif`, `v_lif`; two products each."""


class SpikeAttention(ProductAttention):
    """head_lif; q, k, v = LIF(BN(RepConv x)); A of the token groupings, summed; attn_lif; projection.

    Hamming: A = (2q - 1)[(2k - 1)^T v] / (2D), then a batch norm, threshold 1.
    Dot: A = q (k^T v) / 8, no norm, threshold 0.5.
    With artificial neurons (ReLU) the product is q (k^T v) for either similarity: 2q - 1 means nothing for real values.
    Sums grow with the number of tokens, and norms and thresholds are those of the clips of training. With `reference`,
    the frames and the tokens of a frame of a clip, A is divided by the tokens summed over those of that clip as well:
    then it is of one size in clips of any length and resolution, and on clips of the reference what it is without.
    The second grouping of a factorised module has its own q, k, v and norm, named with `_t`; the projection is shared.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        groupings: tuple[Grouping, ...],
        similarity: Similarity,
        neuron: NeuronConfig,
        qk_neuron: NeuronConfig,
        attn_neuron: NeuronConfig,
        reference: tuple[int, int] | None = None,
    ):
        super().__init__()
        if dim % heads:
            raise ConfigError(f"width {dim} cannot be split into {heads} heads; choose widths that {heads} divides")
        self.heads, self.similarity, self.groupings = heads, similarity, groupings
        self.window, self.reference = 1, reference
        self.scale = attention_scale(similarity, dim)
        self.head_dim = dim // heads
        self.product = "dot" if neuron.kind == "relu" else similarity
        self.head_lif = Neuron(neuron, dim)
        self.suffixes = ("", "_t")[: len(groupings)]
        for suffix in self.suffixes:
            for part, config in (("q", qk_neuron), ("k", qk_neuron), ("v", neuron)):
                self.add_module(f"{part}_conv{suffix}", projection(dim, neuron))
                self.add_module(f"{part}_lif{suffix}", Neuron(config, dim))
            if similarity == "hamming":
                self.add_module(f"attn_bn{suffix}", plain.BatchNorm2d(dim))
        self.attn_lif = Neuron(attn_neuron, dim)
        self.proj_conv = projection(dim, attn_neuron)

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        """x [T, B, D, H, W] to the same shape."""
        state, after = state or {}, {}
        x, after["head_lif"] = self.head_lif(x, state.get("head_lif"))
        total = None
        for grouping, suffix in zip(self.groupings, self.suffixes, strict=True):
            q, k, v = (self._spikes(part + "{}" + suffix, x, state, after) for part in "qkv")
            a = self._attend(q, k, v, grouping, state, after)
            if self.similarity == "hamming":
                norm = self.get_submodule(f"attn_bn{suffix}")
                # exact sums come in float32 or wider; a model cast to bfloat16 as a whole takes them rounded
                a = per_frame(norm, a.to(next(norm.parameters()).dtype))
            total = a if total is None else total + a
        s, after["attn_lif"] = self.attn_lif(total, state.get("attn_lif"))
        return per_frame(self.proj_conv, s.to(x.dtype)), after

    def share(self, grouping: Grouping, frames: Size, tokens: Size) -> float | torch.SymFloat:
        """Tokens summed in a clip of so many frames and tokens a frame, over those of the reference; 1 without one."""
        if self.reference is None:
            return 1.0
        return summed_tokens(grouping, frames, tokens) / summed_tokens(grouping, *self.reference)

    def _spikes(self, name: str, x: Tensor, state: dict, after: dict) -> Tensor:
        current = per_frame(self.get_submodule(name.format("_conv")), x)
        neuron = name.format("_lif")
        module = cast(Neuron, self.get_submodule(neuron))
        s, after[neuron] = module(current, state.get(neuron))
        # v alone is ever more than binary, and the products are linear in it
        return collected(s, module.config)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, grouping: Grouping, state: dict, after: dict) -> Tensor:
        frame, tokens = "T B (m d) H W", TOKENS[grouping]
        sizes = dict(zip("TBHW", (*q.shape[:2], *q.shape[3:]), strict=True))
        q, k, v = (rearrange(s, f"{frame} -> {tokens}", m=self.heads) for s in (q, k, v))
        if grouping == "recent":
            a, after["summed"], after["recent"] = window_attention(
                *(q, k, v, state.get("summed"), state.get("recent")),
                window=self.window,
                similarity=self.product,
                scale=self.scale,
            )
        elif grouping == "past":
            seen = state.get("frames", torch.zeros((), dtype=torch.int64, device=q.device))
            a, after["summed"] = causal_attention(
                q, k, v, state.get("summed"), seen, similarity=self.product, scale=self.scale
            )
            after["frames"] = seen + len(q)
        else:
            a = attention(q, k, v, similarity=self.product, scale=self.scale)
        a = rearrange(a, f"{tokens} -> {frame}", m=self.heads, **sizes)
        if self.reference is None:
            return a
        frames = self.window if grouping == "recent" else sizes["T"]
        return a / self.share(grouping, frames, sizes["H"] * sizes["W"])
