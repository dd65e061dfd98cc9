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
from spikereel.hub import Metadata, create_model, load_model, save_model

WEIGHTS = "spikevideoformer_ti.motion"
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
    const parts = performance.getEntriesByType("resource").map(x => [new URL(x.name).pathname, x.startTime, x.responseEnd]);
    found.push([performance.now() - began, parts.filter(x => x[1] >= began).map(x => [x[0], x[2] - x[1]])]);
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


def browse(options: argparse.Namespace) -> dict[str, Any]:
    """Looks through all spikes of a network of the size `s` at 224 pixels, layer by layer."""
    torch.manual_seed(0)
    kept = load_model(WEIGHTS).metadata
    model = create_model("spikevideoformer_s", num_classes=len(kept.classes), in_channels=3).eval()
    preprocess = {**kept.preprocess, "size": 224, "modality": "rgb", "frames": 8, "stride": 2}
    save_model(model, options.folder / "large.safetensors", Metadata(classes=kept.classes, preprocess=preprocess))
    write_video(options.folder / "short.mp4", frames(16 * options.windows), 30)
    with studio(options.folder) as address, page(address) as found:
        _shown(found, address, place="films:short.mp4", weights="films:large.safetensors", frame=0)
        found.wait_for_function("() => document.getElementById('progress').textContent.includes('all computed')")
        heap, most = [], 0
        layers = found.locator("#panel-raster select option").all_inner_texts()
        sizes = found.evaluate(
            "async () => { const {watch} = await import('/page/watch.js'); return [watch.results.about.layers.map(x => "
            "x.size), [...watch.results.windows.values()].map(w => Object.values(w.rates))]; }"
        )
        spikes = sum(sum(rate) * n for rates in sizes[1] for rate, n in zip(rates, sizes[0], strict=True))
        for layer in layers:
            found.locator("#panel-raster select").select_option(layer)
            found.wait_for_timeout(150)
            heap.append(found.evaluate("() => performance.memory.usedJSHeapSize"))
            most = max(most, _renderer())
    return {
        "spikes": spikes,
        "neuron_steps": sum(sizes[0]) * len(sizes[1]) * 8,
        "layers_looked_at": len(layers),
        "heap_mb": max(heap) / 1e6,
        "page_process_mb": most / 1e6,
    }


def _renderer() -> int:
    """Resident bytes of the largest process that draws a page."""
    most = 0
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"--type=renderer" in status.read_bytes():
                pages = int((status.parent / "statm").read_text().split()[1])
                most = max(most, pages * 4096)
        except OSError:
            continue
    return most


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("film", "open", "seek", "browse"))
    parser.add_argument("--folder", type=Path, default=Path("studio-films"))
    parser.add_argument("--seeks", type=int, default=200)
    parser.add_argument("--every", type=float, default=10.0, help="seconds of a window (default: %(default)s)")
    parser.add_argument("--windows", type=int, default=8, help="browse: windows of the large network")
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
