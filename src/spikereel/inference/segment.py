"""What every pixel of a video is: labels frame by frame, however long and of whatever size it is."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.mask_clips import Colour, chosen, number_of, short_side
from spikereel.data.masked import LabelledClip
from spikereel.data.pictures import PICTURES, read_picture
from spikereel.data.transforms import normalise
from spikereel.data.video.read import probe, read_frames, timeline
from spikereel.energy import Passport, measure
from spikereel.errors import ConfigError, DataError
from spikereel.hub import weights_hash
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import offset_seconds, palette_of
from spikereel.runs.readings import offsets_of
from spikereel.tasks.sliding import check_window, labels_at, segment

USUAL_FPS = 30.0
"""Of recordings that do not say."""

CHUNK = 16
"""Frames that are decoded at a time."""


@dataclass(frozen=True, kw_only=True)
class FrameSource:
    """Frames by number, decoded when they are asked for."""

    name: str
    fps: float | None
    numbers: Sequence[int]
    """What the names of the frames, or the video, count them by."""
    size: tuple[int, int]
    """Height and width in pixels."""
    read: Callable[[Sequence[int]], Tensor]
    """Positions -> uint8 [N, 3, H, W]."""

    def __len__(self) -> int:
        return len(self.numbers)


def open_frames(source: str | PathLike) -> FrameSource:
    """A video file, or a folder of numbered pictures. Errors: DataError for anything else, and a folder without any."""
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    info, known = probe(path), timeline(path)
    return FrameSource(
        name=fspath(source),
        fps=info.fps or None,
        numbers=range(info.frames),
        size=(info.height, info.width),
        read=lambda positions: read_frames(path, positions, known),
    )


@dataclass(frozen=True, kw_only=True)
class Segmenter:
    """A network with how it sees the frames of a file."""

    model: VideoModel
    classes: tuple[str, ...]
    palette: list[Colour]
    spec: DataSpec
    offsets: tuple[int, ...]
    """Of the frames of a clip from the one that is labelled, in the numbers of the source, or in its frames."""
    by_number: bool
    fps: float | None = None
    """What the numbers of the frames say, where the source does not."""
    notes: tuple[str, ...] = ()

    def labels(self, source: FrameSource) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(position, picture uint8 [3, H, W], labels uint8 [H, W]) of every frame, in order."""
        frames, now = _Frames(source, self.seen, self.offsets), self.offsets.index(0)
        for position in range(len(source)):
            clip = torch.stack([frames.seen(p) for p in self._positions(source, position)])
            with torch.inference_mode():
                logits = segment(
                    self.model, clip[:, None].to(self._device), window=self.spec.window, overlap=self.spec.overlap
                )
                labels = labels_at(logits[now, 0].float(), source.size).cpu()
            yield position, frames.shown(position), labels

    def seen(self, pictures: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] as the network gets them."""
        clip = LabelledClip(video=pictures)
        if self.spec.size:
            clip = clip.resize(*short_side(clip.size, self.spec.size))
        return normalise(clip.video, self.spec.mean, self.spec.std)

    def passport(self, source: FrameSource) -> Passport:
        """Energy of the clip in the middle of a source."""
        positions = self._positions(source, len(source) // 2)
        clip = torch.cat([self.seen(source.read([p])) for p in positions])
        return measure(self.model, clip[:, None].to(self._device))

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _positions(self, source: FrameSource, position: int) -> list[int]:
        return chosen(source.numbers, position, self.offsets, "numbers" if self.by_number else "frames")


def segmenter_of(
    model: VideoModel,
    source: FrameSource,
    *,
    size: int | None = None,
    window: Sequence[int] | None = None,
    overlap: float | None = None,
    offsets: Sequence[int] | None = None,
) -> Segmenter:
    """How weights see a source: as their training clips were made, unless another size, window or offsets are given.

    offsets: in frames of the source; those of training keep their distance in time where the source says how fast it
    is, and numbered pictures of data whose offsets are numbers keep to their numbers.
    Errors: ConfigError for weights of another task, and for what does not go together.
    """
    if model.task != "segmentation":
        raise ConfigError(f"these weights are for {model.task}; give weights of a recipe of task segmentation")
    spec = data_spec_of(model.metadata)
    if model.config.in_channels != 3:
        raise ConfigError(
            f"these weights see {model.config.in_channels} channels of {spec.modality}, and files have rgb"
        )
    classes = tuple(model.metadata.classes) or tuple(map(str, range(model.config.num_classes)))
    if size is not None and size < 1:
        raise ConfigError(f"size is {size}: the short side has at least 1 pixel")
    changes: dict[str, Any] = {"size": size, "window": None if window is None else tuple(window), "overlap": overlap}
    spec = replace(spec, **{name: value for name, value in changes.items() if value is not None})
    check_window(spec.window, spec.overlap)
    notes = []
    by_number = spec.offset_unit == "numbers" and not isinstance(source.numbers, range)
    if offsets is not None:
        own, by_number = tuple(sorted(offsets)), False
        if 0 not in own or own != tuple(offsets):
            raise ConfigError(f"offsets are {list(offsets)}: make them ascend, and have the frame itself, 0")
    else:
        own, unit = offsets_of(spec), offset_seconds(spec)
        if unit and source.fps and not by_number:
            own = tuple(round(offset * unit * source.fps) for offset in own)
        elif unit and not by_number and len(own) > 1:
            notes.append(f"{source.name} does not say how fast it is: frames of a clip are {list(own)} frames apart")
    return Segmenter(
        model=model.eval(),
        classes=classes,
        palette=palette_of(spec, classes),
        spec=spec,
        offsets=own,
        by_number=by_number,
        fps=_pace(source.numbers, spec) if by_number else None,
        notes=tuple(notes),
    )


@dataclass(kw_only=True)
class Segments:
    """What was found in a recording, frame by frame, and in sum."""

    source: FrameSource
    segmenter: Segmenter
    passport: Passport
    shares: list[list[float]] = field(default_factory=list)
    """Of the pixels of each frame, per class."""
    kept: list[float] = field(default_factory=list)
    """Share of pixels whose class is that of the frame before, from the second frame on."""
    _last: Tensor | None = None

    @property
    def fps(self) -> float:
        """Frames a second; USUAL_FPS where the recording does not say."""
        return self.source.fps or self.segmenter.fps or USUAL_FPS

    def add(self, labels: Tensor) -> None:
        """Count the next frame."""
        counts = torch.bincount(labels.flatten().long(), minlength=len(self.segmenter.classes))
        self.shares.append((counts / labels.numel()).tolist())
        if self._last is not None:
            self.kept.append(float((labels == self._last).float().mean()))
        self._last = labels

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`; shares in per cent."""
        how, shares = self.segmenter, 100.0 * np.array(self.shares)
        passport = self.passport.to_json()
        energy = ("schema", "clip", "gmac", "gsop", "mean_rate", "energy_mj", "energy_per_frame_mj", "cost_models")
        return {
            "path": self.source.name,
            "task": "segmentation",
            "model": how.model.metadata.name,
            "weights": weights_hash(how.model),
            "fps": self.fps,
            "frames": len(self.shares),
            "size": list(self.source.size),
            "seen_short_side": how.spec.size,
            "window": list(how.spec.window),
            "offsets": list(how.offsets),
            "offset_unit": "numbers" if how.by_number else "frames",
            "classes": list(how.classes),
            "palette": [list(colour) for colour in how.palette],
            "share": dict(zip(how.classes, shares.mean(0).round(3).tolist(), strict=True)),
            "timeline": shares.round(2).tolist(),
            "same_as_frame_before": 100.0 * float(np.mean(self.kept)) if self.kept else None,
            "energy": {key: passport[key] for key in energy},
            "notes": list(how.notes),
        }


