"""Dry steps: what a training step costs, measured on few clips in this process, before there is a run.

A clip stands in for all: the first of the data, or random pixels of its shape where the data is not here. The model is
a copy, and random numbers are drawn again afterwards, so that a run that is foreseen this way is the run without.
"""

import copy
import dataclasses
import json
import random
import statistics
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from spikereel.body.skeletons import KINECT20
from spikereel.config import build
from spikereel.errors import ConfigError
from spikereel.layers.observe import count_macs
from spikereel.models.base import VideoModel
from spikereel.runs.clips import channels_of
from spikereel.runs.config import Recipe
from spikereel.runs.kinds import KINDS
from spikereel.runs.model import build_model
from spikereel.runs.tasks import TASKS
from spikereel.train.meter import Peak, kept_for_backward, resident
from spikereel.train.module import TrainingModule

ASSUMED = 10
"""Classes where nothing says how many."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A step on so many clips."""

    clips: int
    peak: int
    """Bytes of the process at most."""
    kept: int
    """Bytes kept for the backward pass at most."""
    seconds: float
    cpu_seconds: float
    """Of all threads together; it is the time by the clock where one thread has a core to itself."""


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a dry step is made of."""

    module: TrainingModule
    item: Any
    """A clip with its target, as the data has them."""
    collate: Any
    clips: int | None = None
    """Of a pass over the training data; None where it is not here."""
    judged: int | None = None
    """Held-out clips."""
    item_seconds: float = 0.0
    """To prepare a clip."""
    said: tuple[str, ...] = ()
    """What was assumed."""


def ingredients(recipe: Recipe) -> Ingredients:
    """Of the data of a recipe where it is here, else of random clips of its shape.

    Raises ConfigError for a recipe that cannot be run.
    """
    from spikereel.train.run import training_parts

    try:
        train_set, val_set, module = training_parts(recipe)
    except ConfigError:
        if recipe.data.root is not None:
            raise
        return stand_in(recipe)
    return of_data(module, train_set, len(val_set))


def of_data(module: TrainingModule, train_set: Any, judged: int) -> Ingredients:
    """A clip of the training data, and how long it takes to prepare."""
    # the first one opens files
    train_set[0]
    began = time.perf_counter()
    item = train_set[len(train_set) // 2]
    return Ingredients(
        module=module,
        item=item,
        collate=getattr(train_set, "collate", None) or default_collate,
        clips=len(train_set),
        judged=judged,
        item_seconds=time.perf_counter() - began,
    )


class StandIn(Sequence[Any]):
    """One clip of random pixels and numbers, as the data of a recipe would have it."""

    def __init__(self, recipe: Recipe):
        spec, row = recipe.data, KINDS[recipe.data.kind]
        self.classes = tuple(str(i) for i in range(row.classes or ASSUMED))
        self.skeleton, self.camera = row.skeleton or KINECT20, row.camera
        height, width = spec.crop or (spec.size, spec.size)
        video = torch.randn(spec.frames, channels_of(spec), height, width)
        if spec.copies > 1:
            video = video[None].expand(spec.copies, *video.shape)
        self.item = video, TASKS[recipe.task].blank(self, spec.frames, (height, width))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> Any:
        return (self.item,)[index]


def stand_in(recipe: Recipe) -> Ingredients:
    """A random clip of the shape of a recipe's, for data that is not here."""
    spec, row, said = recipe.data, TASKS[recipe.task], ["the data is not here: give data.root for the time of a run"]
    clips, asked = StandIn(recipe), dataclasses.replace(recipe.model, start=None)
    fields = row.model_fields(clips)
    if "num_classes" in fields:
        said.append(f"{fields['num_classes']} classes{'' if KINDS[spec.kind].classes else ' assumed'}")
    if asked.body == "smpl":
        said.append("poses as joints: the body model is not here")
        asked = dataclasses.replace(asked, body="joints")
    model = build_model(asked, frames=spec.frames, size=spec.size, in_channels=channels_of(spec), **fields)
    module = TrainingModule(model, row.objective(recipe, model, clips), silent_epochs=0)
    module.recipe = recipe
    return Ingredients(module=module, item=clips.item, collate=default_collate, said=tuple(said))


