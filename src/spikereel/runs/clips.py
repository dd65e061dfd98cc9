"""From a DataSpec to datasets and loaders."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from spikereel.data.clips import LabelledClips
from spikereel.data.events.simulate import EventSimulator, SimulatedEvents
from spikereel.data.made.scenes import MotionClips
from spikereel.data.sets.folder import VideoFolder
from spikereel.data.sets.hmdb51 import HMDB51
from spikereel.data.sets.jester import Jester
from spikereel.data.sets.kinetics import Kinetics
from spikereel.data.sets.list import VideoList
from spikereel.data.sets.mmhpsd import SLICES
from spikereel.data.sets.motion import MotionVideos
from spikereel.data.sets.ntu import NTU60, NTU120
from spikereel.data.sets.something_v2 import SomethingV2
from spikereel.data.sets.ucf101 import UCF101
from spikereel.data.sets.ut_interaction import UTInteraction
from spikereel.data.sets.utd_mhad import OFFICIAL, UTDMHAD, DepthReading, find_clips
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.video.cache import FrameCache
from spikereel.data.video.clip import Reading
from spikereel.errors import ConfigError
from spikereel.runs.carry import Carrying, CarryingCollate, CarryingLoader
from spikereel.runs.config import MASK_KINDS, DataSpec
from spikereel.runs.event_clips import EVENT_KINDS, event_clips, event_reading, sees_recordings
from spikereel.runs.splits import Split, official, packed, part_of, root_of, split_folder, train_classes

VIDEO_SETS: dict[str, Callable[[DataSpec, Reading, Literal["train", "test"]], LabelledClips]] = {
    "ucf101": lambda spec, reading, split: UCF101(root_of(spec), reading, split=split, fold=_third(spec)),
    "hmdb51": lambda spec, reading, split: HMDB51(root_of(spec), reading, split=split, fold=_third(spec)),
    "ntu60": lambda spec, reading, split: NTU60(root_of(spec), reading, split=split, protocol=_ntu(spec)),
    "ntu120": lambda spec, reading, split: NTU120(root_of(spec), reading, split=split, protocol=_ntu(spec)),
}
"""Videos with official training and test lists."""

THREE_LISTS: dict[str, Callable[[Path, Reading, Split, tuple[str, ...] | None], LabelledClips]] = {
    "kinetics400": lambda root, reading, split, classes: Kinetics(root, reading, split=split, classes=classes),
    "kinetics600": lambda root, reading, split, classes: Kinetics(root, reading, split=split, classes=classes),
    "something_v2": lambda root, reading, split, _: SomethingV2(root, reading, split=split),
    "jester": lambda root, reading, split, _: Jester(root, reading, split=split),
}
"""Videos with official lists to train on, to choose by and to test on."""


def build_dataset(
    spec: DataSpec,
    split: Split,
    *,
    seed: int = 0,
    classes: tuple[str, ...] | None = None,
    views: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LabelledClips:
    """The clips of a split: items `(video float32 [T, C, H, W] or [views, T, C, H, W], label)`.

    Has `.classes` and `.fingerprint()`. classes: those of the trained model, so that a test folder may lack some.
    views: all `spec.clips` x `spec.crops` of them; otherwise the middle clip and crop. Training clips come as
    [copies, T, C, H, W] where `spec.copies` is above 1.
    """
    if spec.simulate is not None:
        return _simulated(spec, split, seed, classes, views, progress)
    if spec.kind in ("figure", "mmhpsd"):
        raise ConfigError(f"data.kind={spec.kind} has poses and no classes; use a recipe of task=pose")
    if spec.kind in MASK_KINDS:
        raise ConfigError(f"data.kind={spec.kind} has masks and no classes of clips; use a recipe of task=segmentation")
    if spec.trails and (spec.kind == "motion" or sees_recordings(spec)):
        raise ConfigError(f"data.trails is for videos and depth, and data.kind={spec.kind} has neither; leave it at 0")
    if spec.kind == "motion":
        return _motion(spec, split)
    root_of(spec)
    _check_modality(spec)
    if sees_recordings(spec):
        return event_clips(spec, split, seed, classes)
    if spec.kind == "utd_mhad":
        return _utd_mhad(spec, split, seed)
    return _files(spec, split, video_reading(spec, split, seed=seed, views=views, progress=progress), classes)


def _check_modality(spec: DataSpec) -> None:
    """Files are what they are; rgb, the default, may stand for nothing said."""
    own, way_out = "rgb", "; data.modality=rgb data.simulate=0.2 makes events of them"
    if spec.kind == "utd_mhad":
        own, way_out = "depth", ""
    elif spec.kind in EVENT_KINDS:
        own, way_out = "events", ""
    if spec.kind != "shards" and spec.modality not in ("rgb", own):
        raise ConfigError(f"data.modality is {spec.modality}: the clips of {spec.kind} have {own}{way_out}")


def video_reading(
    spec: DataSpec,
    split: Split,
    *,
    seed: int = 0,
    views: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """How the video files of a spec become clips; see `build_dataset`."""
    train = split == "train"
    transform = (
        TrainTransform(
            size=spec.size,
            scale=spec.crop_area,
            flip=spec.flip,
            mean=spec.mean,
            std=spec.std,
            randaugment=spec.randaugment,
            jitter=spec.jitter,
            erasing=spec.erasing,
            antialias=spec.antialias,
            whole=spec.whole,
        )
        if train
        else EvalTransform(
            size=spec.size,
            crops=spec.crops if views else 1,
            mean=spec.mean,
            std=spec.std,
            antialias=spec.antialias,
            whole=spec.whole,
        )
    )
    return Reading(
        frames=spec.frames,
        transform=transform,
        stride=spec.stride,
        clips=spec.clips if views and not train else 1,
        train=train,
        copies=spec.copies if train else 1,
        seed=seed,
        on_error=spec.on_error,
        progress=progress,
        cache=_cache(spec, train),
        trails=spec.trails,
        time_warp=spec.time_warp if train else 0.0,
    )


def _cache(spec: DataSpec, train: bool) -> FrameCache | None:
    """Frames no smaller than training crops need, or of the very size that evaluation shrinks them to."""
    if spec.cache is None:
        return None
    if spec.kind == "shards":
        raise ConfigError("data.cache is for video files and dvs128_gesture; shards are read as they are")
    return FrameCache(Path(spec.cache), ceil(spec.size / spec.crop_area[0] ** 0.5) if train else spec.size)


@dataclass(frozen=True, kw_only=True)
class DataPassport:
    """Which data a result is for: it stands beside every accuracy."""

    clips: int  # read
    missing: int  # on the official list and not on this disk
    skipped: int  # broken, and left out
    hash: str  # of names, sizes and labels of all files read, not their content, and of the names of missing ones
    simulated: bool  # events made from video, not recorded

    def __str__(self) -> str:
        facts = [f"{self.hash[:12]}, {self.clips} clips"]
        facts += [f"{getattr(self, name)} {name}" for name in ("missing", "skipped") if getattr(self, name)]
        return ", ".join([*facts, "simulated events"] if self.simulated else facts)


class Fingerprinted(Protocol):
    """Any dataset that knows what it read."""

    def __len__(self) -> int: ...

    def fingerprint(self) -> str: ...


def data_passport(dataset: Fingerprinted) -> DataPassport:
    """The passport of a dataset."""
    lacks = {name: len(getattr(dataset, name, ())) for name in ("missing", "skipped")}
    return DataPassport(
        clips=len(dataset), hash=dataset.fingerprint(), simulated=getattr(dataset, "simulated", False), **lacks
    )


def build_loader(dataset: LabelledClips, spec: DataSpec, *, batch: int, shuffle: bool, seed: int = 0) -> DataLoader:
    """Batches [B, ...], by the dataset's own `collate` if it has one; training batches are shuffled, and the last one
    dropped where it is not full.

    The order of an epoch depends on (seed, epoch) alone: call `loader.sampler.set_epoch`. Errors of the dataset, such
    as DataError for a broken file, come out of the workers as they are.
    """
    full = shuffle and len(dataset) >= batch
    return CarryingLoader(
        Carrying(dataset),
        batch_size=batch,
        sampler=EpochOrder(len(dataset), seed) if shuffle else None,
        drop_last=full,
        num_workers=spec.workers,
        persistent_workers=spec.workers > 0,
        generator=torch.Generator().manual_seed(seed),
        collate_fn=CarryingCollate(getattr(dataset, "collate", None)),
    )


class EpochOrder(Sampler[int]):
    """All items in an order that depends on seed and epoch, whatever was drawn before."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of what is read from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng([self.seed, self.epoch]).permutation(self.length).tolist()


