"""Exact operations against loops that look at every output, tap and spike one by one."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import take_statistics
from torch import nn

from spikereel.energy import measure
from spikereel.energy.counts import fan_out, inner_macs, reach, reaches
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.models.svformer import ClipConv, SelfAttention, SVFormerConfig

PADDINGS = ("zeros", "circular", "reflect", "replicate")


def looped(layer: nn.Conv2d, x: torch.Tensor) -> tuple[int, int]:
    """(spikes met, taps inside the picture) of x [N, C, H, W] under zero padding, tap by tap."""
    n, _, h, w = x.shape
    (kh, kw), (sh, sw), (dh, dw), (ph, pw) = layer.kernel_size, layer.stride, layer.dilation, layer.padding
    out_h, out_w = (
        (s + 2 * p - d * (k - 1) - 1) // t + 1 for s, p, d, k, t in ((h, ph, dh, kh, sh), (w, pw, dw, kw, sw))
    )
    each_in, each_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    met = taps = 0
    for i, o, y, z, c, a, b in product(*map(range, (n, layer.out_channels, out_h, out_w, each_in, kh, kw))):
        row, column = y * sh - ph + a * dh, z * sw - pw + b * dw
        if 0 <= row < h and 0 <= column < w:
            taps += 1
            met += int(x[i, o // each_out * each_in + c, row, column])
    return met, taps


@st.composite
def convolutions(draw) -> tuple[nn.Conv2d, torch.Tensor]:
    pick = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    groups = pick(1, 2)
    kernel, dilation, padding = [(pick(1, 3), pick(1, 3)), (pick(1, 2), pick(1, 2)), (pick(0, 2), pick(0, 2))]
    size = [max(pick(1, 6), d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    layer = nn.Conv2d(
        groups * pick(1, 2), groups * pick(1, 2), kernel, (pick(1, 3), pick(1, 3)), padding, dilation, groups
    )
    levels = pick(1, 3)
    x = torch.randint(0, levels + 1, (2, layer.in_channels, *size), generator=torch.Generator().manual_seed(pick(0, 9)))
    return layer, x.float()


@given(convolutions())
@settings(max_examples=40)
def test_convolution_is_what_a_loop_counts(case):
    layer, x = case
    met, taps = looped(layer, x)
    rows, columns = reaches(layer, tuple(x.shape[2:]))
    assert float((x.sum((0, 1)) * rows[:, None] * columns).sum()) * fan_out(layer) == met
    assert inner_macs(layer, tuple(x.shape[2:])) * len(x) == taps


@given(
    st.integers(4, 9),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 3),
    st.integers(1, 2),
    st.sampled_from(PADDINGS),
)
@settings(max_examples=60)
def test_every_padding_is_a_layer_of_ones(length, kernel, stride, padding, dilation, mode):
    if length + 2 * padding < dilation * (kernel - 1) + 1:
        return
    layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation, bias=False, padding_mode=mode).double()
    nn.init.ones_(layer.weight)
    x = torch.arange(1.0, length + 1, dtype=torch.float64)
    seen = reach(length, kernel, stride, (padding, padding), dilation, mode)
    assert float((x * seen).sum()) == float(layer(x.view(1, 1, -1)).detach().sum())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_padding_given_in_words():
    layer = nn.Conv2d(1, 1, (4, 3), padding="same", dilation=(1, 2), bias=False).double()
    nn.init.ones_(layer.weight)
    x = torch.rand(1, 1, 7, 8, dtype=torch.float64)
    rows, columns = reaches(layer, (7, 8))
    assert float((x[0, 0] * rows[:, None] * columns).sum()) == pytest.approx(float(layer(x).detach().sum()))


class Spiking(nn.Module):
    """A neuron that fires for what is above 0, so that the clip decides, and a layer on it."""

    def __init__(self, layer: nn.Module, *, channels_last: bool = False):
        super().__init__()
        self.lif = Neuron(NeuronConfig(kind="if", threshold=1e-6))
        self.layer, self.channels_last = layer, channels_last

    def forward(self, x):
        s, _ = self.lif(x)
        if isinstance(self.layer, ClipConv):
            return self.layer(s)
        return self.layer(s.movedim(2, -1) if self.channels_last else s.flatten(0, 1))


def spikes(*shape: int, seed: int = 0) -> torch.Tensor:
    """Zeros and ones; the neuron of `Spiking` passes them on."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).round()


def test_measure_gives_the_loop_per_time_step():
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
    x = spikes(3, 2, 2, 5, 6)
    (cost,) = measure(Spiking(layer), x).layers
    for t in range(3):
        met, taps = looped(layer, x[t])
        assert cost.synops[t] == met / 2
    assert cost.inner_macs == 3 * taps / 2
    assert cost.macs == 3 * 4 * 3 * 3 * 9
    assert sum(cost.synops) != pytest.approx(sum(cost.rate) / 3 * cost.macs, rel=0.05)


def test_linear_layers_and_clip_convolutions():
    x = spikes(3, 2, 4, 2, 2)
    (cost,) = measure(Spiking(nn.Linear(4, 7), channels_last=True), x).layers
    assert cost.synops == pytest.approx([7 * float(x[t].sum()) / 2 for t in range(3)])
    assert cost.inner_macs == cost.macs == 3 * 4 * 4 * 7
    (cost,) = measure(Spiking(ClipConv(4, 4, (3, 2, 2), groups=2)), x).layers
    assert cost.synops == pytest.approx([2 * float(x[t].sum()) / 2 for t in range(3)])
    assert cost.macs == cost.inner_macs == 3 * 4 * 2 * 2 * 2


def products(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, similarity: str) -> tuple[int, int]:
    """Additions of k^T v and q (k^T v), one by one, of spikes [C, N]; a bipolar operand adds or subtracts always."""
    first = second = 0
    width = len(q) // heads
    for head, n, i, j in product(range(heads), range(q.shape[1]), range(width), range(width)):
        a, b = head * width + i, head * width + j
        first += int(v[b, n]) * (1 if similarity == "hamming" else int(k[a, n]))
        second += 1 if similarity == "hamming" else int(q[a, n])
    return first, second


def attended(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The spikes of q, k and v."""
    found = {}
    for part in "qkv":
        module.get_submodule(f"{part}_lif").register_forward_hook(
            lambda _m, _x, out, part=part: found.__setitem__(part, out[0].detach())
        )
    module(x)
    return found


@pytest.mark.parametrize("similarity", ["hamming", "dot", "svformer"])
@given(seed=st.integers(0, 5), heads=st.sampled_from([1, 2]))
@settings(max_examples=4)
def test_both_products_of_attention(similarity, seed, heads):
    torch.manual_seed(seed)
    neuron = NeuronConfig(threshold=0.05)
    if similarity == "svformer":
        config = SVFormerConfig(head_dim=4 // heads, time_norm=False, neuron=neuron)
        module = SelfAttention(4, config)
    else:
        module = SpikeAttention(
            4, heads, groupings=("clip",), similarity=similarity, neuron=neuron, qk_neuron=neuron, attn_neuron=neuron
        )
    x = torch.randn(2, 1, 4, 2, 3)
    take_statistics(module, x)
    costs = {c.name: c for c in measure(module, x).layers if c.kind == "attention"}
    found = attended(module, x)
    assert 0 < found["k"].mean() < 1
    for t in range(2):
        first, second = products(*(found[p][t, 0].flatten(1) for p in "qkv"), heads, similarity)
        assert costs[".k^T v"].synops[t] == first
        assert costs[".q (k^T v)"].synops[t] == second
    assert all(c.macs == 2 * 6 * 4 * 4 / heads for c in costs.values())
