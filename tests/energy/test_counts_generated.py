"""Exact counts of generated networks against a loop over every spike, tap and step: in a loop over time, or folded."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from spikereel.energy import measure

LAYERS = ("conv", "strided", "grouped", "depthwise", "pointwise", "pruned", "shared", "tokens")
BETWEEN = ("none", "added", "added in place", "average", "maximum", "view")


class LIF(nn.Module):
    """Works step by step, or on all steps at once where `folded` says which axis comes first."""

    def __init__(self):
        super().__init__()
        self.v = 0.0

    def forward(self, x):
        self.v = 0.5 * self.v + x
        s = (self.v >= 0.5).to(x.dtype)
        self.v = self.v - 0.5 * s
        return s


class Net(nn.Module):
    """Convolution, neuron, then pairs of what is between and a layer with a neuron behind; notes all by hand."""

    def __init__(self, parts, folded, steps):
        super().__init__()
        self.parts, self.folded, self.steps = parts, folded, steps
        self.stem, self.first = nn.Conv2d(2, 4, 3, padding=1), LIF()
        self.layers = nn.ModuleList(layer_of(kind) for kind, _ in parts)
        self.neurons = nn.ModuleList(LIF() for _ in parts)

    def forward(self, video):
        for neuron in (self.first, *self.neurons):
            neuron.v = 0.0
        self.hand = {f"layers.{i}": torch.zeros(self.steps, dtype=torch.float64) for i in range(len(self.parts))}
        if self.folded is None:
            return sum(self.step(frame, t) for t, frame in enumerate(video))
        return self.whole(video)

    def step(self, frame, t):
        x = self.first(3 * self.stem(frame))
        for i, (kind, between) in enumerate(self.parts):
            y = self.apply_layer(i, kind, changed(between, x), t)
            x = self.neurons[i](3 * y)
        return x.mean()

    def whole(self, video):
        x = self.all_steps(self.first, 3 * self.stem(self.fold(video)))
        for i, (kind, between) in enumerate(self.parts):
            y = self.apply_layer(i, kind, changed(between, x), None)
            x = self.all_steps(self.neurons[i], 3 * y)
        return x.mean()

    def fold(self, video):
        return (video if self.folded == "time" else video.transpose(0, 1)).flatten(0, 1)

    def unfold(self, x):
        sizes = (self.steps, -1) if self.folded == "time" else (-1, self.steps)
        return x.unflatten(0, sizes) if self.folded == "time" else x.unflatten(0, sizes).transpose(0, 1)

    def all_steps(self, neuron, x):
        # the neuron goes through the steps itself
        return self.fold(torch.stack([neuron(frame) for frame in self.unfold(x)]))

    def apply_layer(self, i, kind, x, t):
        layer = self.layers[i]
        for _ in range(2 if kind == "shared" else 1):
            y = on_tokens(layer, x) if kind == "tokens" else layer(x)
            if whole_numbers(x):
                frames = [(t, x)] if t is not None else list(enumerate(self.unfold(x)))
                for step, frame in frames:
                    self.hand[f"layers.{i}"][step] += by_hand(layer, frame)
            x = (y > 0).to(y.dtype)
        return y


def on_tokens(layer, x):
    return layer(x.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])


def layer_of(kind):
    if kind == "tokens":
        return nn.Linear(4, 4)
    options = {
        "strided": {"stride": 2, "padding": 1},
        "grouped": {"groups": 2, "padding": 1},
        "depthwise": {"groups": 4, "padding": 2, "dilation": 2},
        "pointwise": {},
    }.get(kind, {"padding": 1})
    layer = nn.Conv2d(4, 4, 1 if kind == "pointwise" else 3, **options)
    return prune.l1_unstructured(layer, "weight", amount=0.5) if kind == "pruned" else layer


def changed(between, x):
    if between == "added":
        return x + x.flip(-1)
    if between == "added in place":
        x += x.flip(-1).clone()
        return x
    if between == "average":
        return F.avg_pool2d(x, 2, ceil_mode=True) if min(x.shape[2:]) > 1 else x
    if between == "maximum":
        return F.max_pool2d(x, 2, ceil_mode=True)
    if between == "view":
        return x.transpose(2, 3).contiguous().view(len(x), 4, *x.shape[2:])
    return x


def whole_numbers(x):
    return torch.equal(x, x.round())


def by_hand(layer, x):
    """Every unit of a spike, and every output that looks at it, one by one."""
    if isinstance(layer, nn.Linear):
        return float(x.sum()) * layer.out_features
    (kh, kw), (sh, sw), (dh, dw), (ph, pw) = layer.kernel_size, layer.stride, layer.dilation, layer.padding
    _, _, h, w = x.shape
    axes = ((h, ph, dh, kh, sh), (w, pw, dw, kw, sw))
    rows, columns = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in axes)
    plane, met = x.sum((0, 1)).tolist(), 0.0
    for i, j, a, b in product(range(rows), range(columns), range(kh), range(kw)):
        y, z = i * sh - ph + a * dh, j * sw - pw + b * dw
        met += plane[y][z] if 0 <= y < h and 0 <= z < w else 0.0
    return met * layer.out_channels / layer.groups


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.tuples(st.sampled_from(LAYERS), st.sampled_from(BETWEEN)), min_size=1, max_size=3),
    folded=st.sampled_from([None, "time", "batch"]),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(3, 6), st.integers(3, 6)),
    layout=st.sampled_from(["T B C H W", "B T C H W"]),
    seed=st.integers(0, 10**6),
)
def test_generated_networks_count_as_by_hand(parts, folded, sizes, layout, seed):
    torch.manual_seed(seed)
    steps, batch, height, width = sizes
    net = Net(parts, folded, steps)
    video = torch.rand(steps, batch, 2, height, width)
    clip = video if layout[0] == "T" else video.transpose(0, 1).contiguous()
    net.register_forward_pre_hook(lambda _m, inputs: (inputs[0] if layout[0] == "T" else inputs[0].transpose(0, 1),))
    passport = measure(net, clip, layout=layout)
    assert passport.spiking
    for layer in passport.layers[1:]:
        if layer.operand == "real":
            assert layer.synops is None
            continue
        wanted = (net.hand[layer.name] / batch).tolist()
        assert layer.synops == pytest.approx(wanted, abs=1e-6), layer.name
    outputs = {name: rates for name, rates in passport.firing.items() if name == "first" or name.startswith("neurons")}
    assert len(outputs) <= len(parts) + 1
    assert all(0 <= rate <= 1 for rates in outputs.values() for rate in rates)
