"""`spikereel energy`: the energy passport."""

import argparse
from typing import Any

from spikereel.apps.commands.common import command, engine_option, json_option, new_console, progress
from spikereel.errors import ConfigError
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register energy."""
    energy = command(
        commands,
        "energy",
        _energy,
        "say what a clip costs: operations, energy under several cost models, opponents and break-even rates",
        reads=("model", "compare", "data", "video", "rates"),
        writes={"html": "--html", "markdown": "--markdown", "latex": "--latex"},
    )
    energy.set_defaults(mistake=energy.error)
    energy.add_argument("model", nargs="?", help="weights (file or listed name), an architecture, or a passport's JSON")
    energy.add_argument("--compare", nargs="+", metavar="MODEL", help="show several models side by side")
    energy.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="X",
        help="measure on this folder or video, or on data.key=value (default: clips of the kind it was trained on)",
    )
    energy.add_argument("--video", help="measure firing rates on this video")
    energy.add_argument(
        "--rates", metavar="FILE", help="take firing rates from this JSON of neuron: rate, and measure none"
    )
    energy.add_argument("--frames", type=int, help="frames of the clip (architectures: 4; with --rates their own)")
    energy.add_argument("--size", type=int, help="side in pixels (architectures: 224; with --rates their own)")
    energy.add_argument("--views", type=int, help="views x clips of a decision (default: those it is evaluated with)")
    energy.add_argument("--cost", metavar="A,B", help="cost models (default: paper,executed,folded,memory,int8)")
    energy.add_argument("--implied", type=float, metavar="MJ", help="print the mean firing rate that so many mJ imply")
    energy.add_argument(
        "--measured", action="store_true", help="print the joules of this machine too, where it has counters"
    )
    energy.add_argument("--html", metavar="PATH", help="write a self-contained page")
    energy.add_argument("--markdown", metavar="PATH", help="write tables for papers")
    energy.add_argument("--latex", metavar="PATH", help="write tables for LaTeX")
    engine_option(energy)
    json_option(energy)


def _energy(options: argparse.Namespace) -> None:
    from spikereel.energy.costs import cost_models
    from spikereel.inference.passports import Source, energy_of, joules_of, write_passports, write_reports
    from spikereel.show.tables import energy_table, firing_table

    if options.engine == "native":
        raise ConfigError(
            "energy is counted inside the modules, which the native engine does not call; leave --engine out"
        )
    if not (options.model or options.compare):
        options.mistake("energy needs a MODEL, or --compare A B C")
    names = [*([options.model] if options.model else []), *(options.compare or [])]
    if options.views is not None and options.views < 1:
        raise ConfigError(f"--views must be at least 1, got {options.views}")
    if options.rates and len(set(names)) > 1:
        raise ConfigError("--rates are those of one model; write its passport with --json and compare that")
    costs = cost_models(options.cost)
    source = Source(
        video=options.video,
        data=tuple(options.data),
        rates=options.rates,
        frames=options.frames,
        size=options.size,
        views=options.views,
    )
    if options.implied is not None:
        _implied(options, source)
        return
    console = new_console()
    passports, notes = {}, {}
    with progress() as bar:
        counting = bar.add_task("counting", total=len(names))
        for name in names:
            bar.update(counting, description=f"counting {name}")
            passports[name], notes[name] = energy_of(name, source)
            bar.advance(counting)
    written = write_reports(passports, costs, page=options.html, md=options.markdown, tex=options.latex)
    if options.json:
        write_passports(options.json, passports, notes, costs)
    if len(passports) == 1:
        console.print(firing_table(passports[names[0]].firing))
    console.print(energy_table(passports, costs))
    console.print("engine: reference", style="dim")
    for name, note in notes.items():
        console.print(note if len(notes) == 1 else f"{name}: {note}", style="dim")
        for line in joules_of(name, passports[name]).lines() if options.measured else []:
            console.print(line, style="yellow")
    for path in written:
        console.print(f"written: {path}")


def _implied(options: argparse.Namespace, source: Any) -> None:
    from spikereel.config import unknown_key
    from spikereel.hub import ARCHITECTURES
    from spikereel.inference.passports import IMPLIED, implied_rates

    if options.model not in ARCHITECTURES:
        raise unknown_key(str(options.model), ARCHITECTURES, "model")
    rates = implied_rates(options.model, options.implied, source)
    if options.json:
        write_json(options.json, {"model": options.model, "energy_mj": options.implied, "implied_rate": rates})
    for name, rate in rates.items():
        said = f"{options.implied:g} mJ a clip imply a mean firing rate of {rate:.3f} under {name}: {IMPLIED[name]}"
        new_console().print(said)
