"""Seeing what a spiking network does: spikes, membranes, attention, energy and outputs on one clock.

trace = spikereel.trace(model, clip)          # clip [T, 1, C, H, W], pictures [T, C, H, W], or a file
trace.spikes("block3.0.attn.q_lif"); trace.attention((3, 1, 2)); trace.energy("paper"); trace.save("clip.trace")
"""

from spikereel.tracing.compare import Difference, compare
from spikereel.tracing.make import Options, pieces, trace
from spikereel.tracing.traces import Trace

__all__ = ["Difference", "Options", "Trace", "compare", "pieces", "trace"]
