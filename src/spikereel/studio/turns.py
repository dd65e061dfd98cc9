"""Whose turn it is to run a network: one at a time, since hooks write down what it does, and who waits goes first."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager


class Turns:
    """`with turns.now():` for a request, `with turns.later():` for work that can wait."""

    def __init__(self) -> None:
        self._running = threading.RLock()
        self._counting = threading.Lock()
        self._waiting = 0

    @contextmanager
    def now(self) -> Generator[None, None, None]:
        """As soon as the run in progress is over."""
        with self._counting:
            self._waiting += 1
        try:
            self._running.acquire()
        finally:
            with self._counting:
                self._waiting -= 1
        try:
            yield
        finally:
            self._running.release()

    @contextmanager
    def later(self) -> Generator[None, None, None]:
        """When no request waits."""
        while self._waiting:
            time.sleep(0.002)
        with self._running:
            yield
