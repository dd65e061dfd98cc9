"""Neurons inside `torch.compile`: one operation each, with the spikes and gradients of those outside."""

import pytest
import torch

from spikereel.kernels.lif_compiled import compiled_ilif, compiled_lif
from spikereel.kernels.lif_torch import fused_ilif, fused_lif
from spikereel.ops.lif import Constants

HARD = Constants(1.0, "hard", -0.25, True, "sigmoid", 4.0, True)
SOFT = Constants(0.5, "soft", 0.0, False, "atan", 2.0, True)

NEURONS = {
    "lif": (lambda x, v, w: fused_lif(x, v, 0.5, HARD), lambda x, v, w: compiled_lif(x, v, 0.5, HARD)),
    "plif": (lambda x, v, w: fused_lif(x, v, w, SOFT), lambda x, v, w: compiled_lif(x, v, w, SOFT)),
    "ilif": (lambda x, v, w: fused_ilif(x, v, 0.25, 4), lambda x, v, w: compiled_ilif(x, v, 0.25, 4)),
}
"""Outside and inside of a graph."""


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.parametrize("kind", NEURONS)
def test_compiled_is_eager(kind):
    torch.manual_seed(0)
    (plain, inside), results = NEURONS[kind], []
    values = 2 * torch.randn(4, 5), torch.rand(5), torch.tensor(0.3)
    for call in (plain, torch.compile(inside, fullgraph=True, backend="aot_eager")):
        leaves = [x.clone().requires_grad_() for x in values]
        spikes, v = call(*leaves)
        (spikes * torch.arange(5.0) + v).sum().backward()
        results.append((spikes, v, *(x.grad for x in leaves if x.grad is not None)))
    assert results[0][0].any()
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=0, atol=1e-6)
