"""RepConv against its fold, the border of NormAndPad, sizes of the down-sampling, and what a ConvBlock computes."""

import pytest
import torch
from tiny import randomise_norms
from torch import nn
from torch.nn import functional as F

from spikereel.layers.conv import ConvBlock, Downsample, NormAndPad, projection
from spikereel.layers.neuron import NeuronConfig


def _random(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _affine(bn):
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return scale, bn.bias - bn.running_mean * scale


def _fold(module):
    """Weight and bias of the one dense 3x3 with zero padding; spec section 2.6."""
    first, pad, (depthwise, second, norm_b) = module[0].body
    (sa, ba), (sb, bb), (sc, bc) = _affine(pad.bn), _affine(norm_b), _affine(module[1])
    p1, dw, p2 = first.weight[:, :, 0, 0], depthwise.weight[:, 0], second.weight[:, :, 0, 0]
    weight = torch.einsum("om,mhw,m,mi->oihw", p2, dw, sa, p1)
    bias = p2 @ (dw.sum((1, 2)) * ba)
    return (sb * sc).view(-1, 1, 1, 1) * weight, (bias * sb + bb) * sc + bc


@pytest.mark.parametrize(("h", "w"), [(5, 7), (2, 2), (1, 1)])
def test_projection_is_one_dense_convolution(h, w):
    torch.manual_seed(0)
    module = projection(6, NeuronConfig()).double().eval()
    randomise_norms(module)
    x = _random(3, 6, h, w)
    weight, bias = _fold(module)
    torch.testing.assert_close(module(x), F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)


def _norm_and_pad():
    module = NormAndPad(4).double()
    randomise_norms(module)
    return module


def test_border_is_the_norm_of_zero():
    module = _norm_and_pad().eval()
    x = _random(2, 4, 3, 5)
    y = module(x)
    assert y.shape == (2, 4, 5, 7)
    assert torch.equal(y[:, :, 1:-1, 1:-1], module.bn(x))
    of_zero = module.bn(torch.zeros(1, 4, 1, 1, dtype=torch.float64)).flatten()
    frame = torch.ones(5, 7, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    torch.testing.assert_close(y[:, :, frame], of_zero.view(1, 4, 1).expand(2, 4, 20), rtol=0, atol=1e-15)
    assert of_zero.abs().min() > 0.05


def test_border_in_training_has_the_statistics_after_their_update():
    module = _norm_and_pad().train()
    before_mean, before_var = module.bn.running_mean.clone(), module.bn.running_var.clone()
    x = _random(2, 4, 3, 5) + 2.0
    y = module(x)
    mean = 0.9 * before_mean + 0.1 * x.mean((0, 2, 3))
    var = 0.9 * before_var + 0.1 * x.var((0, 2, 3), unbiased=True)
    wanted = module.bn.bias - mean * module.bn.weight / torch.sqrt(var + 1e-5)
    torch.testing.assert_close(y[0, :, 0, 0], wanted, rtol=0, atol=1e-14)
    assert (
        y[0, :, 0, 0] - (module.bn.bias - before_mean * module.bn.weight / torch.sqrt(before_var + 1e-5))
    ).abs().max() > 0.01


def test_border_gives_no_gradient_to_gamma_and_beta():
    for training in (True, False):
        module = _norm_and_pad().train(training)
        x = _random(2, 4, 3, 5).requires_grad_()
        y = module(x)
        (y.sum() - y[:, :, 1:-1, 1:-1].sum()).backward()
        assert not module.bn.weight.grad.any()
        assert not module.bn.bias.grad.any()
        module.zero_grad()
        module(x)[:, :, 1:-1, 1:-1].sum().backward()
        assert module.bn.bias.grad.eq(2 * 3 * 5).all()


@pytest.mark.parametrize(("size", "halved"), [((8, 6), (4, 3)), ((7, 5), (4, 3)), ((1, 1), (1, 1))])
def test_downsampling_halves_and_rounds_up(size, halved):
    for kernel, neuron in ((7, None), (3, NeuronConfig())):
        module = Downsample(3, 4, kernel=kernel, stride=2, neuron=neuron).eval()
        y, state = module(torch.rand(2, 1, 3, *size))
        assert y.shape == (2, 1, 4, *halved)
        assert list(state) == ([] if neuron is None else ["encode_lif"])
    assert Downsample(3, 4, kernel=3, stride=1, neuron=None)(torch.rand(2, 1, 3, *size))[0].shape[-2:] == size


def _by_hand(block, x):
    """x + Sep(x), x + Chan(x) of spec section 2.4 for one time step: a neuron is x >= 2 theta."""
    fire = lambda z: (z >= 2.0).double()  # noqa: E731
    sep = block.Conv
    y = sep.bn1(F.conv2d(fire(x), sep.pwconv1.weight))
    y = F.conv2d(fire(y), sep.dwconv.weight, padding=3, groups=y.shape[1])
    x = x + sep.bn2(F.conv2d(y, sep.pwconv2.weight))
    y = block.bn1(F.conv2d(fire(x), block.conv1.weight, padding=1))
    return x + block.bn2(F.conv2d(fire(y), block.conv2.weight, padding=1))


def test_conv_block_of_one_step_by_hand():
    torch.manual_seed(0)
    block = ConvBlock(4, NeuronConfig()).double().eval()
    randomise_norms(block)
    x = 2 * _random(3, 4, 9, 8)
    y, state = block(x[None])
    torch.testing.assert_close(y[0], _by_hand(block, x), rtol=0, atol=1e-12)
    assert list(state) == ["Conv", "lif1", "lif2"]


@pytest.mark.parametrize("channels", [8, 64])
def test_parameters_of_a_conv_block(channels):
    block = ConvBlock(channels, NeuronConfig())
    assert sum(p.numel() for p in block.parameters()) == 76 * channels**2 + 114 * channels
    assert all(m.bias is None for m in block.modules() if isinstance(m, nn.Conv2d))
