"""The engine beside its peers: `python benchmarks/engine.py infer|memory|ops|curves|peak|roofline|busy|report`.

Nothing is timed before it agreed with the reference in the same process: `infer` checks every peer and the engine on
the clip that is timed, `ops` every operation on the operands that are timed. Rounds are interleaved.
"""

import argparse
import ctypes
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from engine_busy import beside_a_busy_core
from engine_curves import CURVES, point, points
from engine_ops import operations
from engine_peaks import peaks
from engine_plots import draw
from engine_roofline import primitives, roofline, summary_of
from peer_speed import Workload, measured, rates, workload
from peers import PEERS, peer
from peers.contract import Built
from run import save
from settled import named

from spikereel.engine.engine import Engine, compile
from spikereel.models.base import VideoModel

ENGINE = "engine"


def infer(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a call, each length and number of threads in a process of its own, and ratios to the engine's."""
    rows = []
    for frames in options.frames:
        for threads in options.threads:
            row = _alone("_infer", frames, threads, options)
            rows.append(row)
            print(f"T = {frames}, {threads} thread(s), {row['quiet_rounds']} of {row['rounds']} rounds quiet")
            for name, x in row["rows"].items():
                low, high = x["over_engine_spread"]
                print(
                    f"  {name:22} {1e3 * x['median']:8.1f} ms (best {1e3 * x['best']:.1f})   "
                    f"{x['over_engine']:6.2f} x the engine ({low:.2f} to {high:.2f}; best {x['best_over_best']:.2f})",
                    flush=True,
                )
    return {
        "model": f"{options.model}, joint Hamming attention, random weights, norms and firing rates set on the clip",
        "rows": rows,
    }


def _infer(options: argparse.Namespace) -> dict[str, Any]:
    threads = options.threads[0]
    torch.set_num_threads(threads)
    work = _workload(options)
    found = measured([ENGINE, *options.peers], work, options.rounds, base=ENGINE)
    shape = {"frames": options.frames[0], "size": options.size, "threads": threads}
    shape |= {"residual_gain": options.residual_gain, "rates": options.rates}
    return {**shape, "firing_rates": rates(work), **found}


def _workload(options: argparse.Namespace) -> Workload:
    gain, rates = options.residual_gain, named(options.rates)
    return workload(options.frames[0], options.size, options.model, residual_gain=gain, rates=rates)


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of a call above what is held before it, in processes of their own."""
    rows = [_alone("_memory", frames, options.threads[0], options) for frames in options.frames]
    for row in rows:
        print(
            f"T = {row['frames']:3}: {row['peak_mib']:.1f} MiB above the loaded engine, of which state "
            f"{row['state_mib']:.1f}, buffers {row['buffers_mib']:.1f}, clip {row['clip_mib']:.1f} beside it"
        )
    return {"model": options.model, "rows": rows}


def _memory(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads[0])
    work = workload(4, 64, options.model)
    path = options.scratch
    engine = compile(work.model)
    # small: the choice of kernels is no part of what is measured
    engine.tune(work.clip)
    engine.save(path)
    engine = Engine.load(path)
    del work
    engine(torch.randn(1, 1, 3, 64, 64))
    clip = torch.randn(options.frames[0], 1, 3, options.size, options.size)
    # memory that was given back to the allocator is none of the call's
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    # the highest mark so far is that of the model; Linux lets it begin anew
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident_mib("VmRSS")
    _, state = engine(clip)
    peak = _resident_mib("VmHWM") - before
    layout = next(iter(engine._layouts.values()))
    held = sum(x.numel() * x.element_size() for x in state.flat().values())
    mib = {"state_mib": held, "buffers_mib": layout.bytes, "clip_mib": clip.numel() * 4}
    return {"frames": options.frames[0], "peak_mib": peak, **{name: x / 2**20 for name, x in mib.items()}}


def _resident_mib(which: str) -> float:
    """VmRSS: memory of this process now; VmHWM: the most since the mark began."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(which))
    return int(line.split()[1]) / 1024


def report(options: argparse.Namespace) -> dict[str, Any]:
    """Where the time goes, layer by layer."""
    torch.set_num_threads(options.threads[0])
    work = _workload(options)
    built: Built = peer(ENGINE).build(work.model, work.clip)
    engine = compile(work.model)
    engine.tune(work.clip)
    best = min((engine.report(work.clip) for _ in range(options.rounds)), key=lambda x: x.seconds)
    print(best)
    return {"model": options.model, "parity": built.settings, **best.to_json()}


def ops(options: argparse.Namespace) -> dict[str, Any]:
    """Single operations against PyTorch's, on one thread and more."""
    return {"rows": [row for threads in options.threads for row in operations(threads, options.rounds)]}


def peak(options: argparse.Namespace) -> dict[str, Any]:
    """What a core can do at most, which the roofline of docs/engine.md is drawn from."""
    return {"threads": 1, "rows": peaks(options.rounds)}


def curves(options: argparse.Namespace) -> dict[str, Any]:
    """Speed over firing rate, clip length, size, batch, task and neuron, beside the model in PyTorch."""
    return {"threads": options.threads[0], "rows": points(options)}


def plot(options: argparse.Namespace) -> dict[str, Any]:
    """Pictures of the newest `curves` and `roofline` in docs/."""
    del options
    return {"pictures": [str(path) for path in draw()]}


def roof(options: argparse.Namespace) -> dict[str, Any]:
    """Each layer beside the measured peak of its primitives; what ratio over the peers would be the most."""
    torch.set_num_threads(1)
    work = _workload(options)
    names = [ENGINE, *options.peers]
    # peers and engine agree with the reference before anything is timed
    found = measured(names, work, options.rounds, base=ENGINE)
    engine = compile(work.model)
    engine.tune(work.clip)
    loops = primitives()
    rows = roofline(engine, work.clip, options.rounds, loops)
    kinds = summary_of(rows)
    for row in rows:
        print(
            f"{row['layer']:44} {row['kernel']:10} {1e3 * row['seconds']:8.2f} ms, at least {1e3 * row['bound']:7.2f} "
            f"({100 * row['share']:3.0f} %, {row['limit']})"
        )
    for kind, x in sorted(kinds.items(), key=lambda item: item[1]["seconds"]):
        print(f"{kind:20} {1e3 * x['seconds']:8.1f} ms, at least {1e3 * x['bound']:7.1f} ({100 * x['share']:.0f} %)")
    most = {name: x["best"] / kinds["all layers"]["bound"] for name, x in found["rows"].items()}
    for name, x in most.items():
        now = found["rows"][name]["best_over_best"]
        print(f"{name:20} {now:5.2f} times the engine's time now; {x:5.2f} times the bound's")
    return {"firing_rates": rates(work), "primitives": loops, "rows": rows, "kinds": kinds, "most": most, **found}


def busy(options: argparse.Namespace) -> dict[str, Any]:
    """The engine, the model and peers, alone and beside a process that keeps one core busy."""
    rows = []
    for threads in options.threads:
        row = _alone("_busy", options.frames[0], threads, options)
        rows.append(row)
        for name, x in row["rows"].items():
            print(
                f"{threads} thread(s) {name:12} {1e3 * x['alone']:8.1f} ms alone, {1e3 * x['beside']:8.1f} beside: "
                f"{x['slower']:.2f} times slower (at most {x['slower_most']:.2f})",
                flush=True,
            )
    return {"model": options.model, "rows": rows}


def _busy(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads[0])
    work = _workload(options)
    runs = {"model": partial(_called, work.model, work.clip)}
    for name in (ENGINE, *options.peers):
        built, _ = work.built(name)
        runs[name] = partial(built, work.clip)
    return {
        "frames": options.frames[0],
        "threads": options.threads[0],
        "rows": beside_a_busy_core(runs, options.rounds),
    }


def _called(model: VideoModel, clip: torch.Tensor) -> object:
    with torch.inference_mode():
        return model(clip)[0]


def _point(options: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(options.threads[0])
    return point(options.curves[0], options.point, options.size, options.rounds)


def _alone(what: str, frames: int, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """One row, in a process whose thread pools have the right size from the start."""
    command = [sys.executable, __file__, what, "--frames", str(frames), "--threads", str(threads), "--size"]
    command += [str(options.size), "--rounds", str(options.rounds), "--model", options.model]
    command += ["--residual-gain", str(options.residual_gain), "--rates", options.rates]
    command += ["--scratch", options.scratch, "--peers", *options.peers]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{what} at T = {frames} on {threads} thread(s) ended with {done.returncode}: see above")
    # libraries print to stdout too; ours is the last line
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Parse the command line, run, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {
        "infer": infer,
        "memory": memory,
        "ops": ops,
        "report": report,
        "curves": curves,
        "roofline": roof,
        "busy": busy,
        "_busy": _busy,
        "plot": plot,
        "peak": peak,
        "_infer": _infer,
        "_memory": _memory,
        "_point": _point,
    }
    parser.add_argument("command", choices=commands)
    parser.add_argument("--peers", nargs="*", choices=[name for name in PEERS if name != ENGINE], default=[])
    parser.add_argument("--frames", type=int, nargs="+", default=[8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES))
    parser.add_argument("--seconds", type=float, default=1e9, help="of `curves`: begin no point after these")
    parser.add_argument("--state", default="/tmp/spikereel-curves.json", help="of `curves`: points measured before")
    parser.add_argument("--point", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default="spikevideoformer_s")
    parser.add_argument("--residual-gain", type=float, default=1.0, help="0.3 where a peer is quantised")
    parser.add_argument("--rates", default="drawn", help="firing rates: drawn, trained, or one for all neurons")
    parser.add_argument("--scratch", default="/tmp/spikereel-benchmark.engine", help="where `memory` writes an engine")
    options = parser.parse_args()
    if reasons := [reason for name in (ENGINE, *options.peers) if (reason := peer(name).missing())]:
        sys.exit("\n".join(reasons))
    outcome = commands[options.command](options)
    if options.command.startswith("_"):
        print(json.dumps(outcome))
    elif options.command == "plot":
        print("\n".join(outcome["pictures"]))
    else:
        peers = "-".join(["", *options.peers]) if options.peers else ""
        shape = "-T" + "-".join(str(x) for x in options.frames) if options.frames != [8] else ""
        shape += "-threads" + "-".join(str(x) for x in options.threads) if options.threads != [1, 2] else ""
        partly = options.command == "curves" and options.curves != list(CURVES)
        shape += "-of-" + "-".join(options.curves) if partly else ""
        shape += f"-{options.rates}" if options.rates != "drawn" else ""
        save(f"engine-{options.command}{shape}{peers}", outcome, "engine.py")


if __name__ == "__main__":
    main()
