"""Models of other makes, by kind of trouble: each counted by hand, or named where it cannot be counted."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from spikereel.energy import measure
from spikereel.layers.calibrate import calibrate
from spikereel.layers.observe import count_macs


class Step(nn.Module):
    def forward(self, x):
        return (x > 0).to(x.dtype)


class Held(nn.Module):
    """Keeps its membrane to itself."""

    def __init__(self):
        super().__init__()
        self.v = 0.0

    def forward(self, x):
        self.v = 0.5 * self.v + x
        s = (self.v >= 1).to(x.dtype)
        self.v = self.v - s
        return s


class Explicit(nn.Module):
    """Takes and gives its membrane."""

    def forward(self, x, v=None):
        v = x if v is None else 0.5 * v + x
        s = (v >= 1).to(x.dtype)
        return s, v - s


class Surrogate(nn.Module):
    def forward(self, x):
        return (x >= 0).to(x.dtype)


class Node(Held):
    """Holds its surrogate as a part, and calls it."""

    def __init__(self):
        super().__init__()
        self.surrogate = Surrogate()

    def forward(self, x):
        self.v = 0.5 * self.v + x
        s = self.surrogate(self.v - 1)
        self.v = self.v - s
        return s


class Recurrent(Explicit):
    """Its spikes come back through a layer of its own."""

    def __init__(self, n):
        super().__init__()
        self.back = nn.Linear(n, n)

    def forward(self, x, state=None):
        s, v = (torch.zeros_like(x), None) if state is None else state
        s, v = super().forward(x + self.back(s), v)
        return s, (s, v)


class Looped(nn.Module):
    """A layer, a neuron and a layer, time step by time step."""

    def __init__(self, neuron, weight=1.5):
        super().__init__()
        self.a, self.neuron, self.b = nn.Linear(6, 6, bias=False), neuron, nn.Linear(6, 3)
        with torch.no_grad():
            self.a.weight.copy_(weight * torch.eye(6))

    def forward(self, video):
        state, out, self.fired = None, 0.0, []
        if isinstance(self.neuron, Held):
            self.neuron.v = 0.0
        for frame in video:
            spikes = self.neuron(self.a(frame), state) if state is not None else self.neuron(self.a(frame))
            spikes, state = spikes if isinstance(spikes, tuple) else (spikes, None)
            self.fired.append(spikes.mean().item())
            out = out + self.b(spikes)
        return out


def video_of(kind):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 2, 6, generator=generator)
    # a silent beginning, or whole numbers alone
    return x * torch.tensor([0.0, 0.0, 1.0, 0.4, 1.0]).view(5, 1, 1) if kind == "real" else (x * 3).round()


@pytest.mark.parametrize("input", ["real", "whole"])
@pytest.mark.parametrize("make", [Held, Explicit, Node, lambda: Recurrent(6)], ids=["held", "given", "node", "back"])
def test_neurons_are_known_by_what_they_do(make, input):
    model, video = Looped(make(), weight=1.5 if input == "real" else 1.0), video_of(input)
    passport = measure(model, video, layout="T B C")
    assert passport.firing.keys() == {"neuron"}
    assert passport.firing["neuron"] == pytest.approx(model.fired)
    assert passport.updates == {"neuron": 5 * 6}
    assert passport.spiking
    before = next(x for x in passport.layers if x.name == "a")
    assert before.membranes == 5 * 6 or "back" in {x.name.rpartition(".")[2] for x in passport.layers}


def test_containers_pools_and_dead_values_are_no_neurons():
    class Half(nn.Module):
        def forward(self, x):
            return x / 2

    class Pool(nn.Module):
        def forward(self, x):
            return F.max_pool2d(x, 2)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.step = nn.Conv2d(2, 4, 3, padding=1), Step()
            self.pool, self.halved = Pool(), Half()

        def forward(self, x):
            return self.pool(self.step(self.conv(self.halved(x))))

    model = nn.Sequential(Block(), nn.Flatten(), nn.Linear(16, 3), nn.ReLU())
    passport = measure(model, torch.randn(2, 2, 4, 4), layout="B C H W")
    assert passport.firing.keys() == {"0.step"}
    assert passport.updates == {"0.step": 4 * 16}
    dead = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.constant_(dead[0].bias, -99.0)
    assert not measure(dead, torch.rand(2, 4), layout="B C").firing


class Summed(nn.Module):
    """A shortcut of spikes, added by `how`."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.a, self.b, self.step = how, nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), Step()
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        one = self.step(self.a(x))
        two = self.step(self.b(one))
        if self.how == "new":
            two = two + one
        elif self.how == "+=":
            two += one
        elif self.how == "out":
            torch.add(two, one, out=two)
        elif self.how == "view":
            two.view(-1)[:] = (two + one).view(-1)
        else:
            two.data.add_(one)
        self.hand = F.conv2d(two, torch.ones_like(self.last.weight), padding=1).sum().item() / len(x)
        return self.last(two)


