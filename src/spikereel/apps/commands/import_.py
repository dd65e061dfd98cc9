"""`spikereel import`: checkpoints of the papers' authors."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console, ready
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register import."""
    bring = command(
        commands,
        "import",
        _import,
        "read a checkpoint of the papers' authors and write it as weights of Spikereel",
        reads=("file", "name"),
        writes={"out": "--out"},
    )
    bring.add_argument("file", metavar="FILE", help="the checkpoint: .pth, .pyth or .safetensors")
    bring.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        required=True,
        help="a model of `spikereel list`, which takes its classes, channels, frames and size from FILE; "
        "or weights, whose configuration stays as it is",
    )
    bring.add_argument("--out", metavar="PATH", help="weights to write (default: FILE.spikereel.safetensors, here)")
    bring.add_argument(
        "--weights",
        metavar="KEY",
        help="which weights to take of a FILE that holds several sets, such as model_ema (default: the model's own)",
    )
    bring.add_argument("--partial", action="store_true", help="keep fresh values where nothing in FILE fits")
    json_option(bring)


def _import(options: argparse.Namespace) -> None:
    from spikereel.inference.authors import read_import, write_import
    from spikereel.show.models import import_table
    from spikereel.versions import provenance

    out = options.out = options.out or f"{Path(options.file).stem}.spikereel.safetensors"
    ready(options)
    imported = read_import(options.file, options.name, weights=options.weights)
    write_import(imported, out, partial=options.partial)
    if options.json:
        write_json(options.json, {**imported.to_json(), "out": str(out), **provenance()})
    console = new_console()
    console.print(import_table(imported))
    console.print(f"written: {out}")
    if bare := imported.found.without_statistics:
        # weights that name their own data say where it is; those of the authors do not
        where = "" if imported.model.metadata.preprocess else " data.root=FOLDER"
        advice = f"{len(bare)} batch norms have no statistics; train, or run: spikereel calibrate {out}{where}"
        console.print(advice, style="yellow")
