"""`spikereel import`: checkpoints of the papers' authors."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console
from spikereel.files import writable, write_json


def add(commands: Any) -> None:
    """Register import."""
    bring = command(
        commands, "import", _import, "read a checkpoint of the papers' authors and write it as weights of Spikereel"
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
    bring.add_argument("--partial", action="store_true", help="keep fresh values where nothing in FILE fits")
    json_option(bring)


def _import(options: argparse.Namespace) -> None:
    from spikereel.inference.authors import read_import, write_import
    from spikereel.show.models import import_table
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
