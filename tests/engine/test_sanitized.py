"""Run by `sanitize.sh`: that its kernels are the ones under test, and a whole engine on each instruction set."""

import os
from pathlib import Path

import pytest
import torch
from tiny import clip, tiny_model

from spikereel.engine.engine import compile
from spikereel.engine.loaded import native

pytestmark = pytest.mark.skipif("SPIKEREEL_SANITIZED" not in os.environ, reason="is run by tests/engine/sanitize.sh")


def test_the_kernels_are_the_sanitized_ones():
    assert Path(native().__file__).is_relative_to(os.environ["SPIKEREEL_SANITIZED"])
    assert b"__asan_init" in Path(native().__file__).read_bytes()


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("attention", ["joint", "causal"])
def test_a_whole_engine(isa, exact, attention):
    model = tiny_model(attention=attention).float()
    engine = compile(model, exact=exact, threads=2)
    _, state = engine(clip(5, 2).float())
    with torch.no_grad():
        engine(clip(3, 2).float(), state if model.can_stream else None)
