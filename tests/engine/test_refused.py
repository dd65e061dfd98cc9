"""Clips that a model refuses: the engine refuses them too."""

import pytest
import torch

from spikereel.engine.engine import compile
from spikereel.engine.loaded import available
from spikereel.errors import DataError, StateError
from spikereel.hub import create_model
from spikereel.layers.state import State

pytestmark = pytest.mark.skipif(not available(), reason="this installation has no native engine")

BAD = {
    "too few frames": ((3, 1, 3, 64, 64), None, DataError),
    "too many frames": ((5, 1, 3, 64, 64), None, DataError),
    "other pixels": ((4, 1, 3, 96, 96), None, DataError),
    "other channels": ((4, 1, 2, 64, 64), None, DataError),
    "past the last frame": ((3, 1, 3, 64, 64), (2, 1, 3, 64, 64), StateError),
    "another batch": ((1, 2, 3, 64, 64), (2, 1, 3, 64, 64), StateError),
}


@pytest.mark.parametrize("name", BAD)
def test_clips_that_svformer_refuses_are_refused_in_the_same_words(name):
    shape, before, kind = BAD[name]
    model = create_model("svformer_ti", frames=4, widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), head_dim=8).eval()
    said = []
    for network in (model, compile(model)):
        state = None if before is None else network(torch.rand(before), State())[1]
        with pytest.raises(kind) as caught:
            network(torch.rand(shape), state)
        said.append(str(caught.value))
    assert said[0] == said[1]
