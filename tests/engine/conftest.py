"""Instruction sets, forced one after the other."""

import pytest

from spikereel.engine.loaded import available, native

SETS = native().instruction_sets() if available() else []


@pytest.fixture(params=SETS)
def isa(request):
    """Each one that this processor has."""
    before = native().instruction_set()
    native().use_instruction_set(request.param)
    yield request.param
    native().use_instruction_set(before)
