"""What a network of classes sees of a file or clip, by what it was trained on: videos, recordings of events, depth."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikereel.data.events.readers import read_events
from spikereel.data.events.simulate import EventSimulator, simulated_clip
from spikereel.data.made.scenes import events_from, time_surface
from spikereel.data.npz import load_arrays
from spikereel.data.sets.dvs128_objects import WINDOW_US
from spikereel.data.sets.utd_mhad import depth_clip, depth_info, picture, read_depth
from spikereel.data.trails import trail_frames, with_trails
from spikereel.data.transforms import EvalTransform
from spikereel.data.video.clip import SUFFIXES as VIDEOS
from spikereel.data.video.clip import USUAL_FPS
from spikereel.data.video.read import VideoInfo, glance, read_frames, sample_indices
from spikereel.errors import ConfigError, DataError
from spikereel.runs.config import DataSpec
from spikereel.runs.kinds import sees_recordings, sensor_of
from spikereel.runs.readings import depth_reading, event_reading

ARRAYS = ("tensor", "npy")
"""What `VideoInfo.codec` says of clips that are no video file."""

EVENT_THRESHOLD = 0.25
"""Change of log-luma that makes an event: the one `MotionClips` trains with."""

SIMULATED = {"events": "events simulated from rgb", "surface": "time surface of events simulated from rgb"}
"""What is said of colour frames that a model sees in another modality."""


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
    """Clips times crops in space, each float32 [T, 1, C, size, size], ready for the model."""
    clips: int = 1
    """Clips in time."""
    notes: tuple[str, ...] = ()
    shown: Tensor | None = None
    """Of a source that is no video, all its frames or bins to draw: float [T, C, H, W]."""


def look(source: str | PathLike | Tensor, spec: DataSpec, channels: int, *, views: int | None = None) -> Look:
    """The clips of a source as `spec` says; see `predict`. channels: those that the model takes."""
    clips, crops = (spec.clips, spec.crops) if views is None else (views, 1)
    if clips < 1:
        raise ConfigError(f"views is {clips}: it must be at least 1")
    if spec.kind == "utd_mhad":
        return _depth(source, spec, clips)
    made = isinstance(source, Tensor) and source.ndim == 4 and source.shape[1] == 2
    if sees_recordings(spec) or (made and spec.simulate is not None):
        return _recording(source, spec, clips)
    video = _open(source)
    # an array shorter than the span of a clip has been cut in time already; a short file repeats its last frame
    cut = video.info.codec in ARRAYS and video.info.frames < (spec.stride or 1) * spec.frames
    stride = None if cut and clips == 1 else spec.stride
    count = spec.frames if spec.simulate is None else spec.frames + 1
    chosen = [sample_indices(video.info.frames, count, stride=stride, clip=clip, clips=clips) for clip in range(clips)]
    simulated = video.channels == 3 and (spec.modality != "rgb" or spec.simulate is not None)
    if not simulated and video.channels != channels:
        raise DataError(f"{video.name}: has {video.channels} channels, this model takes {channels}")
    views_of, note = _trailed if spec.trails else _plain, SIMULATED["events"]
    if simulated:
        views_of, note = (_drawn, SIMULATED[spec.modality]) if spec.simulate is None else (_simulated, note)
    return Look(
        name=video.name,
        info=video.info,
        clips=clips,
        notes=(note,) if simulated else (),
        indices=tuple(i for indices in chosen for i in indices[-spec.frames :]),
        views=[view[:, None] for indices in chosen for view in views_of(video, indices, spec, crops)],
    )


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
    reading = event_reading(spec, train=False, seed=0)
    if spec.kind == "dvs128_objects":
        reading = replace(reading, window_us=WINDOW_US)
    events = read_events(path, sensor=sensor_of(spec))
    first, last = int(events.t[0]), int(events.t[-1]) + 1
    window_us = reading.bins * reading.bin_us if reading.bins and reading.bin_us else reading.window_us
    if clips > 1 and window_us is None:
        raise ConfigError(f"views is {clips}, but these weights see whole recordings; give views=1")
    spans = [(first, last)]
    if clips > 1 and window_us:
        starts = np.linspace(first, max(last - window_us, first), clips).astype(int).tolist()
        spans = [(start, start + window_us) for start in starts]
    videos = [reading(events.between(start, stop)) for start, stop in spans]
    seconds, seen = (last - first) / 1e6, min(window_us or last - first, last - first) / 1e6
    bins = len(videos[0])
    info = VideoInfo(
        frames=bins, fps=bins / seen, width=events.width, height=events.height, codec=events.format, seconds=seconds
    )
    return Look(
        name=str(path),
        info=info,
        indices=tuple(range(bins)) * clips,
        clips=clips,
        shown=videos[0],
        views=[video[:, None] for video in videos],
    )


def _frames_of_events(name: str, clip: Tensor, spec: DataSpec) -> Look:
    wanted = (spec.frames, 2, spec.size, spec.size)
    if clip.shape != wanted or not torch.isfinite(clip.float()).all() or clip.min() < 0:
        raise DataError(
            f"{name}: is {clip.dtype} {list(clip.shape)}, or not finite, or negative; these weights see {list(wanted)} "
            "of event counts, or a recording"
        )
    clip = clip.float()
    return Look(
        name=name, info=_info(clip.shape, "npy"), indices=tuple(range(len(clip))), views=[clip[:, None]], shown=clip
    )


def _depth(source: str | PathLike | Tensor, spec: DataSpec, clips: int) -> Look:
    """A depth video."""
    if isinstance(source, Tensor) or Path(source).suffix.lower() not in (".mat", ".npy", ".npz"):
        name = "clip" if isinstance(source, Tensor) else fspath(source)
        raise DataError(f"{name}: is no depth, which these weights see; give .npz with `depth`, uint16 [T, H, W] in mm")
    if clips > 1:
        raise ConfigError(f"views is {clips}, but these weights see whole videos; give views=1")
    depth = read_depth(Path(source))
    video, chosen = depth_clip(depth, depth_reading(spec, train=False, seed=0))
    shown = picture(depth, spec.size)[:, None]
    return Look(name=fspath(source), info=depth_info(depth), indices=chosen, views=[video[:, None]], shown=shown)


def read_clip(path: str | PathLike) -> np.ndarray:
    """A clip from a `.npy` file: uint8 [T, H, W, 3] or float [T, C, H, W] with values in [0, 1], not yet in memory.

    Raises DataError for anything else, in one line that names the file.
    """
    name = fspath(path)
    if not Path(name).is_file():
        raise DataError(f"{name}: no such file; check the path")
    try:
        clip = np.load(name, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{name}: is not a whole .npy file ({_first_line(error)})") from None
    if not isinstance(clip, np.ndarray):
        raise DataError(f"{name}: is an archive of arrays; save one array with numpy.save")
    layout = {"u": "[T, H, W, 3]", "f": "[T, C, H, W]"}.get(clip.dtype.kind)
    if layout is None or (clip.dtype.kind == "u" and clip.dtype != np.uint8):
        raise DataError(f"{name}: holds {clip.dtype}; give uint8 [T, H, W, 3] or float [T, C, H, W] in [0, 1]")
    if clip.ndim != 4 or not clip.size:
        raise DataError(f"{name}: has shape {list(clip.shape)}; give {clip.dtype} {layout} with at least one frame")
    if clip.dtype == np.uint8 and clip.shape[-1] != 3:
        raise DataError(f"{name}: has {clip.shape[-1]} channels in shape {list(clip.shape)}; give uint8 [T, H, W, 3]")
    return clip


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Frames by number, from wherever."""

    name: str
    info: VideoInfo
    channels: int
    read: Callable[[Sequence[int]], Tensor]
    """uint8 or float [T, C, H, W]."""
    read_each: Callable[[Sequence[int], Callable[[Tensor], Tensor]], Tensor] | None = None
    """The same with something done to every frame alone, for sources whose frames may not lie in memory together."""


