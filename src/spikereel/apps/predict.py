"""One video, one answer: classes, firing rates and energy of a trained model on a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.data.motion import events_from, time_surface
from spikereel.data.transforms import EvalTransform
from spikereel.data.video import VideoInfo, glance, read_frames, sample_indices
from spikereel.energy import Passport, measure
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata, weights_hash
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.train.config import DataSpec, data_spec_of

ARRAYS = ("tensor", "npy")
"""What `VideoInfo.codec` says of clips that are no video file."""

EVENT_THRESHOLD = 0.25
"""Change of log-luma that makes an event: the one `MotionClips` trains with."""

SIMULATED = {"events": "events simulated from rgb", "surface": "time surface of events simulated from rgb"}
"""What is said of colour frames that a model sees in another modality."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model says of one video, and what saying it cost."""

    path: str
    """The file; "clip" for a tensor."""
    model: str
    weights: str
    """sha256 of the weights."""
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    """Softmax of the logits, averaged over the views before it."""
    passport: Passport
    """Firing rates and energy of this very clip; with several views, of a mean one."""
    indices: tuple[int, ...]
    """Numbers of the frames that were seen; those of several clips follow each other."""
    clips: int
    """Clips in time."""
    views: int
    """Clips times crops in space."""
    info: VideoInfo
    running: tuple[tuple[float, ...], ...] | None
    """Probabilities after each time step, where the model streams; the last are `probabilities`."""
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.top5[0][0]

    @property
    def top5(self) -> list[tuple[str, float]]:
        """The most probable classes, at most five, best first."""
        return _best(self.classes, self.probabilities)

    @property
    def firing(self) -> dict[str, float]:
        """{neuron: firing rate, mean over time}."""
        return {name: sum(rates) / len(rates) for name, rates in self.passport.firing.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        passport = self.passport.to_json()
        energy = ("schema", "clip", "gmac", "gsop", "mean_rate", "energy_mj", "energy_per_frame_mj", "cost_models")
        return {
            "model": self.model, "weights": self.weights, "path": self.path, "frames": list(self.indices),
            "clips": self.clips, "views": self.views,
            "video": {"frames": self.info.frames, "fps": self.info.fps, "width": self.info.width,
                      "height": self.info.height, "codec": self.info.codec, "seconds": self.info.seconds},
            "top5": [{"class": name, "probability": p} for name, p in self.top5],
            "running": None if self.running is None else [
                {"class": name, "probability": p} for name, p in (_best(self.classes, x)[0] for x in self.running)
            ],
            "energy": {key: passport[key] for key in energy}, "firing": self.firing, "notes": list(self.notes),
        }  # fmt: skip


def predict(model: VideoModel, source: str | PathLike | Tensor, *, views: int | None = None) -> Prediction:
    """The classes of one video, with firing rates and energy measured on it.

    source: a video file; a `.npy` file, uint8 [T, H, W, 3] or float [T, C, H, W] in [0, 1]; or a tensor, uint8
    [T, 3, H, W] or float as in the file. Frames are chosen, resized and normalised as for training, which the weights
    know; a model trained on events sees colour frames as the ON and OFF events between them.
    views: clips in time, each seen through its central crop; None takes the views the model is evaluated with.

    Raises DataError, in one line, for a file that is not a good video or clip; ConfigError for weights that do not say
    how clips were made, and for several clips of a model that sees the whole video at once.
    """
    metadata = model.metadata
    if model.task != "classification":
        raise ConfigError(
            f"these weights are for {model.task}, not for classes; use `spikereel predict --task {model.task}`"
        )
    spec = data_spec_of(metadata)
    clips, crops = (spec.clips, spec.crops) if views is None else (views, 1)
    if clips < 1:
        raise ConfigError(f"views is {clips}: it must be at least 1")
    video = _open(source)
    # an array shorter than the span of a clip has been cut in time already; a short file repeats its last frame
    cut = video.info.codec in ARRAYS and video.info.frames < (spec.stride or 1) * spec.frames
    stride = None if cut and clips == 1 else spec.stride
    chosen = [
        sample_indices(video.info.frames, spec.frames, stride=stride, clip=clip, clips=clips) for clip in range(clips)
    ]
    simulated = spec.modality != "rgb" and video.channels == 3
    if not simulated and video.channels != model.config.in_channels:
        raise DataError(f"{video.name}: has {video.channels} channels, this model takes {model.config.in_channels}")
    device = next(model.parameters()).device
    seen = [view.to(device) for indices in chosen for view in _views(video, indices, spec, crops, simulated)]
    passport, logits = _measured(model, seen)
    return Prediction(
        path=video.name, model=metadata.name, weights=weights_hash(model), passport=passport, info=video.info,
        classes=_classes_of(metadata, model.config.num_classes), probabilities=_softmax(logits),
        indices=tuple(i for indices in chosen for i in indices), clips=clips, views=len(seen),
        running=_running(model, seen) if model.can_stream else None,
        notes=(SIMULATED[spec.modality],) if simulated else (),
    )  # fmt: skip


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
        name=name, info=info, channels=3,
        read=lambda indices: read_frames(name, known.at_equal_times(indices), known),
    )  # fmt: skip


