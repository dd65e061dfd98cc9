"""`spikereel calibrate`: new statistics for the batch norms of weights."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, new_console, progress, ready


def add(commands: Any) -> None:
    """Register calibrate."""
    calibrate = command(
        commands,
        "calibrate",
        _calibrate,
        "re-estimate the statistics of all batch norms on training clips",
        reads=("model", "assignments"),
        writes={"out": "--out"},
    )
    calibrate.add_argument("model", metavar="WEIGHTS", help="a .safetensors file, a folder or a listed name")
    calibrate.add_argument(
        "assignments",
        nargs="*",
        metavar="data.key=value",
        help="what to change of the data; give data.kind=... for weights that do not say how clips are made",
    )
    calibrate.add_argument("--clips", type=int, default=64, metavar="N", help="about how many clips (default: 64)")
    calibrate.add_argument(
        "--out", metavar="PATH", help="weights to write (default: WEIGHTS.calibrated.safetensors, here)"
    )


def _calibrate(options: argparse.Namespace) -> None:
    from spikereel.hub import load_model
    from spikereel.inference.calibrate import recalibrate, write_calibrated
    from spikereel.runs.data import data_of
    from spikereel.show.models import moves_table

    name = Path(options.model).name.removesuffix(".safetensors")
    out = options.out = options.out or f"{name}.calibrated.safetensors"
    ready(options)
    model = load_model(options.model)
    spec = data_of(model, options.assignments)
    console = new_console()
    with progress() as bar:
        seeing = bar.add_task("seeing clips", total=None)
        seen, moves = recalibrate(
            model, spec, options.clips, progress=lambda done, total: bar.update(seeing, completed=done, total=total)
        )
    write_calibrated(model, out)
    console.print(moves_table(moves), f"{seen} training clips of data.kind={spec.kind}; written: {out}")
