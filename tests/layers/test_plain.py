"""Layers that are single operations under `torch.compile`, and PyTorch's own elsewhere."""

import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from spikereel.kernels import plain_compiled
from spikereel.kernels.plain_compiled import compiled_convolution, compiled_norm
from spikereel.layers import plain

SCRIPT = """
import copy, sys, torch
from spikereel.hub import create_model
from spikereel.kernels import plain_compiled
from spikereel.layers.fused import set_memory

backend, seen = sys.argv[1], set()

def looking(graph, inputs):
    seen.update(str(node.target).removesuffix(".default") for node in graph.graph.nodes)
    return torch._dynamo.lookup_backend(backend)(graph, inputs)

torch.manual_seed(0)
torch.set_num_threads(1)
model = create_model(
    "spikevideoformer_ti", widths=(4, 4, 8, 8), depths=(1, 1), heads=2, num_classes=3, residual_gain=1.0
)
video = torch.rand(2, 2, 3, 32, 32)
for training in (True, False):
    model.zero_grad()
    plain, inside, results = model.train(training), copy.deepcopy(model), []
    for network, call in ((plain, plain), (inside, torch.compile(inside, fullgraph=True, backend=looking))):
        with torch.set_grad_enabled(training):
            logits, state = call(video)
            if training:
                (logits * torch.arange(3.0)).sum().backward()
        results.append([logits, *state.flat().values(), *network.buffers(), *(p.grad for p in network.parameters())])
    most = max(x.abs().max().item() for x in results[0][-60:] if x is not None) if training else 1.0
    for own, compiled in zip(*results, strict=True):
        if own is not None:
            torch.testing.assert_close(compiled, own, rtol=0, atol=1e-5 * max(1.0, most))
    # Inductor rounds values its own way; a spike more or less would move a membrane by far more than 1e-5
    if not training and backend == "eager":
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True) if a is not None)
assert {"spikereel.convolution", "spikereel.batch_norm", "spikereel.rest"} <= seen
set_memory(model.train(), "lean")
try:
    torch.compile(model, fullgraph=True, backend="eager")(video)
except torch._dynamo.exc.Unsupported as error:
    assert "run outside of compiled graphs; give memory='plain' to compile" in str(error), error
else:
    raise AssertionError("memory='lean' is in a graph")
"""


def run(backend: str) -> None:
    # in a process of its own: the run-time checks of shapes would break the graph
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, backend]
    subprocess.run(command, check=True, timeout=600)


def test_a_compiled_model_is_the_model_in_one_graph():
    run("eager")


@pytest.mark.slow
def test_its_spikes_are_the_same_with_the_default_compiler():
    run("inductor")


ORDERS = {"rows": torch.contiguous_format, "channels": torch.channels_last}


@pytest.mark.parametrize("order", ORDERS)
def test_the_operation_is_the_convolution(order):
    torch.manual_seed(0)
    sizes = (2, 4, 6, 7), (8, 2, 3, 3), (8,)
    given = [torch.randn(size).requires_grad_() for size in sizes]
    x = given[0].to(memory_format=ORDERS[order])
    how = [2, 1], [1, 0], [1, 1], 2
    results = (torch.conv2d(x, *given[1:], *how), compiled_convolution(x, *given[1:], *how))
    assert torch.equal(*results)
    grads = [torch.autograd.grad(y.square().sum(), given, retain_graph=True) for y in results]
    for own, single in zip(*grads, strict=True):
        assert torch.equal(own, single)
    torch.library.opcheck(compiled_convolution, (x.detach(), *given[1:], *how), test_utils=CHECKS)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("order", ["turned", *ORDERS])
def test_the_operation_is_the_norm(order, training):
    torch.manual_seed(0)
    given = [torch.randn(size).requires_grad_() for size in ((3, 4, 5, 6), (4,), (4,))]
    x = given[0].transpose(2, 3) if order == "turned" else given[0].to(memory_format=ORDERS[order])
    start, results = (torch.randn(4), torch.rand(4)), []
    for norm in (torch.nn.functional.batch_norm, compiled_norm):
        mean, var = (s.clone() for s in start)
        y = norm(x, mean, var, *given[1:], training=training, momentum=0.1, eps=1e-5)
        results.append((y, mean, var, *torch.autograd.grad(y.square().sum(), given)))
    for own, single in zip(*results, strict=True):
        assert torch.equal(own, single)
    assert torch.equal(results[1][1], start[0]) != training
    torch.library.opcheck(
        plain_compiled._norm, (x.detach(), *start, *given[1:], training, 0.1, 1e-5), test_utils=CHECKS
    )


CHECKS = ("test_schema", "test_autograd_registration", "test_faketensor")
"""Of `opcheck`; what the compiler makes of them is tested with a model."""

LAYERS = {
    "conv1d": (plain.Conv1d(3, 4, 1), nn.Conv1d(3, 4, 1)),
    "conv2d": (plain.Conv2d(3, 4, 3, padding="same"), nn.Conv2d(3, 4, 3, padding="same")),
    "norm1d": (plain.BatchNorm1d(3), nn.BatchNorm1d(3)),
    "norm2d": (plain.BatchNorm2d(3), nn.BatchNorm2d(3)),
}
"""Ours and PyTorch's."""


@pytest.mark.parametrize("name", LAYERS)
def test_names_weights_and_pickles_are_those_of_pytorch(name):
    ours, theirs = LAYERS[name]
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, type(theirs))
    ours.load_state_dict(theirs.state_dict())
    again = pickle.loads(pickle.dumps(ours))
    x = torch.rand(2, 3, 5, *([5] if name.endswith("2d") else []))
    assert torch.equal(again(x), theirs(x))
    for own, other in zip(again.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(own, other)
