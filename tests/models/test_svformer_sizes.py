"""The published sizes, names, operations and initialisation."""

import pytest
import torch
from tiny import clip, tiny_config, tiny_svformer_config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spikereel.hub import list_models
from spikereel.layers.attention import SCHEMES
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.layers.norm import ClipNorm
from spikereel.layers.observe import count_macs
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import ClipConv, SVFormer, SVFormerConfig

IF = NeuronConfig(kind="if", surrogate="atan")
SIGMOID = NeuronConfig(kind="plif", surrogate="sigmoid")


def _on_meta(**fields):
    with torch.device("meta"):
        return SVFormer(SVFormerConfig(**fields))


def _count(module):
    return sum(p.numel() for p in module.parameters())


# with norms shared over time: 16 times fewer affine numbers in all but the norm of the head, 481,280 - 2,048 of them
SHARED = 13_801_612 - (481_280 - 2_048) * 15 // 16
SIZES = {
    "published": ({}, 13_801_612),
    "ntu": ({"num_classes": 60}, 13_759_587),
    "T=4": ({"frames": 4}, 12_237_964),
    "T=8": ({"frames": 8}, 12_759_180),
    "T=24": ({"frames": 24}, 14_844_044),
    "T=32": ({"frames": 32}, 15_886_476),
    "events": ({"in_channels": 2, "image_size": 128, "num_classes": 11}, 12_623_410),
    "events T=10": ({"in_channels": 2, "image_size": 128, "num_classes": 11, "frames": 10}, 12_247_090),
    "if": ({"neuron": IF}, 13_801_573),
    "sigmoid": ({"neuron": SIGMOID}, 13_801_612),
    "threshold": ({"neuron": NeuronConfig(kind="plif", threshold=0.5)}, 13_801_612),
    "no local path": ({"local_path": False}, 12_326_795),
    "mean head": ({"head": "mean"}, 12_192_906),
    "shared norms": ({"time_norm": False}, SHARED),
}
"""Parameters of the published configuration and of the authors' other ones. Spec sections 2.3 and 3."""

PARTS = {
    "patch_embed1": 18_048,
    "blocks1": 118_659,
    "patch_embed2": 532_737,
    "blocks2": 433_923,
    "patch_embed3": 1_585_537,
    "blocks3": 3_805_077,
    "patch_embed4": 3_162_625,
    "blocks4": 2_215_431,
    "lplif": 1,
    "lpDWConv": 3_840,
    "lpPWConv": 197_120,
    "lpBN": 16_384,
    "lif_bf_head": 1,
    "dwconv_bf_head": 1_606_656,
    "dwconv_bn": 2_048,
    "head": 103_525,
}


@pytest.mark.parametrize("size", SIZES)
def test_parameters_are_the_published_ones(size):
    fields, wanted = SIZES[size]
    assert _count(_on_meta(**fields)) == wanted


def test_parameters_of_every_part():
    assert {name: _count(part) for name, part in _on_meta().named_children()} == PARTS
    assert sum(isinstance(m, Neuron) for m in _on_meta().modules()) == 39


def _layer(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name, length):
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{x}": (length,) for x in vectors} | {f"{name}.num_batches_tracked": ()}


def _mlp(name, c, *kernel):
    return (
        {f"{name}.act1.w": (), f"{name}.act2.w": ()}
        | _layer(f"{name}.fc1", 2 * c, c, *kernel)
        | _norm(f"{name}.norm1", 2 * c * 16)
        | _layer(f"{name}.fc2", c, 2 * c, *kernel)
        | _norm(f"{name}.norm2", c * 16)
    )


def _local_block(name, c):
    return (
        {f"{name}.act1.w": ()}
        | _layer(f"{name}.conv1", c, c, 1, 1)
        | _layer(f"{name}.attn", c, 1, 5, 5)
        | _layer(f"{name}.conv2", c, c, 1, 1)
        | _norm(f"{name}.norm2", c * 16)
        | _mlp(f"{name}.mlp", c, 1, 1)
    )


