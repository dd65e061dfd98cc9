"""Norm and neuron of training: native kernels against the reference, inputs exactly on the threshold among them."""

import pytest
import torch

from spikereel.kernels import training_native
from spikereel.ops import training
from spikereel.ops.lif import Constants
from spikereel.ops.training import Affine, Unit

pytestmark = pytest.mark.skipif(not training_native.available(), reason="this installation has no native kernels")

UNITS = {
    "hard": Unit(Constants(1.0, "hard", 0.0, True, "sigmoid", 4.0, True), 0.5),
    "resting": Unit(Constants(1.0, "hard", -0.25, False, "atan", 2.0, True), 0.25),
    "soft": Unit(Constants(0.5, "soft", 0.0, True, "sigmoid", 3.0, True), 0.5),
    "through-hard": Unit(Constants(1.0, "hard", -0.5, True, "atan", 2.0, False), 0.5),
    "through-soft": Unit(Constants(0.75, "soft", 0.0, False, "sigmoid", 4.0, False), 0.25),
    "integer": Unit(Constants(1.0, "hard", 0.0, True, "sigmoid", 4.0, True), 0.25, integer=True, top=3, per=4.0),
}
SIZES = {"one": (1, 1, 8), "odd": (5, 37, 20), "runs": (3, 2100, 24), "wide": (2, 3, 1030)}


@pytest.fixture(params=training_native._training.instruction_sets() if training_native.available() else [])
def isa(request):
    """Each instruction set that this processor has."""
    before = training_native._training.instruction_set()
    training_native._training.use_instruction_set(request.param)
    yield
    training_native._training.use_instruction_set(before)


