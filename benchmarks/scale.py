"""From one worker to a thousand: `python benchmarks/scale.py workers|throughput FOLDER`, then `queue`.

workers: clips a second of `predict_many` with 1 and 2 workers, in turn. throughput: the same beside a plain loop of
PyAV and the modules of the model, and beside decoding alone. queue: time and money of a million clips on paper, from
measured figures, against a simulation of the queue with as many workers as are asked for.
"""

import argparse
import heapq
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mov")


def files_of(folder: str, most: int) -> list[str]:
    """Videos below a folder, as many as are asked for, again and again where there are fewer."""
    found = sorted(str(p.absolute()) for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"no videos in {folder}")
    return (found * (most // len(found) + 1))[:most]


def many(files: list[str], workers: int, model: str) -> dict[str, Any]:
    """Clips a second from the first clip to the last, and shares of time; the time that workers need to start apart."""
    from spikereel.bulk.clock import shares
    from spikereel.bulk.manifest import Entry, Manifest
    from spikereel.bulk.run import predict_many

    seen: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        # a path counts once: links stand for the repeats
        entries = []
        for number, file in enumerate(files):
            link = Path(folder, f"{number:06}{Path(file).suffix}")
            link.symlink_to(file)
            entries.append(Entry(path=str(link)))
        listed = Manifest(root=Path(folder), entries=tuple(entries))
        began = time.perf_counter()
        told = lambda done, _total, _errors: seen.append((time.perf_counter(), done))  # noqa: E731
        summary = predict_many(listed, Path(folder, "out"), model=model, workers=workers, progress=told)
    first = next(i for i, (_, done) in enumerate(seen) if done > 0)
    clips, seconds = seen[-1][1] - seen[first][1], seen[-1][0] - seen[first][0]
    return {
        "clips_per_second": clips / seconds,
        "start_seconds": seen[first][0] - began,
        "seconds": seconds,
        "errors": summary.errors,
        "processor_seconds_per_clip": summary.processor / summary.done,
        "busy": shares(summary.busy),
    }


def workers(options: argparse.Namespace) -> dict[str, Any]:
    """Rounds of one worker on one core and of two on two, in turn; the ratio is that of medians."""
    files = files_of(options.folder, options.clips)
    rows: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < max(rows):
        raise SystemExit(f"{len(cores)} core(s) are free for this; two workers need two")
    for _ in range(options.rounds):
        for count in rows:
            os.sched_setaffinity(0, cores[:count])
            rows[count].append(many(files, count, options.model))
            print(f"{count} worker(s): {rows[count][-1]['clips_per_second']:.2f} clips/s", flush=True)
    rates = {count: statistics.median(x["clips_per_second"] for x in own) for count, own in rows.items()}
    each = {count: statistics.median(x["processor_seconds_per_clip"] for x in own) for count, own in rows.items()}
    print(f"2 workers are {rates[2] / rates[1]:.2f} times as fast as 1; goal 1.8")
    # of a machine that does other work as well: what the second worker costs the first
    print(f"by processor time, of which a clip takes {each[1]:.4f} s and {each[2]:.4f} s: {2 * each[1] / each[2]:.2f}")
    ratios = {"ratio": rates[2] / rates[1], "ratio_by_processor_time": 2 * each[1] / each[2], "goal": 1.8}
    return {"clips": len(files), "rows": rows, "rates": rates, **ratios}


def throughput(options: argparse.Namespace) -> dict[str, Any]:
    """Clips a second, in turn: a plain loop of PyAV and the model's modules; decoding by `look`; `predict_many`."""
    files = files_of(options.folder, options.clips)
    rates: dict[str, list[float]] = {"plain": [], "decode": [], "many": []}
    for _ in range(options.rounds):
        rates["plain"].append(plain(files, options.model))
        rates["decode"].append(decoding(files, options.model))
        rates["many"].append(many(files, options.workers, options.model)["clips_per_second"])
        print({name: round(own[-1], 2) for name, own in rates.items()}, flush=True)
    medians = {name: statistics.median(own) for name, own in rates.items()}
    print(f"predict_many is {medians['many'] / medians['plain']:.2f} times as fast as the plain loop")
    return {"clips": len(files), "workers": options.workers, "rates": rates, "medians": medians}


def plain(files: list[str], name: str) -> float:
    """What one would write at first: a file after the other, decoded from end to end, frames shrunk, the model called.

    Its clips have the shape that the weights want, of the differences of frames: as much work, not the same answers.
    """
    import av
    import torch
    from torch.nn import functional as F

    import spikereel
    from spikereel.data.video.read import sample_indices
    from spikereel.runs.config import data_spec_of

    torch.set_num_threads(1)
    model = spikereel.load_model(name)
    spec, channels = data_spec_of(model.metadata), model.config.in_channels
    began = time.perf_counter()
    for file in files:
        with av.open(file) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        chosen = np.stack([frames[i] for i in sample_indices(len(frames), spec.frames + 1)])
        video = torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255
        small = F.interpolate(video, size=(spec.size, spec.size), mode="bilinear", antialias=True)
        clip = small[1:] if channels == 3 else torch.cat([x.mean(1, True) for x in (small.diff(dim=0),) * channels], 1)
        with torch.inference_mode():
            model(clip[:, None].abs())
    return len(files) / (time.perf_counter() - began)


def decoding(files: list[str], name: str) -> float:
    """Clips as the network gets them, by one thread, and no network."""
    import spikereel
    from spikereel.inference.look import look
    from spikereel.runs.config import data_spec_of

    model = spikereel.load_model(name)
    spec = data_spec_of(model.metadata)
    began = time.perf_counter()
    for file in files:
        look(file, spec, model.config.in_channels, views=1)
    return len(files) / (time.perf_counter() - began)


def queue(options: argparse.Namespace) -> dict[str, Any]:
    """The cost model on paper, and the simulation that checks it, at each number of workers."""
    rows = [both(options, count) for count in options.counts]
    for row in rows:
        print(
            f"{row['workers']:6} workers: on paper {row['paper_hours']:.3f} h ({row['bottleneck']}), simulated "
            f"{row['hours']:.3f} h, busy {100 * row['busy']:.1f} %, {row['redone']} clips done twice, "
            f"{row['money']:.2f} {options.currency}"
        )
    keys = ("clips", "seconds", "spread", "megabytes", "gigabits", "start", "part", "deaths", "price", "currency")
    return {"measured_and_assumed": {key: getattr(options, key) for key in keys}, "rows": rows}


def both(options: argparse.Namespace, count: int) -> dict[str, Any]:
    """Hours of a job on paper and simulated."""
    work = options.clips * options.seconds / count
    wire = options.clips * options.megabytes * 8e-3 / options.gigabits
    # a worker that dies loses half a part on average, and its successor has to start
    lost = options.deaths * (options.part / 2 * options.seconds + options.start) / 3600
    paper = options.start + max(work * (1 + lost), wire) + options.part * options.seconds / 2
    hours, busy, redone = simulate(options, count)
    return {
        "workers": count,
        "paper_hours": paper / 3600,
        "bottleneck": "storage" if wire > work else "workers",
        "hours": hours,
        "busy": busy,
        "redone": redone,
        "money": hours * count * options.price,
    }


def simulate(options: argparse.Namespace, count: int) -> tuple[float, float, int]:
    """Hours until the last part is there, the share of time that workers were at parts, and clips done twice.

    A queue of parts in the order of the manifest; times of clips are gamma distributed, workers die at random and lose
    their part; the storage gives what it has to those who read, so a part takes as long as the slower of the two.
    """
    random = np.random.default_rng(0)
    parts = [min(options.part, options.clips - i) for i in range(0, options.clips, options.part)]
    shape = 1 / options.spread**2
    # the storage is shared by all that read at once, which are nearly all workers nearly all the time
    wire = options.megabytes * 8e-3 / options.gigabits * min(count, len(parts))
    free = [(options.start * random.uniform(0.8, 1.2), number) for number in range(count)]
    heapq.heapify(free)
    waiting, busy, redone, end = list(reversed(parts)), 0.0, 0, 0.0
    while waiting:
        now, worker = heapq.heappop(free)
        size = waiting.pop()
        seconds = max(random.gamma(shape * size, options.seconds / shape), wire * size)
        death = random.exponential(3600 / options.deaths) if options.deaths else np.inf
        if death < seconds:
            waiting.append(size)
            redone += int(size * death / seconds)
            heapq.heappush(free, (now + death + options.start, worker))
            continue
        busy += seconds
        end = max(end, now + seconds)
        heapq.heappush(free, (now + seconds, worker))
    return end / 3600, busy / (end * count), redone


def main() -> None:
    """Run one, print and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    for name in ("workers", "throughput"):
        own = commands.add_parser(name)
        own.add_argument("folder")
        own.add_argument("--clips", type=int, default=120)
        own.add_argument("--rounds", type=int, default=3)
        own.add_argument("--workers", type=int, default=2)
        own.add_argument("--model", default="spikevideoformer_ti.motion")
    own = commands.add_parser("queue")
    own.add_argument("--clips", type=int, default=1_000_000)
    own.add_argument("--seconds", type=float, required=True, help="of one worker for one clip, as measured")
    own.add_argument("--spread", type=float, default=1.0, help="standard deviation of that over its mean")
    own.add_argument("--megabytes", type=float, required=True, help="of one clip in storage")
    own.add_argument("--gigabits", type=float, default=100.0, help="a second that the storage gives to all together")
    own.add_argument("--start", type=float, required=True, help="seconds until a worker is ready, as measured")
    own.add_argument("--part", type=int, default=128, help="clips of a part")
    own.add_argument("--deaths", type=float, default=0.05, help="of a worker in an hour, as on machines taken away")
    own.add_argument("--price", type=float, default=0.04, help="of a core for an hour")
    own.add_argument("--currency", default="USD")
    own.add_argument("--counts", type=int, nargs="+", default=[1, 2, 10, 100, 1000, 4000])
    parser.add_argument("--out", default=str(RESULTS), help="folder of the result (default: %(default)s)")
    options = parser.parse_args()
    found = {"workers": workers, "throughput": throughput, "queue": queue}[options.what](options)
    from spikereel.files import write_json
    from spikereel.versions import provenance

    own = {**provenance(), "command": " ".join(["python", "benchmarks/scale.py", *map(_shown, sys.argv[1:])])}
    place = Path(options.out, f"scale-{options.what}_{date.today().isoformat()}.json")
    write_json(place, json.loads(json.dumps({**found, **own})))
    print(f"written: {place}")


def _shown(argument: str) -> str:
    """Without the place of folders on this machine."""
    return Path(argument).name if "/" in argument else argument


if __name__ == "__main__":
    main()
