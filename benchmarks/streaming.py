"""What a stream costs: `python benchmarks/streaming.py flat|speed|window|share|panel`.

flat: memory and time a frame over many frames of a tiny network, per mode. speed: a frame of a session against the last
T frames run again for each new one, in the same process, rounds interleaved; the answers of both are
looked at first. window: what a window of a joint network says, against the clip that it stands for. share: accuracy
over the observed share of a clip, early exit, and energy a decision. panel: what a terminal shows, as a picture.
"""

import argparse
import dataclasses
import resource
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from run import exponent, save
from streaming_share import share
from torch import Tensor

import spikereel
from spikereel.data.made.scenes import MotionClips
from spikereel.hub import create_model, load_model
from spikereel.inference.look import look
from spikereel.layers.calibrate import calibrate
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.runs.config import data_spec_of
from spikereel.streaming.fronts import model_of

TINY = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 2, "num_classes": 5}
MODES = {
    "spatial": ("spatial", {}),
    "causal": ("causal", {}),
    "window": ("joint", {"window": 16}),
    "chunk": ("joint", {"mode": "chunk", "window": 16}),
    "spatial, engine": ("spatial", {}),
    "causal, engine": ("causal", {}),
    "window, engine": ("joint", {"window": 16}),
    "chunk, engine": ("joint", {"mode": "chunk", "window": 16}),
}
WARM = 10
"""Times that `speed` plays its frames before it looks at the clock."""


def _rss() -> int:
    """Bytes that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def flat(options: argparse.Namespace) -> dict[str, Any]:
    """Slope of memory, and how time a frame grows with the number of frames seen."""
    rows = []
    for name in options.modes:
        attention, more = MODES[name]
        torch.manual_seed(0)
        model = create_model("spikevideoformer_ti", attention=attention, **TINY).eval()
        network = spikereel.compile(model) if "engine" in name else model
        session = spikereel.stream(network, **more)
        video = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        marks, memory, seconds = [], [], []
        for start in range(0, options.frames, options.frames // 50):
            # of the processor, so that other programs do not count
            began = time.process_time()
            for i in range(options.frames // 50):
                session.push(video[(start + i) % 64])
            seconds.append((time.process_time() - began) / (options.frames // 50))
            marks.append(start + options.frames // 50)
            memory.append(_rss())
        # the first fifth fills caches of the allocator
        settled = slice(10, None)
        per_frame = float(np.polyfit(marks[settled], memory[settled], 1)[0])
        rate = 1 / statistics.median(seconds)
        row = {
            "mode": name,
            "frames": options.frames,
            "state_bytes": session.state_bytes,
            "rss_bytes_per_frame": per_frame,
            "rss_mb_per_hour_at_25": per_frame * 25 * 3600 / 1e6,
            "rss_mb_first_and_last": [memory[10] / 1e6, memory[-1] / 1e6],
            "cpu_ms_per_frame_median": 1e3 * statistics.median(seconds),
            "time_exponent": exponent(marks[settled], seconds[settled]),
            "frames_per_second": rate,
        }
        rows.append(row)
        print(
            f"{name:15} {options.frames} frames, {row['cpu_ms_per_frame_median']:.2f} ms of CPU each, time ~ n^"
            f"{row['time_exponent']:+.3f}, memory {row['rss_mb_per_hour_at_25']:+.3f} MB an hour at 25 frames/s "
            f"({row['rss_mb_first_and_last'][0]:.1f} to {row['rss_mb_first_and_last'][1]:.1f} MB)",
            flush=True,
        )
    return {"model": f"spikevideoformer {TINY}, 16 x 16", "rows": rows}


def _calibrated(name: str, attention: str, size: int) -> tuple[VideoModel, Tensor]:
    """Random weights whose norms have seen the clip, and the clip [T, 1, 3, S, S]."""
    torch.manual_seed(0)
    video = torch.rand(32, 1, 3, size, size, generator=torch.Generator().manual_seed(1))
    # what moves, so that frames differ as those of a camera
    video = torch.stack([video[0].roll(3 * t, -1) for t in range(len(video))])
    model = create_model(name, attention=attention)
    calibrate(model, [video[:8]])
    return model.eval(), video


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a frame: a session, and the last T frames run again."""
    torch.set_num_threads(options.threads)
    rows = []
    for name in options.models:
        size = 224 if name.endswith("_s") else 64
        for attention in options.attentions:
            model, video = _calibrated(name, attention, size)
            for engine in options.engines:
                # each way of calling has an engine of its own, as each use of one has
                networks = [spikereel.compile(model) if engine == "native" else model for _ in range(3)]
                rows.append(_speed(networks, video, options) | {"model": name, "size": size, "attention": attention})
                row = rows[-1] | {"engine": engine, "threads": options.threads}
                rows[-1] = row
                print(
                    f"{name} {size} px {attention:8} {engine:9} {options.threads} thread(s): stream "
                    f"{row['stream_ms']:.2f} ms ({1e3 / row['stream_ms']:.1f} frames/s), in fours "
                    f"{1e3 / row['in_fours_ms']:.1f} frames/s; sliding T={options.window} {row['sliding_ms']:.1f} ms, "
                    f"{row['ratio']:.1f} x; state {row['state_bytes'] / 1e6:.2f} MB, activations of the clip "
                    f"{row['activation_bytes'] / 1e6:.0f} MB",
                    flush=True,
                )
    return {"rows": rows}


