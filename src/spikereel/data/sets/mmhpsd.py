"""MMHPSD (Zou et al.): people before an event camera, with grey video and SMPL poses."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from spikereel.body.camera import Camera
from spikereel.body.rotations import matrix_from_axis_angle
from spikereel.body.skeletons import SMPL24
from spikereel.data.clips import SeededClips, fingerprint
from spikereel.data.npz import load_arrays
from spikereel.data.pictures import read_grey
from spikereel.data.pose import Target, check_joints, check_points, target_of
from spikereel.data.walk import subfolders
from spikereel.data.warp import Warping
from spikereel.errors import ConfigError, DataError
from spikereel.files import whole

TEST_SUBJECTS = (1, 2, 7)
SLICES, SIDE = 4, 256
HEIGHT, WIDTH = 1280, 800
"""Pixels of the event camera as it is mounted, upright."""
CAMERA = Camera(fx=1679.3 / 1280, fy=1679.3 / 1280, cx=641 / 1280, cy=641 / 1280)
"""In shares of the padded square picture."""
LONGEST_GAP, TEST_GAP = 3, 2

_EVENTS, _GREY, _POSES = ("events_frame_04", "events_"), ("grey", "grey_"), ("poses", "pose_")
_ENDINGS = (".npz", ".png", ".jpg")
_KEYS = {"joints3d": (24, 3), "trans": (3,), "body_pose": (72,), "beta": (10,)}


@dataclass(frozen=True, kw_only=True)
class StreamReading:
    """How streams become clips. Raises ConfigError for numbers out of range."""

    frames: int
    """Frames of a clip, T: intervals between grey pictures."""
    size: int = SIDE
    """Side of the picture in pixels, a divisor of 256."""
    form: Literal["events", "grey"] = "events"
    train: bool = False
    """Random gaps of 1 to 3 intervals, a clip from every T // 8-th on, warped; else gap 2, without overlap."""
    warping: Warping = field(default_factory=lambda: Warping(rotate=20.0, zoom=0.3, shift=0.1, flip=0.5))
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.frames, self.size) < 1 or SIDE % self.size or self.seed < 0:
            raise ConfigError(f"{self}: frames is at least 1, size a divisor of {SIDE}, seed not below 0")


