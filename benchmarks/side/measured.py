"""Measures a small network around a neuron of another library, beside a sum by hand: `python measured.py CASE PATHS`.

Runs in the environment of that library; PATHS, separated as in PATH, are where spikereel and what it needs lie: the
environment's own packages come first. Prints JSON.
"""

import json
import os
import sys

sys.path += sys.argv[2].split(os.pathsep)

import torch
from torch import Tensor, nn

from spikereel.energy import measure

STEPS, BATCH = 5, 2


class Looped(nn.Module):
    """One time step after the other; what a neuron gives beside its spikes is its state of the next step."""

    def __init__(self, neuron: nn.Module):
        super().__init__()
        self.first, self.neuron = nn.Conv2d(2, 6, 3, padding=1), neuron
        self.second, self.head = nn.Conv2d(6, 8, 3, padding=1), nn.Linear(8, 3)
        self.spikes: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        state, out, self.spikes = (), [], []
        for frame in x:
            given = self.neuron(self.first(frame), *state)
            spikes, *state = given if isinstance(given, tuple) else (given,)
            self.spikes.append(spikes)
            out.append(self.head(self.second(spikes).mean((2, 3))))
        return torch.stack(out).mean(0)


class AtOnce(Looped):
    """All time steps in one call; where batch is True the neuron wants the batch first."""

    def __init__(self, neuron: nn.Module, *, batch: bool = False):
        super().__init__(neuron)
        self.batch = batch

    def forward(self, x: Tensor) -> Tensor:
        charge = self.first(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        given = self.neuron(charge.transpose(0, 1) if self.batch else charge)
        spikes = given[0] if isinstance(given, tuple) else given
        self.spikes = list(spikes.transpose(0, 1) if self.batch else spikes)
        out = self.head(self.second(torch.cat(self.spikes)).mean((2, 3)))
        return out.unflatten(0, x.shape[:2]).mean(0)


def network(case: str) -> nn.Module:
    """The network of a case; each library is imported where it is asked for."""
    if case.startswith("snntorch"):
        import snntorch

        hidden = case == "snntorch hidden"
        return Looped(snntorch.Leaky(beta=0.9, threshold=0.5, init_hidden=hidden))
    if case == "spikingjelly multi-step":
        from spikingjelly.activation_based.neuron import LIFNode

        return AtOnce(LIFNode(step_mode="m", v_threshold=0.3))
    if case.startswith("norse"):
        from norse.torch import LIF, LIFCell, LIFParameters

        p = LIFParameters(v_th=torch.as_tensor(0.05))
        return Looped(LIFCell(p=p)) if case == "norse cell" else AtOnce(LIF(p=p))
    assert case == "sinabs", case
    from sinabs.layers import LIF

    return AtOnce(LIF(tau_mem=5.0, spike_threshold=0.1), batch=True)


def measured(case: str) -> dict[str, object]:
    """What the passport says, and the same by hand."""
    torch.manual_seed(0)
    model = network(case).eval()
    passport = measure(model, 3 * torch.rand(STEPS, BATCH, 2, 8, 8), layout="T B C H W")
    spikes = torch.stack(model.spikes).detach().double()
    ones = nn.Conv2d(6, 8, 3, padding=1, bias=False, dtype=torch.float64)
    nn.init.ones_(ones.weight)
    with torch.no_grad():
        synops = [float(ones(x).sum()) / BATCH for x in spikes]
    # papers count rate times products, those on the border's padding too
    analog, second = STEPS * (6 * 64 * 2 * 9 + 8 * 3), 8 * 64 * 6 * 9
    return {
        "firing": passport.firing,
        "rates": [float(x.mean()) for x in spikes],
        "synops": {layer.name: layer.synops for layer in passport.layers},
        "by_hand": synops,
        "energy_pj": 1e9 * passport.energy_mj("paper"),
        "energy_by_hand_pj": 4.6 * analog + 0.9 * second * sum(float(x.mean()) for x in spikes),
        "notes": list(passport.notes),
        "pages": {"html": passport.to_html(), "latex": passport.to_latex(), "repr": repr(passport)},
    }


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
