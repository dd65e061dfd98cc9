"""How frames become a network's input, as data: enough for a program that has not this library.

`steps` are done in order, each with all its numbers; docs/export.md says what each name means.
"""

from typing import Any

from spikereel.data.events.simulate import DARK
from spikereel.data.made.scenes import SURFACE_DECAY
from spikereel.data.pose import EVENT_CHANGE, FULL_CHANGE
from spikereel.data.trails import FULL, LUMA, REACH
from spikereel.data.transforms import LEAST_SPREAD
from spikereel.inference.look import EVENT_THRESHOLD, reading_of
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import KINDS, sees_recordings
from spikereel.runs.readings import POSE_STRIDE, form_of, offsets_of

SCHEMA = "spikereel.input/1"
Step = dict[str, Any]


def input_of(model: VideoModel) -> dict[str, Any] | None:
    """The input of a model in plain types; None for weights that do not say how clips were made.

    `steps` is None where only this library can make the input, and `why` says so.
    """
    if not model.metadata.preprocess:
        return None
    spec = data_spec_of(model.metadata)
    takes, steps, why = _steps(model, spec)
    return {
        "schema": SCHEMA,
        "takes": takes,
        "channels": model.config.in_channels,
        "clip": _clip(model, spec),
        "steps": steps,
        "why": why,
        "levels": 1,
    }


def _clip(model: VideoModel, spec: DataSpec) -> dict[str, Any]:
    """Which frames of a file make a clip; `floor(first + i * step + 1e-6)`, at most the last, for i in order."""
    if model.task == "segmentation":
        return {"offsets": list(offsets_of(spec)), "unit": spec.offset_unit}
    if model.task == "pose":
        return {"every": spec.stride or POSE_STRIDE, "frames": spec.frames}
    return {"frames": spec.frames, "stride": spec.stride}


def _steps(model: VideoModel, spec: DataSpec) -> tuple[str, list[Step] | None, str | None]:
    if model.task == "classification" and spec.simulate is not None:
        return "pictures", None, "simulated events, whose noise is drawn by a simulator: model.preprocess makes them"
    if KINDS[spec.kind].films_depth or spec.modality == "depth":
        return "depth", None, "depth is cut around the person of the whole clip: model.preprocess does it"
    if model.task == "pose":
        if KINDS[spec.kind].event_channels > 2 and spec.modality == "events":
            return "events", None, "event frames of this data set, which files have not"
        return "pictures", _pose(spec), None
    if model.task == "segmentation":
        return "pictures", [*_short_side(spec), *_normalised(spec)], None
    if sees_recordings(spec):
        return "events", [_events(spec)], None
    return "pictures", _pictures(spec), None


def _pictures(spec: DataSpec) -> list[Step]:
    crop = [] if spec.whole else [{"op": "crop", "size": [spec.size, spec.size]}]
    if spec.modality != "rgb":
        change = {
            "op": "log_change",
            "luma": list(LUMA),
            "plus": float(DARK),
            "threshold": EVENT_THRESHOLD,
            "first": "the frame one step before the clip, where there is one, else the first itself",
        }
        surface = [{"op": "surface", "decay": SURFACE_DECAY}] if spec.modality == "surface" else []
        return [*_resized(spec), *crop, _unit(), change, *surface]
    if spec.trails:
        trails = {
            "op": "trails",
            "luma": list(LUMA),
            "seconds": spec.trails,
            "full": FULL,
            "reach": REACH,
            "over": "all frames of the video from `reach` constants before the clip on",
        }
        return [*_resized(spec), _unit(), trails, *crop, *_normalised(spec, unit=False)]
    if spec.antialias:
        return [*_resized(spec), *crop, *_normalised(spec)]
    return [*_normalised(spec), *_resized(spec), *crop]


def _resized(spec: DataSpec) -> list[Step]:
    """bilinear: centres of pixels at half; antialias: a triangle as wide as the shrinking, as Pillow's; rounded: to
    whole levels after each resize."""
    side = {"size": [spec.size, spec.size]} if spec.whole else {"short_side": spec.size, "long_side": "floor"}
    return [{"op": "resize", **side, "filter": "bilinear", "antialias": spec.antialias, "rounded": spec.antialias}]


def _short_side(spec: DataSpec) -> list[Step]:
    if not spec.size:
        return []
    side = {"short_side": spec.size, "long_side": "round"}
    return [{"op": "resize", **side, "filter": "bilinear", "antialias": True, "rounded": True}]


def _unit() -> Step:
    return {"op": "divide", "by": 255}


def _normalised(spec: DataSpec, *, unit: bool = True) -> list[Step]:
    own = {"op": "normalise", "mean": list(spec.mean), "std": list(spec.std)}
    if not spec.mean:
        own = {"op": "normalise", "each": "channel of each frame by its own", "least_spread": LEAST_SPREAD}
    return [*([_unit()] if unit else []), own]


def _pose(spec: DataSpec) -> list[Step]:
    form = form_of(spec)
    steps: list[Step] = [
        _unit(),
        {"op": "grey", "luma": list(LUMA)},
        {"op": "pad", "to": "square", "value": 0},
        {"op": "resize", "size": [spec.size] * 2, "filter": "bilinear", "antialias": True, "rounded": False},
        {"op": "clamp", "low": 0, "high": 1},
    ]
    if form == "events":
        change = {"op": "log_change", "luma": None, "plus": float(DARK), "threshold": EVENT_CHANGE}
        steps.append({**change, "first": "the first frame itself"})
    elif form == "motion":
        steps.append({"op": "motion", "full": FULL_CHANGE, "first": "the first frame itself"})
    return steps


def _events(spec: DataSpec) -> Step:
    reading = reading_of(spec)
    how = reading.convention
    return {
        "op": "events",
        "form": reading.form,
        "bins": reading.bins,
        "bin_us": reading.bin_us,
        "window_us": reading.window_us,
        "part": "the middle of the recording, where bin_us or window_us is said; else all of it",
        "by": reading.by,
        "values": reading.values,
        "tau_us": reading.tau_us if reading.form == "surface" else None,
        "channels": how.channels,
        "edges": how.edges,
        "rest": how.rest,
        "span": how.span,
        "size": [spec.size, spec.size],
        "pixel": "(x * W // width, y * H // height)",
    }
