"""NIR (Pedersen et al. 2024): the convolutional part of a model as a graph that neuromorphic tools read.

A file has no states in its signature; each neuron begins where it resets to, and a step lasts `dt`, which stands with
the contract in the metadata of the graph. What runs a file here is a plain reading of NIR's equations, Euler steps of
dt, so that the certificate judges the file and not the model that it was made of.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.errors import ConfigError, WeightsError
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Flat
from spikereel.exporting.lower_nir import INPUT, OUTPUT, lower
from spikereel.exporting.onnx import Call
from spikereel.extras import need
from spikereel.files import whole

KEY = "spikereel"
DT = 1e-4
"""Seconds of a step, as snnTorch and SpikingJelly take it."""


def write(flat: Flat, contract: Contract, path: Path, *, dt: float = DT) -> None:
    """Write the file, whole or not at all. Raises ConfigError without the extra, and for what NIR cannot say."""
    need("nir")
    import nir

    if not dt > 0:
        raise ConfigError(f"dt is {dt}: give the seconds of a step, above 0")
    if contract.steps != 1:
        raise ConfigError(f"a call of NIR is one time step, not {contract.steps}; leave --steps out")
    graph = lower(flat, dt)
    graph.metadata = {KEY: json.dumps(contract.to_json()), "dt": dt}
    with whole(path) as part:
        nir.write(part, graph)


def read(path: Path, *, threads: int | None = None) -> tuple[Contract, Call, str]:
    """The contract, a function from inputs to outputs, and the name of what runs it.

    Raises WeightsError for a file that is broken, or none of ours.
    """
    need("nir")
    import nir

    try:
        graph = nir.read(path)
        metadata = graph.metadata
        text, dt = metadata.get(KEY), float(metadata.get("dt", DT))
    except (OSError, ValueError, KeyError, TypeError, AssertionError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise WeightsError(f"{path} is no whole file of NIR ({reason}); export again") from None
    contract = Contract.from_text(text, path)
    order, sources = _sorted(graph), {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
    steps = {name: _step(node, dt) for name, node in graph.nodes.items()}

    def call(inputs: Sequence[Tensor]) -> list[Tensor]:
        before = dict(zip((part.name for part in contract.parts), inputs[1:], strict=True))
        after, values = {}, {INPUT: inputs[0][0]}
        for name in order:
            if name == INPUT:
                continue
            x = values[sources[name][0]]
            for other in sources[name][1:]:
                x = x + values[other]
            values[name], after[name] = steps[name](x, before.get(name))
        return [values[OUTPUT][None], *(after[part.name] for part in contract.parts)]

    return contract, call, f"NIR {nir.version}, its equations in Euler steps of {dt:g} s"


def _sorted(graph: Any) -> list[str]:
    """Nodes in an order in which each comes after those that lead to it."""
    left, order = {name: {a for a, b in graph.edges if b == name} for name in graph.nodes}, []
    while left:
        ready = [name for name, before in left.items() if before <= set(order)]
        assert ready, "what leaves here has no loops"
        order += ready
        left = {name: before for name, before in left.items() if name not in ready}
    return order


def _step(node: Any, dt: float) -> Any:
    """(x, v) -> (output, v) of a node."""
    kind = type(node).__name__
    if kind in ("Input", "Output"):
        return lambda x, v: (x, v)
    if kind == "Conv2d":
        weight, bias = (torch.from_numpy(a).float() for a in (node.weight, node.bias))
        shape = {name: tuple(map(int, getattr(node, name))) for name in ("stride", "padding", "dilation")}
        return lambda x, v: (F.conv2d(x, weight, bias, groups=int(node.groups), **shape), v)
    assert kind in ("LIF", "IF"), f"{kind} is not written here"
    threshold, reset, gain = (torch.from_numpy(a) for a in (node.v_threshold, node.v_reset, node.r))
    leak, rate = (None, dt * gain) if kind == "IF" else (torch.from_numpy(node.v_leak), dt / torch.from_numpy(node.tau))
    threshold, reset, gain, rate = (a.float() for a in (threshold, reset, gain, rate))

    def step(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        h = v + x * rate if leak is None else v + (gain * x + (leak.float() - v)) * rate
        fired = h > threshold
        return fired.to(x.dtype), torch.where(fired, reset, h)

    return step
