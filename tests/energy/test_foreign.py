"""Models that are none of ours: counted through the hooks of their layers, spikes observed."""

import pytest
import torch
from torch import nn

from spikereel.energy import COSTS, measure
from spikereel.errors import DataError


class Step(nn.Module):
    """A spiking neuron without memory."""

    def forward(self, x):
        return (x > 0).to(x.dtype)


class Looped(nn.Module):
    """Image in, the same image at each of four time steps, spikes one step at a time: the style of other libraries."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.lif = Step()
        self.conv = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        out = []
        for t in range(4):
            s = self.lif(self.stem(x) - 0.2 * t)
            self.seen = [*([] if t == 0 else self.seen), s.detach()]
            out.append(torch.relu(self.conv(s)).mean((2, 3)))
        return self.head(torch.stack(out).mean(0))


def looped_case():
    torch.manual_seed(0)
    return Looped().eval(), torch.randn(3, 2, 6, 7)


def test_a_model_that_loops_over_time():
    model, images = looped_case()
    p = measure(model, images, layout="B C H W", steps=4)
    assert p.clip == (4, 2, 6, 7)
    stem, conv, head = p.layers
    assert (stem.operand, stem.analog, stem.macs) == ("real", True, 4 * 4 * 42 * 2 * 9)
    assert stem.rate == (1.0,) * 4
    assert (conv.operand, conv.analog) == ("binary", False)
    ones = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
    nn.init.ones_(ones.weight)
    with torch.no_grad():
        wanted = [float(ones(s).double().sum()) / 3 for s in model.seen]
    assert conv.synops == pytest.approx(wanted, rel=1e-6)
    assert conv.rate == pytest.approx([float(s.double().mean()) for s in model.seen])
    assert len(set(conv.rate)) == 4
    assert (head.operand, head.analog) == ("real", False)
    assert p.firing.keys() == {"lif"}
    assert p.firing["lif"] == pytest.approx(conv.rate)
    assert p.updates["lif"] == 4 * 4 * 42
    # a real operand after spikes that nobody re-parameterises is a multiply-accumulate
    assert COSTS["paper"].multiplies(head)


def test_an_ann_of_volumes_and_what_no_hook_sees():
    model = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose3d(4, 2, 2))
    p = measure(model, torch.randn(2, 3, 5, 6, 6), layout="B C T H W")
    assert p.clip == (5, 3, 6, 6)
    assert not p.spiking
    assert p.macs == 5 * 36 * 4 * 3 * 27
    for cost in COSTS:
        assert p.energy_mj(cost) == pytest.approx(p.ann_mj(cost))
    assert p.notes == ("not counted, no convolution or linear layer: 2",)


def test_spikes_in_a_volume_are_spread_over_its_time():
    model = nn.Sequential(Step(), nn.Conv3d(3, 4, 3, padding=1, bias=False))
    x = torch.randn(2, 3, 5, 6, 6)
    (conv,) = measure(model, x, layout="B C T H W").layers
    nn.init.ones_(model[1].weight)
    with torch.no_grad():
        wanted = float(model(x).double().sum()) / 2
    assert sum(conv.synops) == pytest.approx(wanted)
    share = float((x > 0).double().mean())
    assert conv.rate == pytest.approx([share] * 5)
    assert sum(sum(v) for v in COSTS["paper"].snn_pj(conv).values()) == pytest.approx(0.9 * share * conv.macs)


def test_ternary_spikes_count_by_their_size():
    class Sign(nn.Module):
        def forward(self, x):
            return torch.sign(x) * (x.abs() > 0.5)

    model = nn.Sequential(Sign(), nn.Conv2d(2, 3, 1))
    x = torch.randn(1, 2, 4, 4)
    (conv,) = measure(model, x, layout="B C H W").layers
    assert conv.operand == "integer"
    assert sum(conv.synops) == 3 * float((x.abs() > 0.5).sum())


def test_a_clip_that_does_not_have_the_axes():
    with pytest.raises(DataError, match="T B C H W; give layout="):
        measure(nn.Conv2d(3, 4, 3), torch.randn(2, 3, 8, 8))
