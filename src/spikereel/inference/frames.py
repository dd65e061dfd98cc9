"""The frames of one source, by number and by time: a video, a folder of pictures, an array, depth, or events."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from spikereel.data.events.readers import SUFFIXES as RECORDINGS
from spikereel.data.events.readers import read_events
from spikereel.data.events.recording import Events
from spikereel.data.mask_clips import number_of
from spikereel.data.npz import load_arrays
from spikereel.data.pictures import PICTURES, is_grey16, read_grey16, read_picture
from spikereel.data.sets.utd_mhad import read_depth
from spikereel.data.video.deep import deep, read_deep
from spikereel.data.video.read import VideoInfo, glance, probe, read_frames, timeline
from spikereel.data.video.timeline import Timeline
from spikereel.data.walk import visible
from spikereel.errors import ConfigError, DataError

USUAL_FPS = 30.0
"""Frames a second of sources that do not say how fast they are, and of event recordings."""

AT_ONCE = 2**28
"""Bytes of pictures that are in memory together while frames go by one by one."""

Holds = Literal["pictures", "depth", "events"]
Each = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Frames by number, read when they are asked for."""

    name: str
    """The file or folder; "clip" for a tensor."""
    info: VideoInfo
    """How many frames of which size; `fps` is 0.0 where the source does not say how fast it is."""
    channels: int
    reader: Callable[[Sequence[int], Each | None], Tensor]
    """What `read` calls."""
    paint: Callable[[Tensor], Tensor]
    """Turns frames as `read` gives them into uint8 [N, 3, H, W] to look at."""
    holds: Holds = "pictures"
    numbers: Sequence[int]
    """What the names of the frames, or the source itself, count them by."""
    timeline: Timeline | None = None
    """When the frames of a video are shown."""
    seer: Callable[[Sequence[int], Each | None], Tensor] | None = None
    """What `sample` calls, where a network sees other colours or another shape than `read` gives."""

    def __len__(self) -> int:
        return self.info.frames

    def __iter__(self) -> Iterator[Tensor]:
        """Every frame [C, H, W] in order; few of them are in memory at a time."""
        for chunk in self.chunks():
            yield from self.read(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.info.height, self.info.width

    def read(self, indices: Sequence[int], each: Each | None = None) -> Tensor:
        """Frames by number, in the order asked for: [N, C, H, W], uint8 or float in [0, 1] for pictures, uint16
        millimetres for depth, bool ON and OFF for events.

        each: what is done to frames [n, C, H, W], each on its own, before the next ones are read: large frames of a
        video never lie in memory together.
        Raises DataError for a number past the last frame, and for a part of a file that is damaged.
        """
        return self.reader(indices, each)

    def sample(self, indices: Sequence[int], each: Each | None = None) -> Tensor:
        """As `read`, but in the colours and the shape that the network sees, and of a video whose rate varies the
        frames that are shown at steps of equal time, `sampled`."""
        return (self.seer or self.reader)(self.sampled(indices), each)

    def sampled(self, indices: Sequence[int]) -> Sequence[int]:
        """The numbers of the frames that `sample` reads."""
        return indices if self.timeline is None else self.timeline.at_equal_times(indices)

    def pictures(self, indices: Sequence[int] | None = None) -> Iterator[Tensor]:
        """Frames one by one, all of them or those of some numbers, as pictures to look at: uint8 [3, H, W]."""
        for chunk in self.chunks(indices):
            yield from self.shown(chunk)

    def shown(self, indices: Sequence[int]) -> Tensor:
        """Frames by number as pictures to look at: uint8 [N, 3, H, W]."""
        return self.paint(self.read(indices))

    def seconds(self) -> np.ndarray | None:
        """When each frame is shown, float64 [N] seconds after the first one; None where the source does not say.

        Videos of variable rate give the times that stand in the file.
        """
        known = None if self.timeline is None else self.timeline.seconds()
        if known is not None:
            return known
        return np.arange(len(self)) / self.info.fps if self.info.fps else None

    def during(self) -> np.ndarray | None:
        """When each frame begins to be shown, and when the last one ends, float64 [N + 1] seconds; None where that is
        at equal steps of 1 / info.fps, or where the source does not say."""
        known, fps = self.timeline, self.info.fps
        times = None if known is None else known.during()
        if times is None or not fps:
            return None
        even = np.arange(len(times)) / fps
        return None if np.abs(times - even).max() <= 0.75 / fps + 0.001 else times

    def begins(self) -> np.ndarray | None:
        """float64 [N]: when each frame begins to be shown, as `during`."""
        during = self.during()
        return None if during is None else during[:-1]

    def at(self, seconds: float) -> int:
        """The number of the frame that is shown at an instant; the first one before it, the last one after it.

        Raises ConfigError where the source does not say how fast it is.
        """
        times = self.seconds()
        if times is None:
            raise ConfigError(f"{self.name}: does not say how fast it is; ask for frames by number")
        return max(int(np.searchsorted(times, seconds + 1e-9, side="right")) - 1, 0)

    def pace(self) -> float:
        """Frames a second of those that `sample` reads; 0.0 where unknown."""
        return self.info.fps if self.timeline is None else self.timeline.pace(self.info.fps)

    def close(self) -> None:
        """Let go of what is in memory; reading afterwards raises DataError."""
        object.__setattr__(self, "reader", self._closed)

    def _closed(self, _indices: Sequence[int], _each: Each | None) -> Tensor:
        raise DataError(f"{self.name}: is closed; open it again")

    def chunks(self, indices: Sequence[int] | None = None) -> Iterator[Sequence[int]]:
        """Numbers of frames, all or some, in parts that memory holds."""
        indices = range(len(self)) if indices is None else indices
        count = max(1, AT_ONCE // (3 * self.info.height * self.info.width))
        return (indices[start : start + count] for start in range(0, len(indices), count))


def open_frames(source: str | PathLike, *, whole: bool = False, depth: bool = False) -> Frames:
    """The frames of a file or folder, whatever it is.

    A video file; a folder of numbered pictures; a `.npy` clip, see `read_clip`; depth in millimetres, a `.npz` with
    `depth` or a `.npy`, uint16 [N, H, W], or a `.mat` of UTD-MHAD; an event file, whose frames are a thirtieth of a
    second each. whole: decode a video to its end first, so that damage anywhere in it is found now.
    depth: a video of grey in more than 8 bits and a folder of 16-bit PNG are depth, too.
    Raises DataError for anything else.
    """
    name, path = fspath(source), Path(source)
    suffix = path.suffix.lower()
    if path.is_dir():
        return picture_frames(path, depth=depth)
    if suffix == ".mat":
        return depth_frames(name, read_depth(path))
    if suffix in (".npz", ".npy"):
        return _of_arrays(name, path)
    if suffix in RECORDINGS:
        return event_frames(name, read_events(path))
    frames = video_frames(name, whole=whole)
    if depth and deep(frames.info):
        found = depth_frames(name, read_deep(path), frames.info.fps or USUAL_FPS)
        # as long as the video, at its times and with the shape of its pixels
        return replace(found, info=frames.info, timeline=frames.timeline) if len(found) == len(frames) else found
    return frames


def video_frames(name: str, *, whole: bool = False) -> Frames:
    """Of a video file, or of a folder 00001.jpg, ... that stands for one. Raises DataError for anything else."""
    info, known = (probe(name), timeline(name)) if whole else glance(name)
    return Frames(
        name=name,
        info=info,
        channels=3,
        numbers=range(info.frames),
        timeline=known,
        reader=lambda indices, each: read_frames(name, indices, known, each=each),
        paint=to_pictures,
    )


def picture_frames(folder: Path, *, depth: bool = False) -> Frames:
    """Of a folder of numbered pictures. Raises DataError for one without any, and for several recordings in one.

    depth: PNG of 16-bit grey is depth in millimetres.
    """
    pictures = sorted((number_of(p), p) for p in visible(folder) if p.suffix.lower() in PICTURES)
    if not pictures:
        raise DataError(f"{folder}: is a folder without frames .jpg or .png; give a video, or a folder that has some")
    numbers, paths = zip(*pictures, strict=True)
    recordings = sorted({re.sub(r"\d+$", "", p.stem) for p in paths})
    if len(recordings) > 1:
        raise DataError(
            f"{folder}: holds frames of several recordings, {recordings[0]}... and {recordings[1]}...; "
            "give each a folder of its own"
        )
    if depth and all(is_grey16(path) for path in paths):
        deep_ones = [read_grey16(path) for path in paths]
        if len({x.shape for x in deep_ones}) > 1:
            raise DataError(f"{folder}: its frames are of several sizes; make them of one size")
        return replace(depth_frames(str(folder), np.stack(deep_ones)), numbers=list(numbers))
    first = read_picture(paths[0])

    def read(index: int) -> Tensor:
        frame = read_picture(paths[index])
        if frame.shape != first.shape:
            raise DataError(
                f"{paths[index]}: is {frame.shape[2]} x {frame.shape[1]}, the frames before it "
                f"{first.shape[2]} x {first.shape[1]}; make them of one size"
            )
        return frame

    info = info_of((len(paths), *first.shape), "pictures")
    return _stored(str(folder), info, lambda indices: torch.stack([read(i) for i in indices]), numbers=list(numbers))


def array_frames(name: str, clip: np.ndarray) -> Frames:
    """Of an array as `read_clip` gives it. Raises DataError for values outside [0, 1]."""
    if clip.dtype != np.uint8:
        return tensor_frames(name, torch.from_numpy(np.array(clip, dtype=np.float32)), codec="npy")
    info = info_of([clip.shape[i] for i in (0, 3, 1, 2)], "npy")
    return _stored(name, info, lambda indices: torch.from_numpy(clip[list(indices)]).permute(0, 3, 1, 2))


def tensor_frames(name: str, clip: Tensor, *, codec: str = "tensor", fps: float = 0.0) -> Frames:
    """Of a clip [T, C, H, W], uint8 or float in [0, 1]. Raises DataError for anything else."""
    clip = clip.detach().cpu()
    if clip.ndim != 4 or not clip.numel():
        raise DataError(f"{name}: has shape {list(clip.shape)}; give [T, C, H, W] with at least one frame")
    if clip.is_floating_point():
        _check_values(name, clip)
    elif clip.dtype != torch.uint8:
        raise DataError(f"{name}: holds {clip.dtype}; give uint8, or float in [0, 1]")
    return drawn_frames(name, clip, info_of(clip.shape, codec, fps))


def drawn_frames(name: str, clip: Tensor, info: VideoInfo, holds: Holds = "pictures") -> Frames:
    """Of a clip [T, C, H, W] that is there to be drawn, such as time bins of events or depth as pictures."""
    return _stored(name, info, lambda indices: clip[list(indices)], channels=clip.shape[1], holds=holds)


def depth_frames(name: str, depth: np.ndarray, fps: float = USUAL_FPS) -> Frames:
    """Of depth uint16 [N, H, W] in millimetres, 0 where nobody is; closer is brighter to look at.

    Raises DataError for another shape, and where nobody is anywhere.
    """
    if depth.ndim != 3 or not depth.size:
        raise DataError(f"{name}: depth is {list(depth.shape)}; give [N, H, W] with at least one frame")
    if not depth.any():
        raise DataError(f"{name}: frame 0 shows nobody, its depth is 0 everywhere; cut that frame off")
    near, far = np.percentile(depth[depth > 0], (1, 99))

    def paint(frames: Tensor) -> Tensor:
        values = frames.numpy()
        level = 230 - 150 * ((values - near) / max(far - near, 1)).clip(0, 1)
        return torch.from_numpy(np.where(values > 0, level, 16).astype(np.uint8)).expand(-1, 3, -1, -1)

    info = info_of((len(depth), 1, *depth.shape[1:]), "depth", fps)
    # numpy picks the frames, since torch has few operations on uint16
    read = lambda indices: torch.from_numpy(depth[list(indices)])[:, None]  # noqa: E731
    return _stored(name, info, read, channels=1, holds="depth", paint=paint)


def event_frames(name: str, events: Events, fps: float = USUAL_FPS) -> Frames:
    """Of a recording: bool [N, 2, H, W], where ON and OFF events fell in equal parts of the time, as near to 1 / fps
    seconds each as the duration allows."""
    since = events.t - events.t[0]
    seconds = max(int(since[-1]), 1) / 1e6
    total = max(round(seconds * fps), 1)
    frame = np.minimum(since / 1e6 / seconds * total, total - 1).astype(np.int64)
    order = np.argsort(frame, kind="stable")
    starts = np.searchsorted(frame[order], np.arange(total + 1))
    p, y, x = (column[order].astype(np.int64) for column in (events.p, events.y, events.x))

    def read(indices: Sequence[int]) -> Tensor:
        fell = torch.zeros(len(indices), 2, events.height, events.width, dtype=torch.bool)
        for out, i in zip(fell, indices, strict=True):
            own = slice(starts[i], starts[i + 1])
            out[1 - p[own], y[own], x[own]] = True
        return fell

    def paint(fell: Tensor) -> Tensor:
        on, off = fell.unbind(1)
        level = 90 + 150 * on.to(torch.uint8) - 90 * (off & ~on).to(torch.uint8)
        return level[:, None].expand(-1, 3, -1, -1)

    info = info_of((total, 2, events.height, events.width), events.format, total / seconds)
    return _stored(name, info, read, channels=2, holds="events", paint=paint)


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
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"{name}: is not a whole .npy file ({reason})") from None
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


def info_of(shape: Sequence[int], codec: str, fps: float = 0.0) -> VideoInfo:
    """What is known of frames [T, C, H, W]. codec: their format. fps: 0.0 where it is unknown."""
    frames, _, height, width = shape
    seconds = frames / fps if fps else 0.0
    return VideoInfo(frames=frames, fps=fps, width=width, height=height, codec=codec, seconds=seconds)


def notes_of(info: VideoInfo) -> tuple[str, ...]:
    """What is unusual about a video that is seen as colour pictures."""
    cut = ()
    if info.assumed is not None and deep(info):
        cut = (f"{info.assumed.bits}-bit grey is cut to its highest 8 bits; weights that see depth read it whole",)
    return (*info.notes, *cut)


def to_pictures(clip: Tensor) -> Tensor:
    """uint8 [T, 3, H, W] of a clip [T, C, H, W], uint8 or float in [0, 1]; events become light (ON) and dark (OFF)."""
    if clip.ndim != 4 or clip.shape[1] not in (1, 2, 3):
        raise ConfigError(f"frames have shape {list(clip.shape)}; give [T, C, H, W] with 3 channels, or 2 of events")
    if clip.shape[1] == 2:
        clip = (clip > 0).float()
        clip = 0.5 + 0.5 * (clip[:, :1] - clip[:, 1:])
    if clip.dtype != torch.uint8:
        clip = (clip.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return clip.expand(-1, 3, -1, -1)


def _stored(
    name: str,
    info: VideoInfo,
    read: Callable[[Sequence[int]], Tensor],
    *,
    channels: int = 3,
    holds: Holds = "pictures",
    numbers: Sequence[int] | None = None,
    paint: Callable[[Tensor], Tensor] = to_pictures,
) -> Frames:
    """Frames that are in memory, or in files of their own."""

    def reader(indices: Sequence[int], each: Each | None) -> Tensor:
        wrong = [i for i in indices if not 0 <= i < info.frames]
        if wrong:
            raise DataError(f"{name}: has {info.frames} frames, frame {wrong[0]} was asked for")
        return read(indices) if each is None else each(read(indices))

    numbers = range(info.frames) if numbers is None else numbers
    return Frames(name=name, info=info, channels=channels, reader=reader, paint=paint, holds=holds, numbers=numbers)


def _of_arrays(name: str, path: Path) -> Frames:
    """Of an .npz or .npy file: events, depth, or a clip."""
    if not path.is_file():
        raise DataError(f"{name}: no such file; check the path")
    arrays = load_arrays(path, "give depth, uint16 [N, H, W] in mm")
    own = arrays.get("")
    if {"t", "x", "y", "p"} <= arrays.keys() or (own is not None and (own.dtype.names or own.shape[1:] == (4,))):
        return event_frames(name, read_events(path))
    depth = arrays.get("depth", own)
    if depth is not None and depth.dtype == np.uint16:
        return depth_frames(name, depth)
    if own is None:
        raise DataError(f"{name}: has no `depth` of uint16 [N, H, W]; found {', '.join(arrays)}")
    return array_frames(name, read_clip(name))


def _check_values(name: str, clip: Tensor) -> None:
    if not torch.isfinite(clip).all():
        raise DataError(f"{name}: holds NaN or infinite values; check how it was made")
    low, high = float(clip.min()), float(clip.max())
    # interpolation may overshoot by the last bits
    if low < -1e-3 or high > 1.001:
        raise DataError(f"{name}: values go from {low:.4g} to {high:.4g}; give pixels in [0, 1], not normalised ones")
