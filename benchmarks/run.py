"""Benchmarks: `python benchmarks/run.py scaling`, or `events`.

Results go to benchmarks/results/, with hardware and versions.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from event_speed import events

RESULTS = Path(__file__).parent / "results"


def scaling(options: argparse.Namespace) -> dict[str, Any]:
    """Time and peak memory of a forward pass against the number of frames, each length in a process of its own."""
    rows = [
        json.loads(
            subprocess.run(
                [sys.executable, __file__, "_forward", "--frames", str(frames), "--repeats", str(options.repeats),
                 "--model", options.model, "--size", str(options.size), "--threads", str(options.threads)],
                check=True, capture_output=True, text=True,
            ).stdout
        )
        for frames in options.lengths
    ]  # fmt: skip
    for row in rows:
        print(f"T = {row['frames']:3}   {row['seconds']:7.3f} s   {row['peak_mib']:8.0f} MiB above the loaded model")
    exponents = {
        what: exponent([r["frames"] for r in rows], [r[what] for r in rows]) for what in ("seconds", "peak_mib")
    }
    print("exponent in T: time {seconds:.3f}, memory {peak_mib:.3f}; goal: at most 1.1 for both".format(**exponents))
    return {"rows": rows, "exponent": exponents, "goal": 1.1}


def forward(options: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of a forward pass, and how far the process's peak memory rose above that before the first one."""
    import torch

    import spikereel
    from spikereel.layers.calibrate import calibrate

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = spikereel.create_model(options.model)
    # a fresh network is mostly silent, which costs the same here but is not what one would run
    calibrate(model, [torch.randn(1, 1, 3, 64, 64)])
    model.eval()
    video = torch.randn(options.frames, 1, 3, options.size, options.size)
    before = _peak_mib()
    times = []
    with torch.inference_mode():
        for _ in range(options.repeats):
            started = time.perf_counter()
            model(video)
            times.append(time.perf_counter() - started)
    return {
        "frames": options.frames,
        "seconds": statistics.median(times),
        "all_seconds": times,
        "peak_mib": _peak_mib() - before,
    }


def exponent(lengths: list[float], values: list[float]) -> float:
    """Slope of the least-squares line through log(value) against log(length)."""
    x, y = [math.log(v) for v in lengths], [math.log(v) for v in values]
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(name: str, outcome: dict[str, Any], script: str = "run.py") -> None:
    """Write an outcome to RESULTS, with command, commit, hardware and versions."""
    from spikereel.apps.versions import hardware

    processor = hardware().split(",")[0]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    content = {
        "benchmark": name, "command": f"python benchmarks/{script} {' '.join(sys.argv[1:])}", "date": str(date.today()),
        "commit": commit, "hardware": processor, "versions": {p: version(p) for p in ("spikereel", "torch", "numpy")},
        **outcome,
    }  # fmt: skip
    path = RESULTS / f"{name}_{processor.replace(' ', '-')}_torch{version('torch').split('+')[0]}_{date.today()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(f"written: {path}")


def main() -> None:
    """Parse the command line and run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run in (("scaling", scaling), ("_forward", forward), ("events", events)):
        sub = commands.add_parser(name, help=run.__doc__)
        sub.set_defaults(run=run, name=name)
        sub.add_argument("--model", default="spikevideoformer_s")
        sub.add_argument("--size", type=int, default=224)
        sub.add_argument("--repeats", type=int, default=3)
        sub.add_argument("--threads", type=int, default=1)
        sub.add_argument("--frames", type=int, default=4)
        sub.add_argument("--events", type=int, default=4_000_000)
        sub.add_argument("--lengths", type=int, nargs="+", default=[4, 8, 16, 32])
    options = parser.parse_args()
    outcome = options.run(options)
    if options.name.startswith("_"):
        print(json.dumps(outcome))
    else:
        save(options.name, outcome)


if __name__ == "__main__":
    main()
