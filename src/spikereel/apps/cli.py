"""The command line. Every error that a user can cause is one line on stderr and exit code 2."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from spikereel import __version__
from spikereel.apps.files import writable, write_json
from spikereel.apps.pack import add_pack
from spikereel.errors import ConfigError, SpikereelError

EPILOG = """examples:
  spikereel demo                                        train, judge, predict and draw on procedural clips
  spikereel train motion optim.epochs=5                 a recipe, with any field changed
  spikereel train video_folder data.root=videos         your own videos, one sub-folder per class
  spikereel evaluate runs/motion/best.safetensors       judge on clips that training never saw
  spikereel predict clip.mp4 --model spikevideoformer_ti.motion
  spikereel energy spikevideoformer_s --frames 8        what a clip costs, beside the same network as an ANN
  spikereel import checkpoint.pyth --as svformer        weights of the papers' authors, read safely
  spikereel calibrate weights.safetensors data.kind=folder data.root=videos
"""


class _Parser(argparse.ArgumentParser):
    """Mistakes on the command line are one line too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 2 for a mistake in the input."""
    options = _options(arguments)
    try:
        options.command(options)
    except SpikereelError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse takes no assignments after an option such as --show
    if hasattr(options, "assignments") and not any(x.startswith("-") for x in rest):
        options.assignments, rest = [*options.assignments, *rest], []
    if rest:
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="spikereel", description="Spike-driven video transformers: train, measure and run.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"spikereel {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=run)
        return sub

    demo = command("demo", _demo, "train a small model, judge it, classify clips and draw what it cost")
    demo.add_argument("videos", nargs="*", help="videos of your own to classify as well")
    demo.add_argument("--out", default="demo", help="folder for the picture, the video and report.json (default: demo)")
    demo.add_argument("--from-scratch", action="store_true", help="start from fresh weights, not from those that ship")

    train = command("train", _train, "train by a recipe; `spikereel train --list` names them")
    train.add_argument("recipe", nargs="?", help="name of a recipe")
    train.add_argument("assignments", nargs="*", metavar="key=value", help="fields to change, such as optim.epochs=5")
    train.add_argument("--list", action="store_true", help="list the recipes and stop")
    train.add_argument("--show", action="store_true", help="print the recipe with all its fields and stop")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint of this run")

    evaluate = command("evaluate", _evaluate, "judge trained weights on clips they never saw")
    evaluate.add_argument("model", help="weights: a .safetensors file, a folder or a listed name")
    evaluate.add_argument("assignments", nargs="*", metavar="data.key=value", help="what to change of the data")
    evaluate.add_argument("--batch", type=int, default=16, help="clips at a time (default: 16)")
    _json(evaluate)

    predict = command("predict", _predict, "classify videos: top 5, firing rates, energy, and an annotated video")
    predict.add_argument("videos", nargs="+", metavar="VIDEO", help="video files, or .npy clips")
    predict.add_argument("--model", default="spikevideoformer_ti.motion", help="weights (default: %(default)s)")
    predict.add_argument("--out", default="predictions", help="folder for videos and JSON (default: %(default)s)")
    predict.add_argument("--views", type=int, default=1, help="clips in time to average (default: %(default)s)")
    predict.add_argument("--no-video", action="store_true", help="write no annotated video")
    predict.add_argument(
        "--task", choices=("classification", "pose"),
        help="what is expected of the weights; pose: joints of every frame, drawn over the video and in 3D",
    )  # fmt: skip
    predict.add_argument(
        "--box", metavar="L,T,W,H", help="pose: the person in the frame, pixels (default: found in depth)"
    )
    predict.add_argument("--camera", metavar="FX,FY,CX,CY", help="pose: intrinsics of the frames, pixels")
    predict.add_argument("--smooth", action="store_true", help="pose: one-euro filter")
    predict.add_argument("--smpl", metavar="FILE", help="pose in parameters of SMPL: your copy of the body model")
    _json(predict)

    energy = command("energy", _energy, "operations and energy of a clip, beside the same network as an ANN")
    energy.add_argument("model", help="weights (file or listed name), or the name of an architecture")
    energy.add_argument("--video", help="measure firing rates on this video instead of procedural clips")
    energy.add_argument("--frames", type=int, help="frames of the clip (architectures: 4)")
    energy.add_argument("--size", type=int, help="side in pixels (architectures: 224)")
    _json(energy)

    bring = command("import", _import, "read a checkpoint of the papers' authors and write it as weights of Spikereel")
    bring.add_argument("file", metavar="FILE", help="the checkpoint: .pth, .pyth or .safetensors")
    bring.add_argument(
        "--as", dest="name", metavar="NAME", required=True,
        help="a model of `spikereel list`, completed by the shapes in FILE; or weights, whose configuration holds",
    )  # fmt: skip
    bring.add_argument("--out", metavar="PATH", help="weights to write (default: FILE.spikereel.safetensors, here)")
    bring.add_argument("--partial", action="store_true", help="leave fresh values where FILE has nothing that fits")
    _json(bring)

    calibrate = command("calibrate", _calibrate, "re-estimate the statistics of all batch norms on training clips")
    calibrate.add_argument("model", metavar="WEIGHTS", help="a .safetensors file, a folder or a listed name")
    calibrate.add_argument(
        "assignments", nargs="*", metavar="data.key=value",
        help="what to change of the data; data.kind=... for weights that do not say how clips are made",
    )  # fmt: skip
    calibrate.add_argument("--clips", type=int, default=64, metavar="N", help="about so many (default: 64)")
    calibrate.add_argument(
        "--out", metavar="PATH", help="weights to write (default: WEIGHTS.calibrated.safetensors, here)"
    )

    data = commands.add_parser("data", help="prepare data", description="Prepare data.")
    add_pack(data.add_subparsers(title="commands", required=True, metavar="COMMAND"))

    _json(command("list", _list, "list models, weights and recipes"))
    command("doctor", _doctor, "print versions, devices and active kernels")
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="PATH", help="write the results to this file as well")


def _console() -> Any:
    from rich.console import Console

    return Console()


def _demo(options: argparse.Namespace) -> None:
    from spikereel.apps.demo import demo

    demo(Path(options.out), videos=options.videos, from_scratch=options.from_scratch, console=_console())


def _train(options: argparse.Namespace) -> None:
    from spikereel.config import override
    from spikereel.train.recipes import RECIPES, get_recipe

    if options.list or options.recipe is None:
        for name, recipe in RECIPES.items():
            print(f"{name:18} {(recipe.__doc__ or '').splitlines()[0]}")
        if options.list:
            return
        raise ConfigError("name a recipe: spikereel train RECIPE [key=value ...]")
    extra = ["run.resume=true"] if options.resume else []
    recipe = override(get_recipe(options.recipe), [*options.assignments, *extra])
    if options.show:
        import dataclasses

        print(json.dumps(dataclasses.asdict(recipe), indent=2))
        return
    from spikereel.apps.extras import need

    need("train")
    from spikereel.train.run import train

    result = train(recipe)
    unit = "%" if result.monitor == "val_top1" else "mm"
    print(f"best {result.monitor} {result.value:.1f} {unit} in {result.seconds:.0f} s; weights: {result.best}")


def _evaluate(options: argparse.Namespace) -> None:
    from spikereel.apps.evaluate import evaluate_all, evaluate_poses, evaluation_json, pose_evaluation_json
    from spikereel.apps.importer import data_of
    from spikereel.apps.tables import evaluation_table, pose_table
    from spikereel.hub import load_model, weights_hash

    if options.batch < 1:
        raise ConfigError(f"--batch must be at least 1, got {options.batch}")
    writable(options.json)
    model = load_model(options.model)
    spec = data_of(model, options.assignments)
    console = _console()
    if model.task == "pose":
        outcome = evaluate_poses(model, spec, batch=options.batch, console=console)
        console.print(pose_table(outcome, weights_hash(model)))
        if options.json:
            write_json(options.json, pose_evaluation_json(model, str(options.model), spec, outcome))
        return
    outcomes = evaluate_all(model, spec, batch=options.batch, console=console)
    console.print(evaluation_table(outcomes, weights_hash(model)))
    for path, reason in outcomes[0].skipped:
        console.print(f"skipped {path}: {reason}", style="yellow", markup=False)
    if options.json:
        write_json(options.json, evaluation_json(model, str(options.model), spec, outcomes))


def _predict(options: argparse.Namespace) -> None:
    from spikereel.apps.annotate import annotate
    from spikereel.apps.predict import predict
    from spikereel.apps.tables import energy_table, firing_table, top5_table
    from spikereel.hub import load_model

    out = Path(options.out)
    for path in (out / "x.json", options.json):
        writable(path)
    model = load_model(options.model)
    if options.task not in (None, model.task):
        raise ConfigError(
            f"{options.model} is for {model.task}; give weights of a recipe of task {options.task} with --model"
        )
    if model.task == "pose":
        _predict_pose(options, model)
        return
    # all files are read before anything is written, so a broken one leaves nothing half done
    predictions = [predict(model, video, views=options.views) for video in options.videos]
    console = _console()
    out.mkdir(parents=True, exist_ok=True)
    names = _distinct([Path(p.path).stem for p in predictions])
    for name, prediction in zip(names, predictions, strict=True):
        console.rule(prediction.path)
        console.print(top5_table(prediction), firing_table(prediction.firing), energy_table(prediction.passport))
        for note in prediction.notes:
            console.print(note, style="dim", markup=False)
        write_json(out / f"{name}.json", prediction.to_json())
        if not options.no_video and not prediction.path.endswith(".npy"):
            annotate(out / f"{name}.mp4", prediction, prediction.path)
            console.print(f"written: {out / name}.mp4 and .json", markup=False)
    if options.json:
        results = [p.to_json() for p in predictions]
        write_json(options.json, results[0] if len(results) == 1 else results)


def _predict_pose(options: argparse.Namespace, model: Any) -> None:
    from dataclasses import replace

    from rich.progress import Progress

    from spikereel.apps.draw_pose import overlay, strip
    from spikereel.apps.track import read_recording, track
    from spikereel.body.camera import Camera
    from spikereel.train.config import data_spec_of

    box = _numbers("--box", options.box)
    camera = _numbers("--camera", options.camera)
    lens = None if camera is None else Camera(**dict(zip(("fx", "fy", "cx", "cy"), camera, strict=True)))
    spec = data_spec_of(model.metadata)
    spec = replace(spec, smpl=options.smpl or spec.smpl)
    console, out = _console(), Path(options.out)
    results = []
    with Progress(console=console, transient=True) as bar:
        for video in options.videos:
            tracking = bar.add_task(f"tracking {Path(video).name}", total=None)
            recording = read_recording(video)
            found = track(
                model,
                recording,
                box=box,
                camera=lens,
                smooth=options.smooth,
                spec=spec,
                progress=lambda done, total, task=tracking: bar.update(task, completed=done, total=total),
            )
            results.append((recording, found))
    out.mkdir(parents=True, exist_ok=True)
    names = _distinct([Path(found.path).stem for _, found in results])
    for name, (recording, found) in zip(names, results, strict=True):
        write_json(out / f"{name}.json", found.to_json())
        found.write_npz(out / f"{name}.npz")
        found.write_bvh(out / f"{name}.bvh")
        if not options.no_video:
            overlay(out / f"{name}.mp4", found, recording.shown)
            strip(out / f"{name}.png", found)
        kinds = "json, npz, bvh" + ("" if options.no_video else ", mp4 and png")
        console.print(f"{len(found.joints)} frames of {found.path}; written: {out / name} as {kinds}", markup=False)
        for note in found.notes:
            console.print(note, style="dim", markup=False)
    if options.json:
        content = [found.to_json() for _, found in results]
        write_json(options.json, content[0] if len(content) == 1 else content)


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


def _energy(options: argparse.Namespace) -> None:
    from spikereel.apps.energy import energy_of
    from spikereel.apps.tables import energy_table, firing_table

    writable(options.json)
    passport, note = energy_of(options.model, video=options.video, frames=options.frames, size=options.size)
    console = _console()
    console.print(firing_table(passport.firing), energy_table(passport))
    console.print(note, style="dim", markup=False)
    if options.json:
        write_json(options.json, {"model": options.model, "note": note, **passport.to_json()})


def _import(options: argparse.Namespace) -> None:
    from spikereel.apps.importer import read_import, write_import
    from spikereel.apps.tables import import_table
    from spikereel.apps.versions import provenance

    out = options.out or f"{Path(options.file).stem}.spikereel.safetensors"
    for path in (out, options.json):
        writable(path)
    imported = read_import(options.file, options.name)
    console = _console()
    console.print(import_table(imported))
    write_import(imported, out, partial=options.partial)
    console.print(f"written: {out}", markup=False)
    if bare := imported.found.without_statistics:
        advice = f"{len(bare)} batch norms have no statistics; before use, run: spikereel calibrate {out}"
        console.print(advice, style="yellow", markup=False)
    if options.json:
        write_json(options.json, {**imported.to_json(), "out": str(out), **provenance()})


def _calibrate(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from spikereel.apps.importer import data_of, recalibrate, write_calibrated
    from spikereel.apps.tables import moves_table
    from spikereel.hub import load_model

    name = Path(options.model).name.removesuffix(".safetensors")
    out = options.out or f"{name}.calibrated.safetensors"
    writable(out)
    model = load_model(options.model)
    spec = data_of(model, options.assignments)
    console = _console()
    with Progress(console=console, transient=True) as bar:
        seeing = bar.add_task("seeing clips", total=None)
        seen, moves = recalibrate(
            model, spec, options.clips, progress=lambda done, total: bar.update(seeing, completed=done, total=total)
        )
    write_calibrated(model, out)
    console.print(moves_table(moves), f"{seen} training clips of data.kind={spec.kind}; written: {out}", markup=False)


def _list(options: argparse.Namespace) -> None:
    from spikereel.apps.tables import models_table
    from spikereel.hub import list_models
    from spikereel.train.recipes import RECIPES

    writable(options.json)
    models, console = list_models(), _console()
    console.print(models_table(models))
    console.print(f"recipes: {', '.join(RECIPES)}", markup=False)
    if options.json:
        import dataclasses

        write_json(options.json, {name: dataclasses.asdict(info) for name, info in models.items()})


def _doctor(_options: argparse.Namespace) -> None:
    from spikereel.apps.doctor import report

    for name, value in report().items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    sys.exit(main())
