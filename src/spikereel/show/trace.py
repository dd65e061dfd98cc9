"""A trace in a terminal, and its figures as JSON."""

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from spikereel.tracing import Trace
from spikereel.versions import provenance

MOST = 5
"""Layers that are shown of the busiest."""


def trace_tables(trace: Trace) -> Iterator[RenderableType]:
    """Answer, energy, and the layers that fire most, within 80 columns."""
    answer = f"{trace.label}: " if trace.label is not None else ""
    seconds = "" if trace.times is None else f", {trace.times[0]:.2f} to {trace.times[-1]:.2f} s"
    span = f"frames {trace.frames[0]} to {trace.frames[-1]}{seconds}"
    yield Text(f"{answer}{trace!r}", "bold")
    yield Text(span, "dim")
    means = {name: float(x.mean()) for name, x in trace.rates.items()}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("busiest layers", overflow="fold")
    table.add_column("neurons", justify="right")
    table.add_column("spikes a neuron and frame", justify="right")
    for name in sorted(means, key=means.__getitem__, reverse=True)[:MOST]:
        table.add_row(Text(name), f"{trace.layers[name].size:,}", f"{means[name]:.3f}")
    yield table
    if silent := [name for name, rate in means.items() if rate == 0]:
        yield Text(f"{len(silent)} of {len(means)} layers never fire, first {silent[0]}", "yellow")
    if trace.about.costs:
        own, ann = float(trace.energy().sum()), float(trace.energy(ann=True).sum())
        yield Text(f"energy as the papers count: {own:.4g} mJ, as an ANN {ann:.4g} mJ")


def trace_json(trace: Trace) -> dict[str, Any]:
    """Frames, rates, energy and outputs of classes, plain types."""
    found = trace.probabilities
    return {
        "model": trace.model,
        "weights": trace.weights,
        "source": trace.source,
        "clip": list(trace.clip),
        "frames": trace.frames.tolist(),
        "times": None if trace.times is None else trace.times.tolist(),
        "starts": trace.starts.tolist(),
        "classes": list(trace.classes),
        "answered": trace.answered.tolist(),
        "probabilities": None if found is None else found.tolist(),
        "rates": {name: x.tolist() for name, x in trace.rates.items()},
        "energy_per_frame_mj": {cost: trace.energy(cost).tolist() for cost in trace.about.costs},
        "notes": list(trace.notes),
        **provenance(),
    }
