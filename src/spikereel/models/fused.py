"""Blocks of both architectures as operations that keep little for the backward pass; see `spikereel.layers.fused`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.layers.conv import ConvBlock, Downsample
from spikereel.layers.fused import NormPart, Runner, conv_block, downsample, hooked, mlp, spike_attention
from spikereel.models.spikevideoformer import TransformerBlock
from spikereel.models.svformer import ClipMLP, GlobalBlock, LocalBlock, PatchEmbed, SelfAttention
from spikereel.ops.blocks import Composed
from spikereel.ops.hamming import attention


def transformer_block(run: Runner, m: TransformerBlock, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
    """`m(x, state)`."""
    state, after = state or {}, {}
    for name in (*m.attentions, "mlp"):
        part: Any = m.get_submodule(name)
        y, after[name] = (mlp if name == "mlp" else spike_attention)(run, part, x, state.get(name))
        x = x + m.drop_path(y)
    return x, after


def patch_embed(
    run: Runner, m: PatchEmbed, x: Tensor, state: dict | None = None, first: int = 0
) -> tuple[Tensor, dict]:
    """`m(x, state, first)`."""
    spikes, after = run.given(x), {}
    if m.in_lif is not None:
        spikes, after["in_lif"] = run.fire(m.in_lif, x, (state or {}).get("in_lif"))
    return run.linear([m.proj], NormPart(m.norm, first, len(x)), spikes), after


def clip_mlp(run: Runner, m: ClipMLP, x: Tensor, state: dict | None, first: int) -> tuple[Tensor, dict]:
    """`m(x, state, first)`."""
    state, after = state or {}, {}
    s, after["act1"] = run.fire(m.act1, x, state.get("act1"))
    s, after["act2"] = run.linear_fire([m.fc1], NormPart(m.norm1, first, len(x)), s, m.act2, state.get("act2"))
    return run.linear([m.fc2], NormPart(m.norm2, first, len(x)), s), after


def local_block(
    run: Runner, m: LocalBlock, x: Tensor, state: dict | None = None, first: int = 0
) -> tuple[Tensor, dict]:
    """`m(x, state, first)`; where steps are dropped before the norm, that norm is one by itself."""
    state, after = state or {}, {}
    s, after["act1"] = run.fire(m.act1, x, state.get("act1"))
    maps = [m.conv1, m.attn, m.conv2]
    if m.drop_path.over_time:
        x = x + m.norm2(m.drop_path(run.linear(maps, None, s)), first)
    else:
        x = x + m.drop_path(run.linear(maps, NormPart(m.norm2, first, len(x)), s))
    y, after["mlp"] = clip_mlp(run, m.mlp, x, state.get("mlp"), first)
    return x + m.drop_path(y), after


def self_attention(run: Runner, m: SelfAttention, x: Tensor, state: dict | None, first: int) -> tuple[Tensor, dict]:
    """`m(x, state, first)`; q, k and v are maps of their own, with a third of the weights and of the norm each."""
    state, after = state or {}, {}
    s, after["in_lif"] = run.fire(m.in_lif, x, state.get("in_lif"))
    dim, heads = x.shape[2], []
    for i, part in enumerate("qkv"):
        name, own = f"{part}_lif", slice(i * dim, (i + 1) * dim)
        norm = NormPart(m.norm1, first, len(x), i, 3)
        fired, after[name] = run.linear_fire([m.qkv], norm, s, m.get_submodule(name), state.get(name), own)
        heads.append(fired)

    def attend(qkv: Sequence[Tensor]) -> Tensor:
        a = attention(
            *(x.flatten(3).unflatten(2, (-1, m.head_dim)).mT for x in qkv), similarity=m.product, scale=m.head_dim**0.5
        )
        return a.mT.flatten(2, 3).unflatten(3, qkv[0].shape[3:]).to(qkv[0].dtype)

    s, after["proj_lif"] = run.composed_fire(Composed(call=attend), heads, [], None, m.proj_lif, state.get("proj_lif"))
    return run.linear([m.proj], NormPart(m.norm2, first, len(x)), s), after


def global_block(
    run: Runner, m: GlobalBlock, x: Tensor, state: dict | None = None, first: int = 0
) -> tuple[Tensor, dict]:
    """`m(x, state, first)`."""
    state, after = state or {}, {}
    y, after["attn"] = self_attention(run, m.attn, x, state.get("attn"), first)
    x = x + m.drop_path(y)
    y, after["mlp"] = clip_mlp(run, m.mlp, x, state.get("mlp"), first)
    return x + m.drop_path(y), after


FUSED: dict[type[nn.Module], Callable[..., tuple[Tensor, dict]]] = {
    Downsample: downsample,
    ConvBlock: conv_block,
    TransformerBlock: transformer_block,
    PatchEmbed: patch_embed,
    LocalBlock: local_block,
    GlobalBlock: global_block,
}
"""Blocks that are known, and what does their work."""


@torch.compiler.disable(
    reason="memory='fast' and 'lean' run outside of compiled graphs; give memory='plain' to compile"
)
def run_fused(block: nn.Module, memory: Any, x: Any, *rest: Any) -> tuple[Tensor, dict]:
    """`block(x, *rest)` with little kept; as it stands where it is unknown, frozen or looked into by hooks."""
    work = FUSED.get(type(block))
    if work is None or hooked(block) or not all(m.training for m in block.modules()):
        return block(x, *rest)
    return work(Runner(memory), block, x, *rest)
