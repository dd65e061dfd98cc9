"""Parts of networks as operations that keep little for the backward pass: `run.memory` = fast and lean.

`fast` keeps the inputs of norms and the spikes as bits; `lean` keeps bits and the inputs of blocks. Both compute the
rest again, either of them also layers of at most 256 inputs: that is cheaper than to keep their results.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.errors import ConfigError
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.conv import ConvBlock, Downsample, RepConv, SepConv
from spikereel.layers.mlp import MLP
from spikereel.layers.neuron import Neuron
from spikereel.layers.norm import ClipNorm, SyncedClipNorm, SyncedNorm
from spikereel.ops.blocks import Body, Composed, Convolution, Maps, Norm, Spikes, block
from spikereel.ops.lif import constants_of
from spikereel.ops.projection import Projected
from spikereel.ops.training import Unit

Memory = Literal["plain", "fast", "lean"]

FEW_INPUTS = 256
"""Products behind one output of a layer up to which `fast` computes it again."""


def set_memory(model: nn.Module, memory: Memory | str) -> None:
    """Let a model of ours train with memory "plain", "fast" or "lean"; outputs, states and gradients are the same.

    Raises ConfigError for another word, and for neurons or norms that `fast` and `lean` do not know.
    """
    if memory not in get_args(Memory):
        raise ConfigError(f"memory {memory!r} does not exist; choose one of {', '.join(get_args(Memory))}")
    if not hasattr(model, "memory"):
        raise ConfigError(f"memory is for SpikeVideoFormer and SVFormer, got a {type(model).__name__}")
    for name, module in model.named_modules() if memory != "plain" else ():
        if isinstance(module, Neuron):
            c = module.config
            if c.kind == "relu" or c.ported or c.replays or c.tau_spread is not None:
                raise ConfigError(
                    f"memory={memory!r} is for neurons lif, plif, if and ilif without fires='above', reset_delay, "
                    f"recheck, replay and tau_spread; {name} is {module.extra_repr()}: give memory='plain'"
                )
        if isinstance(module, SyncedNorm | SyncedClipNorm):
            raise ConfigError(f"memory={memory!r} has no norms over several processes, as {name} is: give 'plain'")
    model.__dict__["memory"] = memory


def hooked(module: nn.Module) -> bool:
    """Whether somebody looks into parts of a module, which then have to be called one by one."""
    return any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks
        for m in module.modules()
        if m is not module
    )


@dataclass(frozen=True)
class NormPart:
    """A norm of a clip from step `first` on, or one of `parts` equal parts of its channels."""

    norm: nn.Module
    first: int = 0
    frames: int = 0
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Runner:
    """Calls layers as fused operations."""

    memory: Memory

    def given(self, x: Tensor) -> Spikes:
        """Values that are no spikes, such as a video; they are kept."""
        return Spikes(dense=x)

    def values(self, x: Spikes) -> Tensor:
        """Spikes as values."""
        return block(Maps(), [x])[0].dense

    def fire(self, neuron: nn.Module, x: Tensor, v: Tensor | None) -> tuple[Spikes, Tensor]:
        """`neuron(x, v)`; x is kept."""
        return self.composed_fire(Maps(), [self.given(x)], [], None, neuron, v)

    def linear(self, layers: Sequence[nn.Module], norm: Any, x: Spikes) -> Tensor:
        """Convolutions or linear layers one after the other, then a norm: a module, a NormPart, None for none."""
        body, weights = maps_of(layers)
        return self.composed(body, [x], weights, norm, keep=self._keeps(layers))

    def linear_fire(
        self,
        layers: Sequence[nn.Module],
        norm: Any,
        x: Spikes,
        neuron: nn.Module,
        v: Tensor | None,
        outputs: slice | None = None,
    ) -> tuple[Spikes, Tensor]:
        """The same and a neuron; outputs: those of the last layer that are meant."""
        body, weights = maps_of(layers, outputs)
        return self.composed_fire(body, [x], weights, norm, neuron, v, keep=self._keeps(layers))

    def composed(
        self, body: Body, x: Sequence[Spikes], weights: Sequence[Tensor], norm: Any, *, keep: bool = False
    ) -> Tensor:
        """A body of `spikereel.ops.blocks` and a norm."""
        given, affine = norm_of(norm)
        return block(body, x, weights, norm=given, affine=affine, keep=keep)[0].dense

    def composed_fire(
        self,
        body: Body,
        x: Sequence[Spikes],
        weights: Sequence[Tensor],
        norm: Any,
        neuron: nn.Module,
        v: Tensor | None,
        *,
        keep: bool = False,
    ) -> tuple[Spikes, Tensor]:
        """The same and a neuron."""
        given, affine = norm_of(norm)
        unit, decay = unit_of(cast(Neuron, neuron))
        spikes, after = block(body, x, weights, norm=given, affine=affine, unit=unit, v=v, decay=decay, keep=keep)
        assert after is not None
        return spikes, after

    def _keeps(self, layers: Sequence[nn.Module]) -> bool:
        weight: Any = layers[-1].weight
        return self.memory == "fast" and weight[0].numel() > FEW_INPUTS


def norm_of(norm: Any) -> tuple[Norm | None, tuple[Tensor, Tensor] | tuple[None, None]]:
    """Running statistics, weight and bias of a norm as [G, C]; a batch is counted."""
    if norm is None or isinstance(norm, nn.Identity):
        return None, (None, None)
    part = norm if isinstance(norm, NormPart) else NormPart(norm)
    own = cast(_BatchNorm, part.norm)
    mean, var, count = own.running_mean, own.running_var, own.num_batches_tracked
    assert mean is not None
    assert var is not None
    assert count is not None
    # a norm in parts is one norm
    if part.part == 0:
        count.add_(1)
    momentum = 1.0 / float(count) if own.momentum is None else own.momentum

    def numbers(x: Tensor) -> Tensor:
        x = x[None]
        if isinstance(own, ClipNorm) and own.steps is not None:
            x = x.view(own.steps, own.channels)[part.first : part.first + part.frames]
        return x.chunk(part.parts, 1)[part.part]

    given = Norm(mean=numbers(mean), var=numbers(var), momentum=momentum, eps=own.eps)
    return given, (numbers(own.weight), numbers(own.bias))


def unit_of(neuron: Neuron) -> tuple[Unit, Tensor | None]:
    """A neuron as the operations take it, and 1 / tau where it is learnt."""
    c = neuron.config
    constants = constants_of(
        c.threshold, c.reset, c.v_reset, c.decay_input and c.kind != "if", c.surrogate, c.alpha, c.detach_reset
    )
    if c.kind == "ilif":
        top = c.levels if c.top is None else c.top
        per = float(c.levels) if c.normalise else 1.0
        return Unit(constants, c.ilif_decay, integer=True, top=top, per=per), None
    if c.kind == "plif":
        decay = torch.sigmoid(neuron.w)
        return Unit(constants, float(decay.detach())), decay
    return Unit(constants, 0.0 if c.kind == "if" or math.isinf(c.tau) else 1.0 / c.tau), None


def maps_of(layers: Sequence[nn.Module], outputs: slice | None = None) -> tuple[Maps, list[Tensor]]:
    """Convolutions of frames, of pixels in a row, or linear layers, with their weights; of one layer some outputs."""
    parts, weights = [], []
    for layer in layers:
        own: Any = layer
        bias = own.bias is not None
        flat = isinstance(own, nn.Linear | nn.Conv1d)
        how = {} if flat else {key: getattr(own, key) for key in ("stride", "padding", "dilation", "groups")}
        parts.append(Convolution(**how, bias=bias))
        found = [own.weight, own.bias] if bias else [own.weight]
        weights += found if outputs is None else [x[outputs] for x in found]
    return Maps(parts=tuple(parts)), weights


def downsample(run: Runner, m: Downsample, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
    """`m(x, state)`."""
    spikes, after = run.given(x), {}
    if m.encode_lif is not None:
        spikes, after["encode_lif"] = run.fire(m.encode_lif, x, (state or {}).get("encode_lif"))
    return run.linear([m.encode_conv], m.encode_bn, spikes), after


def sep_conv(run: Runner, m: SepConv, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
    """`m(x, state)`."""
    state, after = state or {}, {}
    s, after["lif1"] = run.fire(m.lif1, x, state.get("lif1"))
    s, after["lif2"] = run.linear_fire([m.pwconv1], m.bn1, s, m.lif2, state.get("lif2"))
    return run.linear([m.dwconv, m.pwconv2], m.bn2, s), after


def conv_block(run: Runner, m: ConvBlock, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
    """`m(x, state)`."""
    state, after = state or {}, {}
    y, after["Conv"] = sep_conv(run, m.Conv, x, state.get("Conv"))
    x = x + y
    s, after["lif1"] = run.fire(m.lif1, x, state.get("lif1"))
    s, after["lif2"] = run.linear_fire([m.conv1], m.bn1, s, m.lif2, state.get("lif2"))
    return x + run.linear([m.conv2], m.bn2, s), after


def mlp(run: Runner, m: MLP, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
    """`m(x, state)`; the second membrane has its pixels in a row."""
    state, after = state or {}, {}
    s, after["fc1_lif"] = run.fire(m.fc1_lif, x, state.get("fc1_lif"))
    v = state.get("fc2_lif")
    v = None if v is None else v.unflatten(2, x.shape[3:])
    s, v = run.linear_fire([m.fc1_conv], m.fc1_bn, s, m.fc2_lif, v)
    after["fc2_lif"] = v.flatten(2)
    return run.linear([m.fc2_conv], m.fc2_bn, s), after


def projected(rep: RepConv) -> tuple[Projected, list[Tensor]]:
    """`conv.projection` up to its outer norm, with its weights."""
    first, pad, (deep, mix, outer) = cast(Any, rep.body)
    (inner, _), (last, _) = norm_of(pad.bn), norm_of(outer)
    assert inner is not None
    assert last is not None
    norms = [pad.bn.weight, pad.bn.bias], [outer.weight, outer.bias]
    return Projected(inner=inner, last=last), [first.weight, *norms[0], deep.weight, mix.weight, *norms[1]]


def spike_attention(run: Runner, m: SpikeAttention, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
    """`m(x, state)`; sums over the past are taken as they are, other products are computed again."""
    state, after = state or {}, {}
    s, after["head_lif"] = run.fire(m.head_lif, x, state.get("head_lif"))
    parts = []
    for grouping, suffix in zip(m.groupings, m.suffixes, strict=True):
        qkv = []
        for part in "qkv":
            rep, outer = cast(nn.Sequential, m.get_submodule(f"{part}_conv{suffix}"))
            name, (body, weights) = f"{part}_lif{suffix}", projected(cast(RepConv, rep))
            neuron = m.get_submodule(name)
            fired, after[name] = run.composed_fire(body, [s], weights, outer, neuron, state.get(name))
            qkv.append(fired)
        norm = m.get_submodule(f"attn_bn{suffix}") if m.similarity == "hamming" else None
        if grouping in ("past", "recent"):
            a = m._attend(*(run.values(part) for part in qkv), grouping, state, after).to(x.dtype)
            parts.append((Maps(), [Spikes(dense=a)], norm))
        else:
            parts.append((Composed(call=_attending(m, grouping, x.dtype)), qkv, norm))
    if len(parts) == 1:
        body, inputs, norm = parts[0]
    else:
        total = sum(run.composed(body, inputs, [], norm) for body, inputs, norm in parts)
        body, inputs, norm = Maps(), [Spikes(dense=cast(Tensor, total))], None
    s, after["attn_lif"] = run.composed_fire(body, inputs, [], norm, m.attn_lif, state.get("attn_lif"))
    rep, outer = m.proj_conv
    body, weights = projected(cast(RepConv, rep))
    return run.composed(body, [s], weights, outer), after


def _attending(m: SpikeAttention, grouping: Any, dtype: torch.dtype) -> Callable[..., Tensor]:
    def call(qkv: Sequence[Tensor]) -> Tensor:
        return m._attend(*qkv, grouping, {}, {}).to(dtype)

    return call