def _open(source: str | PathLike | Tensor) -> _Source:
    if isinstance(source, Tensor):
        clip = source.detach().cpu()
        if clip.ndim != 4 or not clip.numel():
            raise DataError(f"clip: has shape {list(clip.shape)}; give [T, C, H, W] with at least one frame")
        if clip.is_floating_point():
            _check_values("clip", clip)
        elif clip.dtype != torch.uint8:
            raise DataError(f"clip: holds {clip.dtype}; give uint8, or float in [0, 1]")
        return _frames("clip", clip, "tensor")
    name = fspath(source)
    if Path(name).suffix.lower() == ".npy":
        return _array(name, read_clip(name))
    info, known = glance(name)
    return _Source(
        name=name,
        info=info,
        channels=3,
        read=lambda indices: read_frames(name, known.at_equal_times(indices), known),
        read_each=lambda indices, each: read_frames(name, known.at_equal_times(indices), known, each=each),
    )


def _array(name: str, clip: np.ndarray) -> _Source:
    if clip.dtype == np.uint8:
        shape = tuple(clip.shape[i] for i in (0, 3, 1, 2))
        return _Source(
            name=name,
            info=_info(shape, "npy"),
            channels=3,
            read=lambda indices: torch.from_numpy(clip[list(indices)]).permute(0, 3, 1, 2),
        )
    frames = torch.from_numpy(np.array(clip, dtype=np.float32))
    _check_values(name, frames)
    return _frames(name, frames, "npy")


