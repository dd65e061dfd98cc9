"""`spikereel claims`: what the papers claim, what holds, and which model to take."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console
from spikereel.files import write_json


def add(commands: Any) -> None:
    """Register claims."""
    text = "what the papers claim, what was measured about it, and a verdict"
    claims = command(commands, "claims", _claims, text, reads=("results",))
    claims.add_argument(
        "--results",
        metavar="FOLDER",
        help="benchmarks/results of a copy of the repository; those of the release otherwise",
    )
    json_option(claims)


def _claims(options: argparse.Namespace) -> None:
    from spikereel.show.claims import shipped
    from spikereel.show.claims.pages import claims_table
    from spikereel.show.claims.stated import table
    from spikereel.show.claims.verdicts import Results

    rows = table(Results(Path(options.results))) if options.results else shipped()
    if options.json:
        write_json(options.json, rows)
    new_console().print(claims_table(rows))
