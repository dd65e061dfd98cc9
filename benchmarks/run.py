"""Benchmarks: `python benchmarks/run.py scaling`, `events`, `gpu`, `loader FOLDER ...`, `train`, or `infer`, `memory`,
`ops`, `curves`, `peak`, `roofline`, `busy`, `report`, `plot`.

From `infer` on they are those of `engine.py`, which times nothing that has not passed its parity test in the same run.

Results go to benchmarks/results/, with hardware and versions.
"""

import argparse
import copy
import json
import math
import re
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
ENGINE = ("infer", "memory", "ops", "curves", "peak", "roofline", "busy", "report", "plot")
"""Benchmarks of the spike engine, in engine.py."""


def scaling(options: argparse.Namespace) -> dict[str, Any]:
    """Time and peak memory of a forward pass against the number of frames, each length in a process of its own."""
    rows = [
        json.loads(
            subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "_forward",
                    "--frames",
                    str(frames),
                    "--repeats",
                    str(options.repeats),
                    "--model",
                    options.model,
                    "--size",
                    str(options.size),
                    "--threads",
                    str(options.threads),
                ],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for frames in options.lengths
    ]
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


def _loader(options: argparse.Namespace) -> dict[str, Any]:
    from loader import loader

    return loader(options)


def _gpu(options: argparse.Namespace) -> dict[str, Any]:
    from gpu import gpu

    return gpu(options)


def _train(options: argparse.Namespace) -> dict[str, Any]:
    from training import remembered, timed, train

    return {"train": train, "_train": timed, "_train_memory": remembered}[options.name](options)


def energy_overhead(options: argparse.Namespace) -> dict[str, Any]:
    """Time of an energy measurement against that of a plain forward pass on the same clips, alternating.

    One clip pays alone for what is done once: hooks, copies, the passport. `first` is the first measurement of a model,
    of a fresh copy each round, whose weights are copied; `repeated` is of one that was measured before, whose weights
    are compared with copies. `hashed` and `first_hashed` ask for the hash of the weights as well.
    """
    import torch

    import spikereel
    from spikereel.layers.calibrate import calibrate

    torch.set_num_threads(options.threads)
    rows = []
    for name, frames, size in (("spikevideoformer_ti", 8, 64), ("svformer_ti", 8, 64), ("spikevideoformer_s", 4, 224)):
        torch.manual_seed(0)
        model = spikereel.create_model(name)
        video = torch.randn(frames, 1, 3, size, size)
        # a silent network would flatter the meter
        calibrate(model, [video.repeat(1, 2, 1, 1, 1)])
        model.eval()
        for clips in (1, 8) if frames == 8 else (1,):
            row = {"model": name, "clip": [frames, 3, size, size], "clips": clips}
            rows.append(row | _overhead(model, [video] * clips, options.repeats))
            shown = (
                "{}: first {first:.2f} ({first_hashed:.2f} with the hash of its weights), repeated {repeated:.2f} "
                "({hashed:.2f}) times a forward pass of {forward:.4f} s"
            )
            print(f"{name}, {clips} clip(s)")
            for clock in CLOCKS:
                print(f"  {shown.format(clock, **rows[-1][clock])}")
    return {"rows": rows, "goal": 1.5, "figures": "medians of alternating runs, by the clock and in processor time"}


CLOCKS = {"clock": time.perf_counter, "processor": time.process_time}


def _overhead(model: Any, clips: list[Any], repeats: int) -> dict[str, dict[str, float]]:
    """By clock: median seconds of a forward pass, and how many times that a measurement takes."""
    import torch

    from spikereel.energy import measure

    def forward(_model: Any) -> None:
        with torch.no_grad():
            for clip in clips:
                model(clip)

    runs = {
        "forward": forward,
        "repeated": lambda _model: measure(model, clips),
        "hashed": lambda _model: measure(model, clips).origin.weights,
        "first": lambda x: measure(x, clips),
        "first_hashed": lambda x: measure(x, clips).origin.weights,
    }
    times: dict[str, dict[str, list[float]]] = {clock: {what: [] for what in runs} for clock in CLOCKS}
    for i in range(repeats + 1):
        for what, run in runs.items():
            given = copy.deepcopy(model) if what.startswith("first") else model
            started = {clock: now() for clock, now in CLOCKS.items()}
            run(given)
            for clock, now in CLOCKS.items():
                # the first of each warms up
                if i:
                    times[clock][what].append(now() - started[clock])
    found = {}
    for clock, each in times.items():
        medians = {what: statistics.median(x) for what, x in each.items()}
        forward_s = medians.pop("forward")
        found[clock] = {"forward": forward_s} | {what: x / forward_s for what, x in medians.items()}
    return found