def _given(size, groups):
    """Rows in quarters, and a norm that keeps them so: sums meet the threshold exactly."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-8, 12, SIZES[size], generator=generator) / 4
    tables = [torch.randint(1, 3, (groups, x.shape[2]), generator=generator) / 2 for _ in range(3)]
    norm = Affine(*tables) if groups else None
    start = torch.randint(-4, 4, x.shape[1:], generator=generator) / 4
    return x, norm, start, torch.randn(x.shape, generator=generator), torch.randn(x.shape[1:], generator=generator)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", UNITS)
def test_native_is_the_reference(name, size, isa):
    unit = UNITS[name]
    for groups in (0, 1, SIZES[size][0]):
        x, norm, start, to_spikes, to_end = _given(size, groups)
        for v, to_v in ((None, None), (start, to_end)):
            kept, end = training_native.fire(x, norm, v, unit)
            own, own_end = training.fire(x, norm, v, unit)
            assert torch.equal(kept, own)
            assert torch.equal(end, own_end)
            learnt = not unit.integer
            ours = training_native.unfire(x, norm, v, unit, to_spikes, to_v, learnt)
            for fast, plain in zip(ours, training.unfire(x, norm, v, unit, to_spikes, to_v, learnt), strict=True):
                assert (fast is None) == (plain is None)
                if fast is not None:
                    scale = float(plain.abs().max()) + 1e-6
                    torch.testing.assert_close(fast.to(plain.dtype), plain, rtol=0, atol=2e-5 * scale)
    if size == "odd" and not unit.integer:
        assert 0.05 < training_native.rate(kept, x.numel()) < 0.95


@pytest.mark.parametrize("groups", [1, 3])
def test_statistics_of_norms_and_their_gradients(groups, isa):
    generator = torch.Generator().manual_seed(0)
    # a mean that is large beside the spread loses no digits
    x, y = (torch.randn(groups, 517, 20, generator=generator) + 50 * i for i in (0, 1))
    mean, *numbers = (torch.rand(groups, 20, generator=generator) + 49.5 for _ in range(4))
    for name, given in {
        "moments": (y,),
        "sums": (x, y, mean),
        "affine": (x, *numbers[:2]),
        "finish": (x, y, mean, *numbers),
    }.items():
        ours, plain = (getattr(module, name)(*given) for module in (training_native, training))
        for fast, own in zip(ours, plain, strict=True):
            torch.testing.assert_close(fast.double(), own.double(), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("momentum", [0.1, 0.75])
@pytest.mark.parametrize("groups", [1, 3])
def test_norms_natively_and_by_the_reference(groups, momentum, isa):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(groups, 37, 20, generator=generator) + 5
    # parts of larger numbers, as three norms in one have them
    gamma, beta, *before = (torch.rand(groups, 60, generator=generator)[:, 20:40] for _ in range(4))
    found = []
    for module in (training_native, training):
        running = before[0].clone(), before[1].clone()
        tables, inverse = module.normalise(x, gamma, beta, running, momentum, 1e-5)
        to_z = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        norm = Affine(*tables)
        grads = module.through_norm(to_z, x, norm, gamma, inverse, module.sums(to_z, x, norm.mean))
        found.append([*tables, inverse, *running, *grads])
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-5, atol=2e-5)
    exact = x.double().var(1, correction=0).add(1e-5).rsqrt()
    torch.testing.assert_close(found[0][3], exact, rtol=2e-6, atol=0)


@pytest.mark.parametrize("name", ["hard", "integer"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_kept_gives_the_spikes_back(name, dtype, isa):
    unit = UNITS[name]
    counts = torch.randint(0, unit.top + 1, (3, 7, 5), generator=torch.Generator().manual_seed(0))
    spikes = counts.to(dtype) / unit.per
    kept = training.pack(spikes, unit)
    assert kept.dtype == torch.uint8
    assert kept.shape == (3, 35 if unit.integer else 5)
    assert torch.equal(training.unpack(kept, spikes.shape, unit, dtype), spikes)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("shape", [(2, 1, 24, 9, 13), (1, 2, 40, 8, 8), (1, 1, 8, 1, 17)])
def test_lists_of_spikes_convolve_as_dense_ones_do(kernel, shape, isa):
    generator = torch.Generator().manual_seed(0)
    t, b, channels, height, width = shape
    spikes = (torch.rand(t, b * height * width, channels, generator=generator) < 0.2).float()
    kept = training.pack(spikes, UNITS["hard"])
    frames = spikes.view(t * b, height, width, channels).movedim(-1, 1)
    for out in (9, 16, 48, 200, 256):
        weight = torch.randn(out, channels, kernel, kernel, generator=generator).requires_grad_()
        bias, to_y = torch.randn(out, generator=generator), torch.randn(t * b, out, height, width, generator=generator)
        dense = torch.conv2d(frames, weight, bias, padding=kernel // 2)
        assert training_native.takes(torch.Size(shape), weight)
        rows = training_native.events(kept, torch.Size(shape), weight.detach(), bias)
        torch.testing.assert_close(rows, dense.movedim(1, -1).reshape(rows.shape), rtol=1e-5, atol=1e-4)
        to_rows = to_y.movedim(1, -1).reshape(rows.shape).contiguous()
        own = training_native.gather(kept, torch.Size(shape), to_rows, kernel)
        (plain,) = torch.autograd.grad(dense, weight, to_y)
        torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-3)
    assert training_native.rate(kept, spikes.numel()) == pytest.approx(float(spikes.mean()))


@pytest.fixture(params=[1, 2])
def threads(request):
    """One thread, and two."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def _rows(frames, t):
    """[T B, C, H, W] as rows [T, B H W, C]."""
    return frames.movedim(1, -1).reshape(t, -1, frames.shape[1]).float().contiguous()