@pytest.mark.parametrize("how", ["new", "+=", "out", "view", "data"])
def test_operands_are_what_reaches_the_layer_at_that_call(how):
    model = Summed(how)
    layer = measure(model, torch.randn(2, 2, 6, 6), layout="B C H W").layers[-1]
    assert (layer.operand, layer.levels) == ("integer", 2)
    assert sum(layer.synops) == pytest.approx(model.hand)


def test_our_own_neuron_is_looked_at_again_after_a_change():
    from spikereel.layers.neuron import Neuron, NeuronConfig

    class Net(nn.Module):
        def __init__(self, how):
            super().__init__()
            torch.manual_seed(0)
            self.how, self.first, self.lif = how, nn.Linear(3, 16), Neuron(NeuronConfig(threshold=0.3))
            self.maps = nn.Conv2d(16, 4, 3, padding=1)

        def forward(self, x):
            s, _ = self.lif(2 * self.first(x))
            if self.how == "in place":
                s += s.clone()
            # tokens [T, B, N, C] to maps, N = C
            z = s.transpose(2, 3).reshape(-1, 16, 4, 4) if self.how != "view" else s.view(-1, 16, 4, 4)
            self.hand = F.conv2d(z, torch.ones_like(self.maps.weight), padding=1).sum().item() / x.shape[1]
            return self.maps(z)

    for how in ("in place", "transposed", "view"):
        model = Net(how)
        layer = measure(model, torch.rand(4, 2, 16, 3), layout="T B N C").layers[-1]
        assert sum(layer.synops) == pytest.approx(model.hand), how


def test_time_and_batch_are_told_apart():
    """Spikes in the first of three steps alone; the order inside is not that of the clip."""

    class Net(nn.Module):
        def __init__(self, first):
            super().__init__()
            self.first, self.conv = first, nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x):
            x = x if self.first == (x.shape[0] == 3) else x.transpose(0, 1)
            return self.conv(x.flatten(0, 1))

    for first in (True, False):
        for layout in ("B T C H W", "T B C H W"):
            video = torch.zeros(2, 3, 1, 5, 5)
            video[:, 0], video[0, 0, 0, 0, 0] = 1, 0
            video = video if layout[0] == "B" else video.transpose(0, 1).contiguous()
            passport = measure(Net(first), video, layout=layout)
            assert passport.layers[0].rate == pytest.approx((49 / 50, 0, 0)), (first, layout)


@pytest.mark.parametrize("batch", [2, 3])
def test_a_model_may_have_both_orders(batch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.a, self.fire = nn.Conv2d(1, 4, 3, padding=1), Step()
            self.b, self.c = nn.Linear(4, 3), nn.Linear(4, 2)

        def forward(self, x):
            spikes = self.fire(self.a(x.flatten(0, 1)))
            self.rates = [s.mean().item() for s in spikes.unflatten(0, x.shape[:2])]
            z = (spikes.mean((2, 3)) > 0.45).float().unflatten(0, x.shape[:2]).transpose(0, 1)
            self.hand = [z[:, t].sum().item() / len(z) for t in range(len(x))]
            return self.b(z), self.c(z.flatten(0, 1))

    model = Net()
    torch.manual_seed(2)
    passport = measure(model, torch.randn(3, batch, 1, 5, 5) + torch.tensor([0.0, 0.3, -0.2]).view(3, 1, 1, 1, 1))
    assert passport.firing["fire"] == pytest.approx(model.rates)
    assert len(set(model.hand)) > 1
    for layer, fan in zip(passport.layers[1:], (3, 2), strict=True):
        assert layer.synops == pytest.approx([fan * x for x in model.hand]), layer.name
    assert not passport.notes


def test_doubt_about_the_order_is_said():
    class Noise(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)

        def forward(self, x):
            return self.conv(torch.bernoulli(torch.full((6, 1, 5, 5), 0.5)))

    assert any(
        "order of time and batch" in x for x in measure(Noise(), torch.rand(2, 3, 1, 5, 5), layout="B T C H W").notes
    )


def test_what_is_not_counted_is_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.tied, self.inner = nn.Linear(4, 4), nn.Linear(4, 4), Product()

        def forward(self, x):
            return self.a(x) + F.linear(x, self.tied.weight) + self.inner(x)

    class Product(nn.Module):
        def forward(self, x):
            return x @ (x.T @ x)

    (products, unused) = measure(Net(), torch.rand(2, 4), layout="B C").notes
    assert "inner" in products
    assert "the model itself (Net)" in products
    assert unused.endswith("tied")


@pytest.mark.parametrize("layer", [nn.LSTM(4, 3), nn.GRU(4, 3), nn.TransformerEncoderLayer(4, 2), nn.Bilinear(4, 4, 3)])
def test_parts_of_pytorch_that_are_no_layers_of_ours_are_named(layer):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = layer

        def forward(self, x):
            return self.part(x, x) if isinstance(layer, nn.Bilinear) else self.part(x)

    assert "part" in measure(Net(), torch.rand(2, 5, 4), layout="T B C").notes[0]


def test_measuring_changes_nothing():
    model = nn.Sequential(nn.Linear(4, 4), Node(), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    model[2].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    first = measure(model, torch.rand(3, 4), layout="B C")
    assert [m.training for m in model] == [True, True, False, True]
    assert model[1].v == 0.0
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    # clips of another size come next, from the same membranes
    both = measure(model, [torch.rand(3, 4), torch.rand(2, 4)], layout="B C")
    assert both.clips == 5
    assert first.clips == 3


@pytest.mark.parametrize(
    "call", [lambda m, x: measure(m, x, layout="B C H W"), count_macs, lambda m, x: calibrate(m, [x])]
)
def test_frozen_parts_stay_frozen(call):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)).train()
    net[1].eval()
    call(net, torch.rand(2, 2, 8, 8))
    assert [m.training for m in net] == [True, False, True]


