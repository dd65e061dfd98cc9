"""A model as a graph of NIR: convolutions with norms folded in, neurons, and edges that add up where they meet.

NIR's leaky neuron is tau dv/dt = (v_leak - v) + r I, fires where v > v_threshold, and goes to v_reset. One step of dt
(Euler) is ours, h = v + (x - (v - v_reset)) / tau_ours, with

    tau = tau_ours dt    r = 1, or tau_ours where the input is not scaled    v_leak = v_reset
    v_threshold = the number below the threshold, since ours fires at it and NIR's above

NIR has no flag for a reset by subtraction, no counts, no products of activations: those are refused by name.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from spikereel.errors import ConfigError
from spikereel.exporting.contract import neuron_constants
from spikereel.exporting.flat import Flat
from spikereel.exporting.fold import Unnormed
from spikereel.exporting.part import Beginning, last_without_attention
from spikereel.layers.attention import ProductAttention
from spikereel.layers.conv import ConvBlock, Downsample
from spikereel.layers.neuron import Neuron
from spikereel.models.svformer import LocalBlock, PatchEmbed

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Signal:
    """The sum of what some nodes give, of shape [channels, height, width]."""

    nodes: tuple[str, ...]
    shape: tuple[int, int, int]

    def __add__(self, other: "Signal") -> "Signal":
        # an edge that is there twice counts once in some readers
        assert not set(self.nodes) & set(other.nodes)
        return Signal(self.nodes + other.nodes, self.shape)


@dataclass
class Graph:
    """Nodes of NIR by name, and edges; each method adds a layer and gives its signal."""

    dt: float
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def node(self, name: str, node: Any, x: Signal, shape: tuple[int, int, int]) -> Signal:
        """Add a node behind a signal."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in x.nodes]
        return Signal((name,), shape)

    def conv(self, name: str, layer: Any, x: Signal, norm: nn.Module | None = None) -> Signal:
        """A depthwise convolution becomes a dense one, zeros elsewhere: no reader of NIR takes groups."""
        import nir

        if norm is not None and not isinstance(norm, nn.Identity | Unnormed):
            raise ConfigError(f"{name}: NIR has no norm; leave --no-fold out")
        assert isinstance(layer, nn.Conv2d)
        weight, (c, height, width) = layer.weight.detach().numpy(), x.shape
        if layer.groups > 1:
            assert layer.groups == c == len(weight)
            dense = np.zeros((c, c, *weight.shape[2:]), np.float32)
            dense[np.arange(c), np.arange(c)] = weight[:, 0]
            weight = dense
        bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().numpy()
        (k, _), (stride, _), pad = layer.kernel_size, layer.stride, layer.padding[0]
        node = nir.Conv2d(
            input_shape=(height, width),
            weight=weight,
            stride=(stride, stride),
            padding=(int(pad), int(pad)),
            dilation=(1, 1),
            groups=1,
            bias=bias,
        )
        rows, columns = ((side + 2 * int(pad) - k) // stride + 1 for side in (height, width))
        return self.node(name, node, x, (len(weight), rows, columns))

    def neuron(self, name: str, neuron: Neuron, x: Signal) -> Signal:
        """LIF, or IF without a leak."""
        import nir

        c = neuron_constants(neuron)
        if reason := _refusal(c):
            raise ConfigError(f"{name}: {reason}; --to onnx takes it")
        threshold = np.float32(c["threshold"])
        if c.get("fires", "at") == "at":
            threshold = np.nextafter(threshold, np.float32(-np.inf))

        def full(value: float | np.ndarray) -> np.ndarray:
            # double precision: readers divide by dt, and 1e-4 / 2e-4 is a half in it
            return np.full(x.shape, value, np.float64)

        v_threshold, v_reset = full(float(threshold)), full(c["v_reset"])
        decay = np.reshape(np.float64(c["decay"]), (-1, 1, 1))
        if not decay.any():
            node = nir.IF(r=full(1 / self.dt), v_threshold=v_threshold, v_reset=v_reset)
            return self.node(name, node, x, x.shape)
        steps = 1 / decay
        tau, r = full(steps * self.dt), full(1.0 if c["decay_input"] else steps)
        node = nir.LIF(tau=tau, r=r, v_leak=full(c["v_reset"]), v_threshold=v_threshold, v_reset=v_reset)
        return self.node(name, node, x, x.shape)


def lower(flat: Flat, dt: float) -> Any:
    """The graph of a part of a model, a `nir.NIRGraph`. Raises ConfigError, which names what NIR cannot say."""
    import nir

    model = flat.model
    if reason := _model_refusal(model):
        raise ConfigError(reason)
    shape = (flat.shape[2], flat.shape[3], flat.shape[4])
    graph, x = Graph(dt), Signal((INPUT,), shape)
    graph.nodes[INPUT] = nir.Input(input_type={"input": np.array(shape)})
    assert isinstance(model, Beginning)
    for name in model.names:
        stage = model.get_submodule(name)
        for path, block in stage.named_children() if isinstance(stage, nn.ModuleList) else [("", stage)]:
            x = _block(graph, f"{name}.{path}".rstrip("."), block, x)
    graph.node(OUTPUT, nir.Output(output_type={"output": np.array(x.shape)}), x, x.shape)
    return nir.NIRGraph(nodes=graph.nodes, edges=graph.edges)


def _refusal(c: dict[str, Any]) -> str | None:
    """Why NIR has no such neuron."""
    if c["kind"] == "relu":
        return "NIR has no artificial neuron"
    if c["kind"] == "ilif":
        return "NIR has no neuron that gives counts (Integer-LIF); train with model.neuron=lif"
    if c["reset"] == "soft":
        return "NIR has no reset by subtraction, and readers would reset to a value; train with model.reset=hard"
    return None


def _model_refusal(model: Any) -> str | None:
    if model.contrast is not None:
        return "contrast: NIR has no contrast front; --to onnx takes it"
    for name, module in model.named_modules():
        if isinstance(module, ProductAttention):
            whole = not isinstance(model, Beginning)
            way = (
                f"--part {last_without_attention(model)} writes what is before it"
                if whole
                else "choose a part before it"
            )
            return f"{name}: NIR has no products of activations, as attention needs; {way}"
    return None


def _block(graph: Graph, name: str, block: Any, x: Signal) -> Signal:
    if isinstance(block, Downsample):
        if block.encode_lif is not None:
            x = graph.neuron(f"{name}.encode_lif", block.encode_lif, x)
        return graph.conv(f"{name}.encode_conv", block.encode_conv, x, block.encode_bn)
    if isinstance(block, PatchEmbed):
        if block.in_lif is not None:
            x = graph.neuron(f"{name}.in_lif", block.in_lif, x)
        return graph.conv(f"{name}.proj", block.proj, x, block.norm)
    return (_conv_block if isinstance(block, ConvBlock) else _local_block)(graph, name, block, x)


def _conv_block(graph: Graph, name: str, block: Any, x: Signal) -> Signal:
    sep = block.Conv
    y = graph.neuron(f"{name}.Conv.lif1", sep.lif1, x)
    y = graph.conv(f"{name}.Conv.pwconv1", sep.pwconv1, y, sep.bn1)
    y = graph.neuron(f"{name}.Conv.lif2", sep.lif2, y)
    y = graph.conv(f"{name}.Conv.dwconv", sep.dwconv, y)
    x = x + graph.conv(f"{name}.Conv.pwconv2", sep.pwconv2, y, sep.bn2)
    y = graph.neuron(f"{name}.lif1", block.lif1, x)
    y = graph.neuron(f"{name}.lif2", block.lif2, graph.conv(f"{name}.conv1", block.conv1, y, block.bn1))
    return x + graph.conv(f"{name}.conv2", block.conv2, y, block.bn2)


def _local_block(graph: Graph, name: str, block: Any, x: Signal) -> Signal:
    assert isinstance(block, LocalBlock)
    y = graph.neuron(f"{name}.act1", block.act1, x)
    y = graph.conv(f"{name}.attn", block.attn, graph.conv(f"{name}.conv1", block.conv1, y))
    x = x + graph.conv(f"{name}.conv2", block.conv2, y, block.norm2)
    y, mlp = graph.neuron(f"{name}.mlp.act1", block.mlp.act1, x), block.mlp
    y = graph.neuron(f"{name}.mlp.act2", mlp.act2, graph.conv(f"{name}.mlp.fc1", mlp.fc1, y, mlp.norm1))
    return x + graph.conv(f"{name}.mlp.fc2", mlp.fc2, y, mlp.norm2)
