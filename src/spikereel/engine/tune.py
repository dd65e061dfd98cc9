"""Which kernel for which layer: all that there are, timed on the spikes that come."""

import time

import numpy as np

from spikereel.engine.execute import Call, choices, pack, spike_conv
from spikereel.engine.loaded import native
from spikereel.engine.plan import SILENT, Layer, SpikeConv

ROUNDS = 3
CLOSE = 1.5
"""Times over the best at which a kernel may still turn out the fastest."""
BUSY = 0.3
"""Firing rate above which event lists of few outputs at a time are not worth a try."""


class Tuner:
    """`before` of a run: settles each convolution of spikes when its first frames come."""

    def __init__(self, *, exact: bool = True) -> None:
        self.exact = exact
        self.rates: dict[str, float] = {}
        self.seconds: dict[str, dict[str, float]] = {}
        """{layer: {choice: best time of a chunk}}, processor time of one thread: other programs do not count."""

    def __call__(self, layer: Layer, call: Call, t0: int, t1: int) -> None:
        if not isinstance(layer, SpikeConv) or t0:
            return
        bits = call.frames_of(layer.source, t0, t1)
        rate = native().count_spikes(bits) / (bits.shape[0] * bits.shape[1] * bits.shape[2] * layer.source.channels)
        self.rates[layer.name] = rate
        into = _aside(layer, call, t0, t1)
        ways = choices(layer, exact=self.exact)
        ways = [w for w in ways if rate < BUSY or w not in ("events2", "events1", "rows2", "rows1")] or ways
        packed = {way: pack(layer, way) for way in ways}
        best = dict.fromkeys(ways, float("inf"))
        threads = native().threads()
        native().set_threads(1)
        for i in range(2 * ROUNDS):
            # other programs take cache and memory from one way and not from the next: close ones are timed again
            close = CLOSE * min(best.values())
            for way in [way for way in ways if i < ROUNDS or best[way] <= close]:
                started = time.thread_time()
                spike_conv(layer, call, t0, t1, into, way, packed[way])
                best[way] = min(best[way], time.thread_time() - started)
        native().set_threads(threads)
        self.seconds[layer.name] = best
        layer.choice = min(best, key=lambda way: best[way])
        layer.packed = packed[layer.choice]


def _aside(layer: SpikeConv, call: Call, t0: int, t1: int) -> object:
    """A target as the layer's own that leaves values and membranes alone."""
    neuron = layer.neuron or SILENT
    norm = None if layer.norm is None else layer.norm.at(call.first + t0, t1 - t0)

    def like(buffer):
        return None if buffer is None else np.empty_like(call.frames_of(buffer, t0, t1))

    return native().Target(
        layer.channels,
        scale=None if norm is None else norm.scale,
        bias=None if norm is None else norm.bias,
        residual=None if layer.residual is None else call.frames_of(layer.residual, t0, t1),
        value=like(layer.value),
        bits=like(layer.spikes),
        membrane=None if layer.neuron is None else np.empty_like(call.membranes[neuron.name]),
        fresh=True,
        near=None,
        **neuron.constants(),
    )
