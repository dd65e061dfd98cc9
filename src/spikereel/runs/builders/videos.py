"""Who builds clips of video files: what the rows of `spikereel.runs.kinds` call."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikereel.data.sets.folder import VideoFolder
from spikereel.data.sets.hmdb51 import HMDB51
from spikereel.data.sets.kinetics import Kinetics
from spikereel.data.sets.list import VideoList
from spikereel.data.sets.ntu import NTU60, NTU120
from spikereel.data.sets.ucf101 import UCF101
from spikereel.data.sets.ut_interaction import UTInteraction
from spikereel.errors import ConfigError
from spikereel.runs import readings, splits
from spikereel.runs.data import DataSpec
from spikereel.runs.kind import VIDEO, Ask, Kind, Use
from spikereel.runs.splits import official, part_of, root_of


def kind(load: Callable[[DataSpec, Ask, Any], Any], **changes: Any) -> Kind:
    """A kind of video files; load: makes the clips with a reading."""

    def build(spec: DataSpec, ask: Ask) -> Any:
        reading = readings.video_reading(spec, ask.split, seed=ask.seed, views=ask.views, progress=ask.progress)
        return load(spec, ask, reading)

    reads = VIDEO | changes.pop("reads", frozenset())
    return Kind(uses={"classification": Use(build=build, reads=reads)}, **changes)


def folders(spec: DataSpec, ask: Ask, load: Callable[[Path, tuple[str, ...] | None], Any]) -> Any:
    """The folder of a split with the classes of training, or a part of one folder."""
    root = root_of(spec)
    found = splits.folder_of(root, ask.split)
    if found is None:
        return part_of(load(root, ask.classes), spec, ask.split)
    folder, shared = found
    clips = load(folder, ask.classes or splits.train_classes(root))
    return part_of(clips, spec, ask.split) if shared else clips


def folder(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """A folder with a subfolder for each class."""
    return folders(spec, ask, lambda root, classes: VideoFolder(root, reading, classes=classes))


def listed(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """A text list."""
    return part_of(VideoList(root_of(spec), reading, classes=ask.classes), spec, ask.split)


def sequences(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """UT-Interaction without a sequence; all of it for test."""
    if ask.split == "test":
        return UTInteraction(root_of(spec), reading, split="all")
    return UTInteraction(root_of(spec), reading, split="train" if ask.split == "train" else "test", fold=spec.fold)


def thirds(cls: type[UCF101] | type[HMDB51]) -> Callable[[DataSpec, Ask, Any], Any]:
    """Data with three official splits, by `data.fold`."""

    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        if spec.fold not in (1, 2, 3):
            raise ConfigError(f"data.fold is {spec.fold}: {spec.kind} has the official splits 1, 2 and 3")
        fold: Any = spec.fold
        return official(spec, ask.split, lambda own: cls(root_of(spec), reading, split=own, fold=fold))

    return load


def cross(cls: type[NTU60] | type[NTU120]) -> Callable[[DataSpec, Ask, Any], Any]:
    """NTU RGB+D by `data.protocol`."""

    def load(spec: DataSpec, ask: Ask, reading: Any) -> Any:
        protocol: Any = spec.protocol
        if protocol == "official":
            raise ConfigError(
                f"data.protocol is official, which {spec.kind} has not: choose one of the cross_... protocols"
            )
        return official(spec, ask.split, lambda own: cls(root_of(spec), reading, split=own, protocol=protocol))

    return load


def kinetics(spec: DataSpec, ask: Ask, reading: Any) -> Any:
    """Kinetics, whose folders are its splits."""
    return Kinetics(root_of(spec), reading, split=ask.split, classes=ask.classes)
