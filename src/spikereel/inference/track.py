"""Where the joints of a person are in every frame of a recording, however long."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.body.bvh import motion_of, write_bvh
from spikereel.body.camera import STANDARD, Camera
from spikereel.body.skeletons import KINECT20, SMPL24, Skeleton
from spikereel.data.events.readers import SUFFIXES, read_events
from spikereel.data.events.recording import Events
from spikereel.data.npz import load_arrays
from spikereel.data.pose import channels
from spikereel.data.sets.mmhpsd import CAMERA as MMHPSD_CAMERA
from spikereel.data.sets.utd_mhad_pose import KINECT_DEPTH, read_person
from spikereel.data.video.read import probe, read_frames
from spikereel.errors import ConfigError, DataError
from spikereel.files import write_whole
from spikereel.hub import weights_hash
from spikereel.inference.look import read_clip
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.pose import smpl_of
from spikereel.runs.readings import POSE_STRIDE as STRIDE
from spikereel.runs.readings import form_of
from spikereel.tasks.pose import joints_of

USUAL_FPS = 30.0
"""Of recordings that do not say, and of the clips that all pose recipes train on."""
USUAL_FOCAL = 1.2
"""Focal length of an unknown camera, in longer sides of its picture."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Track:
    """The joints of one person over a recording."""

    path: str
    model: str
    weights: str
    """sha256 of the weights."""
    skeleton: Skeleton
    joints: np.ndarray
    """float32 [N, J, 3], metres in the frame of the camera: x right, y down, z away."""
    points: np.ndarray
    """float32 [N, J, 2], pixels of the frame."""
    fps: float
    box: np.ndarray
    """float32 [N, 3]: left, top and side of the square that the network saw of each frame, pixels."""
    camera: Camera
    """Of the frames, pixels."""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        return {
            "path": self.path,
            "task": "pose",
            "model": self.model,
            "weights": self.weights,
            "fps": self.fps,
            "skeleton": {
                "name": self.skeleton.name,
                "joints": list(self.skeleton.joints),
                "parents": list(self.skeleton.parents),
            },
            "camera": {"fx": self.camera.fx, "fy": self.camera.fy, "cx": self.camera.cx, "cy": self.camera.cy},
            "box": np.round(self.box, 2).tolist(),
            "frames": len(self.joints),
            "joints_m": np.round(self.joints, 5).tolist(),
            "points_px": np.round(self.points, 2).tolist(),
            "notes": list(self.notes),
        }

    def write_npz(self, path: Path) -> None:
        """Arrays joints [N, J, 3] metres, points [N, J, 2] pixels, names, parents and fps."""
        from io import BytesIO

        content = BytesIO()
        np.savez_compressed(
            content,
            joints=self.joints,
            points=self.points,
            names=np.array(self.skeleton.joints),
            parents=np.array(self.skeleton.parents),
            fps=self.fps,
        )
        write_whole(path, content.getvalue())

    def write_bvh(self, path: Path) -> None:
        """Motion in centimetres, y up; see `motion_of`."""
        up = 100.0 * self.joints * (1.0, -1.0, -1.0)
        write_bvh(path, motion_of(up, self.skeleton.joints, self.skeleton.parents, 1 / self.fps))


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Frames of one person: depth, pictures, or events."""

    name: str
    fps: float
    depth: np.ndarray | None
    """uint16 [N, H, W] millimetres, 0 where nobody is; None for pictures."""
    shown: Tensor
    """uint8 [N, 3, H, W]."""
    events: Tensor | None = None
    """bool [N, 2, H, W]: where ON and OFF events fell in the time of a frame; None for the others."""

    @property
    def kind(self) -> str:
        return "events" if self.events is not None else "pictures" if self.depth is None else "depth"


def read_recording(source: str | PathLike) -> Recording:
    """A recording from a video file; a .npz with `depth`, or a .npy: uint16 depth [N, H, W] in mm, background 0, or
    uint8 [N, H, W, 3]; an event file, of which a frame is a thirtieth of a second.

    Raises DataError for anything else, and for a frame of depth that shows nobody.
    """
    name = fspath(source)
    path = Path(name)
    if path.suffix.lower() in SUFFIXES - {".npz", ".npy"}:
        return _of_events(read_events(path), name)
    if path.suffix.lower() in (".npz", ".npy"):
        if not path.is_file():
            raise DataError(f"{name}: no such file; check the path")
        arrays = load_arrays(path, "give depth, uint16 [N, H, W] in mm")
        if {"t", "x", "y", "p"} <= arrays.keys():
            return _of_events(read_events(path), name)
        depth = arrays.get("depth", arrays.get(""))
        if depth is None or depth.dtype != np.uint16:
            if path.suffix.lower() == ".npz":
                raise DataError(f"{name}: has no `depth` of uint16 [N, H, W]; found {', '.join(arrays)}")
            frames = torch.from_numpy(np.array(read_clip(name)))
            if frames.dtype != torch.uint8:
                raise DataError(f"{name}: holds {frames.dtype}; give uint16 depth [N, H, W] or uint8 [N, H, W, 3]")
            return Recording(name=name, fps=USUAL_FPS, depth=None, shown=frames.permute(0, 3, 1, 2))
        return Recording(name=name, fps=USUAL_FPS, depth=depth, shown=_depth_shown(depth, name))
    info = probe(name)
    return Recording(name=name, fps=info.fps or USUAL_FPS, depth=None, shown=read_frames(name, range(info.frames)))


def track(
    model: VideoModel,
    recording: Recording,
    *,
    box: Box | None = None,
    camera: Camera | None = None,
    smooth: bool = False,
    overlap: float = 0.5,
    spec: DataSpec | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Track:
    """The joints of the person in a recording, at every frame.

    Frames go through the network as many apart as in training, once for each offset; `spatial` and `causal` networks
    run frame by frame with their state, others in windows that overlap by the share `overlap` and fade into each other.
    box: left, top, width and height of the person in pixels; without it the mask of the depth, or the whole frame.
    camera: of the frames, pixels. smooth: one-euro filter. spec: how clips are made, as the weights say if None.
    Raises DataError for frames of a kind that the weights were not trained on, ConfigError for weights without poses.
    """
    if model.task != "pose":
        raise ConfigError(f"these weights are for {model.task}; train a recipe of task pose and give its weights")
    spec = spec or data_spec_of(model.metadata)
    smpl, skeleton = smpl_of(model, spec), SMPL24 if spec.kind == "mmhpsd" else KINECT20
    skeleton.check(model.config.pose.joints, f"the network {model.metadata.name}")
    seen = MMHPSD_CAMERA if spec.kind == "mmhpsd" else STANDARD
    notes: list[str] = []
    height, width = recording.shown.shape[2:]
    if camera is None and recording.depth is not None and (height, width) == (120, 160):
        camera = KINECT_DEPTH
    if camera is None:
        focal = USUAL_FOCAL * max(height, width)
        camera = Camera(fx=focal, fy=focal, cx=width / 2, cy=height / 2)
        notes.append(f"camera unknown: distances are for a focal length of {focal:.0f} pixels")
    pictures, squares = _pictures(recording, spec, box, camera)
    step = spec.stride or STRIDE
    around, where = torch.empty(len(pictures), len(skeleton.joints), 3), torch.empty(len(pictures), 3)
    model = model.eval()
    for phase in range(min(step, len(pictures))):
        own = torch.arange(phase, len(pictures), step)
        video = _clip(pictures, own, spec, step)
        output = run_pose(model, video[:, None], spec.frames, overlap=overlap)
        around[own], where[own] = joints_of(output, smpl)[:, 0], output.translation[:, 0]
        if progress is not None:
            progress(phase + 1, step)
    points = seen.project(around + where[:, None]) * squares[:, None, 2:] + squares[:, None, :2]
    joints = around + camera.locate(around, points)[:, None]
    if smooth:
        joints = one_euro(joints, recording.fps)
        points = camera.project(joints)
    return Track(
        path=recording.name,
        model=model.metadata.name,
        weights=weights_hash(model),
        skeleton=skeleton,
        joints=joints.numpy(),
        points=points.numpy(),
        fps=recording.fps,
        box=squares.numpy(),
        camera=camera,
        notes=tuple(notes),
    )


def run_pose(model: VideoModel, video: Tensor, frames: int, *, overlap: float = 0.5) -> Any:
    """The pose at every frame of a long video [N, B, C, S, S].

    Frame by frame with state where the network streams, else in windows of `frames` that overlap by the share `overlap`
    and fade into each other linearly.
    """
    if not 0.0 <= overlap < 1.0:
        raise ConfigError(f"overlap is {overlap}: it is a share of the window, from 0 to below 1")
    with torch.inference_mode():
        if model.can_stream:
            state, outputs = State(), []
            for frame in video:
                output, state = model(frame[None], state)
                outputs.append(output)
            return type(output)(*(torch.cat(parts) for parts in zip(*outputs, strict=True)))
        total = len(video)
        whole = video[torch.arange(max(total, frames)).clamp_max(total - 1)]
        hop = max(round(frames * (1 - overlap)), 1)
        starts = sorted({*range(0, len(whole) - frames, hop), len(whole) - frames})
        ramp = torch.minimum(torch.arange(1.0, frames + 1), torch.arange(float(frames), 0, -1))
        sums, weight, kind = None, torch.zeros(len(whole)), None
        for start in starts:
            output, _ = model(whole[start : start + frames])
            kind = type(output)
            sums = sums or [torch.zeros(len(whole), *part.shape[1:]) for part in output]
            for sum_, part in zip(sums, output, strict=True):
                sum_[start : start + frames] += part * ramp.view(-1, *[1] * (part.ndim - 1))
            weight[start : start + frames] += ramp
        means = ((x / weight.view(-1, *[1] * (x.ndim - 1)))[:total] for x in cast(list[Tensor], sums))
        return cast(Any, kind)(*means)


def one_euro(x: Tensor, fps: float, *, cutoff: float = 1.0, beta: float = 0.7, speed_cutoff: float = 1.0) -> Tensor:
    """The one-euro filter (Casiez et al. 2012) over the first axis: a low pass whose cutoff grows with speed.

    cutoff and speed_cutoff in Hz; beta in Hz for a speed of one unit of x a second.
    """

    def share(frequency: Tensor | float) -> Tensor | float:
        return 1.0 / (1.0 + fps / (2 * torch.pi * frequency))

    out, speed = [x[0]], torch.zeros_like(x[0])
    for now in x[1:]:
        speed = speed + share(speed_cutoff) * ((now - out[-1]) * fps - speed)
        out.append(out[-1] + share(cutoff + beta * speed.abs()) * (now - out[-1]))
    return torch.stack(out)


def _pictures(recording: Recording, spec: DataSpec, box: Box | None, camera: Camera) -> tuple[Tensor, Tensor]:
    """What the network's pictures are made of, float32 [N, S, S] in [0, 1] or events [N, 2, S, S], 0 or 1, and the
    squares [N, 3] that they show."""
    height, width = recording.shown.shape[2:]
    deep = spec.modality == "depth" or spec.kind == "utd_mhad"
    wanted = ["depth"] if deep else ["pictures", *(["events"] if spec.modality == "events" else [])]
    if recording.kind not in wanted:
        raise DataError(
            f"{recording.name}: holds {recording.kind}, these weights see {' or '.join(wanted)}; "
            "depth is a .npz or .npy of uint16 [N, H, W] in mm"
        )
    if spec.kind == "mmhpsd" and spec.modality == "events":
        raise DataError(f"{recording.name}: these weights see event frames of MMHPSD; train with data.modality=grey")
    if box is None:
        left, top, side = _whole_square(height, width)
    else:
        left, top, w, h = box
        if not (w > 0 and h > 0 and left + w > 0 and top + h > 0 and left < width and top < height):
            raise ConfigError(f"box {box} lies outside the frame of {width} x {height}; left, top, width, height")
        side = round(max(w, h))
        left, top = round(left + (w - side) / 2), round(top + (h - side) / 2)
    if recording.depth is not None:
        inside = np.zeros_like(recording.depth)
        rows, columns = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
        inside[:, rows, columns] = recording.depth[:, rows, columns]
        outside = np.flatnonzero(~inside.any(axis=(1, 2)))
        if len(outside):
            raise DataError(f"{recording.name}: nobody is inside the box {box} in frame {outside[0]}; give another")
        return read_person(inside, spec.size, camera, recording.name)
    squares = torch.tensor([[left, top, side]], dtype=torch.float32).expand(len(recording.shown), 3)
    border = (-left, left + side - width, -top, top + side - height)
    if recording.events is not None:
        return F.adaptive_max_pool2d(F.pad(recording.events.float(), border), spec.size), squares
    weights = torch.tensor([0.299, 0.587, 0.114])
    grey = torch.einsum("nchw,c->nhw", recording.shown.float() / 255, weights)
    cut = F.pad(grey, border)
    small = F.interpolate(cut[:, None], (spec.size, spec.size), mode="bilinear", antialias=True, align_corners=False)
    return small[:, 0].clamp(0, 1), squares


def _clip(pictures: Tensor, own: Tensor, spec: DataSpec, step: int) -> Tensor:
    """The video [n, C, S, S] of the frames `own`, `step` apart: of events those since the frame before."""
    if pictures.ndim == 4:
        return torch.stack([pictures[max(i - step + 1, 0) : i + 1].amax(0) for i in own.tolist()])
    return channels(pictures[torch.cat([own[:1], own])][:, None], form_of(spec))


def _of_events(events: Events, name: str) -> Recording:
    """Frames of equal times, as near to a thirtieth of a second as the duration allows."""
    seconds = max(int(events.t[-1] - events.t[0]), 1) / 1e6
    total = max(round(seconds * USUAL_FPS), 1)
    frame = np.minimum((events.t - events.t[0]) / 1e6 / seconds * total, total - 1).astype(np.int64)
    fell = torch.zeros(total, 2, events.height, events.width, dtype=torch.bool)
    fell[frame, 1 - events.p.astype(np.int64), events.y.astype(np.int64), events.x.astype(np.int64)] = True
    on, off = fell.unbind(1)
    level = 90 + 150 * on.to(torch.uint8) - 90 * (off & ~on).to(torch.uint8)
    shown = level[:, None].expand(-1, 3, -1, -1)
    return Recording(name=name, fps=total / seconds, depth=None, shown=shown, events=fell)


def _whole_square(height: int, width: int) -> tuple[int, int, int]:
    side = max(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _depth_shown(depth: np.ndarray, name: str) -> Tensor:
    """Depth as grey pictures uint8 [N, 3, H, W], closer is brighter."""
    if depth.ndim != 3 or not depth.size:
        raise DataError(f"{name}: depth is {list(depth.shape)}; give [N, H, W] with at least one frame")
    empty = np.flatnonzero(~depth.any(axis=(1, 2)))
    if len(empty):
        raise DataError(f"{name}: frame {empty[0]} shows nobody, its depth is 0 everywhere; cut that frame off")
    person = depth > 0
    near, far = np.percentile(depth[person], (1, 99))
    level = 230 - 150 * ((depth - near) / max(far - near, 1)).clip(0, 1)
    return torch.from_numpy(np.where(person, level, 16).astype(np.uint8))[:, None].expand(-1, 3, -1, -1)