def _near(ours, exact):
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=2e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(
    "shape", [(2, 1, 24, 9, 13), (1, 2, 40, 28, 8), (1, 1, 130, 1, 17), (3, 1, 3, 14, 30), (1, 2, 16, 15, 22)]
)
def test_dense_convolutions_and_their_gradients(kernel, shape, isa, threads):
    generator = torch.Generator().manual_seed(0)
    t, b, channels, height, width = shape
    x = torch.randn(t * b, channels, height, width, generator=generator, dtype=torch.float64).requires_grad_()
    for out in (1, 8, 16, 45):
        weight = torch.randn(out, channels, kernel, kernel, generator=generator, dtype=torch.float64).requires_grad_()
        bias = torch.randn(out, generator=generator, dtype=torch.float64)
        y = torch.conv2d(x, weight, bias, padding=kernel // 2)
        to_y = torch.randn(y.shape, generator=generator, dtype=torch.float64)
        to_x, to_weight = torch.autograd.grad(y, (x, weight), to_y)
        rows, to_rows, size = _rows(x.detach(), t), _rows(to_y, t), torch.Size(shape)
        for order in (torch.contiguous_format, torch.channels_last):
            own = weight.detach().float().contiguous(memory_format=order)
            found = training_native.convolve(rows, size, own, bias.float())
            _near(found, _rows(y.detach().double(), t).double())
            back = training_native.convolve(to_rows, size, own, to_input=True)
            _near(back, _rows(to_x, t).double())
        _near(training_native.weigh(rows, size, to_rows, kernel), to_weight)


@pytest.mark.parametrize(("kernel", "padding"), [(3, 0), (3, 1), (5, 2), (7, 3), (7, 6)])
@pytest.mark.parametrize("shape", [(2, 1, 16, 9, 33), (1, 2, 20, 8, 7), (1, 1, 40, 17, 16)])
def test_depthwise_convolutions_and_their_gradients(kernel, padding, shape, isa, threads):
    generator = torch.Generator().manual_seed(0)
    t, b, channels, height, width = shape
    size, weight = torch.Size(shape), torch.randn(channels, 1, kernel, kernel, generator=generator, dtype=torch.float64)
    assert training_native.deep(size, weight, padding)
    values = torch.randn(t * b, channels, height, width, generator=generator, dtype=torch.float64)
    for x in (values, (values > 1).double()):
        x, w = x.requires_grad_(), weight.requires_grad_()
        y = torch.conv2d(x, w, padding=padding, groups=channels)
        to_y = torch.randn(y.shape, generator=generator, dtype=torch.float64)
        to_x, to_weight = torch.autograd.grad(y, (x, w), to_y)
        rows, to_rows, own = _rows(x.detach(), t), _rows(to_y, t), weight.detach().float()
        for given in (rows, training.pack(rows, UNITS["hard"])) if x is not values else (rows,):
            _near(training_native.depth(given, size, own, padding), _rows(y.detach(), t).double())
            _near(training_native.depth_weights(given, size, to_rows, kernel, padding), to_weight)
        after = torch.Size((t, b, *y.shape[1:]))
        back = training_native.depth(to_rows, after, own.flip(2, 3), kernel - 1 - padding)
        _near(back, _rows(to_x, t).double())


def test_sums_are_the_same_with_any_number_of_threads():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, 16 * 40, channels, generator=generator) for channels in (48, 40))
    weight, taps = torch.randn(40, 48, 3, 3, generator=generator), torch.randn(48, 1, 7, 7, generator=generator)
    size, before, found = torch.Size((2, 1, 48, 16, 40)), torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        both = training_native.convolve(x, size, weight), training_native.convolve(y, size, weight, to_input=True)
        deep = training_native.depth(x, size, taps, 3), training_native.depth_weights(x, size, x, 7, 3)
        found.append((*both, training_native.weigh(x, size, y, 3), *deep))
    torch.set_num_threads(before)
    for one, *rest in zip(*found, strict=True):
        assert all(torch.equal(one, other) for other in rest)


def test_kernels_of_another_version_are_not_used(monkeypatch):
    monkeypatch.setattr(training_native, "ABI", -1)
    assert training.kernels_for(torch.zeros(1)) is training
    assert training.dense_for(torch.zeros(1)) is None
    assert "was built for another version of spikereel: install anew" in training.describe()
