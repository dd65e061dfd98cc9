"""What a network sees of the frames of a live source: as its training clips were made, frame by frame, causally."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from spikereel.data.events.frames import to_frames
from spikereel.data.events.recording import Events
from spikereel.data.made.scenes import SURFACE_DECAY, events_from
from spikereel.data.mask_clips import short_side
from spikereel.data.masked import LabelledClip
from spikereel.data.pose import channels
from spikereel.data.trails import on_off
from spikereel.data.transforms import EvalTransform, normalise, to_float
from spikereel.errors import ConfigError, DataError
from spikereel.inference.look import EVENT_THRESHOLD
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import KINDS, offset_seconds, sees_recordings
from spikereel.runs.readings import POSE_STRIDE, form_of, offsets_of
from spikereel.streaming.reader import Frame

LUMA = torch.tensor([0.299, 0.587, 0.114])


@dataclass(kw_only=True)
class Seer:
    """Frames of one source as the network takes them: `videos = seer(frame)`, each [C, H, W].

    rate: frames a second that the network sees, those shown at equal steps of time, a slower source's repeated; None is
    every `stride`-th frame. What it remembers of the past (trails, the frame before) is forgotten by `reset`.
    """

    spec: DataSpec
    see: Callable[["Seer", Tensor | Events, float], Tensor]
    rate: float | None = None
    stride: int = 1
    before: Tensor | None = None
    mean: Tensor | None = None
    _next: float | None = None
    _last: float | None = None
    surface: Tensor | None = None
    _view: Tensor | None = None
    _count: int = 0

    def __call__(self, frame: Frame) -> list[Tensor]:
        """The network's frames that end with this one: none between two steps, several where the source was slow."""
        step = 0.0 if self._last is None else max(frame.time - self._last, 0.0)
        self._last = frame.time
        times = self._steps(frame.time)
        if not times and not self.spec.trails:
            return []
        shown, view = self._view, self.see(self, frame.content, step)
        self._view = view if times else shown
        return [view if shown is None or i == len(times) - 1 else shown for i in range(len(times))]

    def reset(self) -> None:
        """Forget the past."""
        self.before = self.mean = self.surface = self._next = self._last = self._view = None
        self._count = 0

    def _steps(self, now: float) -> list[float]:
        """Instants, at most a second of them, that this frame is the first one at or behind."""
        if self.rate is None:
            self._count += 1
            return [now] if (self._count - 1) % self.stride == 0 else []
        step = 1.0 / self.rate
        if self._next is None or now - self._next > 1.0:
            self._next = now
        found = []
        while self._next <= now + step / 4:
            found.append(self._next)
            self._next += step
        return found


def seer_of(model: VideoModel, *, rate: float | None = None) -> tuple[Seer, str | None]:
    """How the weights of a model see a live source, and a note where they do not say how fast.

    Raises ConfigError for weights that do not say how their clips were made, or whose clips cannot be made of a stream.
    """
    spec = data_spec_of(model.metadata)
    row = KINDS[spec.kind]
    if row.films_depth or spec.modality == "depth":
        raise ConfigError(
            f"these weights see depth of {spec.kind}, which live sources do not send; push frames yourself"
        )
    if spec.simulate is not None:
        raise ConfigError(
            "these weights see simulated events (data.simulate), which are made of whole clips; push frames"
        )
    if model.task == "segmentation":
        see = _masks
    elif model.task == "pose":
        see = _pose
    elif sees_recordings(spec):
        if spec.form != "frames" or spec.by != "time":
            raise ConfigError(f"these weights see events as {spec.form} by {spec.by}; a stream cuts frames by time")
        see = _events
    else:
        see = {"rgb": _colours, "events": _changes, "surface": _changes}[spec.modality]
    note = None
    if rate is None and spec.stride is None and model.task == "classification" and see is not _events:
        note = "training spread the frames of a clip over whole videos: every frame is seen; --rate N sees N a second"
    return Seer(spec=spec, see=see, rate=rate, stride=usual_stride(model) or 1), note


def usual_stride(model: VideoModel) -> int | None:
    """Frames of a video between those that the network sees, as in training; None where training does not say."""
    spec = data_spec_of(model.metadata)
    if model.task == "pose":
        return spec.stride or POSE_STRIDE
    if model.task == "segmentation":
        offsets = offsets_of(spec)
        return offsets[-1] - offsets[-2] if len(offsets) > 1 and not offset_seconds(spec) else None
    return spec.stride


def _colours(seer: Seer, content: Tensor | Events, step: float) -> Tensor:
    spec = seer.spec
    transform = EvalTransform(size=spec.size, mean=spec.mean, std=spec.std, antialias=spec.antialias, whole=spec.whole)
    picture = _rgb(content)
    if not spec.trails:
        return transform(picture[None])[0]
    small = transform.by_frame()
    assert small is not None
    grey = (to_float(small(picture[None])) * LUMA[:, None, None]).sum(1)[0]
    if seer.before is not None and seer.mean is not None:
        seer.mean = torch.lerp(seer.before, seer.mean, math.exp(-step / spec.trails))
    else:
        seer.mean = grey
    seer.before = grey
    return transform.finish(torch.stack([grey, *on_off(grey - seer.mean)])[None])[0]


def _changes(seer: Seer, content: Tensor | Events, _: float) -> Tensor:
    """What changed since the frame before, as procedural events, or their time surface."""
    spec = seer.spec
    now = EvalTransform(size=spec.size, mean=(0.0,), std=(1.0,), antialias=spec.antialias, whole=spec.whole)(
        _rgb(content)[None]
    )[0]
    before = now if seer.before is None else seer.before
    events = torch.from_numpy(events_from(torch.stack([before, now]).numpy(), threshold=EVENT_THRESHOLD))[0]
    seer.before = now
    if spec.modality == "surface":
        events = events if seer.surface is None else torch.maximum(events, SURFACE_DECAY * seer.surface)
        seer.surface = events
    return events


def _events(seer: Seer, content: Tensor | Events, _: float) -> Tensor:
    if not isinstance(content, Events):
        raise DataError("these weights see events, and the source sends pictures; give an event file or events://")
    spec = seer.spec
    frames = to_frames(content, 1, values=spec.counts, size=(spec.size, spec.size))
    return torch.from_numpy(frames)[0]


def _masks(seer: Seer, content: Tensor | Events, _: float) -> Tensor:
    clip, spec = LabelledClip(video=_rgb(content)[None]), seer.spec
    if spec.size:
        clip = clip.resize(*short_side(clip.size, spec.size))
    return normalise(clip.video, spec.mean, spec.std)[0]


def _pose(seer: Seer, content: Tensor | Events, _: float) -> Tensor:
    spec = seer.spec
    grey = (_rgb(content).float() / 255 * LUMA[:, None, None]).sum(0)
    side, (height, width) = max(grey.shape), grey.shape
    left, top = (side - width) // 2, (side - height) // 2
    square = torch.nn.functional.pad(grey, (left, side - width - left, top, side - height - top))
    small = torch.nn.functional.interpolate(
        square[None, None], (spec.size, spec.size), mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)
    before = small if seer.before is None else seer.before
    seer.before = small
    return channels(torch.stack([before, small]), form_of(spec))[0]


def _rgb(content: Tensor | Events) -> Tensor:
    """uint8 [3, H, W]."""
    if isinstance(content, Events):
        raise DataError("these weights see pictures, and the source sends events; give a video or a camera")
    return content.permute(2, 0, 1)
