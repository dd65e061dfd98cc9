"""The demos of what ships trained: poses, masks, and a stream; each is judged on fresh clips and drawn, in a minute."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from spikereel.apps.commands.common import progress
from spikereel.data.made.scenes import CLASSES, MotionClips
from spikereel.energy import Passport, measure
from spikereel.extras import need
from spikereel.files import writable, write_json
from spikereel.hub import load_model, weights_hash
from spikereel.models.base import VideoModel
from spikereel.runs.clips import build_dataset
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.evaluate import Evaluation, evaluate
from spikereel.show.demos import draw_masks, draw_poses, draw_stream
from spikereel.show.evaluation import outcome_table
from spikereel.show.tables import energy_table
from spikereel.streaming.session import stream
from spikereel.versions import provenance

FRESH_SEED = 20_000
"""Of clips that no shipped weights were trained on or chosen by."""
JUDGED = 60
"""Clips."""
MOTIONS = ("left", "down", "zoom_in", "clockwise", "right", "shake", "still", "up")
"""Of the stream, one after the other."""
LASTS = 24
"""Frames of each."""


def demo_pose(out: Path, console: Console) -> dict[str, Any]:
    """Poses of the figure: judged, one clip drawn beside the truth."""
    model, spec, dataset = _fresh("spikevideoformer_ti.synthetic_pose")
    outcome = _judge(model, spec, dataset, console)
    video, truth = dataset[1]
    with torch.inference_mode():
        found, _ = model(video[:, None])
    draw_poses(out / "pose.png", video[:, 0], found.joints[:, 0].numpy(), truth["joints"].numpy(), dataset.skeleton)
    return {"evaluation": outcome.to_json(), "energy_mj": _cost(model, video, console).energy_mj()}


def demo_segmentation(out: Path, console: Console) -> dict[str, Any]:
    """Masks of what moves: judged, one clip drawn beside the truth."""
    model, spec, dataset = _fresh("spikevideoformer_ti.synthetic_vss")
    outcome = _judge(model, spec, dataset, console)
    video, truth = dataset[2]
    with torch.inference_mode():
        logits, _ = model(video[:, None])
    pictures = ((video * torch.tensor(spec.std) + torch.tensor(spec.mean)).clamp(0, 1) * 255).to(torch.uint8)
    draw_masks(out / "segmentation.png", pictures, logits[:, 0].argmax(1), truth, dataset.palette, dataset.classes)
    return {"evaluation": outcome.to_json(), "energy_mj": _cost(model, video, console).energy_mj()}


def demo_stream(out: Path, console: Console) -> dict[str, Any]:
    """Motions one after the other, without a cut that the network is told of; classes frame by frame."""
    model = load_model("spikevideoformer_ti.motion_causal")
    spec = data_spec_of(model.metadata)
    video, truth = _motions(spec)
    session = stream(model, readout="last", span=spec.frames)
    started = time.perf_counter()
    probabilities = torch.cat([session.push(frame).probabilities for frame in video])
    rate = len(video) / (time.perf_counter() - started)
    right = (probabilities.argmax(1) == truth).float()
    settled = torch.arange(len(video)) % LASTS >= spec.frames
    share = 100 * float(right[settled].mean())
    console.print(f"{session.settings()}; {session.state_bytes} bytes of state, {session.delay} frames of delay")
    console.print(
        f"{rate:.0f} frames a second; right {100 * float(right.mean()):.1f} % of {len(video)} frames, "
        f"{share:.1f} % from {spec.frames} frames after each change on (chance 10 %)",
        style="bold",
    )
    draw_stream(out / "stream.png", video, probabilities.numpy(), truth.tolist(), CLASSES, LASTS)
    return {
        "frames": len(video),
        "right": float(right.mean()),
        "right_when_settled": share / 100,
        "frames_a_second": rate,
    }


DEMOS: dict[str, Callable[[Path, Console], dict[str, Any]]] = {
    "pose": demo_pose,
    "segmentation": demo_segmentation,
    "stream": demo_stream,
}


def demo_of(task: str, out: Path, console: Console) -> dict[str, Any]:
    """Run the demo of a task; leaves TASK.png and TASK.json in `out`, and returns what is in the latter."""
    need("draw")
    out.mkdir(parents=True, exist_ok=True)
    writable(out / f"{task}.json")
    started = time.monotonic()
    console.rule(f"demo: {task}, with the weights that ship")
    report = DEMOS[task](out, console) | {"seconds": time.monotonic() - started, **provenance()}
    write_json(out / f"{task}.json", report)
    console.print(f"written: {out / task}.png, {out / task}.json; {report['seconds']:.0f} s in all")
    return report


def _fresh(weights: str) -> tuple[VideoModel, DataSpec, Any]:
    """A model, how its clips are made, and clips that it never saw."""
    model = load_model(weights)
    spec = replace(data_spec_of(model.metadata), seed=FRESH_SEED, test_length=JUDGED, workers=0)
    return model, spec, build_dataset(spec, "test", task=model.task)


def _judge(model: VideoModel, spec: DataSpec, dataset: Any, console: Console) -> Evaluation:
    with progress() as bar:
        task = bar.add_task("judging fresh clips", total=len(dataset))
        outcome = evaluate(model, dataset, spec, progress=lambda done, _: bar.update(task, completed=done))
    console.print(outcome_table([outcome], weights_hash(model)))
    return outcome


def _cost(model: VideoModel, video: Tensor, console: Console) -> Passport:
    passport = measure(model, video[:, None])
    console.print(energy_table(passport, brief=True))
    return passport


def _motions(spec: DataSpec) -> tuple[Tensor, Tensor]:
    """A long clip [N, C, H, W] of `MOTIONS`, and the class of each frame, int64 [N]."""
    modality: Any = spec.modality
    made = MotionClips(
        len(CLASSES), seed=FRESH_SEED + 7, frames=LASTS, height=spec.size, width=spec.size, modality=modality
    )
    labels = [CLASSES.index(name) for name in MOTIONS]
    return torch.cat([made[i][0] for i in labels]), torch.tensor(labels).repeat_interleave(LASTS)