def _frames(name: str, clip: Tensor, codec: str) -> _Source:
    info = _info(clip.shape, codec)
    return _Source(name=name, info=info, channels=clip.shape[1], read=lambda indices: clip[list(indices)])


def _info(shape: Sequence[int], codec: str) -> VideoInfo:
    return VideoInfo(frames=shape[0], fps=0.0, width=shape[3], height=shape[2], codec=codec, seconds=0.0)


def _check_values(name: str, clip: Tensor) -> None:
    if not torch.isfinite(clip).all():
        raise DataError(f"{name}: holds NaN or infinite values; check how it was made")
    low, high = float(clip.min()), float(clip.max())
    # interpolation may overshoot by the last bits
    if low < -1e-3 or high > 1.001:
        raise DataError(f"{name}: values go from {low:.4g} to {high:.4g}; give pixels in [0, 1], not normalised ones")


def _plain(video: _Source, indices: list[int], spec: DataSpec, crops: int) -> Iterable[Tensor]:
    """The crops of one clip, each float32 [T, C, size, size]."""
    mean, std = (spec.mean, spec.std) if spec.modality == "rgb" else (0.0, 1.0)
    return _crops(video.read(indices), spec, crops, mean, std)


def _trailed(video: _Source, indices: list[int], spec: DataSpec, crops: int) -> Iterable[Tensor]:
    """The crops with trails of what moved; of arrays, which do not say how fast they are, at 25 frames a second."""
    see = EvalTransform(
        size=spec.size, crops=crops, mean=spec.mean, std=spec.std, antialias=spec.antialias, whole=spec.whole
    )
    each, constant = see.by_frame(), spec.trails * (video.info.fps or USUAL_FPS)
    assert each is not None
    numbers = trail_frames(indices, constant)
    small = video.read_each(numbers, each) if video.read_each else each(video.read(numbers))
    clip = see.finish(with_trails(small, [i - numbers[0] for i in indices], constant))
    return clip if crops > 1 else clip[None]


def _drawn(video: _Source, indices: list[int], spec: DataSpec, crops: int) -> Iterable[Tensor]:
    """The crops as procedural events: what changed since the frame before, or its time surface."""
    for view in _crops(video.read([_before(indices), *indices]), spec, crops, 0.0, 1.0):
        events = events_from(view.numpy(), threshold=EVENT_THRESHOLD)
        yield torch.from_numpy(time_surface(events) if spec.modality == "surface" else events)


def _simulated(video: _Source, indices: list[int], spec: DataSpec, crops: int) -> Iterable[Tensor]:
    """The crops as the events between their frames, by the simulator that training used."""
    assert spec.simulate is not None
    reading, simulator = event_reading(spec, train=False, seed=0), EventSimulator(threshold=spec.simulate)
    for view in _crops(video.read(indices), spec, crops, 0.0, 1.0):
        yield simulated_clip(view, reading, simulator, np.random.default_rng(0))


def _crops(
    frames: Tensor, spec: DataSpec, crops: int, mean: float | tuple[float, ...], std: float | tuple[float, ...]
) -> Tensor:
    """float32 [crops, T, C, size, size]."""
    see = EvalTransform(size=spec.size, crops=crops, mean=mean, std=std, antialias=spec.antialias, whole=spec.whole)
    return see(frames) if crops > 1 else see(frames)[None]


def _before(indices: list[int]) -> int:
    """The frame that the first one is compared with: as far back as the second is ahead, where the video has it."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    return max(indices[0] - step, 0)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
