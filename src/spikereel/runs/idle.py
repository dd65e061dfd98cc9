"""Which options do nothing for the data of a run, so that none is passed over in silence."""

from collections.abc import Callable
from dataclasses import fields

from spikereel.runs.clips import THREE_LISTS, VIDEO_SETS
from spikereel.runs.config import MASK_KINDS, DataSpec
from spikereel.runs.event_clips import EVENT_KINDS, EVENT_SETS, SENSORS, sees_recordings

GENERATED = frozenset({"motion", "figure"})
VIDEO_KINDS = frozenset({*VIDEO_SETS, *THREE_LISTS, "folder", "list", "ut_interaction"})


def idle_options(spec: DataSpec, task: str) -> list[str]:
    """Names of the options of `spec` that were changed and that neither training nor judging a task reads."""
    own = DataSpec()
    return [
        f.name
        for f in fields(DataSpec)
        if getattr(spec, f.name) != getattr(own, f.name) and f.name in READ_BY and not READ_BY[f.name](spec, task)
    ]


def note_of(spec: DataSpec, task: str) -> str | None:
    """One line on the idle options; None where there are none."""
    idle = [f"data.{name}" for name in idle_options(spec, task)]
    if not idle:
        return None
    doing = "does" if len(idle) == 1 else "do"
    return f"{', '.join(idle)} {doing} nothing with data.kind={spec.kind} for {task}"


def _videos(spec: DataSpec, task: str) -> bool:
    return spec.kind in VIDEO_KINDS or (spec.kind == "shards" and spec.modality == "rgb")


def _events(spec: DataSpec, task: str) -> bool:
    return sees_recordings(spec) or spec.simulate is not None


def _frames_of_events(spec: DataSpec, task: str) -> bool:
    return _events(spec, task) and spec.form == "frames"


def _mask_files(spec: DataSpec, task: str) -> bool:
    return spec.kind in MASK_KINDS


def _pixels(spec: DataSpec, task: str) -> bool:
    """Values in [0, 1] that are normalised, those of videos that `predict` gives to weights of clips we make too."""
    return spec.kind == "motion" or _mask_files(spec, task) or (_videos(spec, task) and spec.simulate is None)


def _resized(spec: DataSpec, task: str) -> bool:
    """Videos, and again those that `predict` gives to weights of clips we make."""
    return _videos(spec, task) or (spec.kind == "motion" and task == "classification")


def _warped(spec: DataSpec, task: str) -> bool:
    return _events(spec, task) or spec.kind in ("utd_mhad", "mmhpsd")


def _folds(spec: DataSpec, task: str) -> bool:
    if spec.kind == "utd_mhad":
        return spec.protocol != "official"
    return spec.kind in ("ut_interaction", "ucf101", "hmdb51", "folder", "list", "events", "nmnist", "masks", "shards")


def _official(spec: DataSpec, task: str) -> bool:
    if spec.kind == "utd_mhad":
        return spec.protocol == "official"
    return spec.kind in {*VIDEO_SETS, *EVENT_SETS, "nmnist", "cityscapes", "vspw"}


READ_BY: dict[str, Callable[[DataSpec, str], bool]] = {
    "root": lambda spec, task: spec.kind != "motion",
    "fold": _folds,
    "protocol": lambda spec, task: spec.kind in ("ntu60", "ntu120", "utd_mhad"),
    "select_on_test": _official,
    "stride": lambda spec, task: not sees_recordings(spec) and not (spec.kind == "utd_mhad" and task != "pose"),
    "focus": lambda spec, task: spec.kind == "motion" and task == "classification",
    "depth_motion": lambda spec, task: spec.kind in ("figure", "utd_mhad", "mmhpsd"),
    "time_warp": lambda spec, task: _videos(spec, task) or task != "classification",
    "smpl": lambda spec, task: task == "pose",
    "mean": _pixels,
    "std": _pixels,
    "crop_area": _videos,
    "whole": _resized,
    "flip": lambda spec, task: (
        _videos(spec, task)
        or _events(spec, task)
        or _mask_files(spec, task)
        or spec.kind == "mmhpsd"
        or (spec.kind == "utd_mhad" and task == "pose")
    ),
    "randaugment": _videos,
    "jitter": lambda spec, task: _videos(spec, task) or _mask_files(spec, task),
    "gamma": _mask_files,
    "erasing": _videos,
    "copies": _videos,
    "antialias": _resized,
    "counts": _frames_of_events,
    "form": _events,
    "by": _frames_of_events,
    "bin_us": lambda spec, task: _frames_of_events(spec, task) and spec.by == "time",
    "tau_us": lambda spec, task: _events(spec, task) and spec.form == "surface",
    "shift": _warped,
    "rotate": _warped,
    "zoom": _warped,
    "drop": _events,
    "polarity_flip": _events,
    "jitter_us": _events,
    "sensor": lambda spec, task: spec.kind in ("events", *SENSORS) or (spec.kind == "shards" and sees_recordings(spec)),
    "cache": lambda spec, task: _videos(spec, task) or spec.kind == "dvs128_gesture",
    "clips": _videos,
    "crops": _videos,
    "average": lambda spec, task: _videos(spec, task) and spec.clips * spec.crops > 1,
    "train_length": lambda spec, task: spec.kind in GENERATED,
    "test_length": lambda spec, task: spec.kind in GENERATED,
    "seed": lambda spec, task: spec.kind in GENERATED,
    "on_error": lambda spec, task: _videos(spec, task) or spec.kind in EVENT_KINDS or spec.kind == "shards",
    "offsets": _mask_files,
    "offset_unit": _mask_files,
    "held_out": lambda spec, task: spec.kind == "camvid",
    "scale": _mask_files,
    "crop": _mask_files,
    "window": lambda spec, task: task == "segmentation",
    "overlap": lambda spec, task: bool(spec.window),
}
"""Who reads an option; those that are not here are read by all, or refused where they mean nothing."""
