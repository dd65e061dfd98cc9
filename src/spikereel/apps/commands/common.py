"""What the commands share: how one is registered, what it reads and writes, and how it prints."""

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikereel.errors import ConfigError
from spikereel.files import expand, keep_inputs, writable

TEXTS = ("json", "html", "markdown", "latex")
"""Outputs that are text."""


def command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], Any],
    text: str,
    *,
    reads: Sequence[str] = (),
    folders: Sequence[str] = (),
    writes: Mapping[str, str] | None = None,
) -> argparse.ArgumentParser:
    """Register a command; `text`, in small letters and without a full stop, is its help.

    reads: options that name files, folders, or assignments key=value. folders: options that name
    folders to write into. writes: {option: what to call it} of the files
    that are written; those of options in `reads` and of each other are refused before any work, see `ready`.
    """
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    paths = {"reads": tuple(reads), "folders": tuple(folders), "writes": dict(writes or {})}
    parser.set_defaults(command=run, parser=parser, **paths)
    return parser


def ready(options: argparse.Namespace) -> None:
    """Expand the paths of a command, and see that each output can be written and is no input.

    Raises ConfigError where one cannot be, or is one.
    """
    _take_standard_output(options)
    for name in {*options.reads, *options.folders, *options.writes}:
        value, home = getattr(options, name), name not in options.reads
        if isinstance(value, list | tuple):
            setattr(options, name, [expand(x, home=home) for x in value])
        elif value is not None:
            setattr(options, name, expand(value, home=home))
    outputs = {what: getattr(options, name) for name, what in options.writes.items()}
    for path in outputs.values():
        writable(path)
    keep_inputs(outputs, inputs_of(options))
    for what, path in outputs.items():
        if what != "--out" and path is not None and _is_binary(path):
            raise ConfigError(f"{what} {path} is there already and is no text; choose another name, or remove it first")


def _take_standard_output(options: argparse.Namespace) -> None:
    """The one output of text that is called - has standard output for itself: all else is printed on standard error.

    Raises ConfigError for several, and where standard output is closed.
    """
    asked = [name for name in TEXTS if name in options.writes and getattr(options, name) == "-"]
    if not asked or getattr(options, "lines", None) in asked:
        return
    if len(asked) > 1:
        names = " and ".join(options.writes[name] for name in asked)
        raise ConfigError(f"{names} cannot both be standard output; give one of them a file")
    try:
        setattr(options, asked[0], f"/dev/fd/{os.dup(1)}")
    except OSError as error:
        raise ConfigError(f"{options.writes[asked[0]]} -: standard output is closed ({error.strerror})") from None
    sys.stdout = sys.stderr


def _is_binary(path: str) -> bool:
    """Of a regular file that is there: a video, weights, but no report of before."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return b"\0" in file.read(4096)


def inputs_of(options: argparse.Namespace) -> list[str]:
    """Files and folders that a command reads, by what stands on its line; also as values of assignments."""
    from spikereel.hub import files_of

    found = []
    for name in options.reads:
        value = getattr(options, name)
        for text in value if isinstance(value, list | tuple) else [value]:
            if text is None:
                continue
            key, _, path = text.partition("=")
            if os.path.exists(text):
                found.append(text)
            elif path and "." in key:
                found.append(expand(path, home=True))
            else:
                found += files_of(text)
    return found


def engine_option(parser: argparse.ArgumentParser) -> None:
    """`--engine CHOICE`."""
    parser.add_argument(
        "--engine",
        choices=("auto", "reference", "native"),
        default="auto",
        help="what runs the network: the native engine or the modules of the model (default: %(default)s)",
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    """`--json PATH`."""
    parser.add_argument(
        "--json", metavar="PATH", help="write the results to this file as well; - is standard output, for them alone"
    )
    writes = parser.get_default("writes")
    parser.set_defaults(writes={**writes, "json": "--json"})


def frames_option(parser: argparse.ArgumentParser, of: str = "") -> None:
    """`--frames A:B`."""
    text = f"{of}numbers of the frames to see, the first and one behind the last; or all (default: as predicted)"
    parser.add_argument("--frames", metavar="A:B", help=text)


def frames_of(text: str | None) -> Any:
    """What `spikereel.trace` takes for `--frames`. Raises ConfigError for what is none."""
    if text is None or text == "all":
        return text
    try:
        first, last = (int(x) for x in text.split(":"))
    except ValueError:
        raise ConfigError(f"--frames {text}: give A:B, the first number and one behind the last, or all") from None
    return first, last


def new_console(*, stderr: bool = False) -> Any:
    """Of rich, which is imported only where a command runs: text is shown as it is, and no name is markup."""
    from rich.console import Console

    # a stream that is given is asked for its encoding; in a notebook rich would make a block of every line
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, markup=False, emoji=False, highlight=False, force_jupyter=False)


def progress(*, clock: bool = False) -> Any:
    """A bar on standard error, where somebody looks on; names are shown as they are, on one line of any width.

    clock: shows the time that went by in place of the time that remains.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    console = new_console(stderr=True)
    text = TextColumn(
        "{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
    )
    bars = (
        BarColumn(bar_width=20),
        TaskProgressColumn("{task.percentage:>3.0f}%", style="progress.percentage", markup=False),
        TimeElapsedColumn() if clock else TimeRemainingColumn(),
    )
    return Progress(text, *bars, console=console, transient=True, expand=True, disable=not console.is_terminal)


def entry(name: str, text: str, *, indent: int = 22, width: int = 80) -> str:
    """A name, and beside it its text in as many lines as it needs; under it where the name is too long."""
    lines = textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]
    room = " " * indent
    head = f"{name:<{indent}}{lines.pop(0)}" if len(name) < indent else name
    return "\n".join([head, *(room + line for line in lines)])


def one_or_all(results: Sequence[Any]) -> Any:
    """What --json gets of one input, or of several."""
    return results[0] if len(results) == 1 else list(results)


def note(console: Any, text: str | None) -> None:
    """Print what is worth a look, if anything is."""
    if text:
        console.print(f"note: {text}", style="yellow")