def passports(options: argparse.Namespace) -> dict[str, Any]:
    """Passports of trained weights on their own clips: one table, and where spikes win and where they do not."""
    from rich.progress import track

    from spikereel.energy.costs import cost_models
    from spikereel.energy.opponents import verdict
    from spikereel.inference.passports import Source, energy_of, write_passports, write_reports

    if not options.checkpoints:
        sys.exit("give --checkpoints: weights files or listed names, such as spikevideoformer_ti.motion")
    costs, found, notes = cost_models(options.cost), {}, {}
    for name in track(options.checkpoints, description="measuring"):
        found[name], notes[name] = energy_of(name, Source(data=tuple(options.data)))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, passport in found.items():
        stem = str(options.out / name.removesuffix(".safetensors").strip("./").replace("/", "_"))
        write_passports(f"{stem}.json", {name: passport}, notes, costs)
        write_reports({name: passport}, costs, page=f"{stem}.html", md=None, tex=None)
    together = [str(options.out / f"passports.{end}") for end in ("html", "md", "tex")]
    write_reports(found, costs, page=together[0], md=together[1], tex=together[2])
    for name, passport in found.items():
        print(f"{name}: {notes[name]}")
        for line in verdict(passport, costs) if passport.spiking else ["an ANN: no spikes"]:
            print(f"  {line}")
    print(f"written: {', '.join(together)}, and a page and JSON of each")
    rows = {
        name: {
            "note": notes[name],
            "gmac": x.macs * 1e-9,
            "mean_rate": x.mean_rate,
            "weights": x.origin.weights,
            "energy_mj": {cost: x.parts_mj(model) for cost, model in costs.items()},
            "verdict": verdict(x, costs) if x.spiking else [],
        }
        for name, x in found.items()
    }
    return {"rows": rows}


