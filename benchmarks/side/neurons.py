"""Neurons of another library, step by step: `python neurons.py CASE` writes JSON {spikes, version} to the terminal.

Runs inside a side environment, without Spikereel. Input on stdin: JSON {probe: [T][N]}, what a fresh neuron is given.
"""

import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version

import torch
from torch import Tensor


def spikingjelly(**options: object) -> Callable[[Tensor], Tensor]:
    from spikingjelly.activation_based import neuron

    node = neuron.LIFNode(tau=2.0, step_mode="s", **options)
    return node


def snntorch(**options: object) -> Callable[[Tensor], Tensor]:
    import snntorch as snn

    node, memory = snn.Leaky(beta=0.5, **options), []

    def step(x: Tensor) -> Tensor:
        spikes, membrane = node(x, memory[-1] if memory else torch.zeros_like(x))
        memory.append(membrane)
        return spikes

    return step


def norse() -> Callable[[Tensor], Tensor]:
    from norse.torch import LIFBoxCell, LIFBoxParameters

    node, memory = LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.as_tensor(500.0)), dt=0.001), []

    def step(x: Tensor) -> Tensor:
        spikes, state = node(x, memory[-1] if memory else None)
        memory.append(state)
        return spikes

    return step


def sinabs(**options: object) -> Callable[[Tensor], Tensor]:
    import math

    import sinabs.layers as sl
    from sinabs.activation import SingleSpike

    node = sl.LIF(tau_mem=1 / math.log(2), spike_fn=SingleSpike, **options)
    return lambda x: node(x[None, None])[0, 0]


def matterhorn(**options: object) -> Callable[[Tensor], Tensor]:
    from matterhorn_pytorch import snn

    node, memory = snn.LIF(tau_m=2.0, **options), []

    def step(x: Tensor) -> Tensor:
        spikes, state = node(x[None], memory[-1] if memory else None)
        memory.append(state)
        return spikes[0]

    return step


def rockpool(name: str, **options: object) -> Callable[[Tensor], Tensor]:
    import math

    from rockpool.nn import modules

    memory = []

    def step(x: Tensor) -> Tensor:
        if not memory:
            shape = (len(x), 1) if name == "LIFTorch" else (len(x),)
            memory.append(getattr(modules, name)(shape=shape, **options))
            if name != "LIFTorch":
                memory[0].tau_mem = torch.full((len(x),), 1e-3 / math.log(2))
        return memory[0](x[None, None])[0][0, 0]

    return step


def spyx() -> Callable[[Tensor], Tensor]:
    import jax.numpy as jnp
    from flax import nnx
    from spyx import nn

    node, memory = nn.LIF((1,), beta=0.5, threshold=1.0, rngs=nnx.Rngs(0)), []

    def step(x: Tensor) -> Tensor:
        spikes, membrane = node(jnp.asarray(x.tolist()), memory[-1] if memory else jnp.zeros(len(x)))
        memory.append(membrane)
        return torch.tensor(spikes.tolist())

    return step


def sinabs_reset() -> object:
    from sinabs.activation import MembraneReset

    return MembraneReset()


CASES = {
    "spikingjelly": ("spikingjelly", lambda: spikingjelly()),
    "spikingjelly soft": ("spikingjelly", lambda: spikingjelly(v_reset=None)),
    "spikingjelly decay_input=False": ("spikingjelly", lambda: spikingjelly(decay_input=False)),
    "snntorch": ("snntorch", lambda: snntorch()),
    "snntorch reset_delay=False": ("snntorch", lambda: snntorch(reset_delay=False)),
    "snntorch zero": ("snntorch", lambda: snntorch(reset_mechanism="zero")),
    "norse": ("norse", norse),
    "sinabs": ("sinabs", lambda: sinabs()),
    "sinabs norm_input=False": ("sinabs", lambda: sinabs(norm_input=False)),
    "sinabs hard": ("sinabs", lambda: sinabs(reset_fn=sinabs_reset())),
    "rockpool neuron, one spike": ("rockpool", lambda: rockpool("LIFNeuronTorch", max_spikes_per_dt=torch.tensor(1.0))),
    "rockpool with its synapse": ("rockpool", lambda: rockpool("LIFTorch")),
    "spyx": ("spyx", spyx),
    "matterhorn": ("matterhorn-pytorch", lambda: matterhorn()),
    "matterhorn soft": ("matterhorn-pytorch", lambda: matterhorn(hard_reset=False)),
}


def main() -> None:
    warnings.simplefilter("ignore")
    package, make = CASES[sys.argv[1]]
    with torch.no_grad():
        spikes = {}
        for probe, values in json.load(sys.stdin).items():
            step = make()
            spikes[probe] = [step(x).reshape(-1).tolist() for x in torch.tensor(values)]
    print("\n" + json.dumps({"spikes": spikes, "package": package, "version": version(package)}))


if __name__ == "__main__":
    main()
