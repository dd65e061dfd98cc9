"""Long tests are limited by what they compute, not by the clock."""

import itertools
import resource
import time

import pytest
from processor_time import at_most


def test_who_waits_may_and_who_computes_is_ended():
    before = resource.getrlimit(resource.RLIMIT_CPU)
    with at_most(1):
        time.sleep(2.2)
    with pytest.raises(pytest.fail.Exception, match="1 s of processor time"), at_most(1):
        all(_ is None for _ in itertools.repeat(None))
    assert resource.getrlimit(resource.RLIMIT_CPU) == before


@pytest.mark.slow
def test_a_long_test_has_the_limit(request):
    assert resource.getrlimit(resource.RLIMIT_CPU)[0] != resource.RLIM_INFINITY
    assert request.node.get_closest_marker("timeout").args[0] > 3600
