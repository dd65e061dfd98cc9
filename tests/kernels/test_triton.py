"""Triton kernels against the references, on a GPU or, with TRITON_INTERPRET=1, without one; see docs/training.md."""

import os

import pytest
import torch

from spikereel.kernels.lif_torch import fused_ilif, fused_lif
from spikereel.ops import training
from spikereel.ops.hamming import attention, attention_scale
from spikereel.ops.lif import constants_of, ilif_reference, lif_reference
from spikereel.ops.training import Affine, Unit

pytestmark = [
    pytest.mark.triton,
    # the interpreter of Triton 3.6 with numpy 2.3; with 2.4 it fails
    pytest.mark.filterwarnings("ignore:Conversion of an array with ndim:DeprecationWarning"),
]

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
SHAPES = [(1, 1, 1), (3, 1, 13), (5, 7, 3), (4, 41, 27), (2, 3, 513)]
"""[T, R, C]: one element, bits that end inside a byte, several programs."""


@pytest.fixture(autouse=True)
def nothing_is_read_before_it_is_written(monkeypatch):
    """`torch.empty` gives NaN, and ones in bytes."""

    def filled(make):
        def made(*args, **kwargs):
            x = make(*args, **kwargs)
            return x.fill_(float("nan") if x.is_floating_point() else 77)

        return made

    monkeypatch.setattr(torch, "empty", filled(torch.empty))
    monkeypatch.setattr(torch, "empty_like", filled(torch.empty_like))
    monkeypatch.setattr(torch.Tensor, "new_empty", filled(torch.Tensor.new_empty))


def _constants(**changes):
    values = {"threshold": 1.0, "reset": "hard", "v_reset": 0.0, "decay_input": True, "surrogate": "sigmoid"}
    return constants_of(**{**values, "alpha": None, "detach_reset": True, **changes})


UNITS = {
    "lif": Unit(_constants(), 0.5),
    "hard-to-rest": Unit(_constants(v_reset=-0.25, threshold=0.75, surrogate="atan"), 0.3),
    "soft": Unit(_constants(reset="soft", decay_input=False, alpha=3.0), 0.5),
    "if": Unit(_constants(decay_input=False), 0.0),
    "reset-with-gradient": Unit(_constants(detach_reset=False), 0.5),
    "soft-with-gradient": Unit(_constants(reset="soft", detach_reset=False, surrogate="atan"), 0.5),
    "ilif": Unit(_constants(reset="soft"), 0.25, integer=True, top=4),
    "ilif-normalised": Unit(_constants(reset="soft"), 0.0, integer=True, top=3, per=4.0),
}


def _input(shape, *, seed=0):
    """Quarters, so that many charges lie on the threshold, and halves between two counts."""
    g = torch.Generator().manual_seed(seed)
    return (torch.randint(-4, 13, shape, generator=g) / 4).to(DEVICE)


def _norm(shape, groups, *, seed=1):
    g = torch.Generator().manual_seed(seed)
    scale, shift, mean = (torch.rand(groups, shape[2], generator=g).to(DEVICE) for _ in range(3))
    return Affine(scale + 0.5, shift - 0.25, mean)


def _triton():
    from spikereel.kernels import training_triton

    return training_triton


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("given", ["", "start", "norm", "norm-of-steps", "norm start"])
def test_norm_and_neuron(shape, unit, given):
    x, start = _input(shape), _input(shape[1:], seed=2) if "start" in given else None
    norm = _norm(shape, shape[0] if "steps" in given else 1) if "norm" in given else None
    kept, end = _triton().fire(x, norm, start, unit)
    wanted, membrane = training.fire(x, norm, start, unit)
    assert torch.equal(kept, wanted)
    assert torch.equal(end, membrane)
    g = torch.Generator().manual_seed(3)
    to_spikes, to_membrane = (torch.randn(s, generator=g).to(DEVICE) for s in (shape, shape[1:]))
    learnt = not unit.integer
    found = _triton().unfire(x, norm, start, unit, to_spikes, to_membrane, learnt)
    right = training.unfire(x, norm, start, unit, to_spikes, to_membrane, learnt)
    for one, two in zip(found, right, strict=True):
        assert (one is None) == (two is None)
        if two is not None:
            # one number is a sum over thousands, in float32 in the reference too
            near = 2e-5 if two.ndim else 1e-4
            torch.testing.assert_close(one, two, rtol=2e-5, atol=near, check_dtype=False)