def _array(name: str, clip: np.ndarray) -> _Source:
    if clip.dtype == np.uint8:
        shape = tuple(clip.shape[i] for i in (0, 3, 1, 2))
        return _Source(
            name=name, info=_info(shape, "npy"), channels=3,
            read=lambda indices: torch.from_numpy(clip[list(indices)]).permute(0, 3, 1, 2),
        )  # fmt: skip
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


def _views(video: _Source, indices: list[int], spec: DataSpec, crops: int, simulated: bool) -> list[Tensor]:
    """The crops of one clip, each float32 [T, 1, C, size, size], ready for the model."""
    if spec.modality == "rgb":
        see = EvalTransform(size=spec.size, crops=crops, mean=spec.mean, std=spec.std, antialias=spec.antialias)
        frames = video.read(indices)
    else:
        see = EvalTransform(size=spec.size, crops=crops, mean=0.0, std=1.0)
        frames = video.read([_before(indices), *indices] if simulated else indices)
    views = see(frames, None)
    views = views if crops > 1 else views[None]
    if simulated:
        views = [torch.from_numpy(events_from(view.numpy(), threshold=EVENT_THRESHOLD)) for view in views]
    if simulated and spec.modality == "surface":
        views = [torch.from_numpy(time_surface(view.numpy())) for view in views]
    return [view[:, None] for view in views]


def _before(indices: list[int]) -> int:
    """The frame that the first one is compared with: as far back as the second is ahead, where the video has it."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    return max(indices[0] - step, 0)


def _measured(model: nn.Module, views: list[Tensor]) -> tuple[Passport, Tensor]:
    """Passport, and logits [classes] averaged over the views, out of the same runs."""
    logits: list[Tensor] = []
    hook = model.register_forward_hook(lambda _module, _inputs, output: logits.append(output[0]))
    try:
        passport = measure(model, views)
    finally:
        hook.remove()
    return passport, torch.cat(logits).mean(0)


def _running(model: nn.Module, views: list[Tensor]) -> tuple[tuple[float, ...], ...]:
    """Probabilities after each frame, run one at a time with the state of the frame before."""
    training, rows = model.training, []
    model.eval()
    try:
        with torch.no_grad():
            for view in views:
                state, row = State(), []
                for frame in view:
                    logits, state = model(frame[None], state)
                    row.append(logits)
                rows.append(torch.cat(row))
    finally:
        model.train(training)
    return tuple(_softmax(logits) for logits in torch.stack(rows).mean(0))


def _softmax(logits: Tensor) -> tuple[float, ...]:
    return tuple(logits.double().softmax(0).tolist())


def _best(classes: Sequence[str], probabilities: Sequence[float]) -> list[tuple[str, float]]:
    return sorted(zip(classes, probabilities, strict=True), key=lambda pair: -pair[1])[:5]


def _classes_of(metadata: Metadata, count: int) -> tuple[str, ...]:
    classes = metadata.classes or tuple(f"class {i}" for i in range(count))
    if len(classes) != count:
        raise ConfigError(f"these weights name {len(classes)} classes, the model has {count}; save them again")
    return classes


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
