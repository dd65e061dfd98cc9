"""A limit in processor time, which a busy machine does not shorten."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """What is inside fails after that much processor time; a process that it starts is ended by SIGXCPU."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)

    def over(*_: object) -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        pytest.fail(f"took more than {seconds} s of processor time")

    used = resource.getrusage(resource.RUSAGE_SELF)
    before = signal.signal(signal.SIGXCPU, over)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        signal.signal(signal.SIGXCPU, before)