def test_calls_by_keyword_and_weights_of_another_make():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 4)

        def forward(self, x):
            return self.layer(input=x)

    pruned = prune.random_unstructured(nn.Linear(8, 4), "weight", amount=0.5)
    for model in (
        Keyword(),
        nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 4))),
        nn.Sequential(parametrizations.spectral_norm(nn.Linear(8, 4))),
        nn.Sequential(pruned),
    ):
        (layer,) = measure(model, torch.rand(2, 8), layout="B C").layers
        assert (layer.macs, layer.weights, layer.kind) == (32, 32, "linear")


def test_modules_with_a_parameters_method_of_their_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.tau = nn.Parameter(torch.ones(3, 1))

        def parameters(self, family=None):
            return {"tau": self.tau}

        def modules(self):
            return {}

        def forward(self, x):
            return (x > 0).float(), {}, {}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.own, self.b = nn.Linear(4, 3), Own(), nn.Linear(3, 2)

        def forward(self, x):
            return self.b(self.own(self.a(x))[0])

    passport = measure(Net(), torch.randn(2, 5, 4), layout="B T C")
    assert [x.macs for x in passport.layers] == [60, 30]
    assert passport.firing.keys() == {"own"}
    assert len(set(passport.firing["own"])) > 1


def test_pooled_spikes_are_no_ann():
    net = nn.Sequential(nn.Conv2d(3, 6, 3), Step(), nn.AvgPool2d(2), nn.Conv2d(6, 4, 3))
    passport = measure(net, torch.rand(2, 3, 12, 12), layout="B C H W")
    assert passport.spiking
    assert [x.analog for x in passport.layers] == [True, False]


class Worth(nn.Module):
    """Spikes that are worth `unit`."""

    def __init__(self, unit):
        super().__init__()
        self.unit = unit

    def forward(self, x):
        return self.unit * (x > 0).to(x.dtype)


class Same(nn.Module):
    def forward(self, x):
        return torch.full_like(x, 0.7)


class Third(nn.Module):
    def forward(self, x):
        return x / 3


def test_spikes_may_be_worth_something_else_than_one():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 6, 6)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), Worth(0.25), Third(), nn.Conv2d(4, 5, 1))
    passport = measure(net, x, layout="B C H W")
    fired = (net[1](net[0](x)) > 0).sum().item() / 3
    assert passport.firing.keys() == {"1"}
    assert passport.spiking
    assert passport.layers[1].operand == "binary"
    assert sum(passport.layers[1].synops) == pytest.approx(fired * 5)
    # real values before any spike are none, however few they are
    assert measure(nn.Sequential(nn.Conv2d(2, 4, 1)), 0.5 * (x > 0).float(), layout="B C H W").layers[0].analog
    constant = nn.Sequential(nn.Linear(4, 4), Same(), nn.Linear(4, 2))
    passport = measure(constant, torch.randn(8, 4), layout="B C")
    assert not passport.firing
    assert [v.operand for v in passport.layers] == ["real", "real"]
    grey = nn.Sequential(nn.Linear(4, 4), Worth(0.5), nn.ReLU(), nn.Linear(4, 2))
    assert [v.operand for v in measure(grey, torch.randn(8, 4), layout="B C").layers] == ["real", "binary"]


