"""From a DataSpec to clips of event recordings."""

from collections.abc import Callable
from typing import Literal

from spikereel.data.clips import LabelledClips
from spikereel.data.events.augment import EventAugment
from spikereel.data.events.reading import EventReading
from spikereel.data.events.source import Sensor
from spikereel.data.sets.cifar10_dvs import CIFAR10DVS
from spikereel.data.sets.cifar10_dvs import SENSOR as CIFAR10_DVS_SENSOR
from spikereel.data.sets.dvs128_gesture import DVS128Gesture
from spikereel.data.sets.dvs128_objects import DVS128Objects
from spikereel.data.sets.events import EventFolder
from spikereel.data.sets.hardvs import HARDVS
from spikereel.data.sets.hardvs import SENSOR as HARDVS_SENSOR
from spikereel.data.sets.nmnist import NMNIST, has_folders
from spikereel.errors import ConfigError
from spikereel.runs.config import DataSpec
from spikereel.runs.splits import Split, official, packed, part_of, root_of, split_folder, train_classes

EVENT_SETS: dict[str, Callable[[DataSpec, EventReading, Literal["train", "test"]], LabelledClips]] = {
    "dvs128_gesture": lambda spec, reading, split: DVS128Gesture(
        root_of(spec), reading, split=split, cache=spec.cache, on_error=spec.on_error
    ),
    "cifar10_dvs": lambda spec, reading, split: CIFAR10DVS(root_of(spec), reading, split=split, on_error=spec.on_error),
    "hardvs": lambda spec, reading, split: HARDVS(root_of(spec), reading, split=split, on_error=spec.on_error),
}
"""Event recordings with a list, or a rule of ours, that says what is for training and what for test."""

SENSORS: dict[str, Sensor] = {"cifar10_dvs": CIFAR10_DVS_SENSOR, "hardvs": HARDVS_SENSOR}
"""Of datasets whose files may not state it."""

EVENT_KINDS = frozenset({"events", "nmnist", "dvs128_objects", *EVENT_SETS})


def sees_recordings(spec: DataSpec) -> bool:
    """Whether the clips are made of event recordings."""
    return spec.kind in EVENT_KINDS or (spec.kind == "shards" and spec.modality == "events")


def event_clips(spec: DataSpec, split: Split, seed: int, classes: tuple[str, ...] | None) -> LabelledClips:
    root, reading = root_of(spec), event_reading(spec, train=split == "train", seed=seed)
    if spec.kind == "shards":
        return packed(spec, split, reading, classes, sensor_of(spec))
    if spec.kind in EVENT_SETS:
        return official(spec, split, lambda name: EVENT_SETS[spec.kind](spec, reading, name))
    if spec.kind == "nmnist":
        if has_folders(root):
            return official(spec, split, lambda name: NMNIST(root, reading, split=name, on_error=spec.on_error))
        return part_of(NMNIST(root, reading, on_error=spec.on_error), spec, split)
    if spec.kind == "dvs128_objects":
        part: Literal["earlier", "later", "all"] = {"train": "earlier", "val": "later", "test": "all"}[split]
        return DVS128Objects(root, reading, part=part, classes=classes, on_error=spec.on_error)
    folder = split_folder(root, split)
    if folder is not None:
        names = classes or train_classes(root)
        return EventFolder(folder, reading, classes=names, on_error=spec.on_error, sensor=sensor_of(spec))
    files = EventFolder(root, reading, classes=classes, on_error=spec.on_error, sensor=sensor_of(spec))
    return part_of(files, spec, split)


def sensor_of(spec: DataSpec) -> Sensor | None:
    """Width and height for recordings that do not state them: those given, or of the camera that the dataset is of."""
    if spec.sensor and (len(spec.sensor) != 2 or min(spec.sensor) < 1):
        raise ConfigError(f"data.sensor is {list(spec.sensor)}: give [width, height] in pixels, such as [128, 128]")
    return (spec.sensor[0], spec.sensor[1]) if spec.sensor else SENSORS.get(spec.kind)


def event_reading(spec: DataSpec, *, train: bool, seed: int) -> EventReading:
    """How the events of a spec become clips, augmented where they are for training."""
    augment = EventAugment(
        flip=0.5 if spec.flip else 0.0,
        polarity=spec.polarity_flip,
        shift=spec.shift,
        rotate=spec.rotate,
        zoom=spec.zoom,
        drop=spec.drop,
        jitter_us=spec.jitter_us,
    )
    return EventReading(
        bins=spec.frames,
        bin_us=spec.bin_us,
        form=spec.form,
        by=spec.by,
        values=spec.counts,
        tau_us=spec.tau_us,
        size=(spec.size, spec.size),
        train=train,
        seed=seed,
        augment=augment if train else None,
    )
