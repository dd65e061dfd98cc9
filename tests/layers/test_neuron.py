"""The neuron module hands every constant to its function, and the counter of spikes counts."""

import dataclasses
import math
from typing import get_args

import pytest
import torch

from spikereel.errors import ConfigError
from spikereel.layers.neuron import Kind, Neuron, NeuronConfig
from spikereel.layers.observe import FiringRates, firing_rates
from spikereel.ops.lif import ilif, lif, plif

X = 2 * torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
CHANGES = {
    "tau": 3.0,
    "threshold": 0.7,
    "reset": "soft",
    "v_reset": -0.5,
    "decay_input": False,
    "surrogate": "atan",
    "alpha": 1.5,
    "detach_reset": False,
}


def _gradient(run):
    x = X.clone().requires_grad_()
    s, v = run(x)
    (s.sum() + v.square().sum()).backward()
    return s.detach(), v.detach(), x.grad


@pytest.mark.parametrize("field", CHANGES)
def test_lif_constants_arrive(field):
    constants = {field: CHANGES[field]}
    got = _gradient(Neuron(NeuronConfig(**constants)))
    wanted = _gradient(lambda x: lif(x, **constants))
    plain = _gradient(Neuron(NeuronConfig()))
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(got, plain, strict=True))


@pytest.mark.parametrize("field", sorted(CHANGES.keys() - {"tau"}))
def test_plif_constants_arrive(field):
    constants = {"surrogate": "sigmoid", field: CHANGES[field]}
    got = _gradient(Neuron(NeuronConfig(kind="plif", **constants)))
    wanted = _gradient(lambda x: plif(x, None, torch.zeros(()), **constants))
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize(
    ("field", "argument", "value"),
    [("levels", "levels", 2), ("ilif_decay", "decay", 0.5), ("top", "top", 3), ("normalise", "normalise", True)],
)
def test_ilif_constants_arrive(field, argument, value):
    s, v = Neuron(NeuronConfig(kind="ilif", **{field: value}))(X)
    wanted, wanted_v = ilif(X, **{argument: value})
    assert torch.equal(s, wanted)
    assert torch.equal(v, wanted_v)
    assert not (torch.equal(s, ilif(X)[0]) and torch.equal(v, ilif(X)[1]))


@pytest.mark.parametrize("tau", [1.5, 2.0, 7.0])
def test_plif_starts_at_its_tau_and_learns(tau):
    neuron = Neuron(NeuronConfig(kind="plif", tau=tau))
    assert torch.sigmoid(neuron.w).item() == pytest.approx(1 / tau, rel=1e-6)
    neuron(X)[0].sum().backward()
    assert neuron.w.grad.abs() > 0


def test_only_plif_has_parameters():
    counts = {kind: len(Neuron(NeuronConfig(kind=kind)).state_dict()) for kind in get_args(Kind)}
    assert counts == {"lif": 0, "plif": 1, "if": 0, "ilif": 0, "relu": 0}


@pytest.mark.parametrize(
    ("reset", "spikes", "membranes"),
    [
        # charged: 0.5, 0.75, 1, 1.5, 0.25; equality fires, and nothing leaks
        ("hard", [0, 0, 1, 1, 0], [0.5, 0.75, 0.0, 0.0, 0.25]),
        # charged: 0.5, 0.75, 1, 1.5, 0.75
        ("soft", [0, 0, 1, 1, 0], [0.5, 0.75, 0.0, 0.5, 0.75]),
    ],
)
@pytest.mark.parametrize("backend", ["reference", "fused"])
def test_if_by_hand(reset, spikes, membranes, backend):
    neuron = Neuron(NeuronConfig(kind="if", reset=reset, backend=backend))
    x = torch.tensor([0.5, 0.25, 0.25, 1.5, 0.25]).view(5, 1)
    s, last = neuron(x)
    assert s.flatten().tolist() == spikes
    v = None
    for current, spike, membrane in zip(x.split(1), spikes, membranes, strict=True):
        s, v = neuron(current, v)
        assert (s.item(), v.item()) == (spike, membrane)
    assert torch.equal(v, last)


