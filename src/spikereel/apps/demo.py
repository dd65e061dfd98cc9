"""The demo trains, judges, compares, classifies, and says what it cost, in about three minutes on two cores."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from spikereel.apps.commands.common import new_console, progress
from spikereel.data.made.scenes import MotionClips
from spikereel.extras import need
from spikereel.files import keep_inputs, writable, write_json
from spikereel.hub import load_model, weights_hash
from spikereel.inference.classify import Prediction, classify
from spikereel.models.base import VideoModel
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec, Recipe, data_spec_of
from spikereel.runs.evaluate import Evaluation, evaluate
from spikereel.runs.recipes import get_recipe
from spikereel.show.annotate import annotate
from spikereel.show.evaluation import evaluation_table
from spikereel.show.picture import demo_picture
from spikereel.show.tables import energy_table, firing_table, top5_table
from spikereel.versions import provenance

SCHEMES = {"joint Hamming": ("motion", "motion"), "spatial only": ("motion_spatial", "motion_spatial")}
"""What is compared: {shown name: (recipe, tag of the weights it starts from)}."""

COMPARED = (
    "after 51 equal epochs the two had 95.2 and 95.6 % of 1,000 clips, no difference; the joint weights had 8 more; "
    "equal work over three seeds: benchmarks/compare.py attention"
)
FRESH_CLIPS = 500
FRESH_SEED = 20_000
"""Judged on clips of a seed that neither the shipped weights nor the demo's training ever used."""
EPOCHS = 2.0
LENGTH = 1200
"""The demo's training: epochs of so many clips."""


def demo(
    out: Path, *, videos: Sequence[str] = (), from_scratch: bool = False, console: Console | None = None
) -> dict[str, Any]:
    """Run everything and leave `demo.png`, `annotated.mp4`, `report.json` and the trained weights in `out`.

    videos: files to classify as well. from_scratch: start from fresh weights and not from those that ship; the
    accuracy is then what a minute of training gives. Returns the content of the report.
    """
    need("train")
    need("draw")
    writable(out / "report.json")
    console = console or new_console()
    names = ["demo.png", "annotated.mp4", "report.json", *(f"{Path(video).stem}.mp4" for video in videos)]
    keep_inputs({f"output {i}" if i else "the picture": out / name for i, name in enumerate(names)}, videos)
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    results, evaluations = {}, {}
    for name, (recipe, tag) in SCHEMES.items():
        start = None if from_scratch else f"spikevideoformer_ti.{tag}"
        console.rule(f"training: {name}" + (f", from {start}" if start else ", from fresh weights"))
        results[name] = _train(get_recipe(recipe), out, start)
        evaluations[name] = _judge(results[name].last)
        top1 = evaluations[name].score.top1
        console.print(f"{name}: {top1:.1f} % of {FRESH_CLIPS} fresh clips (chance 10 %)", style="bold")
    if not from_scratch:
        console.print(COMPARED, style="dim")
    best = next(iter(SCHEMES))
    model = load_model(results[best].last)
    console.rule(f"{best}, by class")
    console.print(evaluation_table([evaluations[best]], weights_hash(model)))
    sample, label, prediction = _generated(model, data_spec_of(model.metadata))
    console.rule(f"a generated clip: {label}")
    console.print(
        top5_table(prediction), firing_table(prediction.firing), energy_table(prediction.passport, brief=True)
    )
    annotate(out / "annotated.mp4", prediction, sample, fps=4)
    others = [_classify(model, video, out, console) for video in videos]
    demo_picture(
        out / "demo.png",
        sample=sample,
        sample_label=label,
        predicted=prediction.label,
        evaluations=evaluations,
        passport=prediction.passport,
        history=results[best].history,
    )
    report = {
        "started_from": "fresh weights" if from_scratch else "shipped weights",
        "top1": {name: x.score.top1 for name, x in evaluations.items()},
        "note": "" if from_scratch else COMPARED,
        "evaluations": {name: x.to_json() for name, x in evaluations.items()},
        "training_seconds": {name: x.seconds for name, x in results.items()},
        "generated_clip": {"label": label, **prediction.to_json()},
        "videos": [p.to_json() for p in others],
        "seconds": time.monotonic() - started,
        **provenance(),
    }
    write_json(out / "report.json", report)
    console.rule("done")
    for what in ("demo.png", "annotated.mp4", "report.json"):
        console.print(f"written: {out / what}")
    console.print(f"{report['seconds']:.0f} s in all")
    return report


def _train(recipe: Recipe, out: Path, start: str | None) -> Any:
    from spikereel.train.run import train

    optim = replace(recipe.optim, epochs=EPOCHS, lr=recipe.optim.lr if start is None else recipe.optim.lr / 30)
    # norms know the mix of classes that the weights were trained on: another one costs 1.3 points in 75 steps
    focus = () if start is None else data_spec_of(load_model(start).metadata).focus
    data = replace(recipe.data, train_length=LENGTH, test_length=200, seed=FRESH_SEED + 10, workers=0, focus=focus)
    return train(
        replace(
            recipe,
            model=replace(recipe.model, start=start),
            data=data,
            optim=optim,
            run=replace(recipe.run, out=str(out / "runs")),
        )
    )


def _judge(weights: Path) -> Evaluation:
    model = load_model(weights)
    spec = replace(data_spec_of(model.metadata), seed=FRESH_SEED, test_length=FRESH_CLIPS)
    dataset = build_dataset(spec, "test")
    with progress() as bar:
        task = bar.add_task("judging fresh clips", total=len(dataset))
        return evaluate(
            model, dataset, spec, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )


def _generated(model: VideoModel, spec: DataSpec) -> tuple[torch.Tensor, str, Prediction]:
    """An rgb clip that the model never saw, its true class, and what the model says."""
    index = 1
    clips = MotionClips(index + 1, seed=FRESH_SEED + 5, frames=spec.frames, height=spec.size, width=spec.size)
    video, label = clips[index]
    sample = (video * 255).round().to(torch.uint8)
    return sample, clips.classes[label], classify(model, sample, views=1)


def _classify(model: VideoModel, video: str, out: Path, console: Console) -> Prediction:
    prediction = classify(model, video, views=1)
    console.rule(prediction.path)
    console.print(top5_table(prediction))
    annotate(out / f"{Path(video).stem}.mp4", prediction, video)
    return prediction