def dry_steps(
    parts: Ingredients, *, most: int, seconds: float, memory: float = float("inf"), device: str = "cpu"
) -> Iterator[Point]:
    """Steps on 1, 4, 16 and so on to `most` clips, while they stay within so many seconds and bytes in all.

    Two sizes are tried whatever the time, since one alone says nothing of what each clip more takes. Seconds are those
    of a core, so that other work on the machine does not make a forecast worse.
    """
    place = torch.device(device)
    recipe = parts.module.recipe
    own = time.perf_counter if place.type == "cuda" else time.process_time
    threads = 1 if place.type == "cuda" else torch.get_num_threads()
    began, points = own(), list[Point]()
    clips = _least(parts.module.model)
    with _undrawn(place):
        module = TrainingModule(copy.deepcopy(parts.module.model), copy.deepcopy(parts.module.objective))
        module.model.to(place).train()
        optimizer = torch.optim.AdamW(module._groups(), lr=1e-6)
        while True:
            point = _measured(module, optimizer, parts, clips, recipe.run.precision, place)
            points.append(point)
            yield point
            if clips >= most:
                return
            following = min(4 * clips, most)
            each = (
                point.kept / clips if len(points) == 1 else (point.peak - points[-2].peak) / (clips - points[-2].clips)
            )
            grown = point.peak + (following - clips) * each * (2 if len(points) == 1 else 1)
            # three steps of it
            spent = (own() - began) / threads + 3 * point.cpu_seconds / threads * following / clips
            if grown > memory or (spent > seconds and len(points) > 1):
                return
            clips = following


@contextmanager
def _undrawn(place: torch.device) -> Generator[None, None, None]:
    """All that draws random numbers is afterwards where it was."""
    plain = random.getstate()
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(plain)


def _least(model: VideoModel) -> int:
    """Norms over single pixels of one time step want two clips."""
    return 2 if getattr(model.config, "head", None) == "conv" or getattr(model.config, "time_norm", False) else 1


def _measured(
    module: TrainingModule, optimizer: Any, parts: Ingredients, clips: int, precision: str, place: torch.device
) -> Point:
    batch = _moved(parts.collate([parts.item] * clips), place)
    peak = Peak(place)
    with kept_for_backward(module.model.parameters()) as kept:
        _step(module, optimizer, batch, precision, place)
    times: list[tuple[float, float]] = []
    # the first step of a size also plans its convolutions
    while len(times) < 2 or (sum(clock for clock, _ in times) < 0.5 and len(times) < 5):
        began, spent = time.perf_counter(), time.process_time()
        _step(module, optimizer, batch, precision, place)
        times.append((time.perf_counter() - began, time.process_time() - spent))
    clock, cpu = (statistics.median(x) for x in zip(*times, strict=True))
    return Point(clips=clips, peak=peak.read(), kept=kept.most, seconds=clock, cpu_seconds=cpu)


def _step(module: TrainingModule, optimizer: Any, batch: Any, precision: str, place: torch.device) -> None:
    half = {"bf16": torch.bfloat16, "16": torch.float16}.get(precision)
    if precision == "auto" and place.type == "cuda":
        half = torch.bfloat16
    with torch.autocast(place.type, dtype=half or torch.bfloat16, enabled=half is not None):
        clip, target = module.objective.prepare(batch)
        loss, _ = module.clip_loss(clip, target)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if place.type == "cuda":
        torch.cuda.synchronize()


def _moved(x: Any, place: torch.device) -> Any:
    if isinstance(x, Tensor):
        return x.to(place)
    if isinstance(x, dict):
        return {name: _moved(part, place) for name, part in x.items()}
    return tuple(_moved(part, place) for part in x) if isinstance(x, list | tuple) else x


def main() -> None:
    """A recipe as JSON on stdin, what it costs as JSON on stdout: in a process of its own, whose memory is its own."""
    from spikereel.train.run import ready_model

    asked = json.load(sys.stdin)
    recipe = build(Recipe, asked["recipe"])
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    torch.manual_seed(recipe.run.seed)
    parts = ingredients(recipe)
    ready_model(parts.module.model, recipe.run)
    before = resident()
    points = list(dry_steps(parts, **asked["limits"]))
    model = parts.module.model
    clip, _ = parts.module.objective.prepare(parts.collate([parts.item]))
    found = {
        "points": [dataclasses.asdict(point) for point in points],
        "before": before,
        "macs": count_macs(copy.deepcopy(model).to("meta"), clip.to("meta")),
        "parameters": sum(p.numel() for p in model.parameters()),
        "clips": parts.clips,
        "judged": parts.judged,
        "item_seconds": parts.item_seconds,
        "said": parts.said,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