def energy_frontier(options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy against energy: a recipe trained with several `optim.energy_weight`, and the curve as a PNG."""
    from spikereel.config import override
    from spikereel.hub import load_model
    from spikereel.inference.passports import energy_of
    from spikereel.runs.clips import build_dataset
    from spikereel.runs.evaluate import evaluate
    from spikereel.runs.recipes import get_recipe
    from spikereel.train.run import train

    rows = []
    for weight in options.weights:
        changes = [
            *options.assignments,
            f"optim.energy_weight={weight}",
            f"run.out={options.out / f'weight_{weight:g}'}",
            f"run.threads={options.threads}",
            "run.silent_epochs=0",
        ]
        recipe = override(get_recipe(options.recipe), changes)
        result = train(recipe)
        model, data = load_model(result.last), recipe.data
        # procedural clips are judged on fresh ones, files on what training held out
        dataset = build_dataset(data, "test" if data.kind == "motion" else "val", classes=model.metadata.classes)
        top1 = evaluate(model, dataset, data).score.top1
        passport, _ = energy_of(str(result.last))
        row = {
            "energy_weight": weight,
            "top1": top1,
            "mean_rate": passport.mean_rate,
            "seconds": result.seconds,
            "energy_mj": {cost: passport.energy_mj(cost) for cost in ("paper", "executed", "memory")},
            "ann_mj": {cost: passport.ann_mj(cost) for cost in ("paper", "executed", "memory")},
        }
        rows.append(row)
        print(f"weight {weight:g}: {top1:.1f} %, rate {100 * passport.mean_rate:.1f} %, {row['energy_mj']}", flush=True)
    picture = options.out / "frontier.png"
    _frontier_picture(rows, picture)
    print(f"written: {picture}")
    return {"recipe": options.recipe, "assignments": options.assignments, "rows": rows}


def _frontier_picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Accuracy over energy under each cost model, one point a weight."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    costs = list(rows[0]["energy_mj"])
    figure, all_axes = pyplot.subplots(1, len(costs), figsize=(5 * len(costs), 4), sharey=True, layout="constrained")
    for axes, cost in zip(all_axes, costs, strict=True):
        x, y = [row["energy_mj"][cost] for row in rows], [row["top1"] for row in rows]
        axes.plot(x, y, marker="o", color="#1b7f5c")
        for row, at, high in zip(rows, x, y, strict=True):
            axes.annotate(f"{row['energy_weight']:g}", (at, high), textcoords="offset points", xytext=(6, 6))
        axes.set_xlabel(f"mJ a clip, {cost}")
        axes.set_xlim(0, 1.2 * max(x))
        axes.locator_params(axis="x", nbins=4)
        axes.grid(color="#dfe4e7")
    all_axes[0].set_ylabel("top-1, %")
    figure.suptitle("accuracy and energy by optim.energy_weight")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def exponent(lengths: list[float], values: list[float]) -> float:
    """Slope of the least-squares line through log(value) against log(length)."""
    x, y = [math.log(v) for v in lengths], [math.log(v) for v in values]
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(name: str, outcome: dict[str, Any], script: str = "run.py") -> None:
    """Write an outcome to RESULTS, with command, commit, hardware and versions."""
    from spikereel import __version__
    from spikereel.versions import hardware

    processor = hardware().split(",")[0]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    # the package need not be installed: PYTHONPATH is enough in the side environments of the peers
    versions = {"spikereel": __version__, **{p: version(p) for p in ("torch", "numpy")}}
    content = {
        "benchmark": name,
        "command": f"python benchmarks/{script} {' '.join(sys.argv[1:])}",
        "date": str(date.today()),
        "commit": commit,
        "hardware": processor,
        "versions": versions,
        **outcome,
    }
    words = "-".join(re.findall(r"[A-Z][A-Za-z0-9]{2,}", processor))
    path = RESULTS / f"{name}_{words}_torch{version('torch').split('+')[0]}_{date.today()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(f"written: {path}")


def main() -> None:
    """Parse the command line and run one benchmark."""
    if sys.argv[1:2] and sys.argv[1] in ENGINE:
        from engine import main as engine_main

        engine_main()
        return
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run in (
        ("scaling", scaling),
        ("_forward", forward),
        ("events", events),
        ("energy-overhead", energy_overhead),
    ):
        sub = commands.add_parser(name, help=run.__doc__)
        sub.set_defaults(run=run, name=name)
        sub.add_argument("--model", default="spikevideoformer_s")
        sub.add_argument("--size", type=int, default=224)
        sub.add_argument("--repeats", type=int, default=3)
        sub.add_argument("--threads", type=int, default=1)
        sub.add_argument("--frames", type=int, default=4)
        sub.add_argument("--events", type=int, default=4_000_000)
        sub.add_argument("--lengths", type=int, nargs="+", default=[4, 8, 16, 32])
    for name, run in (("train", _train), ("_train", _train), ("_train_memory", _train)):
        sub = commands.add_parser(name, help="a training step in every memory mode beside the authors' structure")
        sub.set_defaults(run=run, name=name)
        sub.add_argument("--model", default="spikevideoformer_s")
        sub.add_argument("--size", type=int, default=224)
        sub.add_argument("--frames", type=int, nargs="+", default=[8])
        sub.add_argument("--threads", type=int, default=2)
        sub.add_argument("--rounds", type=int, default=5)
        sub.add_argument("--modes", nargs="+", default=["plain", "fast", "lean"])
        sub.add_argument("--authors", action="store_true", help="beside their structure; see peers/environments.sh")
    sub = commands.add_parser("loader", help="clips a second of the loader against plain PyAV decoding")
    sub.set_defaults(run=_loader, name="loader")
    sub.add_argument("folders", nargs="+", metavar="FOLDER", help="folders of videos")
    for name, default in (("workers", 2), ("frames", 16), ("size", 112), ("rounds", 5)):
        sub.add_argument(f"--{name}", type=int, default=default)
    sub = commands.add_parser("passports", help=passports.__doc__)
    sub.set_defaults(run=passports, name="passports")
    sub.add_argument("--checkpoints", nargs="+", help="weights: files, folders or listed names")
    sub.add_argument("--data", nargs="*", default=[], help="a folder, or data.key=value, for all of them")
    sub.add_argument("--cost", help="cost models, with commas")
    sub.add_argument("--out", type=Path, default=Path("runs/passports"))
    sub = commands.add_parser("energy-frontier", help=energy_frontier.__doc__)
    sub.set_defaults(run=energy_frontier, name="energy-frontier")
    sub.add_argument("--recipe", default="motion")
    sub.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.1, 0.3, 1.0, 3.0])
    sub.add_argument("--threads", type=int, default=1)
    sub.add_argument("--out", type=Path, default=Path("runs/frontier"))
    sub.add_argument("assignments", nargs="*", help="fields of the recipe, such as optim.epochs=5")
    sub = commands.add_parser("gpu", help="every measurement and check on a GPU, in under 10 minutes")
    sub.set_defaults(run=_gpu, name="gpu")
    sub.add_argument("--dry", action="store_true", help="try the script on the CPU; its figures say nothing")
    sub.add_argument("--again", action="store_true", help="do all parts again")
    sub.add_argument("--seconds", type=float, default=560, help="for all parts together (default: %(default)s)")
    sub.add_argument("--state", default="gpu-state.json", help="what is done, to go on from (default: %(default)s)")
    sub.add_argument("parts", nargs="*", help="some parts alone")
    options = parser.parse_args()
    outcome = options.run(options)
    if outcome.get("dry"):
        return
    if options.name.startswith("_"):
        print(json.dumps(outcome))
    else:
        # clips of other lengths have results of their own
        lengths = "".join(f"-{n}" for n in options.frames) if options.name == "train" else ""
        save(options.name + lengths, outcome)


if __name__ == "__main__":
    main()
