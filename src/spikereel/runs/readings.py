"""From `data.*` options to readings: how files of each sort become clips, changed at random in training."""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

from spikereel.data.events.augment import EventAugment
from spikereel.data.events.conventions import Convention, convention
from spikereel.data.events.reading import EventReading
from spikereel.data.events.source import Told
from spikereel.data.mask_clips import MaskReading
from spikereel.data.sets.figure import FigureReading
from spikereel.data.sets.mmhpsd import StreamReading
from spikereel.data.sets.utd_mhad import DepthReading
from spikereel.data.sets.utd_mhad_pose import WindowReading
from spikereel.data.transforms import EvalTransform, TrainTransform
from spikereel.data.turn import Turn
from spikereel.data.video.cache import FrameCache
from spikereel.data.video.clip import Reading
from spikereel.data.video.rendering import Rendering
from spikereel.data.warp import Warping
from spikereel.errors import ConfigError
from spikereel.runs.data import MEMORY, SPLITS, DataSpec, Split

POSE_STRIDE = 2
"""data.stride of poses where none is given."""


def video_reading(
    spec: DataSpec,
    split: Split,
    *,
    seed: int = 0,
    views: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """How video files become clips; views: all `spec.views` of them, else the middle one."""
    train = split == "train"
    pixels: dict[str, Any] = {"mean": spec.mean, "std": spec.std, "antialias": spec.antialias, "whole": spec.whole}
    if train:
        transform = TrainTransform(
            size=spec.size,
            scale=spec.crop_area,
            flip=spec.flip,
            randaugment=spec.randaugment,
            jitter=spec.jitter,
            erasing=spec.erasing,
            turn=Turn(rotate=spec.rotate, zoom=spec.zoom, shift=spec.shift),
            **pixels,
        )
    else:
        transform = EvalTransform(
            size=spec.size, crops=spec.crops if views else 1, mirrored=views and spec.mirrored, **pixels
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
        rendering=rendering_of(spec),
    )


def _cache(spec: DataSpec, train: bool) -> FrameCache | None:
    """Frames no smaller than training crops need, or of the very size that evaluation shrinks them to.

    What is squeezed whole is judged from the file: shrinking its frames twice would give other pixels.
    """
    if spec.cache is None or (spec.whole and not train):
        return None
    folder = None if spec.cache == MEMORY else Path(spec.cache)
    return FrameCache(folder, ceil(spec.size / spec.crop_area[0] ** 0.5) if train else spec.size, rendering_of(spec))


def rendering_of(spec: DataSpec) -> Rendering:
    """How decoded frames of videos become pictures."""
    return Rendering(colour=spec.colour, aspect=spec.aspect, order=spec.channel_order)


def given_sensor(spec: DataSpec) -> tuple[int, int] | None:
    """Width and height that `data.sensor` gives for recordings that do not state them; ConfigError for no such."""
    if spec.sensor and (len(spec.sensor) != 2 or min(spec.sensor) < 1):
        raise ConfigError(f"data.sensor is {list(spec.sensor)}: give [width, height] in pixels, such as [128, 128]")
    return (spec.sensor[0], spec.sensor[1]) if spec.sensor else None


def given_told(spec: DataSpec) -> Told:
    """What is told of recordings that do not say it. Raises ConfigError for what cannot be."""
    return Told(columns=spec.columns, time_unit=spec.time_unit, time_origin=spec.time_origin)


def event_reading(spec: DataSpec, *, train: bool, seed: int) -> EventReading:
    """How events become clips."""
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
        form=event_form(spec),
        convention=convention_of(spec),
        by=spec.by,
        values=spec.counts,
        tau_us=spec.tau_us,
        size=(spec.size, spec.size),
        train=train,
        seed=seed,
        augment=augment if train else None,
    )


def event_form(spec: DataSpec) -> Literal["frames", "voxels", "surface"]:
    """What a bin of events shows."""
    return spec.representation or spec.form


def convention_of(spec: DataSpec) -> Convention:
    """Whose frames, voxel grids and surfaces clips are. Raises ConfigError where a library has none such."""
    own = {"channels": spec.event_channels, "edges": spec.bin_edges, "rest": spec.rest, "span": spec.voxel_span}
    return convention(spec.convention, event_form(spec), **own)


def depth_reading(spec: DataSpec, *, train: bool, seed: int) -> DepthReading:
    """How depth videos become clips of actions."""
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


def window_reading(spec: DataSpec, split: Split, seed: int) -> WindowReading:
    """How depth videos become clips of poses."""
    return WindowReading(
        frames=spec.frames,
        size=spec.size,
        stride=spec.stride or POSE_STRIDE,
        form=form_of(spec),
        train=split == "train",
        warping=replace(_warping(spec), metric=True),
        seed=seed,
    )


def stream_reading(spec: DataSpec, split: Split, seed: int) -> StreamReading:
    """How streams of events or grey pictures become clips of poses."""
    form: Literal["events", "grey"] = "grey" if spec.modality == "grey" else "events"
    return StreamReading(
        frames=spec.frames, size=spec.size, form=form, train=split == "train", warping=_warping(spec), seed=seed
    )


def figure_reading(spec: DataSpec, split: Split, seed: int) -> FigureReading:
    """How the figure becomes clips; each split and seed has people of its own."""
    return FigureReading(
        frames=spec.frames,
        stride=spec.stride or POSE_STRIDE,
        size=spec.size,
        view="depth" if spec.modality == "depth" else "grey",
        form=form_of(spec),
        seed=spec.seed + 3 * seed + SPLITS.index(split),
    )


def form_of(spec: DataSpec) -> Literal["plain", "motion", "events"]:
    """What a network for poses sees of the pictures; see `data.pose.channels`."""
    if spec.modality == "events":
        return "events"
    return "motion" if spec.depth_motion else "plain"


def _warping(spec: DataSpec) -> Warping:
    return Warping(rotate=spec.rotate, zoom=spec.zoom, shift=spec.shift / spec.size, flip=0.5 if spec.flip else 0.0)


def mask_reading(spec: DataSpec, split: Split, seed: int, *, stride: int = 1) -> MaskReading:
    """How frames with masks become clips; stride: where `data.stride` is not given."""
    return MaskReading(
        offsets=offsets_of(spec, stride),
        unit=spec.offset_unit,
        size=spec.size,
        train=split == "train",
        scale=spec.scale,
        crop=spec.crop,
        flip=0.5 if spec.flip else 0.0,
        jitter=spec.jitter,
        gamma=spec.gamma,
        mean=spec.mean,
        std=spec.std,
        seed=seed,
    )


def offsets_of(spec: DataSpec, stride: int = 1) -> tuple[int, ...]:
    """Offsets of the frames of a clip: `data.offsets`, or `data.frames` of them up to 0, `data.stride` apart.

    stride: where none is given. Raises ConfigError where frames and offsets contradict each other.
    """
    if not spec.offsets:
        step = spec.stride or stride
        return tuple(range(-step * (spec.frames - 1), 1, step))
    if len(spec.offsets) != spec.frames:
        raise ConfigError(
            f"data.offsets has {len(spec.offsets)} numbers, data.frames is {spec.frames}; "
            f"give data.frames={len(spec.offsets)}"
        )
    return spec.offsets
