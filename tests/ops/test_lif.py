"""LIF, PLIF and Integer-LIF: by hand, at the threshold, over any split of time, and both backends alike."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikereel.errors import ConfigError, StateError
from spikereel.layers.neuron import NeuronConfig
from spikereel.ops.lif import ilif, lif, plif
from spikereel.ops.surrogate import integer_spike, spike, surrogate_gradient

BACKENDS = ("reference", "fused")


def _run_by_step(neuron, values):
    """Spikes of the whole run, and the membrane after every step."""
    x = torch.tensor(values, dtype=torch.float64)
    membranes = [neuron(x[: t + 1])[1].item() for t in range(len(x))]
    return neuron(x)[0].tolist(), membranes


# input, constants, spikes, membrane after each step; every number is exact in binary
BY_HAND = {
    "hard": ([1.0, 2.0, 1.5, 0.0, 4.0], {}, [0, 1, 0, 0, 1], [0.5, 0.0, 0.75, 0.375, 0.0]),
    "soft": ([1.0, 2.0, 1.5, 0.0, 4.0], {"reset": "soft"}, [0, 1, 0, 0, 1], [0.5, 0.25, 0.875, 0.4375, 1.21875]),
    "hard, x not decayed": (
        [0.75, 0.75, 0.25, 1.0, -0.5],
        {"decay_input": False},
        [0, 1, 0, 1, 0],
        [0.75, 0.0, 0.25, 0.0, -0.5],
    ),
    "soft, x not decayed": (
        [0.75, 0.75, 0.25, 1.0, -0.5],
        {"decay_input": False, "reset": "soft"},
        [0, 1, 0, 1, 0],
        [0.75, 0.125, 0.3125, 0.15625, -0.421875],
    ),
    "v_reset below zero": ([1.0, 2.5, 2.0, 3.0, 0.0], {"v_reset": -0.5}, [0, 1, 0, 1, 0], [0.0, -0.5, 0.5, -0.5, -0.5]),
    "v_reset above zero, x not decayed": (
        [0.5, 0.5, 0.125, 1.0, 0.0],
        {"v_reset": 0.25, "decay_input": False},
        [0, 1, 0, 1, 0],
        [0.75, 0.25, 0.375, 0.25, 0.25],
    ),
    "integrate and fire": (
        [0.5, 0.5, 0.25, 0.75, 0.5],
        {"tau": math.inf, "decay_input": False},
        [0, 1, 0, 1, 0],
        [0.5, 0.0, 0.25, 0.0, 0.5],
    ),
    "tau 4, threshold 0.5": (
        [1.0, 2.0, 1.0, 4.0, -1.0],
        {"tau": 4.0, "threshold": 0.5},
        [0, 1, 0, 1, 0],
        [0.25, 0.0, 0.25, 0.0, -0.25],
    ),
}


PORTED = {
    "above alone": ([2.0, 2.5, 0.0, 1.0, 2.0], {"fires": "above"}, [0, 1, 0, 0, 1], [1.0, 0.0, 0.0, 0.5, 0.0]),
    "soft, one step late": (
        [1.5, 0.0, 1.0, 1.5, 0.25],
        {"reset": "soft", "reset_delay": True, "decay_input": False},
        [1, 0, 0, 1, 0],
        [1.5, -0.25, 0.875, 1.9375, 0.21875],
    ),
    "soft, one step late, above alone": (
        [1.0, 0.75, 0.5, 0.5, 2.0],
        {"reset": "soft", "reset_delay": True, "decay_input": False, "fires": "above"},
        [0, 1, 0, 0, 1],
        [1.0, 1.25, 0.125, 0.5625, 2.28125],
    ),
    "soft, checked again, above alone": (
        [3.75, 0.0, 1.75, 1.0, 0.0],
        {"reset": "soft", "recheck": True, "decay_input": False, "fires": "above"},
        [1, 0, 1, 0, 0],
        [2.75, 1.375, 1.4375, 1.71875, 0.859375],
    ),
}
"""Neurons as other libraries have them; the membrane is that before a reset which comes late."""


@pytest.mark.parametrize("name", PORTED)
def test_neurons_of_other_libraries_by_hand(name):
    values, constants, spikes, membranes = PORTED[name]
    assert _run_by_step(lambda x: lif(x, **constants), values) == (spikes, membranes)


@pytest.mark.parametrize("name", PORTED)
def test_neurons_of_other_libraries_go_on_from_their_membrane(name):
    constants, x = PORTED[name][1], torch.randint(-8, 33, (12, 50)) / 8
    whole, end = lif(x, **constants)
    first, between = lif(x[:5], **constants)
    second, after = lif(x[5:], between, **constants)
    assert torch.equal(whole, torch.cat([first, second]))
    assert torch.equal(end, after)
    assert 0 < whole.mean() < 1
    x = x.requires_grad_()
    lif(x, **constants)[0].sum().backward()
    assert x.grad.abs().sum() > 0


def test_what_only_the_reference_has_is_refused_elsewhere():
    x = torch.ones(2, 3)
    for options in ({"fires": "above"}, {"reset_delay": True, "reset": "soft"}, {"recheck": True, "reset": "soft"}):
        with pytest.raises(ConfigError, match="backend='reference'"):
            lif(x, backend="fused", **options)
        with pytest.raises(ConfigError, match="ilif"):
            NeuronConfig(kind="ilif", **options)
    with pytest.raises(ConfigError, match="reset='soft'"):
        lif(x, reset_delay=True)
    with pytest.raises(ConfigError, match="reset='soft'"):
        NeuronConfig(reset_delay=True)
    for options in ({"recheck": True}, {"recheck": True, "reset": "soft", "reset_delay": True}):
        with pytest.raises(ConfigError, match="recheck is for reset='soft' without"):
            lif(x, **options)
        with pytest.raises(ConfigError, match="recheck is for reset='soft' without"):
            NeuronConfig(**options)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BY_HAND)
def test_lif_by_hand(name, backend):
    values, constants, spikes, membranes = BY_HAND[name]
    got = _run_by_step(lambda x: lif(x, backend=backend, **constants), values)
    assert got == (spikes, membranes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lif_goes_on_from_a_given_membrane(backend):
    x = torch.tensor([[0.5, 2.0]] * 5, dtype=torch.float64)
    s, v = lif(x, torch.tensor([3.0, -4.0], dtype=torch.float64), backend=backend)
    assert s.T.tolist() == [[1, 0, 0, 0, 0], [0, 0, 1, 1, 1]]
    # 3 -> 1.75 fires; 0.25, 0.375, 0.4375, 0.46875;  -4 -> -1 -> 0.5 -> 1.25 fires; 1 fires; 1 fires
    assert v.tolist() == [0.46875, 0.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_plif_by_hand(backend):
    w = torch.tensor(-math.log(3.0), dtype=torch.float64)
    spikes, membranes = _run_by_step(lambda x: plif(x, None, w, backend=backend), [2.0, 4.0, 2.0, 0.0, 8.0])
    assert spikes == [0, 1, 0, 0, 1]
    assert membranes == pytest.approx([0.5, 0.0, 0.5, 0.375, 0.0], abs=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
def test_plif_without_decayed_input_by_hand(backend):
    w = torch.tensor(-math.log(3.0), dtype=torch.float64)
    neuron = lambda x: plif(x, None, w, decay_input=False, reset="soft", backend=backend)  # noqa: E731
    spikes, membranes = _run_by_step(neuron, [0.8, 0.8, 0.2, 0.8, 0.0])
    assert spikes == [0, 1, 0, 1, 0]
    # 0.8; 0.6 + 0.8 - 1; 0.3 + 0.2; 0.375 + 0.8 - 1; 0.13125
    assert membranes == pytest.approx([0.8, 0.4, 0.5, 0.175, 0.13125], abs=1e-15)


def test_plif_at_zero_is_lif_of_tau_two():
    x = torch.randn(9, 33, generator=torch.Generator().manual_seed(0))
    for got, wanted in zip(plif(x, None, torch.zeros(())), lif(x, tau=2.0), strict=True):
        assert torch.equal(got, wanted)


ILIF_BY_HAND = {
    "levels": ({}, [0, 3, 0, 4, 0], [0.5, -0.375, -1.09375, 0.7265625, 0.431640625]),
    "top": ({"top": 3}, [0, 3, 0, 3, 1], [0.5, -0.375, -1.09375, 1.7265625, -0.318359375]),
    "normalised": ({"normalise": True}, [0, 0.75, 0, 1, 0], [0.5, -0.375, -1.09375, 0.7265625, 0.431640625]),
    "no memory": ({"decay": 0.0}, [0, 2, 0, 4, 0], [0.5, 0.5, -1.0, 1.0, 0.25]),
    "two levels": ({"levels": 2}, [0, 2, 0, 2, 1], [0.5, 0.625, -0.84375, 2.7890625, -0.052734375]),
}


@pytest.mark.parametrize("name", ILIF_BY_HAND)
def test_ilif_by_hand(name):
    """Halves go to the even count: 0.5 to 0 and 2.5 to 2."""
    constants, spikes, membranes = ILIF_BY_HAND[name]
    assert _run_by_step(lambda x: ilif(x, **constants), [0.5, 2.5, -1.0, 5.0, 0.25]) == (spikes, membranes)


def test_ilif_gradient_is_a_window_and_runs_through_the_leak():
    u = torch.tensor([-0.1, 0.0, 2.3, 4.0, 4.1], requires_grad=True)
    integer_spike(u, 4).sum().backward()
    assert u.grad.tolist() == [0, 1, 1, 1, 0]
    x = torch.tensor([1.2, 2.0], requires_grad=True)
    ilif(x)[0][1].backward()
    assert x.grad.tolist() == [0.25, 1.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threshold", [1.0, 0.5, 0.3])
def test_fires_at_equality(threshold, dtype, backend):
    """Charged exactly to the threshold, one step of the number format below it, and above."""
    exact = torch.tensor(threshold, dtype=dtype)
    below = torch.nextafter(exact, torch.tensor(0.0, dtype=dtype))
    x = torch.stack([below, exact, torch.nextafter(exact, torch.tensor(9.0, dtype=dtype))])[None]
    s, _ = lif(x, decay_input=False, threshold=threshold, backend=backend)
    assert s.tolist() == [[0, 1, 1]]
    s, _ = lif(2 * x, tau=2.0, threshold=threshold, backend=backend)
    assert s.tolist() == [[0, 1, 1]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 10**6))
def test_any_split_of_time_is_the_whole(parts, seed):
    x = 2 * torch.randn(sum(parts), 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    w = torch.tensor(0.3, dtype=torch.float64)
    neurons = [
        *(lambda x, v, b=b: lif(x, v, v_reset=-0.25, backend=b) for b in BACKENDS),
        *(lambda x, v, b=b: plif(x, v, w, reset="soft", backend=b) for b in BACKENDS),
        ilif,
    ]
    for neuron in neurons:
        whole, last = neuron(x, None)
        spikes, v = [], None
        for piece in x.split(parts):
            s, v = neuron(piece, v)
            spikes.append(s)
        assert torch.equal(torch.cat(spikes), whole)
        assert torch.equal(v, last)


def _compare(x, v, w, constants, tolerance):
    """Spikes, membrane and all gradients of both backends; the gradient also arrives through the last membrane."""
    generator = torch.Generator().manual_seed(1)
    to_spikes = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    to_v = torch.randn(x.shape[1:], dtype=x.dtype, generator=generator)
    results = []
    for backend in BACKENDS:
        leaves = [None if a is None else a.clone().requires_grad_() for a in (x, v, w)]
        if w is None:
            s, last = lif(*leaves[:2], tau=1.7, backend=backend, **constants)
        else:
            s, last = plif(*leaves, backend=backend, **constants)
        ((s * to_spikes).sum() + (last * to_v).sum()).backward()
        results.append((s, last, [a.grad for a in leaves if a is not None]))
    (s1, v1, grads1), (s2, v2, grads2) = results
    assert torch.equal(s1, s2)
    assert torch.equal(v1, v2)
    assert s1.any() or x.numel() < 9
    for one, two in zip(grads1, grads2, strict=True):
        # the gradient of w is one sum over all neurons and steps: its rounding is that of the summands
        scale = max(float(grads1[0].norm() if one.ndim == 0 else one.abs().max()), 1.0)
        torch.testing.assert_close(two, one, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("learnt", [False, True], ids=["lif", "plif"])
@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("surrogate", ["sigmoid", "atan"])
@pytest.mark.parametrize(("reset", "v_reset"), [("hard", 0.0), ("hard", -0.3), ("soft", 0.0), ("soft", 0.2)])
def test_fused_is_the_reference(reset, v_reset, surrogate, decay_input, learnt):
    constants = {"reset": reset, "v_reset": v_reset, "surrogate": surrogate, "decay_input": decay_input}
    shapes = ((1, 1), (1, 13), (17, 3, 5, 7), (17, 1), (4, 2, 31), (5,))
    for shape, (dtype, tolerance), given_v in itertools.product(
        shapes, ((torch.float64, 1e-12), (torch.float32, 1e-6)), (False, True)
    ):
        generator = torch.Generator().manual_seed(7)
        x = 1.5 * torch.randn(shape, dtype=dtype, generator=generator) + 0.5
        v = torch.randn(shape[1:], dtype=dtype, generator=generator) if given_v else None
        _compare(x, v, torch.tensor(0.4, dtype=dtype) if learnt else None, constants, tolerance)


@pytest.mark.parametrize("constants", [{}, {"top": 3, "normalise": True}, {"decay": 0.0}, {"levels": 1, "decay": 0.9}])
def test_fused_ilif_is_the_reference(constants):
    """Sums on the halves and on both borders of the window among them."""
    torch.manual_seed(0)
    edges = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 4.0, 4.5, 9.0]).repeat(2, 1)
    for x, given_v in itertools.product(
        (edges, torch.randn(9, 3, 5), torch.randn(1, 4), torch.randn(6)), (False, True)
    ):
        v = torch.rand(x.shape[1:]) if given_v else None
        to_counts, to_v = torch.randn(x.shape), torch.randn(x.shape[1:])
        results = []
        for backend in BACKENDS:
            leaves = [None if a is None else (3 * a).requires_grad_() for a in (x, v)]
            s, last = ilif(*leaves, backend=backend, **constants)
            ((s * to_counts).sum() + (last * to_v).sum()).backward()
            results.append((s, last, *(a.grad for a in leaves if a is not None)))
        one, two = results
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
        assert one[0].any() or x.numel() < 9
        torch.testing.assert_close(two[2:], one[2:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_those_of_the_surrogate_twin(backend):
    """Against finite differences: with the reset a constant, the membrane is linear between spikes."""
    x = torch.tensor([0.4, 0.7, 0.5, 0.9, 0.2], dtype=torch.float64, requires_grad=True)
    w = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert not plif(x, None, w, backend=backend)[0].any()
    assert torch.autograd.gradcheck(lambda x, w: plif(x, None, w, backend=backend)[1], (x, w))


def test_surrogates_at_known_points():
    u = torch.tensor([0.0, 0.5, -0.5, 1.0], dtype=torch.float64)
    sigmoid = surrogate_gradient(u, "sigmoid").tolist()
    assert sigmoid == pytest.approx([1.0, 0.41997, 0.41997, 0.070651], abs=5e-6)
    atan = surrogate_gradient(u, "atan").tolist()
    assert atan == pytest.approx([1 / (1 + (math.pi * a) ** 2) for a in u.tolist()], abs=1e-12)
    assert surrogate_gradient(u[:1], "sigmoid", 8.0).item() == 2.0
    assert surrogate_gradient(u[:1], "atan", 3.0).item() == 1.5


@pytest.mark.parametrize("kind", ["sigmoid", "atan"])
def test_surrogate_area_is_that_of_the_step(kind):
    u = torch.linspace(-400, 400, 800_001, dtype=torch.float64)
    assert torch.trapezoid(surrogate_gradient(u, kind), u).item() == pytest.approx(1.0, abs=1e-3)


def test_spike_uses_its_surrogate():
    u = torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    s = spike(u, "atan", 2.0)
    s.sum().backward()
    assert s.tolist() == [0, 1, 1]
    assert torch.equal(u.grad, surrogate_gradient(u.detach(), "atan", 2.0))


@pytest.mark.parametrize(("reset", "detached", "attached"), [("hard", 0.0, -0.25), ("soft", 0.25, 0.0)])
def test_detach_reset_over_two_steps(reset, detached, attached):
    """x = 2, 2: h1 = 1 fires, h2 = 1; ds2/dx1 = sigma(0) 1/2 dv1/dh1 1/2 with sigma(0) = 1.

    dv1/dh1: hard 0, and -h1 sigma(0) = -1 through the spike; soft 1, and 1 - sigma(0) = 0 through the spike.
    """
    for detach, wanted in ((True, detached), (False, attached)):
        x = torch.tensor([2.0, 2.0], dtype=torch.float64, requires_grad=True)
        lif(x, reset=reset, detach_reset=detach, backend="auto")[0][1].backward()
        assert x.grad.tolist() == [wanted, 0.5]


def test_half_precision_is_integrated_in_float32():
    x = torch.rand(64, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    for backend in BACKENDS:
        s, v = lif(x, tau=50.0, threshold=0.3, backend=backend)
        wide, wide_v = lif(x.float(), tau=50.0, threshold=0.3, backend=backend)
        assert s.dtype == torch.bfloat16
        assert v.dtype == torch.float32
        assert torch.equal(s.float(), wide)
        assert torch.equal(v, wide_v)
        assert 0 < s.float().mean() < 1
    assert ilif(x)[1].dtype == torch.float32


def test_no_input_is_changed_in_place():
    for backend in BACKENDS:
        x, v = torch.full((3, 4), 1.5), torch.full((4,), 0.25)
        lif(x, v, backend=backend)
        lif(x, v, reset="soft", v_reset=0.5, backend=backend)
        assert x.eq(1.5).all()
        assert v.eq(0.25).all()


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ({"tau": 0.5}, "0.5"),
        ({"tau": math.nan}, "nan"),
        ({"reset": "medium"}, "'medium'"),
        ({"surrogate": "relu"}, "'relu'"),
        ({"backend": "cuda"}, "'cuda'"),
        ({"backend": "fused", "detach_reset": False}, "detach_reset"),
    ],
)
def test_impossible_constants(as_user, constants, named):
    with pytest.raises(ConfigError, match=named):
        lif(torch.zeros(2, 3), **constants)


def test_impossible_levels_and_surrogate(as_user):
    with pytest.raises(ConfigError, match="got 0"):
        ilif(torch.zeros(2, 3), levels=0)
    with pytest.raises(ConfigError, match="'relu'"):
        spike(torch.zeros(3), "relu")


@pytest.mark.parametrize("neuron", [lif, ilif, lambda x, v=None: plif(x, v, torch.zeros(()))])
def test_membrane_that_does_not_fit(as_user, neuron):
    with pytest.raises(StateError, match=r"\(4,\).*\(2, 3\)"):
        neuron(torch.zeros(2, 3), torch.zeros(4))
    with pytest.raises(StateError, match=r"\(0, 3\)"):
        neuron(torch.zeros(0, 3))
    with pytest.raises(StateError, match=r"\(\)"):
        neuron(torch.zeros(()))


@pytest.mark.gpu
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_fused_on_cuda_is_the_reference_on_cpu(reset):
    x = torch.randn(17, 3, 1001, generator=torch.Generator().manual_seed(0))
    s, v = lif(x, reset=reset, backend="reference")
    s_cuda, v_cuda = lif(x.cuda(), reset=reset, backend="fused")
    assert torch.equal(s_cuda.cpu(), s)
    assert torch.equal(v_cuda.cpu(), v)
