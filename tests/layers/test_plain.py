"""Convolutions and norms inside `torch.compile`: one operation each, with the values and gradients of those outside."""

import copy
import time

import pytest
import torch
from tiny import clip, tiny_model
from torch import nn

from spikereel.hub import create_model
from spikereel.layers.plain import BatchNorm1d, BatchNorm2d, PlainConv2d

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")


@pytest.fixture(autouse=True)
def _forgotten():
    """What was compiled for one layer counts as none of the next one's attempts."""
    torch.compiler.reset()


LAYERS = {
    "conv": lambda: PlainConv2d(4, 6, 3, 2, 1, groups=2),
    "no bias": lambda: PlainConv2d(4, 6, 1, bias=False),
    "norm": lambda: BatchNorm2d(4),
    "norm of lines": lambda: nn.Sequential(nn.Flatten(2), BatchNorm1d(4)),
    "in turn": lambda: nn.Sequential(PlainConv2d(4, 4, 3, dilation=2), BatchNorm2d(4)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
def test_compiled_is_eager(kind, training):
    torch.manual_seed(0)
    layer = LAYERS[kind]().train(training)
    x, results, graphs = torch.randn(3, 4, 7, 7), [], []
    for p in layer.parameters():
        nn.init.normal_(p)

    def kept(graph, _inputs):
        graphs.append(graph)
        return graph

    for mode in (None, kept, "aot_eager"):
        own, given = copy.deepcopy(layer), x.clone().requires_grad_()
        y = (torch.compile(own, fullgraph=True, backend=mode) if mode else own)(given)
        (y * torch.arange(float(y.shape[-1]))).sum().backward()
        results.append((y, given.grad, *(p.grad for p in own.parameters()), *own.buffers()))
    called = {str(node.target) for graph in graphs for node in graph.graph.nodes}
    assert any("spikereel" in name for name in called)
    for compiled in results[1:]:
        for a, b in zip(results[0], compiled, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5)


def test_other_numbers_go_as_they_are():
    conv, x = PlainConv2d(4, 6, 1), torch.randn(1, 4, 2, 2)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.compile(conv, fullgraph=True, backend="eager")(x).dtype == conv(x).dtype == torch.bfloat16


def test_a_compiled_model_is_one_graph_of_few_operations():
    graphs, model, x = [], tiny_model().eval(), clip()

    def kept(graph, _inputs):
        graphs.append(graph)
        return graph

    with torch.no_grad():
        got = torch.compile(model, fullgraph=True, backend=kept)(x)[0]
        torch.testing.assert_close(got, model(x)[0], rtol=0, atol=1e-5)
    (graph,) = graphs
    called = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    assert not [name for name in called if "conv2d" in name or name.endswith("batch_norm")]
    assert len([name for name in called if "spikereel.norm" in name]) > 20


@pytest.mark.slow
def test_the_small_model_compiles_in_less_than_a_minute(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model, x = create_model("spikevideoformer_ti", num_classes=10).eval(), torch.rand(8, 1, 3, 64, 64)
    started = time.perf_counter()
    with torch.no_grad():
        got = torch.compile(model, fullgraph=True)(x)[0]
    assert time.perf_counter() - started < 60
    with torch.no_grad():
        torch.testing.assert_close(got, model(x)[0], rtol=0, atol=1e-5)