def channels_of(spec: DataSpec) -> int:
    """Channels of the clips."""
    if spec.simulate is not None:
        return 2
    if spec.kind == "mmhpsd" and spec.modality == "events":
        return SLICES
    if spec.kind in ("figure", "mmhpsd", "utd_mhad") and spec.modality != "events":
        return 3 if spec.depth_motion or spec.trails else 1
    events = spec.kind in EVENT_KINDS or spec.modality in ("events", "surface")
    return 2 if events else 3


def _motion(spec: DataSpec, split: Split) -> MotionVideos:
    length = spec.train_length if split == "train" else spec.test_length
    seed = spec.seed + ("train", "val", "test").index(split)
    if spec.modality in ("depth", "grey"):
        raise ConfigError(f"data.modality is {spec.modality}: motion has rgb, events and surface")
    clips = MotionClips(
        2**31 if split == "train" else length,
        seed=seed,
        frames=spec.frames,
        height=spec.size,
        width=spec.size,
        modality=spec.modality,
    )
    mean, std = (spec.mean, spec.std) if spec.modality == "rgb" else ((0.0,), (1.0,))
    return MotionVideos(
        clips,
        length,
        mean=mean,
        std=std,
        focus=spec.focus if split == "train" else (),
        simulated=spec.modality != "rgb",
    )


