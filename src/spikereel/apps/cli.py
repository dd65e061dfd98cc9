"""The command line. Every error that a user can cause is one line on stderr and exit code 2."""

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from spikereel import __version__
from spikereel.apps.commands import (
    calibrate,
    claims,
    compare,
    data,
    demo,
    doctor,
    energy,
    evaluate,
    export,
    import_,
    list_,
    plan,
    predict,
    stream,
    studio,
    trace,
    train,
)
from spikereel.apps.commands.common import ready
from spikereel.apps.output import OutputError, steady
from spikereel.errors import Interrupted, SpikereelError
from spikereel.extras import extra_of, lacking

EPILOG = """examples:
  spikereel demo
      train, judge, predict and draw on procedural clips
  spikereel train motion optim.epochs=5
      a recipe, with any field changed
  spikereel plan motion --memory 8GB
      what a recipe needs, and which batch and mode fit
  spikereel train video_folder data.root=videos
      your own videos, one sub-folder per class
  spikereel compare runs/video_folder runs/video_folder.1
      two runs: accuracy, confusion, settings
  spikereel evaluate runs/motion/best.safetensors
      judge on clips that training never saw
  spikereel predict clip.mp4 --model spikevideoformer_ti.motion
      a file, or a folder of them
  spikereel trace weights.safetensors clip.mp4 --out clip.trace --png pictures
      every spike, attention and energy, frame by frame
  spikereel compare a.safetensors b.safetensors videos --html page.html
      which layer of two networks differs first, on which clips they disagree
  spikereel stream rtsp://camera/live --serve :8000
      a live source, frame by frame
  spikereel studio --root videos
      a local page: videos, spikes, answers and energy on one clock
  spikereel energy spikevideoformer_s --frames 8
      what a clip costs, beside the same network as an ANN
  spikereel energy svformer --rates rates.json --cost paper
      the same from published firing rates
  spikereel export weights.safetensors --to onnx
      a file for another runtime, and how faithful it is
  spikereel import checkpoint.pyth --as svformer
      weights of the papers' authors, read safely
  spikereel data check videos
      broken, short, double and missing files of a folder
  spikereel claims
      what the papers claim, and what holds
  spikereel calibrate weights.safetensors data.kind=folder data.root=videos
      new statistics for the norms of weights
"""


class _Parser(argparse.ArgumentParser):
    """Mistakes on the command line are one line too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for a mistake, and 1 where `data check` found broken files or
    `compare` answers that differ."""
    try:
        with steady():
            return _run(arguments)
    except OutputError as error:
        _say(str(error))
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    options = _options(arguments)
    try:
        ready(options)
        return options.command(options) or 0
    except SpikereelError as error:
        _say(" ".join(str(error).split()))
        return 2
    except OSError as error:
        # what a disk does at any place: full, gone, forbidden
        _say(f"{error.filename or 'a file'}: {error.strerror or error}; make room, or choose another place")
        return 2
    except ModuleNotFoundError as error:
        extra = extra_of(error.name)
        if error.name is None or extra is None:
            raise
        _say(lacking(error.name, extra))
        return 2
    except Interrupted as interruption:
        # of several processes the first one speaks
        if said := str(interruption):
            _say(said, "")
        return interruption.code
    except KeyboardInterrupt:
        _say("interrupted", "")
        return 130


def _say(error: str, label: str = "error: ") -> None:
    """One line on stderr, where that is open."""
    with suppress(OSError, AttributeError):
        print(f"{label}{error}", file=sys.stderr)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse takes no assignments after an option such as --show
    if hasattr(options, "assignments") and not any(x.startswith("-") for x in rest):
        options.assignments, rest = [*options.assignments, *rest], []
    if rest:
        options.parser.error(f"unrecognised arguments: {' '.join(rest)}{_meant(options, rest[0])}")
    return options


def _meant(options: argparse.Namespace, given: str) -> str:
    """What an unknown word on the command line may have been meant for."""
    name, _, value = given.partition("=")
    if hasattr(options, "assignments") and re.fullmatch(r"--[a-z]+\.\w+", name):
        return f"; write {name[2:]}={value or '...'}, without dashes"
    known = set(re.findall(r"--[a-z][\w-]*", options.parser.format_help()))
    near = difflib.get_close_matches(name, sorted(known), n=1) if name.startswith("-") else []
    return f"; did you mean {near[0]}?" if near else ""


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="spikereel",
        description="Spike-driven video transformers: train, measure and run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"spikereel {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (
        *(demo, plan, train, compare, evaluate, predict, trace, stream, studio, energy, export, import_, calibrate),
        *(claims, list_, doctor, data),
    ):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
