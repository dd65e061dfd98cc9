"""Runs a file of NIR in another library, in its side environment: `nir_graphs.py LIBRARY FILE.nir VIDEO.npy OUT.npz`.

VIDEO: float32 [T, B, C, H, W]. OUT: spikes [T, B, C, H, W] of every neuron by its name in the file, and `output`.
"""

import sys
from collections import defaultdict

import nir
import nirtorch
import numpy as np
import torch

FIRED: dict[str, list[torch.Tensor]] = defaultdict(list)


class Written(torch.nn.Module):
    """A leaky neuron as the text of NIR has it, for nirtorch, which brings none."""

    def __init__(self, node: nir.LIF, dt: float):
        super().__init__()
        self.leak, self.reset, self.threshold, self.r, self.tau = (
            torch.from_numpy(x) for x in (node.v_leak, node.v_reset, node.v_threshold, node.r, node.tau)
        )
        self.dt = dt

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        v = self.reset.expand_as(x) if state is None else state
        v = v + ((self.leak - v) + self.r * x) * (self.dt / self.tau)
        spikes = v > self.threshold
        return spikes.to(x.dtype), torch.where(spikes, self.reset, v)


def of_nirtorch(graph: nir.NIRGraph, dt: float) -> torch.nn.Module:
    """nirtorch's own layers and order, and neurons as written."""

    def conv(node: nir.Conv2d) -> torch.nn.Module:
        # nirtorch 2.6 gives Conv2d the shape of the weight in the wrong order
        layer = torch.nn.Conv2d(
            *node.weight.shape[1::-1], node.weight.shape[2:], tuple(node.stride), tuple(node.padding)
        )
        layer.weight.data, layer.bias.data = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
        return layer

    return nirtorch.nir_to_torch(graph, {nir.LIF: lambda node: Written(node, dt), nir.Conv2d: conv})


def of_spikingjelly(graph: nir.NIRGraph, dt: float) -> torch.nn.Module:
    """As it is read."""
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return import_from_nir(graph, dt=dt)


def of_snntorch(graph: nir.NIRGraph, dt: float) -> torch.nn.Module:
    """As it is read; the step is 1e-4 there."""
    from snntorch.import_nir import import_from_nir

    assert dt == 1e-4
    return import_from_nir(graph)


def main() -> None:
    library, file, video, out = sys.argv[1:]
    graph = nir.read(file)
    dt = float(graph.metadata["dt"])
    neurons = {name.replace(".", "_"): name for name, node in graph.nodes.items() if isinstance(node, nir.LIF | nir.IF)}
    model = globals()[f"of_{library}"](graph, dt).eval()
    for name, module in model.named_modules():
        if name in neurons:

            def keep(_module, _inputs, output, name=neurons[name]):
                FIRED[name].append(output[0] if isinstance(output, tuple) else output)

            module.register_forward_hook(keep)
    state, outputs = None, []
    with torch.no_grad():
        for frame in torch.from_numpy(np.load(video)):
            output, state = model(frame, state)
            outputs.append(output)
    found = {name: torch.stack(x).float().numpy() for name, x in FIRED.items()}
    np.savez_compressed(out, output=torch.stack(outputs).float().numpy(), **found)


if __name__ == "__main__":
    main()
