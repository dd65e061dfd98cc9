"""`spikereel predict`: what is in a file, for each of the three tasks."""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, engine_option, json_option, new_console, one_or_all, progress
from spikereel.apps.commands.many import manifest_options, only_with_manifest, run_manifest
from spikereel.errors import ConfigError, SpikereelError
from spikereel.extras import lacking, missing
from spikereel.files import keep_inputs, writable, write_json, write_text

FULL = 3
"""Files up to which each has its tables; of more each has a line."""

DEFAULT = "spikevideoformer_ti.motion"

TABLE = "predictions.csv"
"""The one table of several files, in the folder of the results."""


def add(commands: Any) -> None:
    """Register predict."""
    predict = command(
        commands,
        "predict",
        _predict,
        "classify videos and print the top 5, firing rates and energy; or find joints, or label every pixel",
        reads=("videos", "model", "smpl"),
        folders=("out",),
    )
    predict.add_argument(
        "videos",
        nargs="*",
        metavar="VIDEO",
        help="video files, event recordings, depth (.npz), .npy clips, folders of any of these, or of frames",
    )
    predict.add_argument("--model", default=DEFAULT, help="weights, or a file of export (default: %(default)s)")
    predict.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help="what runs the network: reference for weights; onnx, torch, openvino, executorch, c for an exported file "
        "(default: by the file)",
    )
    predict.add_argument("--out", default="predictions", help="folder for videos and JSON (default: %(default)s)")
    predict.add_argument("--views", type=int, metavar="N", help="average so many clips in time (default: 1)")
    predict.add_argument(
        "--every",
        type=float,
        metavar="SECONDS",
        help="give one answer for each window of so many seconds, with a time line (default: for videos over a minute)",
    )
    predict.add_argument(
        "--on-error",
        choices=("skip", "stop"),
        default="skip",
        help="what a broken file does: name it and go on, or end there (default: %(default)s)",
    )
    predict.add_argument("--quiet", action="store_true", help="print errors alone")
    predict.add_argument("--no-video", action="store_true", help="write no annotated video and no pictures")
    predict.add_argument(
        "--task",
        choices=("classification", "pose", "segmentation"),
        help="what the weights must be for. Pose gives the joints of every frame, drawn over the video and in 3D; "
        "segmentation gives the class of every pixel, as colours over the video, masks and a time line",
    )
    predict.add_argument(
        "--box", metavar="L,T,W,H", help="pose: the person in the frame, pixels (default: found in depth)"
    )
    predict.add_argument("--camera", metavar="FX,FY,CX,CY", help="pose: intrinsics of the frames, pixels")
    predict.add_argument("--smooth", action="store_true", help="pose: smooth the joints with a one-euro filter")
    predict.add_argument("--smpl", metavar="FILE", help="pose in parameters of SMPL: your copy of the body model")
    predict.add_argument(
        "--bvh-positions", action="store_true", help="pose: give all joints positions in the BVH (default: rotations)"
    )
    predict.add_argument("--size", type=int, help="segmentation: short side that is seen (default: that of training)")
    predict.add_argument("--window", metavar="H,W", help="segmentation: see frames in windows that slide over them")
    predict.add_argument("--overlap", type=float, help="segmentation: share of a window (default: 0.5)")
    predict.add_argument(
        "--offsets",
        metavar="A,B,..",
        help="segmentation: frames of a clip from the one that is labelled, such as --offsets=-9,-6,-3,0",
    )
    predict.add_argument("--batch", type=int, default=0, help="--manifest: clips at a time (default: by the engine)")
    manifest_options(predict)
    engine_option(predict)
    json_option(predict)


def _predict(options: argparse.Namespace) -> int:
    if options.manifest is not None:
        return _predict_list(options)
    if not options.videos:
        raise ConfigError("name files to predict, or a list of them with --manifest")
    only_with_manifest(options)
    return _predict_files(options)