class MMHPSD(SeededClips[Target]):
    """Clips of some subjects: items `(video float32 [T, C, S, S], Target)`, the pose at the end of every interval.

    events: C = 4 slices of each interval of the stream, 0 or 1; those of intervals that are skipped are merged by OR.
    grey: C = 1, the picture at the end of the interval, in [0, 1]. `root` holds a folder a stream, whose name begins
    with subjectNN:
        events_frame_04/events_0000.npz   "events_frame", uint8 [32768]: packed bits of [4, 256, 256] (`pack`)
        grey/grey_0000.png (or .jpg)      256 x 256, one more than intervals
        poses/pose_0000.npz               joints3d [24, 3], trans [1, 3], body_pose [1, 72], beta [1, 10]; as many
    The target's rotations and shape are those of SMPL; the translation is that of SMPL as well.
    Raises DataError for a folder without streams of those subjects, files that are missing, broken or of another
    shape, a clip without any event, and joints that are NaN or outside the picture.
    """

    skeleton, camera = SMPL24, CAMERA

    def __init__(self, root: str | PathLike, reading: StreamReading, *, subjects: Collection[int] | None = None):
        super().__init__(reading.seed)
        self.root, self.reading = Path(root), reading
        self.streams = [(p, n) for p, n in find_streams(self.root) if subjects is None or n in subjects]
        if not self.streams:
            raise DataError(
                f"{root}: has no streams of subjects {sorted(subjects or ())}; give the folder that has them"
            )
        self._poses = [_files(folder, *_POSES) for folder, _ in self.streams]
        self._frames = [_files(folder, *(_EVENTS if reading.form == "events" else _GREY)) for folder, _ in self.streams]
        t = reading.frames
        self.clips: list[tuple[int, int]] = []
        for i, (poses, frames) in enumerate(zip(self._poses, self._frames, strict=True)):
            intervals = len(poses) - 1
            extra = 0 if reading.form == "events" else 1
            if len(frames) != intervals + extra:
                raise DataError(
                    f"{self.streams[i][0]}: has {len(frames)} files of {reading.form} for {len(poses)} poses, not "
                    f"{intervals + extra}; copy the stream again"
                )
            span, step = (t, max(t // 8, 1)) if reading.train else (t * TEST_GAP, t * TEST_GAP)
            self.clips += [(i, start) for start in range(0, intervals - span + 1, step)]
        if not reading.train and self.clips:
            poses, judged = sum(len(own) - 1 for own in self._poses), t * len(self.clips)
            self.notes = (
                f"judged are {judged} of {poses} poses: every second one, and no rest of a stream that is shorter "
                f"than a clip of {t * TEST_GAP} intervals, as published",
            )
        if not self.clips:
            raise DataError(f"{root}: no stream is long enough for clips of {t} frames; lower data.frames")

    def __len__(self) -> int:
        return len(self.clips)

    def item(self, index: int) -> tuple[Tensor, Target]:
        """A clip and its target."""
        how, rng = self.reading, self.random(index)
        stream, start = self.clips[index]
        most = (len(self._poses[stream]) - 1 - start) // how.frames
        gap = int(rng.integers(1, min(LONGEST_GAP, most) + 1)) if how.train else TEST_GAP
        ends = start + gap * (1 + np.arange(how.frames))
        paths = self._frames[stream]
        if how.form == "events":
            frames = [np.bitwise_or.reduce([read_frame(p) for p in paths[end - gap : end]]) for end in ends]
            if not any(frame.any() for frame in frames):
                raise DataError(f"{paths[start]}: there and in the frames after it is no event; leave that stream out")
        else:
            frames = [_grey(paths[end])[None] for end in ends]
        video = torch.from_numpy(np.stack(frames).astype(np.float32))
        body = [_pose(self._poses[stream][end]) for end in ends]
        values = {key: torch.from_numpy(np.stack([one[key] for one in body])) for key in _KEYS}
        rotations = matrix_from_axis_angle(values["body_pose"].unflatten(1, (24, 3)))
        around, points = values["joints3d"] - values["trans"][:, None], CAMERA.project(values["joints3d"])
        check_points(points, self._poses[stream][ends[0]])
        if how.train:
            warp = how.warping.draw(rng)
            video = warp.pictures(video, "nearest" if how.form == "events" else "bilinear")
            around, points = warp.joints(around, SMPL24), warp.points(points, SMPL24)
            rotations = warp.rotations(rotations, SMPL24)
        target = target_of(around, points, camera=CAMERA, real=CAMERA)
        if how.size != SIDE:
            video = _smaller(video, how.size, how.form)
        return video, target | {"rotations": rotations, "shape": values["beta"]}

    def fingerprint(self) -> str:
        """sha256 (hex) of the sorted (path relative to the root, bytes, stream) of all files."""
        files = [(p, i) for lists in (self._poses, self._frames) for i, paths in enumerate(lists) for p in paths]
        return fingerprint(self.root, files)


def find_streams(root: Path) -> list[tuple[Path, int]]:
    """(folder, subject) of every stream, by name. Raises DataError for none."""
    found = []
    for folder in subfolders(root) if root.is_dir() else ():
        name = re.match(r"subject(\d+)", folder.name)
        if name is not None:
            found.append((folder, int(name[1])))
    if not found:
        raise DataError(f"{root}: has no folders subjectNN...; give the folder of MMHPSD's streams")
    return found


def frames_from_rows(rows: np.ndarray, start: float, stop: float) -> np.ndarray:
    """The event frame of the interval [start, stop) from raw rows: bool [4, 256, 256].

    rows [N, 5]: v, u, in-pixel time, off-pixel time, polarity, of the camera on its side; v becomes 1279 - v and u
    799 - u. The interval is cut into 4 equal times (by the in-pixel one); a slice says where anything happened,
    whatever the polarity. The width grows by 240 on either side to a square, of which every fifth pixel is kept.
    Raises DataError for rows of another shape or beyond the sensor.
    """
    height, width = HEIGHT, WIDTH
    if rows.ndim != 2 or rows.shape[1] != 5 or not stop > start:
        raise DataError(f"event rows are {list(rows.shape)} from {start} to {stop}: give [N, 5] and start before stop")
    v, u, times = height - 1 - rows[:, 0].astype(np.int64), width - 1 - rows[:, 1].astype(np.int64), rows[:, 2]
    if len(rows) and not ((v >= 0) & (v < height) & (u >= 0) & (u < width)).all():
        raise DataError(f"event rows go beyond the sensor of {height} x {width}: v is column 0, u column 1")
    inside = (times >= start) & (times < stop)
    which = ((times[inside] - start) * SLICES / (stop - start)).astype(np.int64).clip(0, SLICES - 1)
    full = np.zeros((SLICES, height, height), dtype=bool)
    full[which, v[inside], u[inside] + (height - width) // 2] = True
    step = height // SIDE
    return full[:, ::step, ::step]


def pack(frame: np.ndarray) -> np.ndarray:
    """Bits [4, 256, 256] of an event frame in uint8 [32768], the first in the highest bit."""
    return np.packbits(frame)


def unpack(bits: np.ndarray) -> np.ndarray:
    """Inverse of `pack`: bool [4, 256, 256]."""
    return np.unpackbits(bits).reshape(SLICES, SIDE, SIDE).astype(bool)


def write_frames(
    stream: Path, rows: np.ndarray, times: Sequence[float], *, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write the event frames of all intervals between consecutive `times` of a stream; their paths.

    Nothing is written where a row is wrong. Raises DataError for times that do not grow, or less than two.
    """
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise DataError(f"{stream}: {len(times)} times of pictures must be at least 2 and grow; check the time stamps")
    name, prefix = _EVENTS
    frames = []
    for i, (start, stop) in enumerate(pairwise(times)):
        frames.append(pack(frames_from_rows(rows, start, stop)))
        if progress is not None:
            progress(i + 1, len(times) - 1)
    (stream / name).mkdir(parents=True, exist_ok=True)
    paths = [stream / name / f"{prefix}{i:04d}.npz" for i in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        with whole(path) as part, part.open("wb") as file:
            np.savez_compressed(file, events_frame=frame)
    return paths


def read_frame(path: Path) -> np.ndarray:
    """The event frame of a file, bool [4, 256, 256]. Raises DataError for anything else."""
    bits = _arrays(path, ("events_frame",))["events_frame"]
    if bits.dtype != np.uint8 or bits.size != SLICES * SIDE * SIDE // 8:
        raise DataError(f"{path}: events_frame is {bits.dtype} {list(bits.shape)}, not 32768 bytes; copy it again")
    return unpack(bits)


def _pose(path: Path) -> dict[str, np.ndarray]:
    arrays = _arrays(path, tuple(_KEYS))
    for key, shape in _KEYS.items():
        if arrays[key].size != np.prod(shape):
            raise DataError(f"{path}: {key} is {list(arrays[key].shape)}, not {list(shape)}; copy it again")
        arrays[key] = arrays[key].reshape(shape).astype(np.float32)
    check_joints(np.concatenate([arrays["joints3d"], arrays["body_pose"].reshape(24, 3)])[None], path)
    return arrays


def _grey(path: Path) -> np.ndarray:
    """A grey picture, float32 [256, 256] in [0, 1]."""
    grey = read_grey(path, SIDE).astype(np.float32) / 255
    if not grey.any():
        raise DataError(f"{path}: is an empty frame, black everywhere; copy it again or leave the stream out")
    return grey


def _smaller(video: Tensor, size: int, form: str) -> Tensor:
    """Events: whether there was any in a square; grey: its mean."""
    step = SIDE // size
    pool: Any = torch.nn.functional.max_pool2d if form == "events" else torch.nn.functional.avg_pool2d
    return pool(video, step)


def _files(stream: Path, folder: str, prefix: str) -> list[Path]:
    """The numbered files of a folder. Raises DataError where there is none, or a number is missing."""
    paths = sorted(p for p in (stream / folder).glob(f"{prefix}*") if p.suffix in _ENDINGS)
    numbers = [p.stem.removeprefix(prefix) for p in paths]
    if not paths or numbers != [f"{i:04d}" for i in range(len(paths))]:
        missing = next((f"{i:04d}" for i, n in enumerate(numbers) if n != f"{i:04d}"), "0000")
        raise DataError(f"{stream / folder}: lacks {prefix}{missing}; copy the stream again")
    return paths


def _arrays(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    arrays = load_arrays(path, "copy it again")
    if absent := [key for key in keys if key not in arrays]:
        raise DataError(f"{path}: has no {', '.join(absent)}; copy it again")
    return {key: arrays[key] for key in keys}