def _global_block(name, c):
    neurons = {f"{name}.attn.{x}_lif.w": () for x in ("in", "q", "k", "v", "proj")}
    return (
        neurons
        | _layer(f"{name}.attn.qkv", 3 * c, c)
        | _norm(f"{name}.attn.norm1", 3 * c * 16)
        | _layer(f"{name}.attn.proj", c, c)
        | _norm(f"{name}.attn.norm2", c * 16)
        | _mlp(f"{name}.mlp", c)
    )


def _published_names():
    """Names and shapes in the published weights."""
    names = _layer("patch_embed1.proj", 128, 3, 6, 6) | _norm("patch_embed1.norm", 128 * 16)
    for i, c_in, c in ((2, 128, 256), (3, 256, 384), (4, 384, 512)):
        names |= {f"patch_embed{i}.in_lif.w": ()} | _layer(f"patch_embed{i}.proj", c, c_in, 4, 4)
        names |= _norm(f"patch_embed{i}.norm", c * 16)
    names |= _local_block("blocks1.0", 128) | _local_block("blocks2.0", 256) | _global_block("blocks4.0", 512)
    for i in range(3):
        names |= _global_block(f"blocks3.{i}", 384)
    names |= (
        {"lplif.w": (), "lif_bf_head.w": ()} | _layer("lpDWConv", 384, 1, 3, 3) | _layer("lpPWConv", 512, 384, 1, 1)
    )
    names |= _norm("lpBN", 512 * 16) | _layer("dwconv_bf_head", 1024, 2, 16, 7, 7) | _norm("dwconv_bn", 1024)
    return names | _layer("head", 101, 1024)


def test_state_dict_is_the_published_one():
    own = {name: tuple(x.shape) for name, x in _on_meta().state_dict().items()}
    wanted = _published_names()
    assert len(wanted) == 247
    assert own == wanted


def test_operations_are_the_published_ones():
    with torch.device("meta"):
        macs = count_macs(_on_meta(), torch.zeros(16, 1, 3, 224, 224))
    assert macs == 37_675_756_544 + 513_802_240
    listed = list_models()["svformer"]
    assert listed.macs == macs == pytest.approx(38.19e9, rel=0.005)
    assert (listed.parameters, listed.clip, listed.classes) == (13_801_612, (16, 3, 224, 224), 101)


COUNTED = {
    "svformer": tiny_svformer_config(),
    "svformer-mean": tiny_svformer_config(head="mean", frames=3, depths=(1, 2, 1, 2)),
    "svformer-alone": tiny_svformer_config(local_path=False, mlp_ratio=3.0),
    **{name: tiny_config(attention=name) for name in SCHEMES},
    **{f"{name}-dot": tiny_config(attention=name, similarity="dot") for name in SCHEMES},
}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_those_that_pytorch_counts(name):
    config = COUNTED[name]
    model = (SVFormer if isinstance(config, SVFormerConfig) else SpikeVideoFormer)(config).eval()
    video = clip(getattr(config, "frames", 4), 2).float()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(video)
    assert count_macs(model, video) * 2 == counter.get_total_flops()


def test_initialisation():
    model = SVFormer(SVFormerConfig(frames=2, image_size=32))
    for name, m in model.named_modules():
        if isinstance(m, nn.Linear):
            assert m.weight.std().item() == pytest.approx(0.02, rel=0.03), name
            # hardly cut off: a normal distribution goes well beyond two deviations
            assert m.weight.abs().max() > 0.07
            assert not m.bias.any()
        elif isinstance(m, nn.Conv2d | ClipConv):
            bound = m.weight[0].numel() ** -0.5
            assert 0.95 * bound < m.weight.abs().max() <= bound
            assert 0.8 * bound < m.bias.abs().max() <= bound
        elif isinstance(m, ClipNorm):
            assert m.weight.eq(1).all()
            assert not m.bias.any()
        elif isinstance(m, Neuron):
            assert m.w.shape == ()
            assert m.w == 0
