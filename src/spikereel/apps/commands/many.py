"""`spikereel predict --manifest` and `spikereel evaluate --manifest`: the clips of a list, into Parquet."""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from spikereel.apps.commands.common import new_console
from spikereel.errors import ConfigError
from spikereel.files import keep_inputs

EVERY = 10.0
"""Seconds from one line of progress to the next, where nobody looks on."""


def manifest_options(parser: argparse.ArgumentParser) -> None:
    """`--manifest` and what goes with it."""
    group = parser.add_argument_group("many clips, see docs/scale.md")
    group.add_argument(
        "--manifest", metavar="LIST", help="predict the clips of a .csv or .parquet with a column path; writes Parquet"
    )
    group.add_argument("--shard", metavar="I/N", help="do one of N equal parts; run it again and nothing is doubled")
    group.add_argument("--workers", default="auto", metavar="N", help="processes (default: one for each core)")
    group.add_argument("--ray", metavar="ADDRESS", help="work on a Ray cluster: its address, auto, or local")
    group.add_argument("--cpus", type=float, default=1.0, help="CPUs of an actor of Ray, also 0.5 (default: 1)")
    group.add_argument("--gpus", type=float, default=0.0, help="GPUs of an actor of Ray, also 0.25 (default: 0)")
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where the network runs (default: %(default)s)",
    )
    group.add_argument("--embedding", action="store_true", help="add what the network makes of each clip, as a vector")
    group.add_argument("--again", action="store_true", help="do clips whose row has an error once more")
    parser.set_defaults(reads=(*parser.get_default("reads"), "manifest"))


def run_manifest(options: argparse.Namespace, chosen: dict[str, Any], *, batch: int) -> Any:
    """Predict the clips, with progress; the summary, printed."""
    from spikereel.bulk.run import predict_many

    keep_inputs({"--out": options.out}, [options.manifest])
    console = new_console()
    console.quiet = getattr(options, "quiet", False)
    with _Progress(console) as told:
        summary = predict_many(
            options.manifest,
            options.out,
            model=options.model,
            options=chosen,
            embedding=options.embedding,
            shard=options.shard,
            workers=_workers(options.workers),
            ray=options.ray,
            cpus=options.cpus,
            gpus=options.gpus,
            engine=options.engine,
            device=options.device,
            batch=batch,
            again=options.again,
            progress=told,
        )
    if summary.repeated:
        console.print(f"note: {summary.repeated} lines of {options.manifest} repeat a path; each counts once")
    for line in summary.lines():
        console.print(line)
    console.print(
        f"results: {summary.out}/part-*.parquet; in Python spikereel.read_results({str(summary.out)!r})", soft_wrap=True
    )
    return summary


def only_with_manifest(options: argparse.Namespace) -> None:
    """Raises ConfigError for options that mean nothing without `--manifest`."""
    given = {"--shard": options.shard, "--ray": options.ray, "--embedding": options.embedding, "--again": options.again}
    if found := [name for name, value in given.items() if value]:
        raise ConfigError(f"{found[0]} is for --manifest; give a list of clips with it")


def _workers(text: str) -> Any:
    if text != "auto" and not text.isdecimal():
        raise ConfigError(f"--workers {text}: give a number, or auto")
    return text if text == "auto" else int(text)


class _Progress:
    """A bar where somebody looks on, else a line now and then: clips, clips a second, time left."""

    def __init__(self, console: Any, clock: Callable[[], float] = time.monotonic):
        self.console, self.clock = console, clock
        self.began: float | None = None
        self.first = 0
        self.said = clock()
        self.shows = sys.stderr.isatty()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_error: object) -> None:
        if self.shows and self.began is not None:
            print(f"\r{'':79}\r", end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int, errors: int) -> None:
        now = self.clock()
        if self.began is None:
            # workers have begun; what they were started in is no part of the rate
            self.began, self.first, self.said = now, done, now
        if now - self.said < (0.5 if self.shows else EVERY):
            return
        self.said = now
        line = progress_line(done, total, errors, (done - self.first) / max(now - self.began, 1e-9))
        if self.shows:
            print(f"\r{line[:79]:<79}", end="", file=sys.stderr, flush=True)
        else:
            self.console.print(line)


def progress_line(done: int, total: int, errors: int, rate: float) -> str:
    """Such as "120 of 300 clips, 2 with an error, 14.2 clips/s, 13 s left"."""
    from spikereel.runs.splits import in_words

    wrong = f", {errors} with an error" if errors else ""
    left = f", {in_words((total - done) / rate)} left" if rate > 0 else ""
    return f"{done} of {total} clips{wrong}, {rate:.1f} clips/s{left}"
