"""Which kernel for which layer: all that there are, timed on the spikes that come."""

import time
from collections.abc import Mapping

import numpy as np

from spikereel.engine.execute import Before, Call, choices, pack, spike_conv
from spikereel.engine.loaded import native
from spikereel.engine.plan import SILENT, Layer, SpikeConv

ROUNDS = 3
ENOUGH = 1.0
"""Seconds of a layer's trials after which none is repeated: long ones tell kernels apart at once."""
CLOSE = 1.5
"""Times over the best at which a kernel may still turn out the fastest."""
BUSY = 0.3
"""Firing rate above which event lists of few outputs at a time are not worth a try."""
EVERY, SOON = 32, 4
"""Calls from one look at the rates of a stream to the next: where no kernel was chosen anew, and where one was."""
LONGEST = 1024
"""A layer keeps a new kernel for EVERY calls, the next for twice as many, ..., and for so many at most: in some streams
rates go up and down for ever."""
MOVED, STILL, LONGER = 1.3, 0.005, 3
"""A kernel is chosen anew where a rate is so many times what it was and so much more besides, or where a call has more
than so many times the frames, or so many times fewer."""


class Tuner:
    """`before` of a run: settles each convolution of spikes when its first frames come."""

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact
        self.rates: dict[str, float] = {}
        self.seconds: dict[str, dict[str, float]] = {}
        """{layer: {choice: best time of a chunk}}, processor time of one thread: other programs do not count."""

    def __call__(self, layer: Layer, call: Call, t0: int, t1: int) -> None:
        if isinstance(layer, SpikeConv) and not t0:
            self.rates[layer.name] = rate_of(layer, call, t0, t1)
            self.seconds[layer.name] = settle(layer, call, t0, t1, self.rates[layer.name], exact=self.exact)


class Retuner:
    """Looks at the firing rates of a stream now and then, and settles a layer anew whose rate has moved.

    One layer at a time, so that no frame is late by more than that takes; the next one soon, as a stream that begins
    with membranes at rest fires otherwise in every layer once it runs. The kernels give the same spikes.
    """

    def __init__(self) -> None:
        self.settled: dict[str, tuple[float, int]] = {}
        """{layer: firing rate, frames of the call} when its kernel was chosen."""
        self.kept: dict[str, tuple[int, int]] = {}
        """{layer: call up to which its kernel stays, calls for which the next one will}."""
        self.calls, self.next = 0, SOON
        self.done = True

    def start(self, rates: Mapping[str, float], frames: int) -> None:
        """The kernels were chosen at these rates."""
        self.settled = {name: (rate, frames) for name, rate in rates.items()}
        self.kept, self.calls, self.next = {}, 0, SOON

    def due(self) -> Before | None:
        """`before` of the call that comes, where it is time for a look."""
        self.calls += 1
        self.done = self.calls < self.next
        if self.done:
            return None
        self.next = self.calls + EVERY
        return self._look

    def _look(self, layer: Layer, call: Call, t0: int, t1: int) -> None:
        if self.done or not isinstance(layer, SpikeConv) or t0 or layer.weight is None:
            return
        until, calls = self.kept.get(layer.name, (0, EVERY))
        if self.calls < until:
            return
        rate, frames = rate_of(layer, call, t0, t1), call.layout.frames
        if moved(self.settled.get(layer.name), rate, frames):
            settle(layer, call, t0, t1, rate, rounds=1)
            self.settled[layer.name], self.done = (rate, frames), True
            self.kept[layer.name] = self.calls + calls, min(2 * calls, LONGEST)
            self.next = self.calls + SOON


def moved(before: tuple[float, int] | None, rate: float, frames: int) -> bool:
    """Whether another kernel may be the fastest now. before: firing rate and frames when it was chosen."""
    if before is None:
        return False
    low, high = sorted((before[0], rate))
    fewer, more = sorted((before[1], frames))
    return high > MOVED * low + STILL or more > LONGER * fewer


def rate_of(layer: SpikeConv, call: Call, t0: int, t1: int) -> float:
    """Firing rate of what enters a layer."""
    bits = call.frames_of(layer.source, t0, t1)
    return native().count_spikes(bits) / (bits.shape[0] * bits.shape[1] * bits.shape[2] * layer.source.live)


def settle(
    layer: SpikeConv, call: Call, t0: int, t1: int, rate: float, *, exact: bool = True, rounds: int = ROUNDS
) -> dict[str, float]:
    """Give a layer its fastest kernel on the spikes of these frames; the best time of each."""
    into = _aside(layer, call, t0, t1)
    ways = choices(layer, exact=exact)
    ways = [w for w in ways if rate < BUSY or w not in ("events2", "events1", "rows2", "rows1")] or ways
    held = {} if layer.packed is None else {layer.choice: layer.packed}
    packed = {way: held[way] if way in held else pack(layer, way) for way in ways}
    best = dict.fromkeys(ways, float("inf"))
    threads = native().threads()
    native().set_threads(1)
    spent = 0.0
    for i in range(2 * rounds):
        if i and spent > ENOUGH:
            break
        # other programs take cache and memory from one way and not from the next: close ones are timed again
        close = CLOSE * min(best.values())
        for way in [way for way in ways if i < rounds or best[way] <= close]:
            started = time.thread_time()
            spike_conv(layer, call, t0, t1, into, way, packed[way])
            seconds = time.thread_time() - started
            best[way], spent = min(best[way], seconds), spent + seconds
    native().set_threads(threads)
    layer.choice = min(best, key=lambda way: best[way])
    layer.packed = packed[layer.choice]
    return best


def _aside(layer: SpikeConv, call: Call, t0: int, t1: int) -> object:
    """A target as the layer's own that leaves values and membranes alone."""
    neuron = layer.neuron or SILENT
    norm = None if layer.norm is None else layer.norm.at(call.first + t0, t1 - t0)

    def like(array):
        # written to once: fresh pages would count against the kernel that is tried first
        return None if array is None else np.full_like(array, 0)

    return native().Target(
        layer.channels,
        scale=None if norm is None else norm.scale,
        bias=None if norm is None else norm.bias,
        residual=None if layer.residual is None else call.frames_of(layer.residual, t0, t1),
        value=like(None if layer.value is None else call.frames_of(layer.value, t0, t1)),
        bits=like(None if layer.spikes is None else call.fired_by(layer, t0, t1)),
        membrane=like(None if layer.neuron is None else call.membrane_of(layer)),
        fresh=True,
        near=None,
        **neuron.constants(),
    )
