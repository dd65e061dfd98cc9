"""The studio in a real browser: `python benchmarks/studio.py film|seek|browse|open` (see docs/studio.md).

film: writes the film of ten minutes that `seek` needs, and one of an hour. open: seconds until the first frame of the
hour is painted. seek: milliseconds from a change of the clock to the paint of every panel, at random frames of the
ten minutes, all of whose windows are computed. browse: memory of the page while 10^8 spikes are looked through.
Needs playwright and Debian's chromium.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from run import save
from torch import Tensor

from spikereel.data.video.write import write_video
from spikereel.hub import create_model
from spikereel.tracing import Trace, trace
from spikereel.tracing.parts import SPIKES

WEIGHTS = "spikevideoformer_ti.motion"
LONG = 320
"""Frames of the trace that is browsed."""
VIEW = """async patch => {
  const {set} = await import("/page/state.js"), {paint} = await import("/page/watch.js");
  for (const name of Object.keys(patch)) patch[name] ??= undefined;
  const began = performance.now();
  set(patch);
  await paint(true);
  await new Promise(done => requestAnimationFrame(() => done()));
  return performance.now() - began;
}"""
KIND = re.compile("frames|raster|membranes|attention|look")
"""What a request is for, in its path."""
SEEK = """async numbers => {
  const {set} = await import("/page/state.js"), found = [];
  for (const number of numbers) {
    await new Promise(done => setTimeout(done, 60));
    performance.clearResourceTimings();
    const began = performance.now();
    await new Promise(done => {
      const listener = event => {
        if (event.detail.number !== number) return;
        document.removeEventListener("painted", listener);
        requestAnimationFrame(() => done());
      };
      document.addEventListener("painted", listener);
      set({frame: number});
    });
    const parts = performance.getEntriesByType("resource").filter(x => x.startTime >= began);
    found.push([performance.now() - began, parts.map(x => [new URL(x.name).pathname, x.responseEnd - x.startTime])]);
  }
  return found;
}"""


def frames(count: int, height: int = 240, width: int = 320) -> Iterator[Tensor]:
    """A textured disc that goes round over a slanted ground."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = np.stack([90 + 25 * np.sin((x + 0.6 * y) / k) for k in (9, 11, 14)])
    for number in range(count):
        angle = 2 * np.pi * number / 90
        left, top = int(width * (0.4 + 0.3 * np.cos(angle))), int(height * (0.4 + 0.3 * np.sin(angle)))
        picture = ground.copy()
        picture[:, top : top + 48, left : left + 48] = 235 - ground[:, :48, :48]
        yield torch.from_numpy(picture.astype(np.uint8))


def film(options: argparse.Namespace) -> None:
    """Write the films."""
    options.folder.mkdir(parents=True, exist_ok=True)
    write_video(options.folder / "ten.mp4", frames(10 * 60 * 30), 30)
    join(options.folder / "ten.mp4", options.folder / "hour.mp4", 6)


def join(part: Path, whole: Path, times: int) -> None:
    """A film so many times after itself, without decoding it."""
    with av.open(str(whole), "w") as out:
        stream, offset = None, 0
        for _ in range(times):
            with av.open(str(part)) as source:
                own = source.streams.video[0]
                stream = stream or out.add_stream_from_template(own)
                for packet in source.demux(own):
                    if packet.dts is not None:
                        packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                        out.mux(packet)
                offset += own.duration


