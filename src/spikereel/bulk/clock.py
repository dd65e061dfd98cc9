"""Where the time of a worker goes: decoding, the network, both at once, or neither."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager

STATES = ("idle", "decode", "network", "both")
"""What goes on in a worker; idle is neither: waiting, hashing, writing."""


class Clock:
    """Seconds in each of `STATES`, told by the threads of a worker as they begin and end."""

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self._now, self._lock = now, threading.Lock()
        self._busy = {"decode": 0, "network": 0}
        self._since = now()
        self.seconds = dict.fromkeys(STATES, 0.0)

    @contextmanager
    def busy(self, what: str) -> Generator[None, None, None]:
        """One thread decodes, or the network runs, for as long as the block takes."""
        self._change(what, 1)
        try:
            yield
        finally:
            self._change(what, -1)

    def taken(self) -> dict[str, float]:
        """Seconds in each state since the last call."""
        with self._lock:
            self._pass()
            seconds, self.seconds = self.seconds, dict.fromkeys(STATES, 0.0)
        return seconds

    def _change(self, what: str, by: int) -> None:
        with self._lock:
            self._pass()
            self._busy[what] += by

    def _pass(self) -> None:
        now = self._now()
        decode, network = (self._busy[what] > 0 for what in ("decode", "network"))
        self.seconds[STATES[decode + 2 * network]] += now - self._since
        self._since = now


def total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum of several clocks."""
    seconds = dict.fromkeys(STATES, 0.0)
    for part in parts:
        for state in STATES:
            seconds[state] += part.get(state, 0.0)
    return seconds


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Per cent of the time in each state."""
    whole = sum(seconds.values()) or 1.0
    return {state: 100.0 * seconds[state] / whole for state in STATES}


def said(seconds: Mapping[str, float]) -> str:
    """The shares in words; decode and network each with the time in which both ran."""
    own = shares(seconds)
    decode, network = own["decode"] + own["both"], own["network"] + own["both"]
    return (
        f"decode {decode:.0f} %, network {network:.0f} % (both at once {own['both']:.0f} %), idle {own['idle']:.0f} %"
    )
