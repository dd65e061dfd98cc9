"""`spikereel compare`: trained runs beside each other."""

import argparse
import json
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console
from spikereel.errors import ConfigError
from spikereel.files import write_json

REPORT, RECIPE = "report.json", "recipe.json"


def add(commands: Any) -> None:
    """Register compare."""
    text = "compare trained runs: accuracy, confusion and settings"
    compare = command(commands, "compare", _compare, text, reads=("runs",))
    compare.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, such as runs/video_folder")
    json_option(compare)


def _compare(options: argparse.Namespace) -> None:
    from spikereel.show.runs import runs_table

    if len(options.runs) < 2:
        raise ConfigError("give two runs or more: spikereel compare RUN RUN")
    reports = {run: _read(Path(run) / REPORT) for run in options.runs}
    recipes = {run: _read(Path(run) / RECIPE) for run in options.runs}
    if options.json:
        write_json(options.json, {run: {"report": reports[run], "recipe": recipes[run]} for run in options.runs})
    new_console().print(runs_table(reports, recipes))


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"no {path}; give the folder of a run that `spikereel train` ended with a report") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; train that run again") from None
