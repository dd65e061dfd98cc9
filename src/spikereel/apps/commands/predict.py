"""`spikereel predict`: what is in a file, for each of the three tasks."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console, one_or_all
from spikereel.errors import ConfigError
from spikereel.files import writable, write_json


def add(commands: Any) -> None:
    """Register predict."""
    predict = command(
        commands,
        "predict",
        _predict,
        "classify videos and print the top 5, firing rates and energy; or find joints, or label every pixel",
    )
    predict.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="video files, event recordings, depth (.npz), .npy clips, or folders of frames (segmentation)",
    )
    predict.add_argument("--model", default="spikevideoformer_ti.motion", help="weights (default: %(default)s)")
    predict.add_argument("--out", default="predictions", help="folder for videos and JSON (default: %(default)s)")
    predict.add_argument("--views", type=int, default=1, help="clips in time to average (default: %(default)s)")
    predict.add_argument("--no-video", action="store_true", help="write no annotated video")
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
    predict.add_argument("--size", type=int, help="segmentation: short side that is seen (default: that of training)")
    predict.add_argument("--window", metavar="H,W", help="segmentation: see frames in windows that slide over them")
    predict.add_argument("--overlap", type=float, help="segmentation: share of a window (default: 0.5)")
    predict.add_argument(
        "--offsets",
        metavar="A,B,..",
        help="segmentation: frames of a clip from the one that is labelled, such as --offsets=-9,-6,-3,0",
    )
    json_option(predict)


def _predict(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from spikereel.hub import load_model
    from spikereel.inference.predict import TASKS, begin

    out = Path(options.out)
    for path in (out / "x.json", options.json):
        writable(path)
    model = load_model(options.model)
    if options.task not in (None, model.task):
        raise ConfigError(
            f"{options.model} is for {model.task}; give weights of a recipe of task {options.task} with --model"
        )
    task, console = TASKS[model.task], new_console()
    chosen = {name: OPTIONS[name](options) for name in task.options}
    # all files are read before anything is written, so a broken one leaves nothing half done
    results = []
    with Progress(console=console, transient=True) as bar:
        for video in options.videos:
            results.append(begin(model, video, chosen, _progress(bar, f"{task.doing} {Path(video).name}")))
    out.mkdir(parents=True, exist_ok=True)
    names = _distinct([Path(result.path).stem for result in results])
    for name, result in zip(names, results, strict=True):
        with Progress(console=console, transient=True) as bar:
            progress = _progress(bar, f"writing {name}")
            said = result.write(out, name, video=not options.no_video, progress=progress)
        for table in result.tables():
            console.print(table)
        for number, line in enumerate(said):
            console.print(line, style="dim" if number else None, markup=False)
    if options.json:
        write_json(options.json, one_or_all([result.to_json() for result in results]))


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


def _distinct(names: list[str]) -> list[str]:
    return [n if names.count(n) == 1 else f"{n}_{i}" for i, n in enumerate(names)]


OPTIONS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "views": lambda options: options.views,
    "box": lambda options: _numbers("--box", options.box),
    "camera": lambda options: _lens(options.camera),
    "smooth": lambda options: options.smooth,
    "smpl": lambda options: options.smpl,
    "size": lambda options: options.size,
    "window": lambda options: _integers("--window", options.window),
    "overlap": lambda options: options.overlap,
    "offsets": lambda options: _integers("--offsets", options.offsets),
}
"""Options of `spikereel.predict`, as they stand on the command line."""