@pytest.mark.parametrize("change", [{"tau": 7.0}, {"decay_input": True}, {"decay_input": False}])
def test_if_has_no_time_constant(change):
    got = _gradient(Neuron(NeuronConfig(kind="if", **change)))
    plain = _gradient(Neuron(NeuronConfig(kind="if")))
    assert all(torch.equal(a, b) for a, b in zip(got, plain, strict=True))


@pytest.mark.parametrize("field", sorted(CHANGES.keys() - {"tau", "decay_input"}))
def test_if_constants_arrive(field):
    constants = {field: CHANGES[field]}
    got = _gradient(Neuron(NeuronConfig(kind="if", **constants)))
    wanted = _gradient(lambda x: lif(x, tau=math.inf, decay_input=False, **constants))
    plain = _gradient(Neuron(NeuronConfig(kind="if")))
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(got, plain, strict=True))


def test_if_passes_the_gradient_on_undamped():
    """Of a membrane that never fired, to every input before it."""
    x = torch.full((5, 1), 0.1, requires_grad=True)
    _, v = Neuron(NeuronConfig(kind="if"))(x)
    v.sum().backward()
    assert x.grad.flatten().tolist() == [1.0] * 5


def test_relu_remembers_nothing():
    neuron = Neuron(NeuronConfig(kind="relu"))
    x = torch.tensor([-1.0, 0.0, 0.5, 3.0, -0.25]).view(5, 1).requires_grad_()
    y, v = neuron(x)
    assert y.flatten().tolist() == [0.0, 0.0, 0.5, 3.0, 0.0]
    assert v.shape == (0,)
    again, _ = neuron(x[2:], v)
    assert torch.equal(again, y[2:])
    y.sum().backward()
    assert x.grad.flatten().tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert not neuron.spiking
    assert Neuron(NeuronConfig()).spiking


def test_relu_shows_the_share_of_outputs_that_are_not_zero():
    neuron = Neuron(NeuronConfig(kind="relu"))
    with firing_rates(torch.nn.ModuleDict({"a": neuron})) as rates:
        neuron(torch.tensor([[7.0, 0.5, -1.0, 0.0], [-1.0, -2.0, 0.0, 3.0]]))
    assert rates["a"].tolist() == [0.5, 0.25]


def test_impossible_neurons(as_user):
    with pytest.raises(ConfigError, match="'izhikevich'"):
        Neuron(NeuronConfig(kind="izhikevich"))
    for tau in (0.5, 1.0, math.nan):
        with pytest.raises(ConfigError, match=str(tau)):
            Neuron(NeuronConfig(kind="plif", tau=tau))


def test_defaults_are_the_published_ones():
    published = {"kind": "lif", "tau": 2.0, "threshold": 1.0, "reset": "hard", "v_reset": 0.0, "decay_input": True}
    published |= {"surrogate": "sigmoid", "detach_reset": True}
    assert dataclasses.asdict(NeuronConfig()).items() >= published.items()


def test_firing_rates_are_means_over_everything_but_time():
    neuron = Neuron(NeuronConfig())
    x = torch.tensor([[2.0, 2.0, 0.0, 0.0], [2.0, 2.0, 2.0, 0.0]]).view(2, 1, 4)
    with firing_rates(torch.nn.ModuleDict({"a": neuron})) as rates:
        neuron(x)
        neuron(torch.zeros_like(x))
    neuron(x)
    assert rates["a"].tolist() == [0.25, 0.375]
    assert rates.means() == {"a": 0.3125}
    assert rates.silent() == []


def test_silent_neurons_are_named():
    rates = FiringRates()
    rates.add("quiet", torch.zeros(3, 2))
    rates.add("late", torch.tensor([[0.0], [0.0], [1.0]]))
    assert rates.silent() == ["quiet"]
