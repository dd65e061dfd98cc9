"""Where the joints of a person are in every frame of a recording, however long."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spikereel.body.bvh import motion_of, write_bvh
from spikereel.body.camera import Camera
from spikereel.body.skeletons import KINECT20, Skeleton
from spikereel.data.pose import channels
from spikereel.data.sets.utd_mhad_pose import KINECT_DEPTH, read_person
from spikereel.data.video.rendering import Assumed
from spikereel.errors import ConfigError, DataError
from spikereel.files import write_json, write_whole
from spikereel.hub import weights_hash
from spikereel.inference.coco import keypoints
from spikereel.inference.counting import ran_on
from spikereel.inference.frames import USUAL_FPS, Frames, notes_of, open_frames
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import KINDS
from spikereel.runs.pose import smpl_of
from spikereel.runs.readings import POSE_STRIDE, form_of
from spikereel.shown import Shown
from spikereel.tasks.pose import joints_of
from spikereel.tasks.smoothing import one_euro_step

USUAL_FOCAL = 1.2
"""Focal length of an unknown camera, in longer sides of its picture."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, repr=False)
class Track(Shown):
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
    frames: Frames | None = None
    """What `draw` draws."""
    bvh_positions: bool = False
    """Whether `write_bvh` gives every joint its position, where other programs want rotations alone."""
    engine: str = "reference"
    """What ran the network."""

    def __repr__(self) -> str:
        return f"Track({self.path}: {self.skeleton.name} in {len(self.joints)} frames, {self.fps:g} a second)"

    def __rich__(self) -> str:
        return repr(self)

    def brief(self) -> tuple[str, str]:
        """The answer, and of how much."""
        return self.skeleton.name, f"{len(self.joints)} frames"

    @property
    def seconds(self) -> np.ndarray | None:
        """When each frame begins to be shown, where that is not at equal steps of 1 / fps."""
        return None if self.frames is None else self.frames.begins()

    @property
    def assumed(self) -> Assumed | None:
        """How the pixels of the video were taken."""
        return None if self.frames is None else self.frames.info.assumed

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        return {
            "path": self.path,
            "task": "pose",
            "engine": self.engine,
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
            "seconds": None if self.seconds is None else np.round(self.seconds, 6).tolist(),
            "assumed": None if self.assumed is None else asdict(self.assumed),
            "joints_m": np.round(self.joints, 5).tolist(),
            "points_px": np.round(self.points, 2).tolist(),
            "notes": list(self.notes),
        }

    def draw(self, path: str | PathLike) -> None:
        """Write an mp4 of the source with the skeleton over it, or a .png of the skeleton in three dimensions."""
        from spikereel.show.pose import overlay, strip

        if Path(path).suffix.lower() == ".png":
            strip(path, self)
            return
        if self.frames is None:
            raise ConfigError("this track has no frames to draw over; make it with spikereel.predict")
        overlay(path, self, self.frames.pictures())

    def tables(self) -> list[Any]:
        """What a terminal shows: nothing, the files say it all."""
        return []

    def write(
        self, folder: Path, name: str, *, video: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Write <name>.json, .npz and .bvh, <name>.mp4 and .png as `draw`; lines that say so."""
        write_json(folder / f"{name}.json", self.to_json())
        self.write_npz(folder / f"{name}.npz")
        self.write_bvh(folder / f"{name}.bvh")
        write_json(folder / f"{name}.coco.json", keypoints(self))
        for suffix in ("mp4", "png") if video else ():
            self.draw(folder / f"{name}.{suffix}")
        kinds = "json, npz, bvh, coco.json" + (", mp4 and png" if video else "")
        return [f"{len(self.joints)} frames of {self.path}; written: {folder / name} as {kinds}", *self.notes]

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

    def at_equal_times(self) -> np.ndarray:
        """Joints [N, J, 3] at steps of 1 / fps."""
        if self.seconds is None:
            return self.joints
        even = np.arange(len(self.joints)) / self.fps
        flat = self.joints.reshape(len(self.joints), -1)
        between = [np.interp(even, self.seconds, column) for column in flat.T]
        return np.stack(between, axis=1).reshape(self.joints.shape).astype(self.joints.dtype)

    def write_bvh(self, path: Path) -> None:
        """Motion in centimetres, y up; see `motion_of`. A file has one step of time: of a recording whose rate varies
        it has the joints at equal steps, between those of the frames before and after."""
        up = 100.0 * self.at_equal_times() * (1.0, -1.0, -1.0)
        write_bvh(
            path, motion_of(up, self.skeleton.joints, self.skeleton.parents, 1 / self.fps), positions=self.bvh_positions
        )


def track_file(
    model: VideoModel,
    source: str | PathLike,
    *,
    box: Box | None = None,
    camera: Camera | None = None,
    smooth: bool = False,
    smpl: str | None = None,
    bvh_positions: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Track:
    """`track` on a video, a folder of pictures, depth or an event recording; see `open_frames`.

    smpl: the file of the body model, where the weights give parameters of SMPL and do not say where it is.
    """
    spec = _spec_of(model)
    spec = replace(spec, smpl=smpl or spec.smpl)
    deep = spec.modality == "depth" or KINDS[spec.kind].films_depth
    frames = open_frames(source, whole=True, depth=deep)
    found = track(model, frames, box=box, camera=camera, smooth=smooth, spec=spec, progress=progress)
    return replace(found, bvh_positions=bvh_positions)


def track(
    model: VideoModel,
    recording: Frames,
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
    spec = spec or _spec_of(model)
    row = KINDS[spec.kind]
    smpl, skeleton, seen = smpl_of(model, spec), row.skeleton or KINECT20, row.camera
    skeleton.check(model.config.pose.joints, f"the network {model.metadata.name}")
    notes: list[str] = list(notes_of(recording.info))
    if camera is None:
        camera = _usual_camera(recording)
        if camera is not KINECT_DEPTH:
            notes.append(f"camera unknown: distances are for a focal length of {camera.fx:.0f} pixels")
    pictures, squares = _pictures(recording, spec, box, camera)
    fps = recording.info.fps or USUAL_FPS
    step = spec.stride or POSE_STRIDE
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
        during = recording.during()
        # of equal times the second frame is a microsecond later
        joints = one_euro(joints, fps if during is None else 1 / np.diff(during[:-1]).clip(1e-6))
        points = camera.project(joints)
    return Track(
        path=recording.name,
        model=model.metadata.name,
        weights=weights_hash(model),
        engine=ran_on(model, counted=False),
        skeleton=skeleton,
        joints=joints.numpy(),
        points=points.numpy(),
        fps=fps,
        box=squares.numpy(),
        camera=camera,
        notes=tuple(notes),
        frames=recording,
    )


def pose_clip(recording: Frames, spec: DataSpec, *, step: int = 1) -> Tensor:
    """What a network for poses sees of every `step`-th frame, the whole frame in a square: [N, C, S, S]."""
    pictures, _ = _pictures(recording, spec, None, _usual_camera(recording))
    return _clip(pictures, torch.arange(0, len(pictures), step), spec, step)


def _usual_camera(recording: Frames) -> Camera:
    """Of frames that nobody told the camera of."""
    height, width = recording.size
    if recording.holds == "depth" and (height, width) == (120, 160):
        return KINECT_DEPTH
    focal = USUAL_FOCAL * max(height, width)
    return Camera(fx=focal, fy=focal, cx=width / 2, cy=height / 2)


def _spec_of(model: VideoModel) -> DataSpec:
    """How clips of a pose model are made; ConfigError for a model of another task."""
    if model.task != "pose":
        raise ConfigError(f"these weights are for {model.task}; train a recipe of task pose and give its weights")
    return data_spec_of(model.metadata)


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


def one_euro(
    x: Tensor, fps: float | np.ndarray, *, cutoff: float = 1.0, beta: float = 0.7, speed_cutoff: float = 1.0
) -> Tensor:
    """The one-euro filter (Casiez et al. 2012) over the first axis: a low pass whose cutoff grows with speed.

    fps: frames a second, or one over each of the steps between them.
    cutoff and speed_cutoff in Hz; beta in Hz for a speed of one unit of x a second.
    """
    out, state = [], None
    for now, rate in zip(x, [0.0, *np.broadcast_to(fps, len(x) - 1).tolist()], strict=True):
        y, state = one_euro_step(now, state, rate, cutoff=cutoff, beta=beta, speed_cutoff=speed_cutoff)
        out.append(y)
    return torch.stack(out)


def _pictures(recording: Frames, spec: DataSpec, box: Box | None, camera: Camera) -> tuple[Tensor, Tensor]:
    """What the network's pictures are made of, float32 [N, S, S] in [0, 1] or events [N, 2, S, S], 0 or 1, and the
    squares [N, 3] that they show."""
    height, width = recording.size
    row = KINDS[spec.kind]
    deep = spec.modality == "depth" or row.films_depth
    wanted = ["depth"] if deep else ["pictures", *(["events"] if spec.modality == "events" else [])]
    if recording.holds not in wanted:
        raise DataError(
            f"{recording.name}: holds {recording.holds}, these weights see {' or '.join(wanted)}; "
            "depth is a .npz or .npy of uint16 [N, H, W] in mm"
        )
    if spec.modality == "events" and row.event_channels > 2:
        raise DataError(
            f"{recording.name}: these weights see event frames of {spec.kind}; train with data.modality=grey"
        )
    left, top, side = _square(box, height, width)
    if recording.holds == "depth":
        depth = recording.read(range(len(recording)))[:, 0].numpy()
        if box is not None:
            depth = _inside(depth, (left, top, side), recording.name, box)
        return read_person(depth, spec.size, camera, recording.name)
    border = (-left, left + side - width, -top, top + side - height)
    small = torch.cat([_small(recording, part, border, spec.size) for part in recording.chunks()])
    return small, torch.tensor([[left, top, side]], dtype=torch.float32).expand(len(recording), 3)


def _small(recording: Frames, part: Sequence[int], border: tuple[int, int, int, int], size: int) -> Tensor:
    """Some frames as small squares: grey float32 [n, size, size] in [0, 1], or events [n, 2, size, size]."""
    if recording.holds == "events":
        return F.adaptive_max_pool2d(F.pad(recording.read(part).float(), border), size)
    weights = torch.tensor([0.299, 0.587, 0.114])
    grey = torch.einsum("nchw,c->nhw", recording.shown(part).float() / 255, weights)
    cut = F.pad(grey, border)
    small = F.interpolate(cut[:, None], (size, size), mode="bilinear", antialias=True, align_corners=False)
    return small[:, 0].clamp(0, 1)


def _square(box: Box | None, height: int, width: int) -> tuple[int, int, int]:
    """Left, top and side of the square around a box, or around the whole frame."""
    if box is None:
        side = max(height, width)
        return (width - side) // 2, (height - side) // 2, side
    left, top, w, h = box
    if not (w > 0 and h > 0 and left + w > 0 and top + h > 0 and left < width and top < height):
        raise ConfigError(f"box {box} lies outside the frame of {width} x {height}; left, top, width, height")
    side = round(max(w, h))
    return round(left + (w - side) / 2), round(top + (h - side) / 2), side


def _inside(depth: np.ndarray, square: tuple[int, int, int], name: str, box: Box) -> np.ndarray:
    """Depth with nothing outside a square; DataError for a frame that is empty then."""
    left, top, side = square
    inside = np.zeros_like(depth)
    rows, columns = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
    inside[:, rows, columns] = depth[:, rows, columns]
    outside = np.flatnonzero(~inside.any(axis=(1, 2)))
    if len(outside):
        raise DataError(f"{name}: nobody is inside the box {box} in frame {outside[0]}; give another")
    return inside


def _clip(pictures: Tensor, own: Tensor, spec: DataSpec, step: int) -> Tensor:
    """The video [n, C, S, S] of the frames `own`, `step` apart: of events those since the frame before."""
    if pictures.ndim == 4:
        return torch.stack([pictures[max(i - step + 1, 0) : i + 1].amax(0) for i in own.tolist()])
    return channels(pictures[torch.cat([own[:1], own])][:, None], form_of(spec))