def test_some_inputs_lie_on_the_threshold():
    x = _input((4, 41, 27))
    h = training._run(x, None, 0.5, UNITS["lif"])[1]
    assert (x[0] * 0.5 == 1.0).any()
    assert torch.isfinite(h).all()


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3, 3), (2, 1025)])
@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("name", [name for name, unit in UNITS.items() if not unit.integer and "gradient" not in name])
def test_lif_and_its_gradients(name, shape, learnt):
    from spikereel.kernels import lif_triton

    unit = UNITS[name]
    results = []
    for work in (lif_triton.fused_lif, fused_lif, lif_reference):
        x, v = _input(shape).requires_grad_(), _input(shape[1:], seed=2).requires_grad_()
        w = torch.tensor(0.2, device=DEVICE, requires_grad=True)
        s, end = work(x, v, torch.sigmoid(w) if learnt else unit.decay, unit.constants)
        (s * _input(shape, seed=4)).sum().add((end * _input(shape[1:], seed=5)).sum()).backward()
        results.append((s, end, x.grad, v.grad, w.grad))
    (s, end, *grads), *others = results
    for spikes, membrane, *wanted in others:
        assert torch.equal(s, spikes)
        assert torch.equal(end, membrane)
        for one, two in zip(grads, wanted, strict=True):
            assert (one is None) == (two is None)
            if two is not None:
                torch.testing.assert_close(one, two, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3, 3), (2, 1025)])
@pytest.mark.parametrize(("decay", "top"), [(0.25, 4), (0.0, 3), (1.0, 1)])
def test_integer_lif_and_its_gradients(shape, decay, top):
    from spikereel.kernels import lif_triton

    results = []
    for work in (lif_triton.fused_ilif, fused_ilif, ilif_reference):
        x, v = _input(shape).requires_grad_(), _input(shape[1:], seed=2).requires_grad_()
        s, end = work(x, v, decay, top)
        (s * _input(shape, seed=4)).sum().add((end * _input(shape[1:], seed=5)).sum()).backward()
        results.append((s, end, x.grad, v.grad))
    for other in results[1:]:
        assert torch.equal(results[0][0], other[0])
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 0])
def test_sums_moments_and_finish(shape, groups):
    x, other = _input(shape), _input(shape, seed=7)
    norm = _norm(shape, groups or shape[0])
    x, other = (y.view(len(norm.scale), -1, shape[2]) for y in (x, other))
    torch.testing.assert_close(_triton().sums(x, other, norm.mean), training.sums(x, other, norm.mean))
    for one, two in zip(_triton().moments(x + 1000.0), training.moments(x + 1000.0), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-9)
    given = (x, other, norm.mean, norm.scale, norm.shift, norm.mean)
    torch.testing.assert_close(_triton().finish(*given), training.finish(*given), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(_triton().affine(x, norm.scale, norm.shift), training.affine(x, norm.scale, norm.shift))


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_come_back(shape):
    unit = UNITS["lif"]
    spikes = (_input(shape) > 0.5).float()
    assert torch.equal(_triton().unpack(training.pack(spikes, unit), torch.Size(shape)), spikes)


@pytest.mark.parametrize("similarity", ["hamming", "dot"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("lead", "tokens", "d", "e"), [((), 1, 1, 1), ((2, 3), 70, 45, 5), ((1,), 1100, 16, 33)])
def test_attention_is_exact(lead, tokens, d, e, similarity, whole):
    from spikereel.kernels import hamming_triton

    g = torch.Generator().manual_seed(0)
    q, k = (torch.randint(0, 2, (*lead, tokens, d), generator=g).float().to(DEVICE) for _ in range(2))
    v = torch.randint(0, 5, (*lead, tokens, e), generator=g).float().to(DEVICE)
    scale = attention_scale(similarity, 3 * d)
    found = hamming_triton.attention(q, k, v.to(torch.int8) if whole else v, similarity=similarity, scale=scale)
    assert torch.equal(found, attention(q, k, v, similarity=similarity, scale=scale))
    f = (lambda s: 2 * s.double() - 1) if similarity == "hamming" else (lambda s: s.double())
    exact = f(k).mT @ v.double()
    flat = [x.reshape(-1, *x.shape[-2:]).contiguous() for x in (k, v.to(torch.int8) if whole else v)]
    summed = hamming_triton.keys_values(*flat, hamming=similarity == "hamming")
    assert torch.equal(summed.double(), exact.reshape(summed.shape))


@pytest.mark.parametrize("similarity", ["hamming", "dot"])
def test_gradients_of_attention(similarity):
    from spikereel.kernels import hamming_triton

    results = []
    for work in (hamming_triton.attention, attention):
        q, k, v = ((_input((2, 9, n), seed=n) > 0.5).float().requires_grad_() for n in (5, 5, 7))
        work(q, k, v, similarity=similarity, scale=6.0).mul(_input((2, 9, 7), seed=9)).sum().backward()
        results.append((q.grad, k.grad, v.grad))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


def test_kernels_prove_themselves_and_say_where_they_cannot(monkeypatch):
    from spikereel.kernels import dispatch, lif_triton

    dispatch.proven.cache_clear()
    assert dispatch.proven(0, DEVICE)
    assert not dispatch.by_triton(torch.zeros(1))
    dispatch.proven.cache_clear()
    monkeypatch.setattr(lif_triton, "fused_lif", lambda x, v, *_: (1.0 - fused_lif(x, v, *_)[0], v))
    with pytest.warns(UserWarning, match="other numbers"):
        assert not dispatch.proven(0, DEVICE)
    dispatch.proven.cache_clear()
