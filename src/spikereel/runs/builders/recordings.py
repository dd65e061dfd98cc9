"""Who builds clips of event recordings."""

from collections.abc import Callable
from typing import Any

from spikereel.data.events.reading import EventReading
from spikereel.data.sets import dailydvs200, nmnist
from spikereel.data.sets.dvs128_objects import DVS128Objects
from spikereel.data.sets.dvs_gesture_chain import DVSGestureChain
from spikereel.data.sets.events import EventFolder
from spikereel.runs import readings
from spikereel.runs.builders.videos import folders
from spikereel.runs.data import DataSpec
from spikereel.runs.kind import EVENTS, Ask, Kind, Use
from spikereel.runs.splits import official, part_of, root_of


def kind(load: Callable[[DataSpec, Ask, Any], Any], *reads: str, **changes: Any) -> Kind:
    """A kind of event recordings."""
    return Kind(uses={"classification": use(load, *reads)}, **changes)


def use(load: Callable[[DataSpec, Ask, Any], Any], *reads: str) -> Use:
    """The row of recordings for a task; load: makes the clips with a reading."""

    def build(spec: DataSpec, ask: Ask) -> Any:
        return load(spec, ask, readings.event_reading(spec, train=ask.split == "train", seed=ask.seed))

    return Use(build=build, reads=EVENTS | set(reads), modalities=("events",), recordings=True)


def folder(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """A folder with a subfolder for each class."""
    options: Any = {"on_error": spec.on_error, "sensor": readings.given_sensor(spec)}
    return folders(spec, ask, lambda root, classes: EventFolder(root, reading, classes=classes, **options))


def listed(cls: Callable[..., Any], *options: str) -> Callable[[DataSpec, Ask, Any], Any]:
    """Recordings with a list, or a rule of ours, that says what is for training and what for test."""

    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        own: Any = {name: getattr(spec, name) for name in ("on_error", *options)}
        return official(spec, ask.split, lambda split: cls(root_of(spec), reading, split=split, **own))

    return load


def digits(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """N-MNIST as published, or a list of it."""
    root = root_of(spec)
    if nmnist.has_folders(root):
        return listed(nmnist.NMNIST)(spec, ask, reading)
    return part_of(nmnist.NMNIST(root, reading, on_error=spec.on_error), spec, ask.split)


def objects(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """The earlier part of each recording, the later one, or all."""
    part: Any = {"train": "earlier", "val": "later", "test": "all"}[ask.split]
    return DVS128Objects(root_of(spec), reading, part=part, classes=ask.classes, on_error=spec.on_error)


def daily(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """DailyDVS-200 by its three lists."""
    return dailydvs200.DailyDVS200(root_of(spec), reading, split=ask.split, on_error=spec.on_error)


def chains(spec: DataSpec, ask: Ask) -> DVSGestureChain:
    """Chains, made of gestures."""
    train = ask.split == "train"
    return DVSGestureChain(
        root_of(spec),
        EventReading(bins=spec.frames, values=spec.counts, size=(spec.size, spec.size), train=train, seed=ask.seed),
        split=ask.split,
        length=spec.chain_length,
        gestures=spec.chain_gestures,
        repeat=spec.chain_repeat,
        seed=spec.seed,
        cache=spec.cache,
        on_error=spec.on_error,
    )