def _speed(networks: Sequence[Any], video: Tensor, options: argparse.Namespace) -> dict[str, Any]:
    window, whole = options.window, networks[2]
    slides = whole.config.attention == "joint"
    mode = {"mode": "window", "window": window} if slides else {}
    session, fours = (spikereel.stream(network, **mode) for network in networks[:2])
    last = torch.stack([session.push(frame).output[-1] for frame in video[:window, 0]])[-1]
    with torch.no_grad():
        clip, _ = whole(video[:window])
    # a window is not the clip: it is held against the window of the plain model
    wanted = spikereel.stream(model_of(whole), **mode).push(video[:window, 0]).output[-1] if slides else clip[0]
    assert torch.allclose(last, wanted, atol=1e-3), "the stream is not what it says"
    # membranes at steady firing, kernels chosen for it
    for _ in range(WARM):
        for t in range(0, len(video), 4):
            fours.push(video[t : t + 4, 0])
            for frame in video[t : t + 4, 0]:
                session.push(frame)
    times: dict[str, list[float]] = {"stream": [], "in_fours": [], "sliding": []}
    with torch.no_grad():
        for r in range(options.rounds):
            t = r % (len(video) - window)
            # {way: calls that go before, calls that are timed, frames of a call that are new, the call}
            ways = {
                "stream": (4, 12, 1, lambda i, t=t: session.push(video[t + i % 4, 0])),
                "in_fours": (2, 4, 4, lambda _i, t=t: fours.push(video[t : t + 4, 0])),
                "sliding": (1, 1, 1, lambda _i, t=t: whole(video[t : t + window])),
            }
            for way, (before, calls, new, run) in ways.items():
                for i in range(before):
                    run(i)
                began = time.perf_counter()
                for i in range(calls):
                    run(i)
                times[way].append((time.perf_counter() - began) / (calls * new))
    found = {f"{name}_ms": 1e3 * statistics.median(x) for name, x in times.items()}
    ratios = [b / a for a, b in zip(times["stream"], times["sliding"], strict=True)]
    return {
        **found,
        "best_ms": {name: 1e3 * min(x) for name, x in times.items()},
        "ratio": statistics.median(ratios),
        "ratio_spread": [min(ratios), max(ratios)],
        "window": window,
        "state_bytes": session.state_bytes,
        "activation_bytes": _activations(session.model, video[:window]),
    }


def _activations(model: VideoModel, clip: Tensor) -> int:
    """Bytes of what all modules give out for a clip."""
    total = 0

    def count(_module: Any, _inputs: Any, output: Any) -> None:
        nonlocal total
        first = output[0] if isinstance(output, tuple) else output
        total += first.numel() * first.element_size() if isinstance(first, Tensor) else 0

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    with torch.no_grad():
        model(clip)
    for hook in hooks:
        hook.remove()
    return total


