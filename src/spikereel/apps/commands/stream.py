"""`spikereel stream`: a live answer to cameras, streams, files and event sensors."""

import argparse
import signal
import sys
import threading
from contextlib import nullcontext, suppress
from types import FrameType
from typing import Any

from spikereel.apps.commands.common import command, new_console
from spikereel.errors import ConfigError
from spikereel.files import writable

PANELS_A_SECOND = 4
STATUS_SECONDS = 10.0
"""Seconds between lines on standard error where no terminal is."""


def add(commands: Any) -> None:
    """Register stream."""
    stream = command(
        commands,
        "stream",
        _stream,
        "answer live video frame by frame: files, folders, /dev/video0, rtsp://, http://, HLS, - for a pipe, event "
        "files, events://HOST:PORT",
        reads=("model", "sources"),
        writes={"json": "--json", "overlay": "--overlay"},
    )
    stream.add_argument("sources", nargs="+", metavar="SOURCE", help="one or several, all through one network")
    stream.add_argument(
        "--model",
        default="spikevideoformer_ti.motion_spatial",
        help="weights, or a file of export (default: %(default)s)",
    )
    stream.add_argument(
        "--runtime", default="auto", metavar="NAME", help="of a file: onnx, openvino, executorch, c, ..."
    )
    stream.add_argument("--mode", default="auto", metavar="MODE", help="spatial, causal, window, chunk (default: auto)")
    stream.add_argument("--window", type=int, metavar="W", help="frames of a window or chunk (default: as in training)")
    stream.add_argument("--membranes", choices=("run_on", "restart"), help="what windows and chunks begin with")
    stream.add_argument("--readout", choices=("mean", "decay", "last"), help="classes: over which frames")
    stream.add_argument("--span", type=float, metavar="N", help="frames of decay, last and smoothing")
    stream.add_argument("--smooth", action="store_true", help="smooth poses (one-euro filter) or masks (fading)")
    stream.add_argument(
        "--rate", type=float, metavar="N", help="frames a second that are seen (default: as in training)"
    )
    stream.add_argument(
        "--engine", choices=("auto", "native", "reference"), default="auto", help="what runs it (default: %(default)s)"
    )
    stream.add_argument(
        "--drop",
        choices=("every_frame", "freshest"),
        help="answer all frames in order, or always the last one (default: freshest for live sources)",
    )
    stream.add_argument("--max-age", type=float, metavar="SECONDS", help="drop frames that waited longer")
    stream.add_argument("--queue", type=int, default=64, metavar="N", help="frames that wait (default: %(default)s)")
    stream.add_argument("--realtime", action="store_true", help="play files as fast as they were filmed")
    stream.add_argument(
        "--after-gap",
        choices=("reset", "bridge"),
        default="reset",
        help="after a lost connection or a hole in time begin anew, or go on (default: %(default)s)",
    )
    stream.add_argument("--hole", type=float, default=1.0, metavar="SECONDS", help="a hole in time (default: 1)")
    stream.add_argument("--torn", choices=("use", "skip"), default="use", help="pictures after lost packets")
    stream.add_argument("--retries", type=int, metavar="N", help="attempts to connect again (default: for ever)")
    stream.add_argument(
        "--patience", type=float, default=2.0, metavar="SECONDS", help="silence of a source (default 2)"
    )
    stream.add_argument("--slice-ms", type=float, metavar="MS", help="events: length of a frame (default: training's)")
    stream.add_argument("--frames", type=int, metavar="N", help="end each source after so many answers")
    stream.add_argument("--together", action="store_true", help="several sources in one call of the network")
    stream.add_argument("--overlay", metavar="FILE", help="draw the answers over the first source: .mp4 or .mkv")
    stream.add_argument("--json", metavar="FILE", help="a line for each answer; - is standard output")
    # a line at a time, by itself
    stream.set_defaults(lines="json")
    stream.add_argument("--serve", metavar=":PORT", help="WebSocket at /ws, metrics for Prometheus at /metrics")
    stream.add_argument("--quiet", action="store_true", help="no panel, errors alone")


def _stream(options: argparse.Namespace) -> int:
    from spikereel.inference.knows import knows
    from spikereel.streaming.places import place_of

    places = [place_of(text) for text in options.sources]
    for path in (options.overlay, None if options.json == "-" else options.json):
        writable(path)
    live, settings = _live(options, places)
    console = new_console(stderr=True)
    console.quiet = options.quiet
    console.print(settings, soft_wrap=True)
    console.print(f"{knows(live.session.model)}.", soft_wrap=True)
    if live.note:
        console.print(f"note: {live.note}", style="yellow", soft_wrap=True)
    json_file = _opened(options.json)
    try:
        with _until_signalled(live):
            _run(options, live, settings, console, json_file)
    finally:
        if json_file is not None and json_file is not sys.stdout:
            json_file.close()
    _summary(live, console)
    return 2 if all(channel.dead and not channel.vital.answers for channel in live.channels) else 0