class _Frames:
    """The frames of a source around the one at hand, as they are shown and as they are seen."""

    def __init__(self, source: FrameSource, see: Callable[[Tensor], Tensor], offsets: Sequence[int]):
        self.source, self.see = source, see
        self._shown: dict[int, Tensor] = {}
        self._seen: dict[int, Tensor] = {}
        ahead = max(offsets[-1], 0) + CHUNK
        self._stores = ((self._shown, ahead), (self._seen, ahead - offsets[0]))

    def shown(self, position: int) -> Tensor:
        return self._from(self._shown, position)

    def seen(self, position: int) -> Tensor:
        return self._from(self._seen, position)

    def _from(self, wanted: dict[int, Tensor], position: int) -> Tensor:
        if position not in wanted:
            positions = range(position, min(position + CHUNK, len(self.source)))
            pictures = self.source.read(positions)
            for (store, reach), frames in zip(self._stores, (pictures, self.see(pictures)), strict=True):
                for old in [p for p in store if p < position - reach]:
                    del store[old]
                store.update(zip(positions, frames, strict=True))
        return wanted[position]


def _pace(numbers: Sequence[int], spec: DataSpec) -> float | None:
    """Frames a second of numbered pictures, where it is known what their numbers count."""
    unit = offset_seconds(spec)
    return 1 / (unit * float(np.median(np.diff(numbers)))) if unit and len(numbers) > 1 else None


def _folder(path: Path) -> FrameSource:
    pictures = sorted((number_of(p), p) for p in path.iterdir() if p.suffix.lower() in PICTURES)
    if not pictures:
        raise DataError(f"{path}: is a folder without frames .jpg or .png; give a video, or a folder that has some")
    numbers, paths = zip(*pictures, strict=True)
    recordings = sorted({re.sub(r"\d+$", "", p.stem) for p in paths})
    if len(recordings) > 1:
        raise DataError(
            f"{path}: holds frames of several recordings, {recordings[0]}... and {recordings[1]}...; "
            "give each a folder of its own"
        )
    first = read_picture(paths[0])

    def read(positions: Sequence[int]) -> Tensor:
        frames = [read_picture(paths[p]) for p in positions]
        for p, frame in zip(positions, frames, strict=True):
            if frame.shape != first.shape:
                raise DataError(
                    f"{paths[p]}: is {frame.shape[2]} x {frame.shape[1]}, the frames before it "
                    f"{first.shape[2]} x {first.shape[1]}; make them of one size"
                )
        return torch.stack(frames)

    return FrameSource(
        name=str(path), fps=None, numbers=list(numbers), size=(first.shape[1], first.shape[2]), read=read
    )
