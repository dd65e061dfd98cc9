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
  spikereel energy svformer --rates rates.json --cost paper       the same from published firing rates
  spikereel import checkpoint.pyth --as svformer        weights of the papers' authors, read safely
  spikereel data check videos                           broken, short, double and missing files of a folder
  spikereel calibrate weights.safetensors data.kind=folder data.root=videos
"""


class _Parser(argparse.ArgumentParser):
    """Mistakes on the command line are one line too."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 if `data check` found broken files, 2 for a mistake."""
    options = _options(arguments)
    try:
        return options.command(options) or 0
    except SpikereelError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    # argparse takes no assignments after an option such as --show
    if hasattr(options, "assignments") and not any(x.startswith("-") for x in rest):
        options.assignments, rest = [*options.assignments, *rest], []
    if rest:
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    if options.command is _energy and not (options.model or options.compare):
        parser.error("energy needs a MODEL, or --compare A B C")
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
    predict.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="video files, .npy clips, or (segmentation) folders of frames"
    )
    predict.add_argument("--model", default="spikevideoformer_ti.motion", help="weights (default: %(default)s)")
    predict.add_argument("--out", default="predictions", help="folder for videos and JSON (default: %(default)s)")
    predict.add_argument("--views", type=int, default=1, help="clips in time to average (default: %(default)s)")
    predict.add_argument("--no-video", action="store_true", help="write no annotated video")
    predict.add_argument(
        "--task", choices=("classification", "pose", "segmentation"),
        help="what is expected of the weights; pose: joints of every frame, drawn over the video and in 3D; "
        "segmentation: the class of every pixel, as colours over the video, masks and a time line",
    )  # fmt: skip
    predict.add_argument(
        "--box", metavar="L,T,W,H", help="pose: the person in the frame, pixels (default: found in depth)"
    )
    predict.add_argument("--camera", metavar="FX,FY,CX,CY", help="pose: intrinsics of the frames, pixels")
    predict.add_argument("--smooth", action="store_true", help="pose: one-euro filter")
    predict.add_argument("--smpl", metavar="FILE", help="pose in parameters of SMPL: your copy of the body model")
    predict.add_argument("--size", type=int, help="segmentation: short side that is seen (default: that of training)")
    predict.add_argument("--window", metavar="H,W", help="segmentation: see frames in windows that slide over them")
    predict.add_argument("--overlap", type=float, help="segmentation: share of a window (default: 0.5)")
    predict.add_argument(
        "--offsets",
        metavar="A,B,..",
        help="segmentation: frames of a clip from the one that is labelled, such as --offsets=-9,-6,-3,0",
    )
    _json(predict)

    energy = command("energy", _energy, "the energy passport of a clip: counts, cost models, opponents, break-even")
    energy.add_argument("model", nargs="?", help="weights (file or listed name), an architecture, or a passport's JSON")
    energy.add_argument("--compare", nargs="+", metavar="MODEL", help="several models side by side")
    energy.add_argument(
        "--data", nargs="+", default=[], metavar="X",
        help="a folder or video to measure on, or data.key=value; otherwise clips of the kind trained on",
    )  # fmt: skip
    energy.add_argument("--video", help="measure firing rates on this video")
    energy.add_argument("--rates", metavar="FILE", help="JSON of neuron: firing rate, instead of measuring")
    energy.add_argument("--frames", type=int, help="frames of the clip (architectures: 4; with --rates their own)")
    energy.add_argument("--size", type=int, help="side in pixels (architectures: 224; with --rates their own)")
    energy.add_argument("--views", type=int, help="views x clips of a decision (default: those it is evaluated with)")
    energy.add_argument("--cost", metavar="A,B", help="cost models (default: paper,executed,folded,memory,int8)")
    energy.add_argument("--implied", type=float, metavar="MJ", help="the mean firing rate that so many mJ imply")
    energy.add_argument("--measured", action="store_true", help="joules of this machine too, where it has counters")
    energy.add_argument("--html", metavar="PATH", help="write a self-contained page")
    energy.add_argument("--markdown", metavar="PATH", help="write tables for papers")
    energy.add_argument("--latex", metavar="PATH", help="write tables for LaTeX")
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

    data = commands.add_parser(
        "data",
        help="look into files, and pack them",
        description="Look into files of videos and events, and pack them.",
    )
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    about = actions.add_parser("inspect", help="say what one file is", description="Say what one file is.")
    about.set_defaults(command=_data_inspect)
    about.add_argument("file", metavar="FILE", help="a video or a recording of an event camera")
    _json(about)
    text = (
        "decode all files of a folder; report broken, short, duplicate and missing ones; exit code 1 if any is broken"
    )
    look = actions.add_parser("check", help=text, description=text[0].upper() + text[1:] + ".")
    look.set_defaults(command=_data_check)
    look.add_argument("root", metavar="ROOT", help="folder of videos, recordings and the lists that name them")
    look.add_argument("--min-frames", type=int, default=8, metavar="N", help="videos below are short (default: 8)")
    look.add_argument("--workers", type=int, metavar="N", help="files at a time (default: one for each processor)")
    _json(look)
    add_pack(actions)

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
    unit = "mm" if recipe.task == "pose" else "%"
    print(f"best {result.monitor} {result.value:.1f} {unit} in {result.seconds:.0f} s; weights: {result.best}")
    print(f"training data: {result.passport}")