def _predict_list(options: argparse.Namespace) -> int:
    """The clips of a manifest; 1 where a clip has no row in the end, though rows may be errors."""
    from spikereel.hub import load_model
    from spikereel.versions import provenance

    if options.videos:
        raise ConfigError(f"{options.videos[0]} and --manifest: give files, or a list of them")
    if options.runtime not in ("auto", "reference"):
        raise ConfigError(f"--runtime {options.runtime} and --manifest: a manifest is for weights; leave it out")
    if options.task is not None and (task := load_model(options.model).task) != options.task:
        raise ConfigError(f"{options.model} is for {task}, not for {options.task}; give other weights with --model")
    names = [name for name, value in OPTIONS.items() if value(options) is not None]
    chosen = {name: plain(OPTIONS[name](options)) for name in names}
    summary = run_manifest(options, chosen, batch=options.batch)
    if options.json:
        write_json(options.json, {**summary.to_json(), **provenance()})
    return int(bool(summary.lost))


def plain(value: Any) -> Any:
    """An option in types that JSON has."""
    if isinstance(value, tuple):
        return list(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _predict_files(options: argparse.Namespace) -> int:
    from spikereel.inference.exported import runnable
    from spikereel.inference.knows import knows
    from spikereel.inference.predict import TASKS, running
    from spikereel.inference.sources import sources_of

    _take_network(options)
    out = Path(options.out)
    writable(out / "x.json")
    model = runnable(options.model, options.runtime)
    if options.task not in (None, model.task):
        raise ConfigError(
            f"{options.model} is for {model.task}; give weights of a recipe of task {options.task} with --model"
        )
    front, why = running(model, options.engine)
    task, console = TASKS[model.task], new_console()
    chosen = {name: OPTIONS[name](options) for name in task.options if OPTIONS[name](options) is not None}
    sources, notes = sources_of(options.videos, model)
    results = {f"the result {x.name}{end}": out / f"{x.name}{end}" for x in sources for end in task.endings}
    keep_inputs({**results, "--json": options.json, "the table": out / TABLE}, [x.path for x in sources])
    console.quiet = options.quiet
    console.print(f"{knows(model)}.", style="bold")
    if why and options.engine == "auto":
        console.print(f"engine: reference, for {why}", style="yellow")
    for line in notes:
        console.print(line, style="yellow")
    batch = _Batch(options=options, model=front, chosen=chosen, out=out, console=console, count=len(sources))
    try:
        for source in sources:
            if not batch.take(source) and options.on_error == "stop":
                break
    finally:
        batch.finish()
    return batch.code()


def _take_network(options: argparse.Namespace) -> None:
    """Of files without --model the exported one is the network: `predict --runtime onnx net.onnx clip.mp4`."""
    from spikereel.exporting.targets import target_by_suffix

    networks = [x for x in options.videos if target_by_suffix(x)]
    if options.model != DEFAULT or len(networks) != 1:
        return
    options.model = networks[0]
    options.videos = [x for x in options.videos if x != options.model]
    if not options.videos:
        raise ConfigError(f"name files to predict beside {options.model}")


@dataclass(kw_only=True)
class _Batch:
    """Files one after the other; each has its results before the next one is looked at."""

    options: argparse.Namespace
    model: Any
    chosen: dict[str, Any]
    out: Path
    console: Any
    count: int
    """Of all files; those beyond FULL get one line each."""
    done: list[dict[str, Any]] = field(default_factory=list)
    """What --json gets."""
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Of the table."""
    broken: int = 0

    def take(self, source: Any) -> bool:
        """Predict one file, write its results and print them; whether that went well."""
        try:
            result, said = self._written(source)
        except SpikereelError as error:
            reason = " ".join(str(error).split())
            self.done.append({"path": source.path, "error": reason})
            self.rows.append((source.path, "", "", reason))
            self.broken += 1
            print(f"error: {reason}", file=sys.stderr)
            return False
        self.done.append(result.to_json())
        self.rows.append((source.path, *result.brief(), ""))
        self._show(result, said)
        return True

    def _written(self, source: Any) -> tuple[Any, list[str]]:
        from spikereel.exporting.run import Exported
        from spikereel.inference.predict import TASKS, begin
        from spikereel.inference.timeline import is_long, usual_window

        chosen, name = dict(self.chosen), Path(source.path).name
        if self.model.task == "classification" and not {"views", "every"} & chosen.keys():
            chosen["views"] = 1
            if not isinstance(self.model, Exported) and is_long(self.model, source.path):
                del chosen["views"]
                chosen["every"] = usual_window(self.model, glance_fps(source.path))
        if not isinstance(self.model, Exported) and chosen.get("views", 1) == 1 and not source.path.endswith(".npy"):
            self._drawable()
        with progress() as bar:
            result = begin(self.model, source.path, chosen, _progress(bar, f"{TASKS[self.model.task].doing} {name}"))
        self.out.mkdir(parents=True, exist_ok=True)
        with progress() as bar:
            told = _progress(bar, f"writing {source.name}")
            return result, result.write(self.out, source.name, video=not self.options.no_video, progress=told)

    def _drawable(self) -> None:
        """Before a network runs for a video that cannot be written."""
        if not self.options.no_video and (absent := missing("draw")):
            raise ConfigError(f"{lacking(', '.join(absent), 'draw')}, or give --no-video")

    def _show(self, result: Any, said: list[str]) -> None:
        if self.count > FULL:
            self.console.print(one_line(result.path, *result.brief()), no_wrap=True, crop=False)
            return
        for table in result.tables():
            self.console.print(table)
        self.console.print(f"engine: {result.engine}", style="dim")
        for number, line in enumerate(said):
            self.console.print(line, style="dim" if number else None)

    def finish(self) -> None:
        """Write the table and the JSON of what was done so far."""
        good, left, table = len(self.rows) - self.broken, self.count - len(self.rows), self.count > 1
        if self.options.json and (good or table):
            write_json(self.options.json, one_or_all(self.done))
        if table and good:
            write_text(self.out / TABLE, csv_of(("file", "answer", "detail", "error"), self.rows))
            stopped = f" ({left} not looked at: --on-error skip goes on)" if left and self.broken else ""
            self.console.print(f"{good} of {self.count} files{stopped}; one table: {self.out / TABLE}")

    def code(self) -> int:
        """0 where all went well, 1 where some did, 2 where none did."""
        return 0 if not self.broken and len(self.rows) == self.count else 1 if len(self.rows) > self.broken else 2


def glance_fps(path: str) -> float:
    """Frames a second that a clip is sampled from."""
    from spikereel.inference.frames import video_frames

    return video_frames(path).pace()


def one_line(path: str, answer: str, detail: str, width: int = 80) -> str:
    """A file and its answer in so many characters: of a long path the end is shown."""
    room = width - 2 - min(len(detail), 24) - 2 - 24
    shown = path if len(path) <= room else f"...{path[-room + 3 :]}"
    return f"{shown:<{room}}  {answer[:24]:<24}  {detail[:24]}"


def csv_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    return text.getvalue()


def _progress(bar: Any, text: str) -> Callable[[int, int], None]:
    """A line of a progress bar, to be told how much of how much is done."""
    task = bar.add_task(text, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _lens(text: str | None) -> Any:
    from spikereel.body.camera import Camera

    camera = _numbers("--camera", text)
    return None if camera is None else Camera(**dict(zip(("fx", "fy", "cx", "cy"), camera, strict=True)))


def _integers(option: str, text: str | None) -> tuple[int, ...] | None:
    """The whole numbers of an option."""
    if text is None:
        return None
    try:
        return tuple(int(x) for x in text.split(","))
    except ValueError:
        raise ConfigError(f"{option} {text}: give whole numbers with commas between") from None


def _numbers(option: str, text: str | None) -> tuple[float, float, float, float] | None:
    """The four numbers of an option."""
    if text is None:
        return None
    try:
        a, b, c, d = (float(x) for x in text.split(","))
    except ValueError:
        raise ConfigError(f"{option} {text}: give four numbers with commas between") from None
    return a, b, c, d


OPTIONS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "views": lambda options: options.views,
    "every": lambda options: options.every,
    "box": lambda options: _numbers("--box", options.box),
    "camera": lambda options: _lens(options.camera),
    "smooth": lambda options: options.smooth or None,
    "smpl": lambda options: options.smpl,
    "bvh_positions": lambda options: options.bvh_positions or None,
    "size": lambda options: options.size,
    "window": lambda options: _integers("--window", options.window),
    "overlap": lambda options: options.overlap,
    "offsets": lambda options: _integers("--offsets", options.offsets),
}
"""Options of `spikereel.predict`, as they stand on the command line."""
