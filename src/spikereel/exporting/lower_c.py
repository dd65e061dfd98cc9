"""A folded model as the operations of the C library: maps are [H, W, C], scratch is shared where lifetimes allow."""

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from spikereel.errors import ConfigError
from spikereel.exporting.contract import neuron_constants
from spikereel.exporting.flat import Flat
from spikereel.exporting.fold import FoldedRepConv, Unnormed, affine
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.conv import ConvBlock, Downsample
from spikereel.layers.mlp import MLP
from spikereel.layers.neuron import Neuron
from spikereel.models.spikevideoformer import SpikeVideoFormer, TransformerBlock
from spikereel.models.svformer import GlobalBlock, LocalBlock, SVFormer

KINDS = {n: i for i, n in enumerate(("conv", "depthwise", "lif", "ilif", "relu", "add", "attend", "pool", "head"))}
FIELDS = (
    *("kind", "x", "out", "weight", "bias", "state", "c_in", "h", "w", "c_out", "oh", "ow", "k", "stride", "pad"),
    *("a", "b", "c", "d", "f0", "f1", "f2", "f3", "flags"),
)
"""Words of an operation."""
SOFT, SCALED, HAMMING, CAUSAL, AFFINE, REAL = 1, 2, 4, 8, 16, 32


@dataclass(frozen=True)
class Map:
    """A map [height, width, channels] in the scratch memory."""

    at: int
    channels: int
    height: int
    width: int

    @property
    def count(self) -> int:
        return self.channels * self.height * self.width


@dataclass
class Program:
    """Operations, and how much memory they take, in words of 32 bits."""

    ops: list[list[int]] = field(default_factory=list)
    parts: list[np.ndarray] = field(default_factory=list)
    places: dict[str, list[int]] = field(default_factory=dict)
    """Tensor of the state: where it begins, and how many words it has."""
    starts: list[tuple[int, int, float]] = field(default_factory=list)
    """Words of the state that do not begin at zero."""
    state: int = 0
    work: int = 0
    classes: int = 0
    _size: int = 0
    _free: list[tuple[int, int]] = field(default_factory=list)

    @property
    def weights(self) -> np.ndarray:
        return np.concatenate(self.parts)

    def keep(self, values: Tensor) -> int:
        """Put weights in; where they begin."""
        array = values.detach().float().contiguous().numpy().reshape(-1)
        self.parts.append(array)
        self._size += len(array)
        return self._size - len(array)

    def take(self, channels: int, height: int, width: int) -> Map:
        """Room for a map."""
        count = channels * height * width
        for i, (at, room) in enumerate(self._free):
            if room >= count:
                self._free[i : i + 1] = [(at + count, room - count)] if room > count else []
                return Map(at, channels, height, width)
        # at the end: what is free there grows
        at = self.work
        if self._free and sum(self._free[-1]) == self.work:
            at, _ = self._free.pop()
        self.work = at + count
        return Map(at, channels, height, width)

    def give(self, *maps: Map) -> None:
        """Room that is not needed any more."""
        for x in maps:
            self._free.append((x.at, x.count))
        joined: list[tuple[int, int]] = []
        for at, room in sorted(self._free):
            if joined and sum(joined[-1]) == at:
                joined[-1] = (joined[-1][0], joined[-1][1] + room)
            else:
                joined.append((at, room))
        self._free = joined

    def remember(self, name: str, count: int) -> int:
        """Room in the state; where it begins."""
        self.places[name] = [self.state, count]
        self.state += count
        return self.state - count

    def op(self, kind: str, **fields: Any) -> None:
        """Add an operation; fields are those of `spikereel.c`."""
        row = [0] * 24
        row[3:6] = [-1, -1, -1]
        for name, value in {"kind": KINDS[kind], **fields}.items():
            place = FIELDS.index(name)
            row[place] = (
                struct.unpack("<i", struct.pack("<f", value))[0] if name[0] == "f" and name != "flags" else value
            )
        self.ops.append(row)


def lower(flat: Flat) -> Program:
    """The operations of a model. Raises ConfigError, which names what there is no operation for."""
    model = flat.model
    reason = _refusal(model)
    if reason:
        raise ConfigError(f"{reason}; --to onnx takes it")
    build = Program()
    x = build.take(flat.shape[2], flat.shape[3], flat.shape[4])
    _Builder(build).model(model, x)
    return build