@contextmanager
def studio(folder: Path) -> Iterator[str]:
    """The address of a studio of its own."""
    command = [sys.executable, "-m", "spikereel.apps.cli", "studio", "--port", "0", "--root", f"films={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.terminate()


@contextmanager
def page(address: str) -> Iterator[Any]:
    """A page in Chromium, without anything open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--enable-precise-memory-info"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        found = browser.new_page(viewport={"width": 1280, "height": 900})
        found.set_default_timeout(280_000)
        found.goto(address)
        yield found
        browser.close()


def _shown(found: Any, address: str, **values: Any) -> float:
    """Seconds until a link shows its frame."""
    found.goto("about:blank")
    began = time.monotonic()
    found.goto(address + "#" + "&".join(f"{k}={v}" for k, v in values.items()))
    found.wait_for_function("n => document.documentElement.dataset.painted === n", arg=str(values["frame"]))
    return time.monotonic() - began


def open_hour(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds until a frame of an hour is painted, the page included; the first one of a fresh server each time."""
    seconds = []
    for frame in (0, 90_000, 12_345):
        with studio(options.folder) as address, page(address) as found:
            seconds.append(_shown(found, address, place="films:hour.mp4", frame=frame))
    return {"frames": 108_000, "seconds": seconds, "megabytes": (options.folder / "hour.mp4").stat().st_size / 1e6}


def seek(options: argparse.Namespace) -> dict[str, Any]:
    """Percentiles over random frames."""
    numbers = np.random.default_rng(0).integers(0, 18_000, options.seeks).tolist()
    with studio(options.folder) as address, page(address) as found:
        _shown(found, address, place="films:ten.mp4", weights=WEIGHTS, every=options.every, frame=0)
        found.wait_for_function("() => document.getElementById('progress').textContent.includes('all computed')")
        found.evaluate(SEEK, numbers[:10])
        all_range = found.evaluate(SEEK, numbers)
        found.evaluate("async () => (await import('/page/state.js')).set({first: 0, stop: 600})")
        zoomed = found.evaluate(SEEK, numbers)
        panels = found.locator(".panel h2").all_inner_texts()
    return {
        "frames": 18_000,
        "size": "320 x 240, x264 with its usual key frames",
        "windows_of_seconds": options.every,
        "panels": ["picture", "overlay", *panels],
        "whole range": _percentiles(all_range),
        "twenty seconds shown, the raster fetched anew": _percentiles(zoomed),
    }


def _percentiles(rows: list[Any]) -> dict[str, Any]:
    """Of milliseconds until all is painted, and of what was asked of the server meanwhile, sent and received."""
    ms, parts = [row[0] for row in rows], {}
    for path, took in (part for _, row in rows for part in row):
        parts.setdefault(KIND.search(path)[0] if KIND.search(path) else path, []).append(took)
    asked = {kind: {"requests": len(took), **_quantiles(took)} for kind, took in sorted(parts.items())}
    return {"seeks": len(ms), **_quantiles(ms), "most": round(max(ms), 1), "requests_ms": asked}


def _quantiles(ms: list[float]) -> dict[str, float]:
    return dict(zip(("p50", "p95", "p99"), np.percentile(ms, (50, 95, 99)).round(1).tolist(), strict=True))


def large(path: Path) -> None:
    """A trace of every layer of a network of the size `s` at 112 pixels, with 10^8 spikes: bits of 320 frames that are
    set at random, each layer at a rate of its own from 3 to 20 %."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    made = trace(create_model("spikevideoformer_s", num_classes=8), torch.rand(1, 1, 3, 112, 112)).without_state()
    part = {name: np.repeat(x, LONG, axis=0) for name, x in made.parts[0].items() if not name.startswith(SPIKES)}
    part |= {"frames": np.arange(LONG), "answered": np.arange(LONG), "begins": np.arange(LONG) == 0}
    part["output/logits"] = np.cumsum(rng.normal(0, 0.2, (LONG, 8)), axis=0).astype(np.float32)
    part["pictures"] = torch.stack([x[:, ::2, 64:288:2] for x in frames(LONG, 224)]).numpy()
    for i, layer in enumerate(made.layers.values()):
        rate = rng.uniform(0.03, 0.2)
        bits = [np.packbits(rng.random(layer.size, dtype=np.float32) < rate) for _ in range(LONG)]
        part[SPIKES + layer.name] = np.stack(bits)
        part["rates"][:, i] = np.bitwise_count(part[SPIKES + layer.name]).sum(1) / layer.size
    Trace(made.about, [part]).save(path)


def browse(options: argparse.Namespace) -> dict[str, Any]:
    """Looks through all spikes of a trace, layer by layer: all of it, a tenth of its neurons, 64 frames of these, and
    frames here and there, as a person would."""
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "large.trace"
    large(path)
    kept = Trace.load(path)
    spikes = sum(int(np.bitwise_count(kept.packed(name)).sum()) for name in kept.layers)
    heap, resident, waits = [], [], []
    with studio(options.folder) as address, page(address) as found:
        began = time.monotonic()
        _shown(found, address, place="films:large.trace", frame=0)
        found.wait_for_function("() => document.getElementById('progress').textContent.includes('all computed')")
        opened = time.monotonic() - began
        session = found.context.new_cdp_session(found)
        session.send("Performance.enable")
        drawn = _drawn_by(found)
        for layer in found.locator("#panel-raster select option").all_inner_texts():
            size = kept.layers[layer].size
            for view in (
                {"layer": layer, "low": None, "high": None, "first": None, "stop": None},
                {"low": size // 2, "high": size // 2 + max(size // 10, 1)},
                {"first": 100, "stop": 164},
            ):
                waits.append(found.evaluate(VIEW, view))
            for number in (110, 150, 163):
                found.evaluate(VIEW, {"frame": number})
            heap.append(
                {x["name"]: x["value"] for x in session.send("Performance.getMetrics")["metrics"]}["JSHeapUsedSize"]
            )
            resident.append(_resident(drawn))
    return {
        "spikes": spikes,
        "frames": len(kept),
        "layers_looked_at": len(heap),
        "file_mb": path.stat().st_size / 1e6,
        "open_s": round(opened, 2),
        "another_view_painted_ms": _quantiles(waits),
        "heap_mb": {"first": heap[0] / 1e6, "most": max(heap) / 1e6},
        "page_process_mb": {"first": resident[0] / 1e6, "most": max(resident) / 1e6},
        "goal_mb": 500,
    }


def _drawn_by(found: Any) -> int:
    """The process that draws the page: the largest of its kind in this browser."""
    session = found.context.browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return max((x["id"] for x in processes if x["type"] == "renderer"), key=_resident)


def _resident(process: int) -> int:
    """Bytes of memory that a process holds, what it shares with others included."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("film", "open", "seek", "browse"))
    parser.add_argument("--folder", type=Path, default=Path("studio-films"))
    parser.add_argument("--seeks", type=int, default=200)
    parser.add_argument("--every", type=float, default=10.0, help="seconds of a window (default: %(default)s)")
    options = parser.parse_args()
    if options.what == "film":
        film(options)
        return
    load = os.getloadavg()
    found = {"open": open_hour, "seek": seek, "browse": browse}[options.what](options)
    found["load_average"] = {"before": load, "after": os.getloadavg()}
    print(json.dumps(found, indent=1))
    save(f"studio-{options.what}", found, "studio.py")


if __name__ == "__main__":
    main()