def _third(spec: DataSpec) -> Literal[1, 2, 3]:
    if spec.fold not in (1, 2, 3):
        raise ConfigError(f"data.fold is {spec.fold}: {spec.kind} has the official splits 1, 2 and 3")
    return spec.fold


def _ntu(spec: DataSpec) -> Literal["cross_subject", "cross_view", "cross_setup"]:
    if spec.protocol == "official":
        raise ConfigError(
            f"data.protocol is official, which {spec.kind} has not: choose one of the cross_... protocols"
        )
    return spec.protocol


def _files(spec: DataSpec, split: Split, reading: Reading, classes: tuple[str, ...] | None) -> LabelledClips:
    root = root_of(spec)
    if spec.kind == "shards":
        return packed(spec, split, reading, classes)
    if spec.kind == "ut_interaction":
        if split == "test":
            return UTInteraction(root, reading, split="all")
        return UTInteraction(root, reading, split="train" if split == "train" else "test", fold=spec.fold)
    if spec.kind in VIDEO_SETS:
        return official(spec, split, lambda name: VIDEO_SETS[spec.kind](spec, reading, name))
    if spec.kind in THREE_LISTS:
        return THREE_LISTS[spec.kind](root, reading, split, classes)
    if spec.kind == "list":
        return part_of(VideoList(root, reading, classes=classes), spec, split)
    folder = split_folder(root, split)
    if folder is not None:
        return VideoFolder(folder, reading, classes=classes or train_classes(root))
    return part_of(VideoFolder(root, reading, classes=classes), spec, split)


def _simulated(
    spec: DataSpec,
    split: Split,
    seed: int,
    classes: tuple[str, ...] | None,
    views: bool,
    progress: Callable[[int, int], None] | None,
) -> LabelledClips:
    """Simulated events between the frames of clips, one frame more than time bins."""
    if spec.kind in EVENT_KINDS or spec.modality != "rgb" or spec.depth_motion or spec.trails:
        raise ConfigError(f"data.simulate is for videos: data.kind={spec.kind} with these options is no video")
    assert spec.simulate is not None
    if not 0 < spec.simulate < np.inf:
        raise ConfigError(f"data.simulate is {spec.simulate}: give a threshold of log intensity above 0, such as 0.25")
    # Pixels in [0, 1].
    plain = replace(spec, simulate=None, frames=spec.frames + 1, mean=(0.0,), std=(1.0,), flip=False)
    clips = build_dataset(plain, split, seed=seed, classes=classes, views=views, progress=progress)
    reading = event_reading(spec, train=split == "train", seed=seed)
    return SimulatedEvents(clips, reading, EventSimulator(threshold=spec.simulate))


def depth_reading(spec: DataSpec, *, train: bool, seed: int) -> DepthReading:
    """How the depth videos of a spec become clips, changed at random where they are for training."""
    return DepthReading(
        frames=spec.frames,
        size=spec.size,
        motion=spec.depth_motion or spec.trails > 0,
        history=spec.trails,
        train=train,
        shift=spec.shift,
        rotate=spec.rotate,
        zoom=spec.zoom,
        seed=seed,
    )


def _utd_mhad(spec: DataSpec, split: Split, seed: int) -> LabelledClips:
    root, reading = root_of(spec), depth_reading(spec, train=split == "train", seed=seed)
    if spec.protocol == "official":
        return official(spec, split, lambda name: UTDMHAD(root, reading, subjects=OFFICIAL[name]))
    if split == "test":
        return UTDMHAD(root, reading)
    return UTDMHAD(root, reading, subjects=leave_one_out(spec, split))


def leave_one_out(spec: DataSpec, split: Split) -> set[int]:
    """Subjects of UTD-MHAD: the one `data.fold` to judge on, all others that are there to train on."""
    present = {subject for _, _, subject in find_clips(root_of(spec))}
    if spec.fold not in present:
        raise ConfigError(
            f"data.fold is {spec.fold}: the subjects in {spec.root} are {', '.join(map(str, sorted(present)))}"
        )
    return present - {spec.fold} if split == "train" else {spec.fold}
