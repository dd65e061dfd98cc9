"""From a DataSpec to datasets and loaders."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from spikereel.data.clips import Clips
from spikereel.data.events.simulate import EventSimulator, SimulatedEvents
from spikereel.data.mask_clips import SegmentationClips
from spikereel.data.mirrored import MirroredClips
from spikereel.data.pose import PoseClips
from spikereel.data.walk import SAID
from spikereel.errors import ConfigError
from spikereel.models.base import Task
from spikereel.runs.batches import EpochOrder, SameSize, Shares, sizes_of
from spikereel.runs.carry import Carrying, CarryingCollate, CarryingLoader, go_on_working
from spikereel.runs.data import DataSpec, Split
from spikereel.runs.kinds import COMMON, EVENTS, KINDS, REFUSED, Ask, Use, channels_of, sees_recordings, use_of
from spikereel.runs.mirrors import mirror_plan
from spikereel.runs.readings import event_form, event_reading

__all__ = [
    "DataPassport",
    "build_dataset",
    "build_loader",
    "build_pose_dataset",
    "build_segmentation_dataset",
    "channels_of",
    "data_passport",
    "idle_options",
    "note_of",
    "options_of",
    "sees_recordings",
]


def build_dataset(
    spec: DataSpec,
    split: Split,
    *,
    task: Task = "classification",
    seed: int = 0,
    classes: tuple[str, ...] | None = None,
    views: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Any:
    """The clips of a split, as the row of the kind for the task builds them (`spikereel.runs.kinds`).

    Items are `(video float32 [T, C, H, W], target)`; with `views`, where the kind has several, [views, T, C, H, W];
    training clips [copies, T, C, H, W] where `spec.copies` is above 1. The target is a label (classification), a
    `Target` of joints (pose), or masks int64 [T, H, W], 255 where nothing is labelled (segmentation): in training all
    labelled frames of a clip have theirs, else the frame at offset 0 alone, so that each is judged once.
    classes: those of the trained model, so that a test folder may lack some.
    Raises ConfigError for a kind that is not for the task, and options that it does not have.
    """
    use = use_of(spec, task)
    _refuse(spec, task, use)
    ask = Ask(split=split, seed=seed, classes=classes, views=views, progress=progress)

    def made(spec: DataSpec) -> Any:
        return use.build(spec, ask) if spec.simulate is None or task != "classification" else _simulated(spec, use, ask)

    return _mirrored(made, spec, task, seed) if split == "train" else made(spec)


def _mirrored(made: Callable[[DataSpec], Any], spec: DataSpec, task: str, seed: int) -> Any:
    """Training clips of which half are mirrored, with the classes that the mirror makes of theirs."""
    clips = made(spec)
    carried, plan, line = mirror_plan(spec, clips.classes, task)
    if not plan and carried == spec:
        return clips
    clips = made(replace(spec, flip=False))
    clips = MirroredClips(clips, plan.labels(clips.classes), seed=seed) if plan else clips
    clips.notes = (*clips.notes, *([line] if line else ()))
    return clips


def build_pose_dataset(spec: DataSpec, split: Split, *, seed: int = 0) -> PoseClips:
    """`build_dataset` for task=pose."""
    return build_dataset(spec, split, task="pose", seed=seed)


def build_segmentation_dataset(spec: DataSpec, split: Split, *, seed: int = 0) -> SegmentationClips:
    """`build_dataset` for task=segmentation."""
    return build_dataset(spec, split, task="segmentation", seed=seed)


def _refuse(spec: DataSpec, task: str, use: Use) -> None:
    if spec.size < 1 and not KINDS[spec.kind].keeps_size:
        raise ConfigError(f"data.size must be at least 1, got {spec.size}; masks alone may keep the size of the frames")
    own = DataSpec()
    for name, tasks in REFUSED.items():
        if task in tasks and name not in use.reads and getattr(spec, name) != getattr(own, name):
            raise ConfigError(
                f"data.{name} is not for data.kind={spec.kind} in task={task}; leave it at {getattr(own, name)}"
            )
    # rgb, the default, may stand for nothing said
    silent = spec.modality == own.modality and len(use.modalities) == 1
    if spec.modality not in use.modalities and not silent:
        videos = use.modalities == (own.modality,) and "simulate" in use.reads
        way_out = "; data.modality=rgb data.simulate=0.2 makes events of them" if videos else ""
        raise ConfigError(
            f"data.modality is {spec.modality}: the clips of {spec.kind} have {', '.join(use.modalities)}{way_out}"
        )


def _simulated(spec: DataSpec, use: Use, ask: Ask) -> SimulatedEvents:
    """Simulated events between the frames of clips, one frame more than time bins."""
    if spec.modality != "rgb" or spec.depth_motion or spec.trails:
        raise ConfigError(f"data.simulate is for videos: data.kind={spec.kind} with these options is no video")
    assert spec.simulate is not None
    if not 0 < spec.simulate < np.inf:
        raise ConfigError(f"data.simulate is {spec.simulate}: give a threshold of log intensity above 0, such as 0.25")
    # the simulator takes pixels in [0, 1]
    plain = replace(spec, simulate=None, frames=spec.frames + 1, mean=(0.0,), std=(1.0,), flip=False)
    reading = event_reading(spec, train=ask.split == "train", seed=ask.seed)
    return SimulatedEvents(use.build(plain, ask), reading, EventSimulator(threshold=spec.simulate))


def options_of(spec: DataSpec, task: str) -> set[str]:
    """Names of the options that training or judging a task on such data reads, or refuses."""
    reads = COMMON | (use_of(spec, task).reads if task in KINDS[spec.kind].uses else frozenset())
    reads |= {name for name, tasks in REFUSED.items() if task in tasks}
    if spec.simulate is not None and "simulate" in reads:
        # events are not normalised
        reads = (reads | EVENTS) - {"mean", "std"}
    return {name for name in reads if name not in MOOT or not MOOT[name](spec, reads)}


def idle_options(spec: DataSpec, task: str) -> list[str]:
    """Names of the options of `spec` that were changed and that neither training nor judging a task reads."""
    own, reads = DataSpec(), options_of(spec, task)
    changed = (f.name for f in fields(DataSpec) if getattr(spec, f.name) != getattr(own, f.name))
    return [name for name in changed if name not in reads]


MOOT: dict[str, Callable[[DataSpec, frozenset[str]], bool]] = {
    "counts": lambda spec, reads: event_form(spec) != "frames",
    "by": lambda spec, reads: event_form(spec) != "frames",
    "bin_us": lambda spec, reads: event_form(spec) != "frames" or spec.by != "time",
    "bin_edges": lambda spec, reads: event_form(spec) == "voxels" or spec.bin_us is not None,
    "rest": lambda spec, reads: event_form(spec) == "voxels" or spec.bin_us is not None,
    "voxel_span": lambda spec, reads: event_form(spec) != "voxels",
    "tau_us": lambda spec, reads: event_form(spec) != "surface",
    "average": lambda spec, reads: spec.views == 1,
    "overlap": lambda spec, reads: not spec.window,
    "mirror": lambda spec, reads: not spec.flip,
    "fold": lambda spec, reads: "protocol" in reads and spec.protocol == "official",
    "select_on_test": lambda spec, reads: {"fold", "protocol"} <= reads and spec.protocol != "official",
}
"""Options that a kind reads, and when another option makes them mean nothing."""


def note_of(spec: DataSpec, task: str) -> str | None:
    """One line on the idle options; None where there are none."""
    idle = [f"data.{name}" for name in idle_options(spec, task)]
    if not idle:
        return None
    doing = "does" if len(idle) == 1 else "do"
    return f"{', '.join(idle)} {doing} nothing with data.kind={spec.kind} for {task}"


@dataclass(frozen=True, kw_only=True)
class DataPassport:
    """Which data a result is for: it stands beside every figure."""

    clips: int
    """Clips read."""
    missing: int
    """Files on the official list and not on this disk."""
    skipped: int
    """Broken files, left out."""
    hash: str
    """Of names, sizes and labels of all files read, not their content, and of the names of missing ones."""
    simulated: bool
    """Whether events were made from video, not recorded."""
    left_out: int = 0
    """Files in the folders of the data that do not count by their names."""
    left_out_first: tuple[str, ...] = ()
    """The first of them."""
    choices: dict[str, str] = field(default_factory=dict)
    """Where a data set is published in several readings, the one taken, by option: split_rule, axes."""

    def __str__(self) -> str:
        facts = [f"{self.hash[:12]}, {self.clips} clips"]
        facts += [f"{getattr(self, name)} {name}" for name in ("missing", "skipped") if getattr(self, name)]
        if self.left_out:
            more = ", ..." if self.left_out > len(self.left_out_first) else ""
            facts.append(f"{self.left_out} left out ({', '.join(self.left_out_first)}{more})")
        facts += [f"{name}={value}" for name, value in self.choices.items()]
        return ", ".join([*facts, "simulated events"] if self.simulated else facts)


def data_passport(dataset: Clips) -> DataPassport:
    """The passport of a dataset."""
    left_out = getattr(dataset, "left_out", ())
    return DataPassport(
        clips=len(dataset),
        missing=len(dataset.missing),
        skipped=len(dataset.skipped),
        hash=dataset.fingerprint(),
        simulated=dataset.simulated,
        left_out=len(left_out),
        left_out_first=tuple(path.name for path in left_out[:SAID]),
        choices=dict(dataset.choices),
    )


def skipped_files(*datasets: Clips) -> tuple[tuple[str, str], ...]:
    """(file, reason) of all files that were left out of any of them, once each."""
    pairs = (pair for dataset in datasets for pair in dataset.skipped)
    return tuple(dict.fromkeys((str(path), reason) for path, reason in pairs))


def build_loader(
    dataset: Clips, spec: DataSpec, *, batch: int, shuffle: bool, seed: int = 0, shared: bool = False
) -> DataLoader:
    """Batches [B, ...], by the dataset's own `collate` if it has one; training batches are shuffled, and the last one
    dropped where it is not full. Clips of unequal sizes are batched by size (`SameSize`), and none is dropped.

    The order of an epoch depends on (seed, epoch) alone: call `loader.sampler.set_epoch`. shared: each process of a run
    gets its share of every batch. Errors of the dataset, such
    as DataError for a broken file, come out of the workers as they are.
    """
    order = EpochOrder(len(dataset), seed, batch) if shuffle else None
    sizes = sizes_of(dataset)
    options: dict[str, Any] = {
        "num_workers": spec.workers,
        "persistent_workers": spec.workers > 0,
        "generator": torch.Generator().manual_seed(seed),
        "collate_fn": CarryingCollate(getattr(dataset, "collate", None)),
        "worker_init_fn": go_on_working,
    }
    full = shuffle and len(dataset) >= batch
    if sizes is not None and len(set(sizes)) > 1:
        batches: Any = SameSize(sizes, batch, order)
        batches = Shares(batches) if shared else batches
        return CarryingLoader(Carrying(dataset), batch_sampler=batches, **options)
    if shared:
        batches = Shares(BatchSampler(order or SequentialSampler(dataset), batch, full))
        return CarryingLoader(Carrying(dataset), batch_sampler=batches, **options)
    return CarryingLoader(Carrying(dataset), batch_size=batch, sampler=order, drop_last=full, **options)


def order_of(loader: DataLoader) -> EpochOrder | None:
    """The order of the items of a loader that shuffles."""
    order = getattr(loader.batch_sampler, "order", None) or loader.sampler
    return order if isinstance(order, EpochOrder) else None
