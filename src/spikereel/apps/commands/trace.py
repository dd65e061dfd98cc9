"""`spikereel trace`: what a network does on a clip, spike by spike, into one file."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, frames_of, frames_option, json_option, new_console, note, progress
from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.files import writable, write_json


def add(commands: Any) -> None:
    """Register trace."""
    text = (
        "write down what a network does on a clip: spikes, rates, attention, energy; open it with spikereel.Trace.load"
    )
    trace = command(commands, "trace", _trace, text, reads=("model", "clip"), folders=("png",), writes={"out": "--out"})
    trace.add_argument("model", help="weights: a .safetensors file, a folder or a listed name")
    trace.add_argument("clip", help="video, recording, .npy clip or folder of frames")
    trace.add_argument("--out", metavar="FILE", help="the trace, one safetensors file")
    trace.add_argument("--png", metavar="FOLDER", help="write pictures into this folder")
    trace.add_argument("--dark", action="store_true", help="pictures for dark pages")
    trace.add_argument("--layer", metavar="NAME", help="whose spikes and membranes are drawn (default: the last q)")
    trace.add_argument(
        "--layers", metavar="A,B", help="whose spikes are kept, such as 'block3.*,lif' (default: all, where they fit)"
    )
    frames_option(trace)
    trace.add_argument("--memory", type=float, default=1024, metavar="MB", help="most that is kept (default: 1024)")
    trace.add_argument(
        "--reduce", action="store_true", help="keep the rates alone of the largest layers where not all fits"
    )
    trace.add_argument("--no-energy", action="store_true", help="do not count energy, which halves the time")
    json_option(trace)


def _trace(options: argparse.Namespace) -> None:
    from spikereel.hub import load_model
    from spikereel.show.trace import trace_json, trace_tables
    from spikereel.tracing import trace

    if options.png:
        need("draw")
        writable(Path(options.png) / "x.png")
    if not options.memory > 0:
        raise ConfigError(f"--memory is {options.memory}: give MB above 0")
    model, console = load_model(options.model), new_console()
    with progress() as bar:
        task = bar.add_task(f"tracing {Path(options.clip).name}", total=None)
        found = trace(
            model,
            options.clip,
            layers=options.layers.split(",") if options.layers else None,
            neurons={options.layer: 8} if options.layer else None,
            frames=frames_of(options.frames),
            memory=int(options.memory * 1e6),
            fit="reduce" if options.reduce else "error",
            energy=not options.no_energy,
            out=options.out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if options.json:
        write_json(options.json, trace_json(found))
    for table in trace_tables(found):
        console.print(table)
    for line in found.notes:
        note(console, line)
    for path in _written(options, found):
        console.print(f"written: {path}")


def _written(options: argparse.Namespace, found: Any) -> list[str]:
    """What was written, pictures among it."""
    written = [options.out] if options.out else []
    if options.png:
        from spikereel.show.plots.all import draw_all

        written += draw_all(found, Path(options.png), layer=options.layer, dark=options.dark)
    return written
