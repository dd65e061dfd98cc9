"""`spikereel compare`: trained runs beside each other, or what two networks do on the same clips."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, frames_of, frames_option, json_option, new_console, progress
from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.files import write_json, write_text

REPORT, RECIPE, BEST = "report.json", "recipe.json", "best.safetensors"


def add(commands: Any) -> None:
    """Register compare."""
    text = (
        "compare trained runs: accuracy, confusion and settings; or two weights on clips: which layer differs first, "
        "and on which clips the answers do (then the exit status is 1)"
    )
    compare = command(commands, "compare", _compare, text, reads=("runs",), writes={"html": "--html"})
    compare.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folders of runs, such as runs/video_folder; or two weights (files, listed names, runs), then clips",
    )
    compare.add_argument("--html", metavar="PATH", help="of two weights: write one page with pictures")
    frames_option(compare, "of two weights: ")
    json_option(compare)


def _compare(options: argparse.Namespace) -> int:
    if _of_weights(options.runs):
        return _on_clips(options)
    if options.html or options.frames:
        raise ConfigError("--html and --frames are for two weights on clips: spikereel compare A B CLIP --html PATH")
    return _of_runs(options)


def _of_runs(options: argparse.Namespace) -> int:
    from spikereel.show.runs import runs_table

    if len(options.runs) < 2:
        raise ConfigError("give two runs or more: spikereel compare RUN RUN; or two weights and clips")
    reports = {run: _read(Path(run) / REPORT) for run in options.runs}
    recipes = {run: _read(Path(run) / RECIPE) for run in options.runs}
    if options.json:
        write_json(options.json, {run: {"report": reports[run], "recipe": recipes[run]} for run in options.runs})
    new_console().print(runs_table(reports, recipes))
    return 0


def _on_clips(options: argparse.Namespace) -> int:
    from spikereel.hub import find_weights
    from spikereel.inference.sources import sources_of
    from spikereel.show.comparison import comparison_tables
    from spikereel.tracing.models import Models

    if options.html:
        need("draw")
    if len(options.runs) < 2:
        raise ConfigError("give two weights and clips: spikereel compare A B CLIP")
    a, b, *clips = options.runs
    for name in (a, b):
        find_weights(_weights(name) or name)
    if not clips:
        raise ConfigError(f"{a} and {b} are weights; give clips to compare them on: spikereel compare A B CLIP")
    models = Models.load(_weights(a) or a, _weights(b) or b, names=(a, b))
    sources, notes = sources_of(clips, models.a)
    console = new_console()
    for line in notes:
        console.print(line, style="yellow")
    with progress() as bar:
        task = bar.add_task("comparing", total=len(sources))
        for source in sources:
            bar.update(task, description=f"comparing on {source.name}")
            models.on(source.path, frames=frames_of(options.frames))
            bar.advance(task)
    found = models.found()
    if options.json:
        write_json(options.json, found.to_json())
    for table in comparison_tables(found):
        console.print(table)
    if options.html:
        from spikereel.show.comparison_page import page

        write_text(options.html, page(found))
        console.print(f"written: {options.html}")
    return 1 if found.disagreed else 0


def _of_weights(given: Sequence[str]) -> bool:
    """Whether the first two are weights to run, and not all are runs to read the reports of."""
    runs = [_is_run(x) for x in given]
    if all(runs[:2]):
        # the best weights of two runs, where a clip follows
        return any(Path(x).exists() and not run for x, run in zip(given, runs, strict=True))
    if len(given) == 2 and any(runs):
        return False
    return any(_weights(x) is not None for x in given[:2])


def _is_run(text: str) -> bool:
    return (Path(text) / REPORT).is_file()


def _weights(text: str) -> Any:
    """What `load_model` takes, of a run its best weights; None for what is neither."""
    from spikereel.hub import files_of

    if _is_run(text) and (Path(text) / BEST).is_file():
        return str(Path(text) / BEST)
    if Path(text).is_file() and Path(text).suffix != ".safetensors":
        return None
    return text if files_of(text) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"no {path}; give the folder of a run that `spikereel train` ended with a report") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; train that run again") from None
