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


@pytest.mark.parametrize("name", ["hard", "integer"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_kept_gives_the_spikes_back(name, dtype):
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
    for out in (16, 48, 256):
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
