"""What a network for classes sees of a file or clip. Training decides: videos, event recordings, or depth."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikereel.data.events.conventions import FORMULA
from spikereel.data.events.reading import EventReading
from spikereel.data.events.simulate import EventSimulator, simulated_clip
from spikereel.data.made.scenes import events_from, time_surface
from spikereel.data.npz import load_arrays
from spikereel.data.sets.utd_mhad import depth_clip, depth_info, picture, read_depth
from spikereel.data.trails import trail_frames, with_trails
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.data.video.clip import USUAL_FPS
from spikereel.data.video.deep import read_deep
from spikereel.data.video.read import VideoInfo, read_frames, sample_indices
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import (
    Frames,
    array_frames,
    drawn_frames,
    info_of,
    notes_of,
    read_clip,
    tensor_frames,
    video_frames,
)
from spikereel.runs.config import DataSpec
from spikereel.runs.kinds import KINDS, channels_of, recording_of, sees_recordings
from spikereel.runs.readings import depth_reading, event_reading, rendering_of

ARRAYS = ("tensor", "npy")
"""What `VideoInfo.codec` says of clips that are no video file."""

EVENT_THRESHOLD = 0.25
"""Change of log-luma that makes an event: the one `MotionClips` trains with."""

SIMULATED = {"events": "events simulated from rgb", "surface": "time surface of events simulated from rgb"}
"""What is said of colour frames that a model sees in another modality."""


Statistics = float | tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Look:
    """The clips of one source."""

    name: str
    """The file; "clip" for a tensor."""
    info: VideoInfo
    """Of a recording the frames are time bins, and the codec is its format."""
    indices: tuple[int, ...]
    """Numbers of the frames or bins; those of several clips follow each other."""
    views: list[Tensor]
    """Those of every clip, each float32 [T, 1, C, size, size], ready for the model."""
    frames: Frames
    """The source, to be drawn: its frames, the time bins of a recording, or depth as pictures."""
    clips: int = 1
    """Clips in time."""
    notes: tuple[str, ...] = ()


def look(source: str | PathLike | Tensor, spec: DataSpec, channels: int, *, views: int | None = None) -> Look:
    """The clips of a source as `spec` says; see `predict`. channels: those that the model takes."""
    if views is not None:
        if views < 1:
            raise ConfigError(f"views is {views}: it must be at least 1")
        spec = replace(spec.single(), clips=views)
    clips = spec.clips
    if KINDS[spec.kind].films_depth:
        return _depth(source, spec, clips)
    made = isinstance(source, Tensor) and source.ndim == 4 and source.shape[1] == 2
    if sees_recordings(spec) or (made and spec.simulate is not None):
        return _recording(source, spec, clips)
    video = _open(source, spec)
    # an array shorter than the span of a clip has been cut in time already; a short file repeats its last frame
    cut = video.info.codec in ARRAYS and video.info.frames < (spec.stride or 1) * spec.frames
    stride = None if cut and clips == 1 else spec.stride
    count = spec.frames if spec.simulate is None else spec.frames + 1
    chosen = [sample_indices(video.info.frames, count, stride=stride, clip=clip, clips=clips) for clip in range(clips)]
    simulated = video.channels == 3 and (spec.modality != "rgb" or spec.simulate is not None)
    if not simulated and video.channels != channels:
        raise DataError(
            f"{video.name}: has {video.channels} channels, this model takes {channels}{channels_last(source)}"
        )
    see = seeing(spec, simulated=simulated)
    note = SIMULATED["events" if spec.simulate is not None else spec.modality] if simulated else None
    return Look(
        name=video.name,
        info=video.info,
        frames=video,
        clips=clips,
        notes=(*((note,) if note else ()), *notes_of(video.info)),
        indices=tuple(i for indices in chosen for i in video.sampled(indices[-spec.frames :])),
        views=[view[:, None] for indices in chosen for view in see(video, indices, spec)],
    )


def channels_last(source: object) -> str:
    """What to say of a tensor whose channels seem to be its last axis; nothing of others."""
    if not isinstance(source, Tensor) or source.ndim != 4 or source.shape[-1] not in (1, 2, 3):
        return ""
    return f"; pictures are [T, C, H, W] and its last axis has {source.shape[-1]}: give it with .permute(0, 3, 1, 2)"


def views_of(video: Frames, spec: DataSpec, first: int, last: int) -> tuple[list[int], list[Tensor]]:
    """Numbers of the frames of one clip between two places, chosen as of a video of that length, and its crops.

    first, last: in steps of equal time, where the rate varies.
    """
    count = spec.frames if spec.simulate is None else spec.frames + 1
    indices = [first + i for i in sample_indices(last - first, count, stride=spec.stride)]
    simulated = spec.modality != "rgb" or spec.simulate is not None
    see = seeing(spec, simulated=simulated)
    seen = list(video.sampled(indices[-spec.frames :]))
    return seen, [view[:, None] for view in see(video, indices, spec)]


def seeing(spec: DataSpec, *, simulated: bool) -> Callable[[Frames, list[int], DataSpec], Iterable[Tensor]]:
    """What makes crops [T, C, size, size] of frames by number; simulated: colours are seen in another modality."""
    if not simulated:
        return _trailed if spec.trails else _plain
    return _drawn if spec.simulate is None else _simulated


def reading_of(spec: DataSpec) -> EventReading:
    """How a whole recording becomes the one clip that is judged."""
    reading = event_reading(spec, train=False, seed=0)
    return replace(reading, window_us=KINDS[spec.kind].window_us) if KINDS[spec.kind].window_us else reading


def _recording(source: str | PathLike | Tensor, spec: DataSpec, clips: int) -> Look:
    """Events; several clips are windows from the start to the end. Or frames that were made of them already."""
    if isinstance(source, Tensor):
        return _frames_of_events("clip", source.detach().cpu(), spec)
    path = Path(source)
    arrays = load_arrays(path, "give a whole file") if path.suffix.lower() == ".npy" and path.is_file() else {}
    if arrays and arrays[""].ndim == 4:
        return _frames_of_events(str(path), torch.from_numpy(np.array(arrays[""])), spec)
    if path.suffix.lower() in VIDEOS:
        raise DataError(f"{path}: is a video, and these weights see recordings of events; give one of those")
    reading = reading_of(spec)
    events = recording_of(spec, path)
    first, last = int(events.t[0]), int(events.t[-1]) + 1
    window_us = reading.bins * reading.bin_us if reading.bins and reading.bin_us else reading.window_us
    if clips > 1 and window_us is None:
        raise ConfigError(f"views is {clips}, but these weights see whole recordings; give views=1")
    spans = [(first, last)]
    if clips > 1 and window_us:
        starts = np.linspace(first, max(last - window_us, first), clips).astype(int).tolist()
        spans = [(start, start + window_us) for start in starts]
    videos = [reading(events.between(start, stop)) for start, stop in spans]
    drawn = replace(reading, convention=FORMULA)(events.between(*spans[0]))
    seconds, seen = (last - first) / 1e6, min(window_us or last - first, last - first) / 1e6
    bins = len(videos[0])
    info = VideoInfo(
        frames=bins, fps=bins / seen, width=events.width, height=events.height, codec=events.format, seconds=seconds
    )
    return Look(
        name=str(path),
        info=info,
        frames=_bins(str(path), drawn),
        indices=tuple(range(bins)) * clips,
        clips=clips,
        views=[video[:, None] for video in videos],
    )


def _frames_of_events(name: str, clip: Tensor, spec: DataSpec) -> Look:
    wanted = (spec.frames, channels_of(spec), spec.size, spec.size)
    if clip.shape != wanted or not torch.isfinite(clip.float()).all() or clip.min() < 0:
        raise DataError(
            f"{name}: is {clip.dtype} {list(clip.shape)}, or not finite, or negative; these weights see {list(wanted)} "
            "of event counts, or a recording"
        )
    clip = clip.float()
    return Look(
        name=name,
        info=info_of(clip.shape, "npy"),
        frames=_bins(name, clip),
        indices=tuple(range(len(clip))),
        views=[clip[:, None]],
    )


def _bins(name: str, clip: Tensor) -> Frames:
    """Time bins to draw: slower than life, for the eye."""
    return drawn_frames(name, clip, info_of(clip.shape, "events"), "events")


def _depth(source: str | PathLike | Tensor, spec: DataSpec, clips: int) -> Look:
    """A depth video."""
    suffix = "" if isinstance(source, Tensor) else Path(source).suffix.lower()
    if isinstance(source, Tensor) or suffix not in VIDEOS | {".mat", ".npy", ".npz"}:
        name = "clip" if isinstance(source, Tensor) else fspath(source)
        raise DataError(
            f"{name}: is no depth, which these weights see; give .npz with `depth`, uint16 [T, H, W] in mm, or a video "
            "of 16-bit grey"
        )
    if clips > 1:
        raise ConfigError(f"views is {clips}, but these weights see whole videos; give views=1")
    depth = read_deep(Path(source)) if suffix in VIDEOS else read_depth(Path(source))
    video, chosen = depth_clip(depth, depth_reading(spec, train=False, seed=0))
    pictures = picture(depth, spec.size)[:, None]
    frames = drawn_frames(fspath(source), pictures, info_of(pictures.shape, "depth", depth_info(depth).fps), "depth")
    return Look(name=fspath(source), info=depth_info(depth), indices=chosen, views=[video[:, None]], frames=frames)


def _open(source: str | PathLike | Tensor, spec: DataSpec) -> Frames:
    """Pictures, or frames made of something else, in a tensor, a .npy file or a video."""
    if isinstance(source, Tensor):
        return tensor_frames("clip", source)
    name = fspath(source)
    if Path(name).suffix.lower() == ".npy":
        return array_frames(name, read_clip(name))
    return film(name, spec)


def film(name: str, spec: DataSpec) -> Frames:
    """A video file, of which the network sees the colours and the shape that `spec` says."""
    video, rendering = video_frames(name), rendering_of(spec)
    return replace(
        video, seer=lambda indices, each: read_frames(name, indices, video.timeline, each=each, rendering=rendering)
    )


def _plain(video: Frames, indices: list[int], spec: DataSpec) -> Iterable[Tensor]:
    """The crops of one clip, each float32 [T, C, size, size]."""
    mean, std = (spec.mean, spec.std) if spec.modality == "rgb" else (0.0, 1.0)
    return _crops(video.sample(indices), spec, mean, std)


def _trailed(video: Frames, indices: list[int], spec: DataSpec) -> Iterable[Tensor]:
    """The crops with trails of what moved. Arrays do not say how fast they are, and count as 25 frames a second."""
    see = _transform(spec, spec.mean, spec.std)
    each, constant = see.by_frame(), spec.trails * (video.pace() or USUAL_FPS)
    assert each is not None
    numbers = trail_frames(indices, constant)
    small = video.sample(numbers, each)
    clip = see.finish(with_trails(small, [i - numbers[0] for i in indices], constant))
    return clip if see.views > 1 else clip[None]


def _drawn(video: Frames, indices: list[int], spec: DataSpec) -> Iterable[Tensor]:
    """The crops as procedural events: what changed since the frame before, or its time surface."""
    for view in _crops(video.sample([_before(indices), *indices]), spec, 0.0, 1.0):
        events = events_from(view.numpy(), threshold=EVENT_THRESHOLD)
        yield torch.from_numpy(time_surface(events) if spec.modality == "surface" else events)


def _simulated(video: Frames, indices: list[int], spec: DataSpec) -> Iterable[Tensor]:
    """The crops as the events between their frames, by the simulator that training used."""
    assert spec.simulate is not None
    reading, simulator = event_reading(spec, train=False, seed=0), EventSimulator(threshold=spec.simulate)
    for view in _crops(video.sample(indices), spec, 0.0, 1.0):
        yield simulated_clip(view, reading, simulator, np.random.default_rng(0))


def _crops(frames: Tensor, spec: DataSpec, mean: Statistics, std: Statistics) -> Tensor:
    """float32 [views, T, C, size, size]."""
    see = _transform(spec, mean, std)
    return see(frames) if see.views > 1 else see(frames)[None]


def _transform(spec: DataSpec, mean: Statistics, std: Statistics) -> EvalTransform:
    return EvalTransform(
        size=spec.size,
        crops=spec.crops,
        mirrored=spec.mirrored,
        mean=mean,
        std=std,
        antialias=spec.antialias,
        whole=spec.whole,
    )


def _before(indices: list[int]) -> int:
    """The frame that the first one is compared with: as far back as the second is ahead, where the video has it."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    return max(indices[0] - step, 0)
