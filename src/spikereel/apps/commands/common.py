"""What the commands share: how one is registered, and where it writes."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any


def command(commands: Any, name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
    """Register a command; `text`, in small letters and without a full stop, is its help."""
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=run)
    return parser


def json_option(parser: argparse.ArgumentParser) -> None:
    """`--json PATH`."""
    parser.add_argument("--json", metavar="PATH", help="write the results to this file as well")


def new_console() -> Any:
    """Of rich, which is imported only where a command runs."""
    from rich.console import Console

    return Console()


def one_or_all(results: Sequence[Any]) -> Any:
    """What --json gets of one input, or of several."""
    return results[0] if len(results) == 1 else list(results)


def note(console: Any, text: str | None) -> None:
    """Print what is worth a look, if anything is."""
    if text:
        console.print(f"note: {text}", style="yellow", markup=False)
