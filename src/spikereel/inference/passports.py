"""Energy passports of models by name: trained weights on their own kind of clips, architectures on stand-ins, firing
rates from a file, or what was written before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikereel.data.made.scenes import MotionClips
from spikereel.energy import CostModel, Passport, estimate, implied_rate, measure, read_rates
from spikereel.energy.measured import Measured, measure_joules
from spikereel.energy.page import html
from spikereel.energy.passport import read_passport
from spikereel.energy.report import apart, latex, markdown
from spikereel.errors import ConfigError
from spikereel.files import write_json, write_text
from spikereel.hub import ARCHITECTURES, architecture, create_model, load_model, weights_hash
from spikereel.inference.classify import classify
from spikereel.layers.calibrate import calibrate
from spikereel.models.base import VideoModel
from spikereel.models.svformer import SVFormerConfig
from spikereel.runs.clips import build_dataset
from spikereel.runs.data import data_of
from spikereel.runs.kinds import use_of
from spikereel.runs.tasks import TASKS
from spikereel.versions import provenance

CLIPS = 10

IMPLIED = {
    "paper": "chains as executed, all of them accumulations",
    "folded": "each RepConv one dense 3x3",
    "fused": "SepConv's depthwise and 1x1 one dense 7x7 as well",
}
"""Readings under which a published energy implies a mean firing rate."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to measure on; None and empty leave it to the model."""

    video: str | None = None
    data: tuple[str, ...] = ()
    """A folder or video, or assignments data.key=value."""
    rates: str | None = None
    frames: int | None = None
    size: int | None = None
    views: int | None = None


def energy_of(name: str, source: Source | None = None) -> tuple[Passport, str]:
    """Passport, and a sentence that says what the firing rates were measured on.

    name: weights, an architecture, or the JSON of a passport. An architecture without weights runs with random ones and
    norms calibrated on procedural clips: operations are exact, firing rates are those of an untrained network.
    """
    source = source or Source()
    if Path(name).suffix == ".json":
        return read_passport(name), f"as written in {name}"
    if source.rates is not None:
        return _stated(name, source)
    if name in ARCHITECTURES:
        if source.video is not None or source.data:
            given = source.video or source.data[0]
            raise ConfigError(f"{name} has no trained weights to run on {given}; give weights, or leave it out")
        return _untrained(name, source)
    model = load_model(name)
    if source.frames is not None or source.size is not None:
        raise ConfigError("trained weights are measured at the frames and size they were trained for; leave both out")
    return _trained(name, model, source) if TASKS[model.task].views else _of_frames(name, model, source)


def implied_rates(name: str, energy_mj: float, source: Source) -> dict[str, float]:
    """Mean firing rate that so many millijoules a clip imply for an architecture, under each of `IMPLIED`."""
    model, clip = _architecture(name, source)
    passport = estimate(model, 1.0, clip=clip)
    return {cost: implied_rate(passport, energy_mj, cost) for cost in IMPLIED}


