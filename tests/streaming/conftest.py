"""Small models of each attention and task, made once."""

from functools import cache

import pytest
from hypothesis import Phase, settings
from tiny import clip, tiny_model, tiny_svformer

from spikereel.layers.state import State
from spikereel.models.segmentation_head import SegmentationConfig

QUICK = settings(max_examples=2, phases=[Phase.generate])
"""A failure is told as it is: making it smaller takes minutes."""


@cache
def model_for(attention: str, task: str = "classification", **fields):
    """A calibrated float64 model."""
    if task == "segmentation":
        fields["segmentation"] = SegmentationConfig(width=8)
    return tiny_model(clip(4, size=32), attention=attention, task=task, **fields)


@cache
def svformer_for(**fields):
    return tiny_svformer(**fields)


@pytest.fixture(scope="session")
def models():
    return model_for


@pytest.fixture(scope="session")
def svformers():
    return svformer_for


@pytest.fixture(scope="session")
def video():
    """Nine frames of one stream, [T, C, H, W]."""
    return clip(9, seed=5, size=32)[:, 0]


def same(one, two) -> bool:
    """Equal outputs, of any task."""
    one, two = ([x] if hasattr(x, "shape") else list(x) for x in (one, two))
    return len(one) == len(two) and all(x.equal(y) for x, y in zip(one, two, strict=True))


def same_state(one: State, two: State) -> bool:
    one, two = one.flat(), two.flat()
    return one.keys() == two.keys() and all(x.equal(two[name]) for name, x in one.items())
