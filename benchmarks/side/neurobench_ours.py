"""NeuroBench on networks of this library, beside `Passport.neurobench`: writes JSON {network: [theirs, ours]}.

Runs in the side environment `neurobench`, with `src` on the path. `Wrapped` is how NeuroBench takes a model of ours.
"""

import json
import warnings
from importlib.metadata import version
from typing import Any

import torch
from networks import NETWORKS, Step, network
from neurobench.benchmarks import Benchmark
from neurobench.hooks.layer import LayerHook
from neurobench.hooks.neuron import NeuronHook
from neurobench.metrics.static import ConnectionSparsity, Footprint
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
from neurobench.models import TorchModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import spikereel
from spikereel.energy import measure
from spikereel.layers.calibrate import calibrate
from spikereel.layers.neuron import Neuron
from spikereel.models.svformer import ClipConv


class Spikes(NeuronHook):
    """Keeps the spikes of (spikes, membrane)."""

    def hook_fn(self, layer: Any, input: Any, output: Any) -> None:
        self.activation_outputs.append(output[0])


class Alone(ClipConv):
    """Gives its values without the state."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0]


class ClipHook(LayerHook):
    """Listens to a ClipConv, and lets NeuroBench count with its twin."""

    def __init__(self, layer: ClipConv):
        super().__init__(layer)
        self.listened = layer
        self.layer = Alone(
            layer.in_channels, layer.out_channels, layer.kernel_size, groups=layer.groups, bias=layer.bias is not None
        )
        self.layer.load_state_dict(layer.state_dict())

    def hook_fn(self, module: nn.Module, input: Any) -> None:
        # the clip alone: NeuroBench takes whatever comes with it for tensors
        self.inputs.append(input[:1])

    def register_hook(self) -> None:
        self.hook = self.listened.register_forward_pre_hook(self.hook_fn)


class Wrapped(TorchModel):
    """A model of ours: time is turned round, the state dropped."""

    def __init__(self, net: nn.Module):
        super().__init__(net)
        self.add_activation_module(Neuron)

    def __call__(self, batch: Tensor) -> Tensor:
        return self.net(batch.transpose(0, 1))[0]

    def register_hooks(self) -> None:
        self.activation_hooks += [Spikes(x["layer"], x["layer_name"]) for x in self.activation_layers()]
        self.connection_hooks += [
            ClipHook(x) if isinstance(x, ClipConv) else LayerHook(x) for x in self.connection_layers()
        ]


def theirs(model: TorchModel, batch: Tensor) -> dict[str, float]:
    """NeuroBench's figures, flat."""
    data = DataLoader(TensorDataset(batch, torch.zeros(len(batch))), batch_size=len(batch))
    metrics = [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations]]
    with torch.no_grad():
        found = Benchmark(model, data, [], [], metrics).run(quiet=True)
    if not isinstance(found["SynapticOperations"], dict):
        raise RuntimeError("NeuroBench gives 0.0 where a metric raised: this wrapper does not fit")
    return {**{k: v for k, v in found.items() if k != "SynapticOperations"}, **found["SynapticOperations"]}


def main() -> None:
    warnings.simplefilter("ignore")
    rows = {}
    for name, net in (("spikevideoformer_ti.motion", None), ("svformer_ti", None)):
        torch.manual_seed(0)
        if name.endswith("motion"):
            net = spikereel.load_model(name)
            clip = (torch.rand(8, 2, 2, 32, 32) > 0.8).float()
        else:
            net, clip = spikereel.create_model(name), torch.randn(8, 2, 3, 64, 64)
            calibrate(net, [clip])
            net.eval()
        rows[name] = [theirs(Wrapped(net), clip.transpose(0, 1)), measure(net, clip).neurobench()]
    for name in NETWORKS:
        net, x = network(name)
        model = TorchModel(net)
        model.add_activation_module(Step)
        rows[name] = [theirs(model, x), measure(net, x, layout="B C H W").neurobench()]
    versions = {x: version(x) for x in ("neurobench", "torch")}
    print("\n" + json.dumps({"networks": rows, "versions": versions}))


if __name__ == "__main__":
    main()