def joules_of(name: str, passport: Passport) -> Measured:
    """Counters of this machine over forward passes of random clips of the passport's shape."""
    if Path(name).suffix == ".json":
        raise ConfigError(f"{name} is a passport, not a model that could run; give the model to --measured")
    model = create_model(name, **_shape(name, passport.clip)) if name in ARCHITECTURES else load_model(name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    video = torch.rand(passport.clip[0], 1, *passport.clip[1:], device=device)

    def run() -> None:
        with torch.inference_mode():
            # reading the logits waits for the device
            model(video)[0].cpu()

    return measure_joules(run)


def write_reports(
    passports: Mapping[str, Passport],
    costs: Mapping[str, CostModel],
    *,
    page: str | None,
    md: str | None,
    tex: str | None,
) -> list[str]:
    """Write those that are asked for; returns their paths."""
    chosen = [(path, make) for path, make in ((page, html), (md, markdown), (tex, latex)) if path]
    for path, make in chosen:
        write_text(path, make(passports, costs))
    return [path for path, _ in chosen]


def write_passports(
    path: str, passports: Mapping[str, Passport], notes: Mapping[str, str], costs: Mapping[str, CostModel]
) -> None:
    """JSON of one passport, or of several under "passports"."""
    content = {
        name: {**x.to_json(costs), "model": name, "note": notes[name], "engine": "reference"}
        for name, x in passports.items()
    }
    one = next(iter(content.values()))
    several = {"warnings": apart(passports), "passports": content}
    write_json(path, {**(one if len(content) == 1 else several), **provenance()})


def _trained(name: str, model: VideoModel, source: Source) -> tuple[Passport, str]:
    path = source.data[0] if len(source.data) == 1 and "=" not in source.data[0] else None
    video = source.video or (path if path and not Path(path).is_dir() else None)
    if video is not None:
        prediction = classify(model, video, views=source.views or 1)
        return prediction.passport, f"firing rates measured on {video}"
    spec = data_of(model, [f"data.root={path}"] if path else source.data)
    made = "root" not in use_of(spec, model.task).reads
    if path and made:
        raise ConfigError(
            f"{name} was trained on procedural clips, which lie in no folder; give a video of {path}, or "
            f"--data data.kind=folder data.root={path}"
        )
    dataset = build_dataset(spec, spec.split)
    kind = "fresh procedural" if made else spec.kind
    return _measured(model, dataset, source.views or spec.views, kind)


def _of_frames(name: str, model: VideoModel, source: Source) -> tuple[Passport, str]:
    """Of a task with an output for every frame, measured on clips that training did not see."""
    if source.video is not None:
        raise ConfigError(
            f"{name} is for {model.task}, which is measured on the held-out clips of its data; leave --video out, or "
            f"see `spikereel predict --task {model.task}`, which counts the energy of a clip of the video"
        )
    spec = data_of(model, source.data)
    dataset = build_dataset(spec, "val", task=model.task)
    return _measured(model, dataset, source.views or 1, f"held-out {spec.kind}")


def _measured(model: VideoModel, dataset: Any, views: int, kind: str) -> tuple[Passport, str]:
    """On clips spread over a dataset."""
    count = min(CLIPS, len(dataset))
    clips = torch.stack([dataset[i * len(dataset) // count][0] for i in range(count)], dim=1)
    return measure(model, clips, views=views), f"firing rates measured on {count} {kind} clips"


def _stated(name: str, source: Source) -> tuple[Passport, str]:
    rates = read_rates(source.rates or "")
    note = f"firing rates from {source.rates}, no data seen"
    if name in ARCHITECTURES:
        model, clip = _architecture(name, source)
        return estimate(model, rates, clip=clip, views=source.views or 1), note
    model = load_model(name)
    frames, side, views = getattr(model.config, "frames", None), getattr(model.config, "image_size", None), 1
    if model.metadata.preprocess or source.data:
        spec = data_of(model, list(source.data))
        frames, side, views = spec.frames, spec.size, spec.views
    frames, side, views = source.frames or frames, source.size or side, source.views or views
    if frames is None or side is None:
        raise ConfigError(f"{name} does not say what clips it is for; give --frames and --size")
    clip = (frames, model.config.in_channels, side, side)
    return estimate(model, rates, clip=clip, views=views, weights=weights_hash(model)), note


def _architecture(name: str, source: Source) -> tuple[VideoModel, tuple[int, int, int, int]]:
    """A model without weights, and the clip it is for: its own unless frames or size say otherwise."""
    frames, side = architecture(name).clip
    side = source.size or side
    clip = (source.frames or frames, architecture(name).config.in_channels, side, side)
    _check(clip)
    with torch.device("meta"):
        return create_model(name, **_shape(name, clip)), clip


def _untrained(name: str, source: Source) -> tuple[Passport, str]:
    frames, size = (4 if source.frames is None else source.frames), (224 if source.size is None else source.size)
    _check((frames, 3, size, size))
    torch.manual_seed(0)
    model = create_model(name, **_shape(name, (frames, 3, size, size)))
    dataset = MotionClips(2, frames=frames, height=size, width=size)
    clips = torch.stack([dataset[i][0] for i in range(2)], dim=1) * 2 - 1
    calibrate(model, [clips])
    return measure(model, clips[:, :1], views=source.views or 1), (
        f"random weights, norms calibrated on 2 procedural clips of {frames} x {size} x {size}: operations are exact, "
        "firing rates are those of an untrained network"
    )


def _shape(name: str, clip: Sequence[int]) -> dict[str, int]:
    """Fields of a configuration that are tied to the clip."""
    tied = isinstance(architecture(name).config, SVFormerConfig)
    return {"frames": clip[0], "image_size": clip[2]} if tied else {}


def _check(clip: Sequence[int]) -> None:
    if clip[0] < 1 or clip[2] < 16:
        raise ConfigError(f"--frames must be at least 1 and --size at least 16, got {clip[0]} and {clip[2]}")
