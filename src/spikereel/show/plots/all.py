"""Every picture that a trace has, into a folder."""

from pathlib import Path
from typing import Any

from spikereel.show.plots.attention import attention
from spikereel.show.plots.energy import energy
from spikereel.show.plots.figure import WIDTH, save
from spikereel.show.plots.membranes import membranes
from spikereel.show.plots.raster import raster, rates
from spikereel.tracing import Trace
from spikereel.tracing.parts import MEMBRANES


def draw_all(
    trace: Trace, folder: Path, *, layer: str | None = None, dark: bool = False, width: int = WIDTH
) -> list[str]:
    """Write rates.png and, as far as the trace has them, raster, attention, energy and membranes; their paths.

    layer: whose spikes are drawn; None is the last q, or the last layer that was recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name for name, x in trace.layers.items() if x.recorded}
    seen = [a for a in trace.attentions.values() if {a.q, a.k} <= kept]
    own = layer or (seen[-1].q if seen else next((name for name in reversed(trace.layers) if name in kept), None))
    look: dict[str, Any] = {"dark": dark, "width": width}
    drawn = {"rates": rates(trace, **look)}
    if own in kept:
        drawn["raster"] = raster(trace, own, **look)
    if seen:
        drawn["attention"] = attention(trace, layer=seen[-1].name, **look)
    if trace.about.costs:
        drawn["energy"] = energy(trace, **look)
    if own is not None and MEMBRANES + own in trace.parts[0]:
        drawn["membranes"] = membranes(trace, own, **look)
    paths = {name: folder / f"{name}.png" for name in drawn}
    for name, picture in drawn.items():
        save(picture, paths[name])
    return [str(path) for path in paths.values()]