def _evaluate(options: argparse.Namespace) -> None:
    from spikereel.apps.evaluate import (
        evaluate_all,
        evaluate_masks,
        evaluate_poses,
        evaluation_json,
        pose_evaluation_json,
        segmentation_evaluation_json,
    )
    from spikereel.apps.importer import data_of
    from spikereel.apps.tables import evaluation_table, pose_table, segmentation_table
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
    if model.task == "segmentation":
        maps = evaluate_masks(model, spec, batch=options.batch, console=console)
        console.print(segmentation_table(maps, weights_hash(model)))
        if options.json:
            write_json(options.json, segmentation_evaluation_json(model, str(options.model), spec, maps))
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
    if model.task == "segmentation":
        _predict_segmentation(options, model)
        return
    # all files are read before anything is written, so a broken one leaves nothing half done
    predictions = [predict(model, video, views=options.views) for video in options.videos]
    console = _console()
    out.mkdir(parents=True, exist_ok=True)
    names = _distinct([Path(p.path).stem for p in predictions])
    for name, prediction in zip(names, predictions, strict=True):
        console.rule(prediction.path)
        console.print(
            top5_table(prediction), firing_table(prediction.firing), energy_table(prediction.passport, brief=True)
        )
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


def _predict_segmentation(options: argparse.Namespace, model: Any) -> None:
    from rich.progress import Progress

    from spikereel.apps.draw_segmentation import write_segments
    from spikereel.apps.segment import open_frames, segmenter_of
    from spikereel.apps.tables import energy_table, shares_table

    console, out = _console(), Path(options.out)
    sources = [open_frames(video) for video in options.videos]
    segmenters = [
        segmenter_of(
            model, source, size=options.size, window=_integers("--window", options.window), overlap=options.overlap,
            offsets=_integers("--offsets", options.offsets),
        )
        for source in sources
    ]  # fmt: skip
    results = []
    names = _distinct([Path(source.name).stem for source in sources])
    for name, source, segmenter in zip(names, sources, segmenters, strict=True):
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(f"labelling {name}", total=len(source))
            found = write_segments(
                out, name, source, segmenter, video=not options.no_video,
                progress=lambda done, total, bar=bar, task=task: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        results.append(found.to_json())
        console.print(shares_table(found), energy_table(found.passport, brief=True))
        kinds = "json, png" + ("" if options.no_video else ", mp4")
        console.print(
            f"{len(source)} frames of {source.name}; written: {out / name} as {kinds}, and {out / name}_masks",
            markup=False,
        )
        for note in segmenter.notes:
            console.print(note, style="dim", markup=False)
    if options.json:
        write_json(options.json, results[0] if len(results) == 1 else results)


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


def _energy(options: argparse.Namespace) -> None:
    from spikereel.apps.energy import Source, energy_of, joules_of, write_passports, write_reports
    from spikereel.apps.tables import energy_table, firing_table
    from spikereel.energy.costs import cost_models

    for path in (options.json, options.html, options.markdown, options.latex):
        writable(path)
    names = [*([options.model] if options.model else []), *(options.compare or [])]
    if options.views is not None and options.views < 1:
        raise ConfigError(f"--views must be at least 1, got {options.views}")
    if options.rates and len(set(names)) > 1:
        raise ConfigError("--rates are those of one model; write its passport with --json and compare that")
    costs = cost_models(options.cost)
    source = Source(
        video=options.video, data=tuple(options.data), rates=options.rates, frames=options.frames, size=options.size,
        views=options.views,
    )  # fmt: skip
    if options.implied is not None:
        _implied(options, source)
        return
    console = _console()
    with console.status("counting") as status:
        passports, notes = {}, {}
        for name in names:
            status.update(f"counting {name}")
            passports[name], notes[name] = energy_of(name, source)
    if len(passports) == 1:
        console.print(firing_table(passports[names[0]].firing))
    console.print(energy_table(passports, costs))
    for name, note in notes.items():
        console.print(note if len(notes) == 1 else f"{name}: {note}", style="dim", markup=False)
        for line in joules_of(name, passports[name]).lines() if options.measured else []:
            console.print(line, style="yellow", markup=False)
    written = write_reports(passports, costs, page=options.html, md=options.markdown, tex=options.latex)
    if options.json:
        write_passports(options.json, passports, notes, costs)
    for path in written:
        console.print(f"written: {path}", markup=False)


def _implied(options: argparse.Namespace, source: Any) -> None:
    from spikereel.apps.energy import IMPLIED, implied_rates
    from spikereel.config import unknown_key
    from spikereel.hub import ARCHITECTURES

    if options.model not in ARCHITECTURES:
        raise unknown_key(str(options.model), ARCHITECTURES, "model")
    rates = implied_rates(options.model, options.implied, source)
    for name, rate in rates.items():
        print(f"{options.implied:g} mJ a clip imply a mean firing rate of {rate:.3f} under {name}: {IMPLIED[name]}")
    if options.json:
        write_json(options.json, {"model": options.model, "energy_mj": options.implied, "implied_rate": rates})


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


def _data_inspect(options: argparse.Namespace) -> None:
    import dataclasses

    from spikereel.apps.data import info_table, inspect

    writable(options.json)
    found = inspect(options.file)
    _console().print(info_table(options.file, found))
    if options.json:
        write_json(options.json, dataclasses.asdict(found))


def _data_check(options: argparse.Namespace) -> int:
    from rich.progress import Progress

    from spikereel.apps.data import check, report_table

    if options.workers is not None and options.workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {options.workers}")
    writable(options.json)
    console = _console()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("decoding files", total=None)
        report = check(
            options.root, min_frames=options.min_frames, workers=options.workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    console.print(report_table(report))
    if options.json:
        write_json(options.json, report.to_json())
    return int(bool(report.broken))


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
