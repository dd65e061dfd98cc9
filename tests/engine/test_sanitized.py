"""Run by `sanitize.sh`: that its kernels are the ones under test, and a whole engine on each instruction set."""

import os
from pathlib import Path

import pytest
import torch
from tiny import clip, tiny_model, tiny_svformer

from spikereel.engine.engine import compile
from spikereel.engine.loaded import native
from spikereel.models.segmentation_head import SegmentationConfig
from spikereel.streaming.fronts import windowed

pytestmark = pytest.mark.skipif("SPIKEREEL_SANITIZED" not in os.environ, reason="is run by tests/engine/sanitize.sh")


MODELS = {
    "joint": lambda: tiny_model(attention="joint"),
    "causal": lambda: tiny_model(attention="causal"),
    "window": lambda: windowed(tiny_model(attention="joint").float(), 3),
    "mlp head": lambda: tiny_model(task="segmentation", segmentation=SegmentationConfig(width=48)),
    "fpn head": lambda: tiny_model(task="segmentation", segmentation=SegmentationConfig(head="fpn", width=16, neck=24)),
    "svformer": lambda: tiny_svformer(),
}


def test_the_kernels_are_the_sanitized_ones():
    assert Path(native().__file__).is_relative_to(os.environ["SPIKEREEL_SANITIZED"])
    assert b"__asan_init" in Path(native().__file__).read_bytes()


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_whole_engine(isa, exact, name):
    model = MODELS[name]().float()
    engine = compile(model, exact=exact, threads=2)
    frames = 4 if model.family == "svformer" else 5
    _, state = engine(clip(frames, 2).float())
    goes_on = model.can_stream and model.family != "svformer"
    with torch.no_grad():
        engine(clip(frames, 2).float(), state if goes_on else None)
