"""`spikereel import`, `calibrate`, `list` and `doctor`: weights, and whether things work."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console
from spikereel.files import writable, write_json


def add(commands: Any) -> None:
    """Register import, calibrate, list and doctor."""
    bring = command(
        commands, "import", _import, "read a checkpoint of the papers' authors and write it as weights of Spikereel"
    )
    bring.add_argument("file", metavar="FILE", help="the checkpoint: .pth, .pyth or .safetensors")
    bring.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        required=True,
        help="a model of `spikereel list`, completed by the shapes in FILE; or weights, whose configuration holds",
    )
    bring.add_argument("--out", metavar="PATH", help="weights to write (default: FILE.spikereel.safetensors, here)")
    bring.add_argument("--partial", action="store_true", help="leave fresh values where FILE has nothing that fits")
    json_option(bring)

    calibrate = command(
        commands, "calibrate", _calibrate, "re-estimate the statistics of all batch norms on training clips"
    )
    calibrate.add_argument("model", metavar="WEIGHTS", help="a .safetensors file, a folder or a listed name")
    calibrate.add_argument(
        "assignments",
        nargs="*",
        metavar="data.key=value",
        help="what to change of the data; data.kind=... for weights that do not say how clips are made",
    )
    calibrate.add_argument("--clips", type=int, default=64, metavar="N", help="about so many (default: 64)")
    calibrate.add_argument(
        "--out", metavar="PATH", help="weights to write (default: WEIGHTS.calibrated.safetensors, here)"
    )

    json_option(command(commands, "list", _list, "list models, weights and recipes"))
    command(commands, "doctor", _doctor, "print versions, devices and active kernels")


def _import(options: argparse.Namespace) -> None:
    from spikereel.inference.authors import read_import, write_import
    from spikereel.show.tables import import_table
    from spikereel.versions import provenance

    out = options.out or f"{Path(options.file).stem}.spikereel.safetensors"
    for path in (out, options.json):
        writable(path)
    imported = read_import(options.file, options.name)
    console = new_console()
    console.print(import_table(imported))
    write_import(imported, out, partial=options.partial)
    console.print(f"written: {out}", markup=False)
    if bare := imported.found.without_statistics:
        advice = f"{len(bare)} batch norms have no statistics; before use, run: spikereel calibrate {out}"
        console.print(advice, style="yellow", markup=False)
    if options.json:
        write_json(options.json, {**imported.to_json(), "out": str(out), **provenance()})


def _calibrate(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from spikereel.hub import load_model
    from spikereel.inference.authors import data_of, recalibrate, write_calibrated
    from spikereel.show.tables import moves_table

    name = Path(options.model).name.removesuffix(".safetensors")
    out = options.out or f"{name}.calibrated.safetensors"
    writable(out)
    model = load_model(options.model)
    spec = data_of(model, options.assignments)
    console = new_console()
    with Progress(console=console, transient=True) as bar:
        seeing = bar.add_task("seeing clips", total=None)
        seen, moves = recalibrate(
            model, spec, options.clips, progress=lambda done, total: bar.update(seeing, completed=done, total=total)
        )
    write_calibrated(model, out)
    console.print(moves_table(moves), f"{seen} training clips of data.kind={spec.kind}; written: {out}", markup=False)


def _list(options: argparse.Namespace) -> None:
    from spikereel.hub import list_models
    from spikereel.runs.recipes import RECIPES
    from spikereel.show.tables import models_table

    writable(options.json)
    models, console = list_models(), new_console()
    console.print(models_table(models))
    console.print(f"recipes: {', '.join(RECIPES)}", markup=False)
    if options.json:
        write_json(options.json, {name: dataclasses.asdict(info) for name, info in models.items()})


def _doctor(_options: argparse.Namespace) -> None:
    from spikereel.apps.doctor import report

    for name, value in report().items():
        print(f"{name:22} {value}")
