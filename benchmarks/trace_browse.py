"""What it takes to look into a trace of 10^8 spikes, and what a trace costs beside the plain run.

python benchmarks/trace_browse.py
"""

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from run import save

import spikereel
from spikereel.tracing import Trace
from spikereel.tracing.parts import SPIKES

FRAMES, RATE, SHOWN, REPEATS = 1250, 0.1, 64, 7
LAYER = "ConvBlock1_1.0.Conv.lif1"


def milliseconds(run: Callable[[], Any]) -> float:
    """Median of several runs, after one."""
    run()
    found = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        found.append(1e3 * (time.perf_counter() - begin))
    return median(found)


def large(folder: Path) -> Path:
    """A file with one layer of 802,816 neurons over so many frames, a tenth of which fire: 10^8 spikes."""
    model = spikereel.create_model("spikevideoformer_b", norms="published", attention="spatial")
    small = spikereel.trace(model, torch.rand(1, 1, 3, 224, 224), layers=[LAYER], energy=False, pictures=False)
    rng = np.random.default_rng(0)
    part = dict(small.parts[0])
    # 64 frames that are there again and again
    bits = np.packbits(rng.random((64, small.layers[LAYER].size), dtype=np.float32) < RATE, axis=1)
    part[SPIKES + LAYER] = bits
    part |= {name: np.repeat(part[name], 64, axis=0) for name in ("rates", "frames", "begins")}
    part |= {name: x[:1] for name, x in part.items() if name.startswith("output/")}
    part["answered"] = np.array([0])
    whole = Trace(small.about, [part] * -(-FRAMES // 64)).part(0, FRAMES)
    whole.save(folder / "large.trace")
    return folder / "large.trace"


def browsing(path: Path) -> dict[str, float]:
    """Milliseconds of what a viewer does, and how far memory rises; a file that is looked at lies in memory too."""
    # what writing the file took is not what looking takes
    Path("/proc/self/clear_refs").write_text("5")
    before = _kilobytes("VmRSS")
    begin = time.perf_counter()
    trace = Trace.load(path)
    opened = 1e3 * (time.perf_counter() - begin)
    middle, size = len(trace) // 2, trace.layers[LAYER].size
    some = np.linspace(0, size - 1, SHOWN).astype(np.int64)
    spikes = int(sum(np.bitwise_count(trace.packed(LAYER)[i : i + 64]).sum() for i in range(0, len(trace), 64)))
    return {
        "frames": len(trace),
        "neurons": size,
        "spikes": spikes,
        "file_mb": path.stat().st_size / 1e6,
        "open_ms": opened,
        "one_frame_ms": milliseconds(lambda: trace.spikes(LAYER, middle, middle + 1)),
        "64_neurons_of_all_frames_ms": milliseconds(lambda: trace.spikes(LAYER, neurons=some)),
        "picture_of_100_frames_ms": milliseconds(lambda: trace.picture_of(LAYER, middle - 50, middle + 50)),
        "picture_of_all_ms": milliseconds(lambda: trace.picture_of(LAYER)),
        "memory_rises_by_mb": (_kilobytes("VmHWM") - before) / 1024,
    }


def _kilobytes(name: str) -> int:
    """Of this process, as Linux counts: VmRSS now, VmHWM at most."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def cost() -> dict[str, float]:
    """A clip plain, traced, and traced with energy, in milliseconds."""
    model = spikereel.load_model("spikevideoformer_ti.motion_spatial")
    video = torch.rand(8, 1, 2, 128, 128)

    def plain() -> None:
        with torch.no_grad():
            model(video)

    found = {
        "plain_ms": milliseconds(plain),
        "traced_ms": milliseconds(lambda: spikereel.trace(model, video, energy=False)),
        "with_energy_ms": milliseconds(lambda: spikereel.trace(model, video)),
    }
    return found | {
        "traced_over_plain": found["traced_ms"] / found["plain_ms"],
        "with_energy_over_plain": found["with_energy_ms"] / found["plain_ms"],
    }


def main() -> None:
    """Measure and write the JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = large(Path(folder))
        found = {"browsing": browsing(path), "cost": cost()}
    print(found)
    save("trace-browse", found, "trace_browse.py")


if __name__ == "__main__":
    main()
