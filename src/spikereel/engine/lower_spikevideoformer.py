"""SpikeVideoFormer and Meta-SpikeFormer as programs of the engine: the backbone, all attention schemes."""

from typing import Any

import numpy as np
from torch import nn

from spikereel.engine.builder import Builder, affine, after_bias, array, lanes, rows, spread
from spikereel.engine.packing import LANES
from spikereel.engine.plan import Buffer, Program
from spikereel.errors import ConfigError
from spikereel.layers.conv import ConvBlock, Downsample
from spikereel.models.segmentation_head import HEADS, FPNHead, MLPHead
from spikereel.models.spikevideoformer import SpikeVideoFormer


def lower(model: SpikeVideoFormer) -> Program:
    """Up to the features, or to class maps: "head" where the head runs natively, else the values that it sees."""
    if model.positions is not None:
        raise ConfigError("the native engine knows no positions in time (model.positions): engine='reference'")
    build, x = Builder(), None
    taps = HEADS[model.config.segmentation.head].taps if model.config.task == "segmentation" else ("block4",)
    head: Any = model.head if head_is_native(model.config) else None
    first = "levels" if isinstance(head, MLPHead) else "lateral"
    found: dict[str, Buffer] = {}
    for name, stage in model.stages():
        if isinstance(stage, Downsample):
            # only spikes cross these borders: longer chunks fit the memory behind the first one, and the values of all
            # frames before and behind the second one never live together
            x = _downsample(build, name, stage, x, cut=name in ("downsample3", "downsample4"))
        else:
            for i, block in enumerate(stage.children()):
                lower_block: Any = _conv_block if isinstance(block, ConvBlock) else _transformer_block
                lower_block(build, f"{name}.{i}", block, x)
        if name in taps:
            assert x is not None
            found[name] = x
            if head is not None:
                # spikes alone wait for the other levels: values are changed in their place
                layer = f"{first}.{taps.index(name)}.lif"
                found[name] = build.fire(f"head.{layer}", x, head.get_submodule(layer))
    if head is None:
        return build.finish(found)
    build.cut()
    lower_head = _mlp_head if isinstance(head, MLPHead) else _fpn_head
    return build.finish({"head": lower_head(build, head, [found[name] for name in taps])})


def _mlp_head(build: Builder, head: MLPHead, spikes: list[Buffer]) -> Buffer:
    maps = [
        _weights(build, f"head.levels.{i}", s, layer)
        for i, (s, layer) in enumerate(zip(spikes, head.levels, strict=True))
    ]
    sized = [maps[0], *(build.resize(f"head.resized.{i}", maps[i], maps[0]) for i in range(1, len(maps)))]
    fuse: Any = head.fuse
    joined = build.join("head.fuse.lif", sized, fuse.lif)
    weight = spread(array(fuse.conv.weight), len(maps))
    y = build.conv("head.fuse.conv", joined, weight, after_bias(fuse.norm, fuse.conv.bias))
    return _classes(build, head, y)


def _fpn_head(build: Builder, head: FPNHead, spikes: list[Buffer]) -> Buffer:
    levels: dict[int, Buffer] = {}
    for i in range(len(spikes) - 1, -1, -1):
        layer, name = head.lateral[i], f"head.lateral.{i}"
        levels[i] = _weights(build, name, spikes[i], layer)
        if i + 1 in levels:
            build.resize(f"head.coarser.{i}", levels[i + 1], levels[i], bilinear=False, onto=levels[i])
    total: Buffer | None = None
    smooth = [_spiking(build, f"head.smooth.{i}", levels[i], layer) for i, layer in enumerate(head.smooth)]
    for i, module in enumerate(head.units):
        x, units = smooth[i], list(module.children())
        for j, unit in enumerate(units):
            y = _spiking(build, f"head.units.{i}.{j}", x, unit)
            last = j + 1 == len(units)
            x = build.resize(f"head.resized.{i}.{j}", y, levels[i - 1 - j], onto=total if last else None) if i else y
        total = x
    assert total is not None
    return _classes(build, head, total)


def _spiking(build: Builder, name: str, x: Buffer, layer: Any) -> Buffer:
    return _weights(build, name, build.fire(f"{name}.lif", x, layer.lif), layer)


def _weights(build: Builder, name: str, spikes: Buffer, layer: Any) -> Buffer:
    """What comes behind the neuron of a `SpikeConv`."""
    conv = layer.conv
    norm = (
        rows(np.ones(conv.out_channels), array(conv.bias))
        if isinstance(layer.norm, nn.Identity)
        else after_bias(layer.norm, conv.bias)
    )
    return build.conv(f"{name}.conv", spikes, array(conv.weight), norm, padding=int(conv.padding[0]))


def _classes(build: Builder, head: Any, x: Buffer) -> Buffer:
    return _spiking(build, "head.classify", x, head.classify)


def head_is_native(config: Any) -> bool:
    """Whether the head runs natively: of segmentation, unless it joins levels that are no whole vectors."""
    if getattr(config, "task", "") != "segmentation":
        return False
    width = config.segmentation.width
    return config.segmentation.head == "fpn" or width is None or width % LANES == 0


