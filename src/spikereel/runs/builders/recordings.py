"""Who builds clips of event recordings."""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from spikereel.data.events.reading import EventReading
from spikereel.data.sets import nmnist
from spikereel.data.sets.chains import Chains, whole_frames
from spikereel.data.sets.dvs128_objects import DVS128Objects
from spikereel.data.sets.dvs_gesture_chain import DVSGestureChain
from spikereel.data.sets.events import EventFolder
from spikereel.runs import readings
from spikereel.runs.builders.videos import folders
from spikereel.runs.data import SPLITS, DataSpec
from spikereel.runs.kind import EVENTS, Ask, Build, Kind, Use
from spikereel.runs.origins import labels_of
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
    options["told"] = readings.given_told(spec)
    return folders(spec, ask, lambda root, classes: EventFolder(root, reading, classes=classes, **options))


def listed(cls: Callable[..., Any], *options: str, val_list: str | None = None, **facts: Any) -> Kind:
    """A kind whose lists, or a rule, say what is for training and what for test.

    cls: makes the clips of a split. options: of `data.*`, which it takes by the same names. val_list: the list to
    choose the best weights by; where there is none, or data.select_on_test is set, see `official`.
    """
    reads = {*options, "select_on_test", *(("sensor",) if facts.get("sensor") else ())}
    return kind(_split(cls, *options, val_list=val_list), *reads, **facts)


def _split(cls: Callable[..., Any], *options: str, val_list: str | None = None) -> Callable[[DataSpec, Ask, Any], Any]:
    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        own: Any = {name: getattr(spec, name) for name in ("on_error", *options)}
        if "sensor" in options:
            own["sensor"] = readings.given_sensor(spec)
        root = root_of(spec)
        if val_list is not None and not spec.select_on_test and (root / val_list).is_file():
            return cls(root, reading, split=ask.split, **own)
        return official(spec, ask.split, lambda split: cls(root, reading, split=split, **own))

    return load


def digits(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """N-MNIST as published, or a list of it."""
    root = root_of(spec)
    if nmnist.has_folders(root):
        return _split(nmnist.NMNIST)(spec, ask, reading)
    return part_of(nmnist.NMNIST(root, reading, on_error=spec.on_error), spec, ask.split)


def objects(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """The earlier part of each recording, the later one, or all."""
    part: Any = {"train": "earlier", "val": "later", "test": "all"}[ask.split]
    return DVS128Objects(root_of(spec), reading, part=part, classes=ask.classes, on_error=spec.on_error)


def chained(spec: DataSpec, ask: Ask, load: Build, people: Callable[[Any], Sequence[int]] | None = None) -> Chains:
    """Chains of the clips of another kind. load: makes those; people: of whom each is."""
    train = ask.split == "train"
    options: Any = {
        "frames": spec.frames,
        "length": spec.chain_length,
        "kinds": spec.chain_gestures,
        "repeat": spec.chain_repeat,
        "count": spec.train_length if train else spec.test_length,
        "seed": spec.seed + SPLITS.index(ask.split),
    }
    own = copy(spec)
    # `replace` would read every option, and so hide those that nothing reads
    object.__setattr__(own, "frames", whole_frames(spec.frames, spec.chain_length))
    clips = load(own, ask)
    labels = labels_of(clips)
    assert labels is not None
    return Chains(clips, labels, fresh=train, people=None if people is None else people(clips), **options)


def chains_of_digits(spec: DataSpec, ask: Ask) -> Chains:
    """Chains of N-MNIST."""
    row = use(digits)
    return chained(spec, ask, row.build)


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