def _live(options: argparse.Namespace, places: list[Any]) -> tuple[Any, str]:
    from spikereel.exporting.run import Exported
    from spikereel.inference.exported import runnable
    from spikereel.streaming.feeds import FeedOptions
    from spikereel.streaming.from_file import file_model
    from spikereel.streaming.live import Live
    from spikereel.streaming.reader import ReaderOptions
    from spikereel.streaming.session import stream
    from spikereel.streaming.smooth import usual_smoothing

    network = runnable(options.model, options.runtime, classes=False)
    if isinstance(network, Exported):
        if options.engine != "auto" or options.together:
            raise ConfigError(f"{options.model} is run by its own runtime; leave --engine and --together out")
        model, engine = file_model(network), network.runtime
    else:
        model = network
        network, engine = _network(model, options)
    smooth = usual_smoothing(model.task) if options.smooth else None
    session = stream(
        network,
        options.mode,
        window=options.window,
        membranes=options.membranes,
        readout=options.readout,
        span=options.span,
        smooth=smooth,
    )
    live_ones = any(place.live for place in places)
    reading = ReaderOptions(
        drop=options.drop or ("freshest" if live_ones or options.realtime else "every_frame"),
        queue=options.queue,
        max_age=options.max_age,
        realtime=options.realtime,
        retries=options.retries,
        hole=options.hole,
        torn=options.torn,
    )
    feeds = FeedOptions(patience=options.patience, slice_us=_slice_us(model, options))
    live = Live(
        session=session,
        places=places,
        reading=reading,
        feeds=feeds,
        rate=options.rate,
        after_gap=options.after_gap,
        together=options.together,
        # a file shows no spikes
        meter=not isinstance(network, Exported),
        most=options.frames,
    )
    name = model.metadata.name or type(model).__name__
    settings = f"{name}: engine {engine}, {session.settings()}, precision float32, drop {reading.drop}"
    return live, settings


def _network(model: Any, options: argparse.Namespace) -> tuple[Any, str]:
    """The network, and what runs it, with the reason where that is not the engine."""
    from spikereel.engine.choose import Reference, engine_for
    from spikereel.engine.loaded import native

    together = options.together and options.engine == "auto"
    chosen = engine_for(model.eval(), "reference" if together else options.engine)
    if isinstance(chosen, Reference):
        why = "several streams go together" if together else chosen.why
        return model, f"reference ({why})"
    return chosen, f"native ({native().instruction_set()})"


def _slice_us(model: Any, options: argparse.Namespace) -> int:
    from spikereel.runs.config import data_spec_of

    if options.slice_ms is not None:
        if not options.slice_ms > 0:
            raise ConfigError(f"slice-ms is {options.slice_ms}: give milliseconds above 0")
        return max(round(1000 * options.slice_ms), 1)
    spec = data_spec_of(model.metadata)
    return spec.bin_us or 33_333


def _opened(path: str | None) -> Any:
    if path is None:
        return None
    if path == "-":
        return sys.stdout
    try:
        return open(path, "w", encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another place") from None


class _until_signalled:
    """SIGINT and SIGTERM end the stream, and what is written is finished; a second one ends the process."""

    def __init__(self, live: Any):
        self.live, self.before = live, {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._stop)

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._restore()
        self.live.stop()

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def _run(options: argparse.Namespace, live: Any, settings: str, console: Any, json_file: Any) -> None:
    from spikereel.streaming.sinks import JsonLines, Overlay

    sinks: list[Any] = []
    if json_file is not None:
        sinks.append(JsonLines(file=json_file))
    if options.overlay is not None:
        from spikereel.show.live import painter

        sinks.append(Overlay(options.overlay, painter(live.session.model), live.channels[0].name))
    if options.serve is not None:
        from spikereel.streaming.serve import Server

        server = Server(options.serve, live.channels, settings).start()
        console.print(f"serving at http://{server.host}:{server.port}: /ws, /metrics", soft_wrap=True)
        sinks.append(server)
    shown = console.is_terminal and not options.quiet
    if not shown:
        sinks.append(_Told(console))
    with _panel(live, settings, console) if shown else nullcontext() as tick:
        live.run(sinks, tick=tick)


class _Told:
    """A sink that says on standard error what goes wrong."""

    def __init__(self, console: Any):
        self.console = console

    def answer(self, _answer: Any) -> None:
        """Nothing."""

    def event(self, event: dict[str, Any]) -> None:
        """One line."""
        if event["event"] != "end":
            why = event.get("why") or f"then {event.get('then')}"
            self.console.print(f"{event['event']}: {event['source']}: {why}", soft_wrap=True)

    def close(self) -> None:
        """Nothing."""


class _panel:
    """The live panel; entering gives the function that draws it anew."""

    def __init__(self, live: Any, settings: str, console: Any):
        from rich.live import Live as Screen

        self.live, self.settings, self.last = live, settings, 0.0
        self.screen = Screen(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Any:
        self.screen.__enter__()
        return self._tick

    def __exit__(self, *stuff: Any) -> None:
        with suppress(OSError):
            self.screen.__exit__(*stuff)

    def _tick(self) -> None:
        import time

        from spikereel.show.live import panel

        now = time.monotonic()
        if now - self.last >= 1 / PANELS_A_SECOND:
            self.last = now
            self.screen.update(panel(self.settings, self.live.channels), refresh=True)


def _summary(live: Any, console: Any) -> None:
    from spikereel.show.live import panel

    console.print(panel("at the end", live.channels))
