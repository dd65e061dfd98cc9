"""What a row of the table of kinds holds, and the options of `data.*` that kinds have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import Skeleton
from spikereel.data.events.recording import Events
from spikereel.data.events.source import UNTOLD, Sensor, Told
from spikereel.runs.data import DataSpec, Split


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Which clips of a kind are wanted."""

    split: Split
    seed: int = 0
    """Of everything random."""
    classes: tuple[str, ...] | None = None
    """Those of the trained model, so that a folder may lack some."""
    views: bool = False
    """All views of a video, else the middle one."""
    progress: Callable[[int, int], None] | None = None
    """Told how many of how many files were looked at."""


Build = Callable[[DataSpec, Ask], Any]


@dataclass(frozen=True, kw_only=True)
class Use:
    """A kind of data for one task."""

    build: Build
    reads: frozenset[str]
    """Options of `data.*` that change something, beside those of `COMMON`."""
    modalities: tuple[str, ...] = ("rgb",)
    """What can be seen of it. rgb, the default, stands for nothing said where the only choice is another one."""
    recordings: bool = False
    """Whether clips are made of event recordings."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of data."""

    uses: Mapping[str, Use]
    """By task; `task.modality` where a modality has a row of its own."""
    file: str | None = None
    """The file in `spikereel.data.sets`; None where it is called as the kind."""
    depth: bool = False
    """Pictures of one channel, three with motion."""
    event_channels: int = 2
    sensor: Sensor | None = None
    """Width and height, for files that may not state it."""
    told: Told = UNTOLD
    """What recordings of arrays and text do not say."""
    turn: Callable[[Events, str | None], Events] | None = None
    """What `data.axes` does to a recording; None where nothing."""
    classes: int | None = None
    """How many as published, for plans that are made without the data; None where that differs."""
    suffixes: frozenset[str] = frozenset()
    """Endings of its recordings beside those of all recordings."""
    keeps_size: bool = False
    """Whether clips may have the size of the frames, `data.size=0`."""
    films_depth: bool = False
    """Whether its pictures are depth, and its events simulated from that."""
    skeleton: Skeleton | None = None
    camera: Camera = STANDARD
    """Of poses: the camera that sees what the network sees."""
    judged_step: int | None = None
    """Of poses: frames of the recording from one frame of a clip to the next in judging; None is data.stride."""
    window_us: int | None = None
    """Microseconds of a recording that make a clip; None takes it whole."""
    step_seconds: Callable[[DataSpec], float] | None = None
    """What one step of an offset means; None where that is not known."""
    labels: Callable[[DataSpec], Any] | None = None
    """Where classes and colours of masks are known: something with `classes` and `palette`, or None."""


VIDEO = frozenset(
    {
        *(
            "root",
            "stride",
            "trails",
            "time_warp",
            "mean",
            "std",
            "antialias",
            "whole",
            "colour",
            "channel_order",
            "aspect",
            "crop_area",
            "flip",
            "mirror",
            "simulate",
        ),
        *("randaugment", "jitter", "erasing", "copies", "clips", "crops", "mirrored", "average", "on_error", "cache"),
        *("shift", "rotate", "zoom"),
    }
)

EVENTS = frozenset(
    {
        *(
            "root",
            "counts",
            "form",
            "by",
            "bin_us",
            "tau_us",
            "flip",
            "mirror",
            "shift",
            "rotate",
            "zoom",
            "drop",
            "polarity_flip",
        ),
        *("jitter_us", "on_error", "representation", "convention", "event_channels", "bin_edges", "rest", "voxel_span"),
    }
)

MASKS = frozenset(
    {
        *(
            "root",
            "stride",
            "mean",
            "std",
            "flip",
            "mirror",
            "jitter",
            "gamma",
            "offsets",
            "offset_unit",
            "scale",
            "crop",
            "window",
        ),
        "overlap",
    }
)

MADE = frozenset({"train_length", "test_length", "seed", "stride"})

COMMON = frozenset({"kind", "split", "frames", "size", "workers", "modality"})

REFUSED: dict[str, tuple[str, ...]] = {
    "trails": ("classification", "pose", "segmentation"),
    "simulate": ("classification",),
    "time_warp": ("pose", "segmentation"),
}
