"""What docs/recipes.md says of memory: counted on empty tensors, equal to what a run on a CPU keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spikereel.config import override
from spikereel.runs.model import build_model
from spikereel.runs.recipes import RECIPES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = ("data.frames=2", "data.size=32")


class Kept:
    """A tensor, gone with its part of the graph."""

    def __init__(self, tensor, all_of_them):
        self.tensor, self.all = tensor, all_of_them
        self.all[id(self)] = tensor

    def __del__(self):
        del self.all[id(self)]


@pytest.mark.parametrize(
    ("name", "more"), [("motion", ()), ("motion_causal", ("model.neuron=ilif",)), ("motion_svformer", ())]
)
def test_bytes_kept_are_those_of_a_run(name, more, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from recipes import count

    recipe = override(RECIPES[name](), [*SMALL, *more])
    spec, video = replace(recipe.model, start=None), torch.rand(2, 2, 2, 32, 32)
    model = build_model(spec, frames=2, size=32, in_channels=2, num_classes=10).train()
    kept: dict[int, torch.Tensor] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda x: Kept(x, kept), lambda x: x.tensor):
        output = model(video)
    own = {x.untyped_storage()._cdata for x in model.parameters()}
    storages = {x.untyped_storage()._cdata: x.untyped_storage().nbytes() for x in kept.values()}
    assert output[0].requires_grad
    # the clips were two
    assert count(recipe)["kept_bytes"] == sum(size for key, size in storages.items() if key not in own) / 2
