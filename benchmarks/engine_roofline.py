"""How fast the engine could be at most on this core: every layer at the measured peak of what it is made of.

`primitives.cpp` measures the peaks in bare loops: multiply-adds, rows of weights added up, tables of spikes, additions
under masks, neurons, bytes. A layer's bound is the time of its operations at those peaks, at its shape and its measured
firing rate, with nothing around them: no ends of lists, no decoding, no calls. The sum over the network is a bound that
no kernel of these kinds can pass.
"""

import json
import math
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from spikereel.engine.engine import Engine
from spikereel.engine.packing import LANES, whole
from spikereel.engine.plan import AttendApply, AttendCount, Fire, Layer, Pointwise, SpikeConv
from spikereel.engine.report import Profile

SOURCE = Path(__file__).with_name("primitives.cpp")


def primitives() -> dict[str, Any]:
    """{primitive: operations a second} of one core; `row_adds`: [vectors a row, bytes of the table, vectors a s]."""
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/primitives"
        subprocess.run(["g++", "-std=c++17", "-O3", "-march=native", "-o", program, str(SOURCE)], check=True)
        return json.loads(subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout)


def roofline(engine: Engine, clip: Any, rounds: int, peaks: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows {layer, kernel, rate, seconds, bound, share, limit}, the least time of each layer over the rounds."""
    profiles = []
    for _ in range(rounds):
        engine._watch = profile = Profile()
        try:
            engine(clip)
        finally:
            engine._watch = None
        profiles.append(profile)
    layout = next(iter(engine._layouts.values()))
    rows = []
    for row, (key, layer) in zip(profiles[0].rows(), profiles[0].layers.items(), strict=True):
        height, width = layout.sizes[key]
        seconds = min(p.seconds[key] for p in profiles)
        parts = limits(layer, row.macs, row.rate, len(clip) * height * width, peaks)
        bound = max(parts["arithmetic"] + parts["neurons"], parts["bytes"])
        limit = max(parts, key=lambda name: parts[name])
        rows.append(
            {"layer": row.layer, "kernel": row.kernel, "rate": row.rate, "gmac": row.macs / 1e9, "seconds": seconds}
            | {"bound": bound, "share": bound / seconds, "limit": limit}
        )
    return rows


def limits(layer: Layer, macs: int, rate: float | None, pixels: int, peaks: dict[str, Any]) -> dict[str, float]:
    """Seconds of a layer's arithmetic, neurons and bytes at the peaks; `pixels` of all frames."""
    lanes = whole(layer.channels) * LANES
    streams = (layer.value is not None) + (layer.residual is not None) + isinstance(layer, Fire)
    return {
        "arithmetic": _arithmetic(layer, macs, rate, pixels, peaks),
        "neurons": pixels * lanes / peaks["neurons"] if layer.neuron is not None else 0.0,
        "bytes": streams * pixels * lanes * 4 / peaks["bytes_8m"],
    }


def _arithmetic(layer: Layer, macs: int, rate: float | None, pixels: int, peaks: dict[str, Any]) -> float:
    if isinstance(layer, SpikeConv):
        assert rate is not None
        tables = macs / max(peaks["cached_tables"], peaks["register_tables"])
        return min(tables, rate * macs / LANES / _row_rate(layer, peaks))
    if isinstance(layer, Pointwise):
        depthwise = pixels * layer.depth * layer.kernel**2 if layer.kernel > 1 else 0
        dense = (macs - depthwise) / peaks["multiply_adds"]
        return dense + depthwise / (peaks["masked_adds" if layer.fixed is not None else "multiply_adds"] or math.inf)
    if isinstance(layer, AttendCount):
        # 512 coincidences an operation
        return macs / 512 / _fastest(peaks)
    if isinstance(layer, AttendApply):
        # four inputs of sixteen outputs a row
        return macs / 64 / _fastest(peaks)
    return 0.0 if isinstance(layer, Fire) else macs / peaks["multiply_adds"]


def _row_rate(layer: SpikeConv, peaks: dict[str, Any]) -> float:
    """Vectors a second of the best block, whose rows of one row of the window lie together."""
    vectors, inputs = whole(layer.channels), layer.source.channels * layer.kernel
    found = [0.0]
    for wide in (2, 4, 8):
        if wide > 2 and wide >= 2 * vectors:
            continue
        bytes_of = inputs * wide * LANES * 4
        # the next smaller table that was measured: no bound may be too strict
        sizes = [x for x in peaks["row_adds"] if x[0] == wide]
        found.append(max([x for x in sizes if x[1] <= bytes_of] or sizes[:1], key=lambda x: x[1])[2])
    return max(found)


def _fastest(peaks: dict[str, Any]) -> float:
    return max(x[2] for x in peaks["row_adds"])


def summary_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Time, bound and share of each kind of kernel, and of all."""
    kinds: dict[str, dict[str, float]] = {}
    for row in rows:
        kernel = row["kernel"].rstrip("0123456789")
        for kind in ("events" if kernel in ("events", "rows") else kernel, "all layers"):
            x = kinds.setdefault(kind, {"seconds": 0.0, "bound": 0.0, "gmac": 0.0})
            for name in x:
                x[name] += row[name]
    return {kind: x | {"share": x["bound"] / x["seconds"]} for kind, x in kinds.items()}