def _refusal(model: Any) -> str | None:
    if model.task != "classification":
        return f"the C library has no head for {model.task}"
    if not model.can_stream or getattr(model, "fixed_frames", False):
        return "the C library goes frame by frame, and these weights see a whole clip at once (attention or norms)"
    if model.contrast is not None:
        return "the C library has no contrast front"
    for name, module in model.named_modules():
        if isinstance(module, SpikeAttention) and module.groupings == ("past",) and not module.v_lif.spiking:
            return f"{name}: the C library keeps sums of spikes, and those of artificial neurons (relu) are no counts"
        if isinstance(module, Neuron) and (module.config.replay or module.config.unit != 1.0):
            return f"{name}: the C library takes counts as they are, not replayed or divided"
        if isinstance(module, Neuron) and module.config.tau_spread is not None:
            return f"{name}: the C library has neurons with one time constant a layer, and tau_spread has one a channel"
        if isinstance(module, Neuron) and module.config.ported:
            how = "(fires='at', no reset_delay, no recheck)"
            return f"{name}: the C library fires at the threshold and resets at once {how}"
    return None


class _Builder:
    """Each method adds the operations of a module, gives back the room of what is read, and returns where the result
    is."""

    def __init__(self, build: Program):
        self.build = build

    def model(self, model: Any, x: Map) -> None:
        if isinstance(model, SpikeVideoFormer):
            for name, stage in model.stages():
                for path, block in stage.named_children() if isinstance(stage, nn.ModuleList) else [("", stage)]:
                    x = self.block(f"{name}.{path}".rstrip("."), block, x)
            pooled = self.pool(x)
            spikes = self.neuron("lif", model.lif, pooled)
        else:
            assert isinstance(model, SVFormer)
            spikes = self.svformer(model, x)
        self.head(model, spikes)

    def block(self, name: str, block: nn.Module, x: Map) -> Map:
        if isinstance(block, Downsample):
            spikes = x if block.encode_lif is None else self.neuron(f"{name}.encode_lif", block.encode_lif, x)
            return self.conv(block.encode_conv, spikes, block.encode_bn)
        if isinstance(block, ConvBlock):
            return self.conv_block(name, block, x)
        assert isinstance(block, TransformerBlock)
        for part in (*block.attentions, "mlp"):
            module = block.get_submodule(part)
            y = (self.attention if isinstance(module, SpikeAttention) else self.mlp)(f"{name}.{part}", module, x)
            x = self.add(x, y)
        return x

    def conv_block(self, name: str, block: ConvBlock, x: Map) -> Map:
        sep = block.Conv
        y = self.neuron(f"{name}.Conv.lif1", sep.lif1, x, keep=True)
        y = self.conv(sep.pwconv1, y, sep.bn1)
        y = self.neuron(f"{name}.Conv.lif2", sep.lif2, y)
        x = self.add(x, self.conv(sep.pwconv2, self.conv(sep.dwconv, y), sep.bn2))
        y = self.neuron(f"{name}.lif1", block.lif1, x, keep=True)
        y = self.neuron(f"{name}.lif2", block.lif2, self.conv(block.conv1, y, block.bn1))
        return self.add(x, self.conv(block.conv2, y, block.bn2))

    def mlp(self, name: str, mlp: Any, x: Map) -> Map:
        assert isinstance(mlp, MLP)
        y = self.neuron(f"{name}.fc1_lif", mlp.fc1_lif, x, keep=True)
        y = self.neuron(f"{name}.fc2_lif", mlp.fc2_lif, self.conv(mlp.fc1_conv, y, mlp.fc1_bn))
        return self.conv(mlp.fc2_conv, y, mlp.fc2_bn)

    def attention(self, name: str, layer: Any, x: Map) -> Map:
        spikes = self.neuron(f"{name}.head_lif", layer.head_lif, x, keep=True)
        qkv = []
        for part in "qkv":
            current = self.folded(layer.get_submodule(f"{part}_conv"), spikes, keep=True)
            qkv.append(self.neuron(f"{name}.{part}_lif", layer.get_submodule(f"{part}_lif"), current))
        self.build.give(spikes)
        causal = layer.groupings == ("past",)
        sums = {}
        if causal:
            dim = layer.heads * layer.head_dim * layer.head_dim
            sums = {"state": self.build.remember(f"{name}.summed", dim)}
            sums["stride"] = self.build.remember(f"{name}.frames", 1)
        norm = layer.attn_bn if layer.similarity == "hamming" else None
        hamming = layer.product == "hamming"
        real = not layer.v_lif.spiking
        # this library goes frame by frame: sums are those of one
        scale = layer.scale * layer.share(layer.groupings[0], 1, x.height * x.width)
        y = self.attend(qkv, heads=layer.heads, scale=scale, hamming=hamming, real=real, norm=norm, sums=sums)
        return self.folded(layer.proj_conv, self.neuron(f"{name}.attn_lif", layer.attn_lif, y))

    def attend(
        self, qkv: list[Map], *, heads: int, scale: float, hamming: bool, real: bool, norm: Any, sums: dict
    ) -> Map:
        x = qkv[0]
        d = x.channels // heads
        out, mean = self.build.take(x.channels, x.height, x.width), self.build.take(heads * d * d, 1, 1)
        fields = dict(sums)
        if norm is not None:
            scale_of, shift = affine(norm)
            fields |= {"weight": self.build.keep(scale_of), "bias": self.build.keep(shift)}
        flags = HAMMING * hamming + CAUSAL * bool(sums) + AFFINE * (norm is not None) + REAL * real
        q, k, v = (part.at for part in qkv)
        size = {"c_in": x.channels, "h": x.height, "w": x.width, "k": heads}
        self.build.op("attend", out=out.at, a=q, b=k, c=v, d=mean.at, f0=scale, flags=flags, **size, **fields)
        self.build.give(mean, *qkv)
        return out

    def folded(self, layer: Any, x: Map, *, keep: bool = False) -> Map:
        assert isinstance(layer, FoldedRepConv)
        y = self.conv(layer.first, x, keep=keep)
        return self.conv(layer.last, self.conv(layer.depthwise, y))

    def svformer(self, model: SVFormer, x: Map) -> Map:
        local = None
        for i in range(1, 5):
            patch: Any = model.get_submodule(f"patch_embed{i}")
            if patch.in_lif is not None:
                x = self.neuron(f"patch_embed{i}.in_lif", patch.in_lif, x)
            x = self.conv(patch.proj, x, patch.norm)
            if i == 3 and model.config.local_path:
                y = x
                if model.lplif is not None:
                    y = self.neuron("lplif", model.lplif, x, keep=True)
                y = self.conv(model.lpDWConv, y, keep=model.lplif is None)
                local = self.conv(model.lpPWConv, y, model.lpBN)
            for j, block in enumerate(model.get_submodule(f"blocks{i}").children()):
                name = f"blocks{i}.{j}"
                if isinstance(block, LocalBlock):
                    y = self.neuron(f"{name}.act1", block.act1, x, keep=True)
                    x = self.add(
                        x, self.conv(block.conv2, self.conv(block.attn, self.conv(block.conv1, y)), block.norm2)
                    )
                else:
                    assert isinstance(block, GlobalBlock)
                    x = self.add(x, self.self_attention(f"{name}.attn", block.attn, x))
                y = self.neuron(f"{name}.mlp.act1", block.mlp.act1, x, keep=True)
                y = self.neuron(f"{name}.mlp.act2", block.mlp.act2, self.conv(block.mlp.fc1, y, block.mlp.norm1))
                x = self.add(x, self.conv(block.mlp.fc2, y, block.mlp.norm2))
        if local is None:
            return self.pool(x)
        # both paths in one row of channels
        row = self.build.take(local.channels + x.channels, 1, 1)
        self.pool(local, into=row.at)
        self.pool(x, into=row.at + local.channels)
        return row

    def self_attention(self, name: str, layer: Any, x: Map) -> Map:
        spikes, qkv = self.neuron(f"{name}.in_lif", layer.in_lif, x, keep=True), []
        weights, biases = (t.detach().chunk(3) for t in (layer.qkv.weight, layer.qkv.bias))
        for part, weight, bias in zip("qkv", weights, biases, strict=True):
            y = self._conv(spikes, weight[..., None, None], bias, 1, 0, keep=True)
            qkv.append(self.neuron(f"{name}.{part}_lif", layer.get_submodule(f"{part}_lif"), y))
        self.build.give(spikes)
        heads = x.channels // layer.head_dim
        real = not layer.v_lif.spiking
        y = self.attend(qkv, heads=heads, scale=layer.head_dim**0.5, hamming=False, real=real, norm=None, sums={})
        return self.conv(layer.proj, self.neuron(f"{name}.proj_lif", layer.proj_lif, y), layer.norm2)

    def conv(self, layer: Any, x: Map, norm: nn.Module | None = None, *, keep: bool = False) -> Map:
        assert norm is None or isinstance(norm, nn.Identity | Unnormed), "norms are folded before"
        weight = layer.weight
        weight = weight[..., None] if weight.ndim == 3 else weight[..., None, None] if weight.ndim == 2 else weight
        square = weight.ndim == 4 and isinstance(layer, nn.Conv2d)
        stride, pad = (layer.stride[0], layer.padding[0]) if square else (1, 0)
        if getattr(layer, "groups", 1) == 1:
            return self._conv(x, weight, layer.bias, stride, pad, keep=keep)
        return self._conv(x, weight, layer.bias, stride, pad, kind="depthwise", keep=keep)

    def _conv(
        self, x: Map, weight: Tensor, bias: Any, stride: int, pad: int, *, kind: str = "conv", keep: bool = False
    ) -> Map:
        k, c_out = weight.shape[-1], weight.shape[0]
        oh, ow = ((side + 2 * pad - k) // stride + 1 for side in (x.height, x.width))
        out = self.build.take(c_out, oh, ow)
        # taps, then inputs, then outputs
        order = weight.permute(2, 3, 1, 0) if kind == "conv" else weight[:, 0].permute(1, 2, 0)
        self.build.op(
            kind,
            x=x.at,
            out=out.at,
            weight=self.build.keep(order),
            bias=-1 if bias is None else self.build.keep(bias),
            c_in=x.channels,
            h=x.height,
            w=x.width,
            c_out=c_out,
            oh=oh,
            ow=ow,
            k=k,
            stride=stride,
            pad=pad,
        )
        if not keep:
            self.build.give(x)
        return out

    def neuron(self, name: str, neuron: Neuron, x: Map, *, keep: bool = False) -> Map:
        """In place, unless x is needed after."""
        c, out = neuron_constants(neuron), self.build.take(x.channels, x.height, x.width) if keep else x
        if not neuron.spiking:
            self.build.op("relu", x=x.at, out=out.at, a=x.count)
            return out
        state = self.build.remember(name, x.count)
        where = {"x": x.at, "out": out.at, "a": x.count, "state": state}
        if c["kind"] == "ilif":
            self.build.op("ilif", **where, f0=c["decay"], f1=float(c["top"]), f2=c["unit"])
            return out
        flags = SOFT * (c["reset"] == "soft") + SCALED * c["decay_input"]
        self.build.op("lif", **where, f0=c["decay"], f1=c["threshold"], f2=c["v_reset"], flags=flags)
        if c["reset"] == "hard" and c["v_reset"]:
            self.build.starts.append((state, x.count, c["v_reset"]))
        return out

    def add(self, x: Map, y: Map) -> Map:
        self.build.op("add", x=y.at, out=x.at, a=x.count)
        self.build.give(y)
        return x

    def pool(self, x: Map, *, into: int | None = None) -> Map:
        out = self.build.take(x.channels, 1, 1) if into is None else Map(into, x.channels, 1, 1)
        self.build.op("pool", x=x.at, out=out.at, c_in=x.channels, h=x.height, w=x.width)
        self.build.give(x)
        return out

    def head(self, model: Any, x: Map) -> None:
        """Mean over time, then the linear layer."""
        sums, frames = (
            ("head.counts", "head.frames") if isinstance(model, SpikeVideoFormer) else ("head.sums", "clip.frames")
        )
        state = self.build.remember(sums, x.channels)
        self.build.classes = len(model.head.weight)
        self.build.op(
            "head",
            x=x.at,
            weight=self.build.keep(model.head.weight.T),
            bias=-1 if model.head.bias is None else self.build.keep(model.head.bias),
            state=state,
            stride=self.build.remember(frames, 1),
            c_in=x.channels,
            c_out=self.build.classes,
        )
