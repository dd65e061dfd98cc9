"""`spikereel predict`: what is in a video, for each of the three tasks."""

import argparse
from pathlib import Path
from typing import Any

from spikereel.apps.commands.common import command, json_option, new_console, one_or_all
from spikereel.errors import ConfigError
from spikereel.files import writable, write_json


def add(commands: Any) -> None:
    """Register predict."""
    predict = command(
        commands, "predict", _predict, "classify videos: top 5, firing rates, energy, and an annotated video"
    )
    predict.add_argument(
        "videos",
        nargs="+",
        metavar="VIDEO",
        help="video files, recordings of events, depth (.npz), .npy clips, or (segmentation) folders of frames",
    )
    predict.add_argument("--model", default="spikevideoformer_ti.motion", help="weights (default: %(default)s)")
    predict.add_argument("--out", default="predictions", help="folder for videos and JSON (default: %(default)s)")
    predict.add_argument("--views", type=int, default=1, help="clips in time to average (default: %(default)s)")
    predict.add_argument("--no-video", action="store_true", help="write no annotated video")
    predict.add_argument(
        "--task",
        choices=("classification", "pose", "segmentation"),
        help="what is expected of the weights; pose: joints of every frame, drawn over the video and in 3D; "
        "segmentation: the class of every pixel, as colours over the video, masks and a time line",
    )
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
    json_option(predict)


def _predict(options: argparse.Namespace) -> None:
    from spikereel.hub import load_model
    from spikereel.inference.predict import predict
    from spikereel.show.annotate import annotate
    from spikereel.show.tables import energy_table, firing_table, top5_table

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
    console = new_console()
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
        if prediction.clips > 1:
            console.print(f"written: {out / name}.json; a video shows one clip: --views 1", markup=False)
        elif not options.no_video and (prediction.shown is not None or not prediction.path.endswith(".npy")):
            rate = prediction.info.fps if prediction.info.codec == "depth" else None
            film = prediction.path if prediction.shown is None else prediction.shown
            annotate(out / f"{name}.mp4", prediction, film, fps=rate)
            console.print(f"written: {out / name}.mp4 and .json", markup=False)
    if options.json:
        write_json(options.json, one_or_all([p.to_json() for p in predictions]))


def _predict_pose(options: argparse.Namespace, model: Any) -> None:
    from dataclasses import replace

    from rich.progress import Progress

    from spikereel.body.camera import Camera
    from spikereel.inference.track import read_recording, track
    from spikereel.runs.config import data_spec_of
    from spikereel.show.pose import overlay, strip

    box = _numbers("--box", options.box)
    camera = _numbers("--camera", options.camera)
    lens = None if camera is None else Camera(**dict(zip(("fx", "fy", "cx", "cy"), camera, strict=True)))
    spec = data_spec_of(model.metadata)
    spec = replace(spec, smpl=options.smpl or spec.smpl)
    console, out = new_console(), Path(options.out)
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
        write_json(options.json, one_or_all([found.to_json() for _, found in results]))


def _predict_segmentation(options: argparse.Namespace, model: Any) -> None:
    from rich.progress import Progress

    from spikereel.inference.segment import open_frames, segmenter_of
    from spikereel.show.segmentation import write_segments
    from spikereel.show.tables import energy_table, shares_table

    console, out = new_console(), Path(options.out)
    sources = [open_frames(video) for video in options.videos]
    segmenters = [
        segmenter_of(
            model,
            source,
            size=options.size,
            window=_integers("--window", options.window),
            overlap=options.overlap,
            offsets=_integers("--offsets", options.offsets),
        )
        for source in sources
    ]
    results = []
    names = _distinct([Path(source.name).stem for source in sources])
    for name, source, segmenter in zip(names, sources, segmenters, strict=True):
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(f"labelling {name}", total=len(source))
            found = write_segments(
                out,
                name,
                source,
                segmenter,
                video=not options.no_video,
                progress=lambda done, total, bar=bar, task=task: bar.update(task, completed=done, total=total),
            )
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
        write_json(options.json, one_or_all(results))


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
