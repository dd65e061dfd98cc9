"""`model.preprocess`: frames in memory as a network takes them, bit for bit what `predict` feeds it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.events.recording import Events
from spikereel.data.sets.utd_mhad import depth_clip
from spikereel.data.video.read import sample_indices
from spikereel.errors import ConfigError, DataError
from spikereel.inference.frames import Frames, depth_frames, event_frames, tensor_frames
from spikereel.inference.look import channels_last, reading_of, seeing
from spikereel.inference.segment import shrunk
from spikereel.inference.track import pose_clip
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import KINDS, sees_recordings
from spikereel.runs.readings import POSE_STRIDE, depth_reading

NAME = "frames"
"""What errors call what was given."""


def prepared(model: VideoModel, frames: Any, *, sample: bool = False, fps: int | float | None = None) -> Tensor:
    """See `VideoModel.preprocess`."""
    spec = data_spec_of(model.metadata)
    clips = _clips(frames)
    see = {"pose": _pose, "segmentation": _masks}.get(model.task, _classes)
    seen = [see(model, clip, spec, sample, fps or 0.0) for clip in clips]
    if len({len(x) for x in seen}) > 1:
        raise DataError(f"{NAME}: clips become {[len(x) for x in seen]} frames; give clips of one length")
    return torch.stack(seen, dim=1).to(next(model.parameters()).device)


def _clips(frames: Any) -> Sequence[Any]:
    """The clips of a batch: a list of them, or an array with an axis more."""
    if isinstance(frames, list | tuple):
        if not frames:
            raise DataError(f"{NAME}: is an empty list; give a clip, or several")
        return frames
    if isinstance(frames, np.ndarray | Tensor) and frames.ndim == 5:
        # [T, B, ...], as the network has it
        return [frames[:, b] for b in range(frames.shape[1])]
    return [frames]


def _classes(model: VideoModel, clip: Any, spec: DataSpec, sample: bool, fps: float) -> Tensor:
    channels = model.config.in_channels
    if KINDS[spec.kind].films_depth:
        return depth_clip(_depth(clip), depth_reading(spec, train=False, seed=0))[0]
    if sees_recordings(spec):
        if not isinstance(clip, Events):
            raise DataError(
                f"{NAME}: these weights see events, got {_said(clip)}; give "
                "spikereel.data.events.readers.read_events(FILE), or frames of its events to the network itself"
            )
        return reading_of(spec)(clip)
    video = _pictures(clip, fps)
    simulated = video.channels == 3 and (spec.modality != "rgb" or spec.simulate is not None)
    if not simulated and video.channels != channels:
        raise DataError(f"{NAME}: have {video.channels} channels, this model takes {channels}{channels_last(clip)}")
    # simulated events lie between frames
    count = spec.frames if spec.simulate is None else spec.frames + 1
    indices = sample_indices(len(video), count, stride=spec.stride) if sample else list(range(len(video)))
    (seen,) = seeing(spec, simulated=simulated)(video, indices, spec.single())
    return seen


def _pose(model: VideoModel, clip: Any, spec: DataSpec, sample: bool, fps: float) -> Tensor:
    deep = spec.modality == "depth" or KINDS[spec.kind].films_depth
    if deep:
        recording = depth_frames(NAME, _depth(clip))
    else:
        recording = event_frames(NAME, clip) if isinstance(clip, Events) else _pictures(clip, fps)
    return pose_clip(recording, spec, step=(spec.stride or POSE_STRIDE) if sample else 1)


def _masks(model: VideoModel, clip: Any, spec: DataSpec, sample: bool, fps: float) -> Tensor:
    if sample:
        raise ConfigError("sample is for clips of classes and poses; a clip of masks is said by data.offsets")
    video = _pictures(clip, fps)
    return shrunk(video.shown(range(len(video))), spec)


def _pictures(clip: Any, fps: float) -> Frames:
    """uint8 [T, H, W, C], or float [T, C, H, W] in [0, 1]."""
    if not isinstance(clip, np.ndarray | Tensor):
        raise DataError(f"{NAME}: these weights see pictures, got {_said(clip)}; give uint8 [T, H, W, 3]")
    clip = torch.as_tensor(clip).cpu()
    if clip.dtype == torch.uint8:
        if clip.ndim != 4 or clip.shape[-1] != 3:
            raise DataError(f"{NAME}: uint8 frames are [T, H, W, 3], got {list(clip.shape)}; put the colours last")
        clip = clip.permute(0, 3, 1, 2)
    return tensor_frames(NAME, clip, fps=fps)


def _depth(clip: Any) -> np.ndarray:
    """uint16 [T, H, W] in millimetres."""
    if not isinstance(clip, np.ndarray) or clip.dtype != np.uint16 or clip.ndim != 3 or not clip.any():
        raise DataError(f"{NAME}: these weights see depth, got {_said(clip)}; give uint16 [T, H, W] in mm, 0 = nobody")
    return clip


def _said(clip: Any) -> str:
    shape = getattr(clip, "shape", None)
    return f"a {type(clip).__name__}" + ("" if shape is None else f" {clip.dtype} {list(shape)}")
