"""Layers over frames, and stochastic depth that drops whole clips."""

import torch
from torch import nn

from spikereel.layers.mlp import MLP
from spikereel.layers.neuron import NeuronConfig
from spikereel.layers.time import DropPath, per_frame


def test_per_frame_is_a_loop_over_frames():
    conv = nn.Conv2d(2, 3, 3).double()
    x = torch.rand(4, 2, 2, 5, 6, dtype=torch.float64)
    wanted = torch.stack([conv(frame) for frame in x])
    torch.testing.assert_close(per_frame(conv, x), wanted, rtol=0, atol=1e-14)


def test_mlp_treats_every_pixel_alike():
    mlp = MLP(4, 2.0, NeuronConfig(threshold=0.2)).double().eval()
    x = torch.rand(3, 2, 4, 3, 5, dtype=torch.float64) * 2
    y, _ = mlp(x)
    turned, _ = mlp(x.flip(-1).mT)
    assert y.shape == x.shape
    torch.testing.assert_close(turned, y.flip(-1).mT, rtol=0, atol=1e-14)
    assert sum(p.numel() for p in MLP(4, 4.0, NeuronConfig()).parameters()) == 8 * 16 + (4 + 1) * 4 + 2 * 5 * 4


def test_drop_path_drops_whole_clips():
    torch.manual_seed(0)
    x = torch.rand(5, 400, 2, 3, 1) + 0.5
    y = DropPath(0.25)(x)
    kept = y != 0
    assert torch.equal(kept, kept[:1, :, :1, :1].expand_as(kept))
    assert torch.allclose(y[kept], x[kept] / 0.75)
    assert 0.2 < 1 - kept[0, :, 0, 0, 0].float().mean() < 0.3


def test_drop_path_keeps_the_expectation():
    torch.manual_seed(1)
    y = DropPath(0.4)(torch.ones(1, 100_000, 1))
    # standard error 0.0026
    assert abs(y.mean().item() - 1.0) < 0.01


def test_drop_path_over_time_drops_steps_of_the_whole_batch():
    torch.manual_seed(0)
    x = torch.rand(400, 5, 2, 3, 1) + 0.5
    y = DropPath(0.25, over_time=True)(x)
    kept = y != 0
    assert torch.equal(kept, kept[:, :1, :1, :1].expand_as(kept))
    assert torch.allclose(y[kept], x[kept] / 0.75)
    assert 0.2 < 1 - kept[:, 0, 0, 0, 0].float().mean() < 0.3
    assert torch.equal(DropPath(0.9, over_time=True).eval()(x), x)


def test_drop_path_off():
    x = torch.rand(2, 3, 4)
    assert torch.equal(DropPath(0.9).eval()(x), x)
    assert torch.equal(DropPath(0.0).train()(x), x)
