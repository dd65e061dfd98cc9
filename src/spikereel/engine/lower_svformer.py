"""SVFormer as a program of the engine: everything but the head."""

from typing import Any

import numpy as np

from spikereel.engine.builder import Builder, affine, after_bias, array, rows
from spikereel.engine.plan import Buffer, Norm, Program
from spikereel.models.svformer import GlobalBlock, LocalBlock, SVFormer

GLOBAL, LOCAL = "blocks4", "local"
"""Taps: the features of both paths."""


def lower(model: SVFormer) -> Program:
    """Up to the features of the global path, and of the local one."""
    build, x, found = Builder(), None, {}
    for i in range(1, 5):
        name = f"patch_embed{i}"
        x = _patch_embed(build, name, model.get_submodule(name), x, cut=i == 3)
        if i == 3 and model.config.local_path:
            found[LOCAL] = _local_path(build, model, x)
        for j, block in enumerate(model.get_submodule(f"blocks{i}").children()):
            name = f"blocks{i}.{j}"
            if isinstance(block, LocalBlock):
                _local_block(build, name, block, x)
            else:
                assert isinstance(block, GlobalBlock)
                _attention(build, f"{name}.attn", block.attn, x)
                _mlp(build, f"{name}.mlp", block.mlp, x)
    assert x is not None
    found[GLOBAL] = x
    return build.finish(found)


def _matrix(layer: Any) -> np.ndarray:
    """Weights [C', C, 1, 1] of a linear layer or of a 1x1 convolution."""
    weight = array(layer.weight)
    return weight if weight.ndim == 4 else weight[..., None, None]


def _patch_embed(build: Builder, name: str, layer: Any, x: Buffer | None, *, cut: bool) -> Buffer:
    norm = after_bias(layer.norm, layer.proj.bias)
    if layer.in_lif is None:
        return build.pictures(f"{name}.proj", layer.proj, norm)
    assert x is not None
    spikes = build.fire(f"{name}.in_lif", x, layer.in_lif)
    if cut:
        build.cut()
    stride, padding = layer.proj.stride[0], int(layer.proj.padding[0])
    return build.conv(f"{name}.proj", spikes, array(layer.proj.weight), norm, stride=stride, padding=padding)


def _mlp(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    spikes = build.fire(f"{name}.act1", x, layer.act1)
    y = build.conv(f"{name}.fc1", spikes, _matrix(layer.fc1), after_bias(layer.norm1, layer.fc1.bias))
    spikes = build.fire(f"{name}.act2", y, layer.act2)
    build.conv(f"{name}.fc2", spikes, _matrix(layer.fc2), after_bias(layer.norm2, layer.fc2.bias), onto=x)


def _local_block(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    spikes = build.fire(f"{name}.act1", x, layer.act1)
    bias = array(layer.conv1.bias)
    y = build.conv(f"{name}.conv1", spikes, array(layer.conv1.weight), rows(np.ones_like(bias), bias))
    weight = array(layer.conv2.weight)[..., 0, 0]
    scale, shift = affine(layer.norm2)
    constant = weight @ array(layer.attn.bias) + array(layer.conv2.bias)
    norm = rows(scale, shift + scale * constant)
    build.pointwise(f"{name}.conv2", y, weight, norm, taps=array(layer.attn.weight)[:, 0], onto=x)
    _mlp(build, f"{name}.mlp", layer.mlp, x)


def _local_path(build: Builder, model: Any, x: Buffer) -> Buffer:
    depthwise, pointwise = model.lpDWConv, model.lpPWConv
    source = x if model.lplif is None else build.fire("lplif", x, model.lplif)
    weight = array(pointwise.weight)[..., 0, 0]
    scale, shift = affine(model.lpBN)
    constant = weight @ array(depthwise.bias) + array(pointwise.bias)
    norm = rows(scale, shift + scale * constant)
    taps = array(depthwise.weight)[:, 0]
    return build.pointwise("lpPWConv", source, weight, norm, taps=taps, stride=depthwise.stride[0])


def _attention(build: Builder, name: str, layer: Any, x: Buffer) -> None:
    spikes = build.fire(f"{name}.in_lif", x, layer.in_lif)
    dim = x.channels
    norm = after_bias(layer.norm1, layer.qkv.bias)
    parts, unit = [], 1.0
    for i, part in enumerate("qkv"):
        own = slice(i * dim, (i + 1) * dim)
        share = rows(norm.scale[:, own], norm.bias[:, own])
        y = build.conv(f"{name}.{part}", spikes, _matrix(layer.qkv)[own], share)
        parts.append(build.fire(f"{name}.{part}_lif", y, layer.get_submodule(f"{part}_lif")))
        neuron = parts[-1].writer
        assert neuron is not None
        assert neuron.neuron is not None
        unit *= neuron.neuron.unit
    scaled: Norm = rows(np.full(dim, unit / layer.head_dim**0.5), np.zeros(dim))
    a = build.attend(
        f"{name}.attention", *parts, heads=dim // layer.head_dim, grouping="frame", hamming=False, norm=scaled
    )
    spikes = build.fire(f"{name}.proj_lif", a, layer.proj_lif)
    norm = after_bias(layer.norm2, layer.proj.bias)
    build.conv(f"{name}.proj", spikes, _matrix(layer.proj), norm, onto=x)