def _downsample(build: Builder, name: str, layer: Any, x: Buffer | None, *, cut: bool) -> Buffer:
    conv, norm = layer.encode_conv, after_bias(layer.encode_bn, layer.encode_conv.bias)
    if layer.encode_lif is None:
        return build.pictures(f"{name}.encode_conv", conv, norm)
    assert x is not None
    spikes = build.fire(f"{name}.encode_lif", x, layer.encode_lif)
    if cut:
        build.cut()
    return build.conv(
        f"{name}.encode_conv", spikes, array(conv.weight), norm, stride=conv.stride[0], padding=int(conv.padding[0])
    )


def _sep_conv(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    spikes = build.fire(f"{name}.lif1", x, layer.lif1)
    y = build.conv(f"{name}.pwconv1", spikes, array(layer.pwconv1.weight), after_bias(layer.bn1, None))
    spikes = build.fire(f"{name}.lif2", y, layer.lif2)
    build.pointwise(
        f"{name}.pwconv2",
        spikes,
        array(layer.pwconv2.weight)[..., 0, 0],
        after_bias(layer.bn2, None),
        taps=array(layer.dwconv.weight)[:, 0],
        onto=x,
    )


def _conv_block(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    _sep_conv(build, f"{name}.Conv", layer.Conv, x)
    spikes = build.fire(f"{name}.lif1", x, layer.lif1)
    y = build.conv(f"{name}.conv1", spikes, array(layer.conv1.weight), after_bias(layer.bn1, None), padding=1)
    spikes = build.fire(f"{name}.lif2", y, layer.lif2)
    build.conv(f"{name}.conv2", spikes, array(layer.conv2.weight), after_bias(layer.bn2, None), padding=1, onto=x)


def _transformer_block(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    for attention in layer.attentions:
        _attention(build, f"{name}.{attention}", layer.get_submodule(attention), x)
    _mlp(build, f"{name}.mlp", layer.mlp, x)


def _mlp(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    spikes = build.fire(f"{name}.fc1_lif", x, layer.fc1_lif)
    norm = after_bias(layer.fc1_bn, layer.fc1_conv.bias)
    y = build.conv(f"{name}.fc1_conv", spikes, array(layer.fc1_conv.weight)[..., None], norm)
    spikes = build.fire(f"{name}.fc2_lif", y, layer.fc2_lif, flat=True)
    norm = after_bias(layer.fc2_bn, layer.fc2_conv.bias)
    build.conv(f"{name}.fc2_conv", spikes, array(layer.fc2_conv.weight)[..., None], norm, onto=x)


def _attention(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    spikes = build.fire(f"{name}.head_lif", x, layer.head_lif)
    dim, hamming = x.channels, layer.product == "hamming"
    total = None
    for grouping, suffix in zip(layer.groupings, layer.suffixes, strict=True):
        qkv = []
        convs = [layer.get_submodule(f"{part}_conv{suffix}") for part in "qkv"]
        # the first matrix of all three in one go, each in whole vectors
        merged = np.zeros((3 * lanes(dim), dim, 1, 1))
        for i, conv in enumerate(convs):
            merged[i * lanes(dim) : i * lanes(dim) + dim] = array(conv[0].body[0].weight)
        y = build.conv(f"{name}.qkv_conv{suffix}", spikes, merged, None)
        for i, part in enumerate("qkv"):
            current = _tail(build, f"{name}.{part}_conv{suffix}", convs[i], y, offset=i * lanes(dim))
            neuron = f"{part}_lif{suffix}"
            qkv.append(build.fire(f"{name}.{neuron}", current, layer.get_submodule(neuron)))
        v = qkv[2].writer
        assert v is not None
        assert v.neuron is not None
        scale, bias = np.full(dim, v.neuron.unit / layer.scale), np.zeros(dim)
        if layer.similarity == "hamming":
            slope, bias = affine(layer.get_submodule(f"attn_bn{suffix}"))
            scale = scale * slope
        total = build.attend(
            f"{name}.attention{suffix}",
            *qkv,
            heads=layer.heads,
            grouping=grouping,
            hamming=hamming,
            window=layer.window,
            norm=rows(scale, bias),
            reference=layer.reference,
            onto=total,
        )
    assert total is not None
    spikes = build.fire(f"{name}.attn_lif", total, layer.attn_lif)
    first = array(layer.proj_conv[0].body[0].weight)
    y = build.conv(f"{name}.proj_conv.0", spikes, first, None)
    _tail(build, f"{name}.proj_conv", layer.proj_conv, y, onto=x)


def _tail(
    build: Builder, name: str, projection: Any, y: Buffer, *, offset: int = 0, onto: Buffer | None = None
) -> Buffer:
    """What comes behind the first 1x1 of a projection, folded: depthwise 3x3 on zeros around, 1x1, one norm.

    The border of a RepConv holds what its first norm makes of zero, so that norm is a factor of the taps, and a
    constant that goes through the rest.
    """
    rep = projection[0]
    depthwise, matrix, second = rep.body[2]
    scale1, shift1 = affine(rep.body[1].bn)
    scale2, shift2 = affine(second)
    scale3, shift3 = affine(projection[1])
    taps, weight = array(depthwise.weight)[:, 0], array(matrix.weight)[..., 0, 0]
    constant = weight @ (shift1 * taps.sum((1, 2)))
    norm = rows(scale3 * scale2, scale3 * (scale2 * constant + shift2) + shift3)
    return build.pointwise(name, y, weight, norm, taps=taps * scale1[:, None, None], offset=offset, onto=onto)