def test_spikes_worth_something_else_that_begin_in_silence_are_spikes():
    class Halves(Held):
        def forward(self, x):
            return super().forward(x) / 2

    net = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), Halves(), nn.Conv2d(2, 3, 1)).eval()
    nn.init.ones_(net[0].weight)
    # more than a thousand values in which nothing fires, then some
    x = torch.zeros(1, 1, 48, 48)
    x[0, 0, 40:] = 2
    passport = measure(net, x, layout="B C H W")
    assert passport.firing == {"1": (pytest.approx(8 / 48),)}
    assert passport.layers[1].operand == "binary"
    assert passport.layers[1].synops == (8 * 48 * 2 * 3,)


def test_values_that_are_infinite_are_no_spikes():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 1)).eval()
    for x in (torch.full((1, 1, 8, 8), torch.inf), torch.tensor([0.0, 1.0, torch.inf, 3.0]).repeat(1, 1, 8, 2)):
        passport = measure(net, x, layout="B C H W")
        assert [layer.operand for layer in passport.layers] == ["real", "real"]
        assert passport.synops == 0


def test_a_layer_that_takes_spikes_and_values_is_named():
    layer = nn.Linear(4, 4)
    notes = measure(nn.Sequential(layer, Step(), layer), torch.randn(3, 4), layout="B C").notes
    assert notes == ("took spikes and real values, all counted as multiply-accumulates: 0",)
    assert not measure(nn.Sequential(nn.Linear(4, 4), Step(), nn.Linear(4, 4)), torch.randn(3, 4), layout="B C").notes


@pytest.mark.parametrize("norm", [parametrizations.spectral_norm, parametrizations.weight_norm])
def test_weights_that_are_made_at_every_call_are_no_layers(norm):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), Step(), norm(nn.Conv2d(4, 3, 3)))
    assert not measure(net, torch.randn(2, 2, 8, 8), layout="B C H W").notes


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantised_layers_are_named():
    net = nn.Sequential(nn.Linear(4, 4), Step(), nn.Linear(4, 3))
    quantised = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    passport = measure(quantised, torch.randn(2, 4), layout="B C")
    assert passport.notes == ("not counted, no convolution or linear layer: 0, 2",)
    assert len(passport.origin.weights) == 64
    assert measure(net, torch.randn(2, 4), layout="B C").origin.weights != passport.origin.weights


def test_neurobench_by_hand():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Step(), nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.Flatten())
    net.append(nn.Linear(75, 2)).register_buffer("extra", torch.zeros(7, dtype=torch.float64))
    with torch.no_grad():
        net[2].weight[0] = 0
        net[5].weight[:, ::3] = 0
    x = torch.randn(2, 2, 5, 5)
    x[:, 0] = 0
    held = [x, net[1](net[0](x)), net[3](net[2](net[1](net[0](x))))]
    made = [
        F.conv2d((held[0] != 0).float(), torch.ones(4, 2, 3, 3), padding=1).sum().item() / 2,
        F.conv2d(held[1], (net[2].weight != 0).float(), padding=1).sum().item() / 2,
        ((held[2].flatten(1) != 0).float() @ (net[5].weight != 0).float().T).sum().item() / 2,
    ]
    found = measure(net, x, layout="B C H W").neurobench()
    inner = 13 * 13
    assert found == pytest.approx(
        {
            "Footprint": 4 * sum(p.numel() for p in net.parameters()) + 56,
            "ConnectionSparsity": round((36 + 50) / (72 + 108 + 150), 4),
            "ActivationSparsity": 1 - (held[1].sum().item() + (held[2] != 0).sum().item()) / (2 * 25 * 7),
            "Dense": 8 * inner + 12 * inner + 150,
            "Effective_MACs": made[0] + made[2],
            "Effective_ACs": made[1],
        }
    )


def test_neurobench_of_stated_rates_is_refused_and_goes_through_json():
    from spikereel.energy import Passport, estimate
    from spikereel.errors import DataError
    from spikereel.models.spikevideoformer import SpikeVideoFormer

    passport = measure(nn.Sequential(nn.Linear(4, 4), Step(), nn.Linear(4, 2)), torch.randn(3, 4), layout="B C")
    content = passport.to_json()
    assert content["neurobench"]["Dense"] == 24
    assert Passport.from_json(content).neurobench() == pytest.approx(passport.neurobench())
    stated = estimate(SpikeVideoFormer(), 0.2, clip=(1, 3, 32, 32))
    assert stated.to_json()["neurobench"] is None
    with pytest.raises(DataError, match="measure"):
        stated.neurobench()