def window(options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy of the shipped joint weights on procedural clips: the clip, and windows and chunks with each choice."""
    model = load_model(options.weights[0])
    assert isinstance(model, SpikeVideoFormer)
    spec = data_spec_of(model.metadata)
    clips = MotionClips(options.clips, seed=99, frames=4 * spec.frames, height=spec.size, width=spec.size)
    choices = {
        "clip (published)": {"mode": "chunk"},
        "chunk, membranes run on": {"mode": "chunk", "membranes": "run_on"},
        "window, membranes run on": {"mode": "window"},
        "window, membranes restart": {"mode": "window", "membranes": "restart"},
        "window, running mean": {"mode": "window", "readout": "mean"},
    }
    right = dict.fromkeys(choices, 0)
    agree = dict.fromkeys(choices, 0)
    for i in range(options.clips):
        picture, label = clips[i]
        views = look(torch.as_tensor(picture), spec_of_clip(spec), model.config.in_channels).views[0][:, 0]
        said = {}
        for name, choice in choices.items():
            session = spikereel.stream(model, **choice)
            said[name] = int(session.push(views).output[-1].argmax())
            right[name] += said[name] == label
            agree[name] += said[name] == said["clip (published)"]
    rows = [
        {"choice": name, "accuracy": right[name] / options.clips, "same_as_clip": agree[name] / options.clips}
        for name in choices
    ]
    for row in rows:
        print(f"{row['choice']:28} {100 * row['accuracy']:.1f} % right, {100 * row['same_as_clip']:.1f} % as the clip")
    return {"weights": options.weights, "clips": options.clips, "frames_of_each": 2 * spec.frames, "rows": rows}


def panel(options: argparse.Namespace) -> dict[str, Any]:
    """The panel of two procedural videos played in real time, as a picture."""
    from io import StringIO
    from tempfile import TemporaryDirectory

    from matplotlib.figure import Figure
    from rich.console import Console

    from spikereel.data.video.write import write_video
    from spikereel.show.live import panel as table
    from spikereel.show.style import BACK, TEXT, unit
    from spikereel.show.style import save as save_figure
    from spikereel.streaming.live import Live
    from spikereel.streaming.places import place_of
    from spikereel.streaming.reader import ReaderOptions

    clips = MotionClips(10, seed=3, frames=300)
    model = load_model("spikevideoformer_ti.motion_spatial")
    engine = spikereel.compile(model)
    with TemporaryDirectory() as folder:
        places = []
        for i, name in enumerate(("door", "yard")):
            path = Path(folder, f"{name}.mp4")
            write_video(path, (clips[4 * i][0] * 255).round().to(torch.uint8), 30)
            places.append(dataclasses.replace(place_of(str(path)), name=f"rtsp://camera-{i + 1}/{name}"))
        session = spikereel.stream(engine, readout="decay", span=12)
        live = Live(session=session, places=places, reading=ReaderOptions(drop="freshest", realtime=True))
        live.run()
    settings = f"spikevideoformer_ti: engine native, {session.settings()}, precision float32, drop freshest"
    console = Console(file=StringIO(), width=118, record=True)
    console.print(table(settings, live.channels))
    text = console.export_text()
    print(text)
    lines = text.rstrip().splitlines()
    figure = Figure(figsize=(9.6, 0.2 * len(lines) + 0.3), facecolor=unit(BACK))
    for i, line in enumerate(lines):
        y = 1 - (i + 0.9) / (len(lines) + 0.8)
        weight = "bold" if i < 2 else "normal"
        figure.text(0.015, y, line, family="monospace", fontsize=8.5, color=unit(TEXT), weight=weight)
    save_figure(figure, options.picture, dpi=130)
    return {"text": lines}


def spec_of_clip(spec: Any) -> Any:
    """Twice as many frames as a clip of training has, at its stride."""
    return dataclasses.replace(spec, frames=2 * spec.frames)


WHAT = {"flat": flat, "speed": speed, "window": window, "share": share, "panel": panel}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=tuple(WHAT))
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=list(MODES))
    parser.add_argument("--models", nargs="+", default=["spikevideoformer_ti", "spikevideoformer_s"])
    parser.add_argument("--attentions", nargs="+", default=["causal", "spatial"])
    parser.add_argument("--engines", nargs="+", default=["native", "reference"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--weights", nargs="+", default=["spikevideoformer_ti.motion"])
    parser.add_argument("--root", help="share: folder of the clips, where the weights were trained on files")
    parser.add_argument("--picture", default="docs/streaming.png", help="share, panel: where it is drawn")
    parser.add_argument("--clips", type=int, default=300)
    options = parser.parse_args()
    outcome = WHAT[options.what](options)
    save(f"streaming-{options.what}", outcome, script="streaming.py")


if __name__ == "__main__":
    main()
