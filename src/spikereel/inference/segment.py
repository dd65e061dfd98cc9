"""What every pixel of a video is: labels frame by frame, however long and of whatever size it is."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.data.mask_clips import Colour, chosen, short_side
from spikereel.data.masked import LabelledClip
from spikereel.data.transforms import normalise
from spikereel.energy import Passport, measure
from spikereel.errors import ConfigError, DataError
from spikereel.hub import weights_hash
from spikereel.inference.classify import ENERGY
from spikereel.inference.counting import counting, ran_on
from spikereel.inference.frames import USUAL_FPS, Frames, notes_of, open_frames
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import offset_seconds, palette_of
from spikereel.runs.readings import offsets_of
from spikereel.shown import Shown
from spikereel.tasks.sliding import check_window, labels_at, segment

CHUNK = 16
"""Frames that are decoded at a time."""


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
    lags: tuple[float, ...] = ()
    """Offsets in seconds, of a source whose rate varies; then the frames that are shown at those instants are seen."""
    fps: float | None = None
    """What the numbers of the frames say, where the source does not."""
    notes: tuple[str, ...] = ()

    def labels_of(self, clip: Tensor, size: tuple[int, int]) -> Tensor:
        """Labels uint8 [H, W], H and W those of `size`, of the frame at offset 0 of a clip [T, 1, C, h, w]."""
        # not in inference mode, whose tensors a meter could not add to
        with torch.no_grad():
            logits = segment(self.model, clip, window=self.spec.window, overlap=self.spec.overlap)
            return labels_at(logits[self.offsets.index(0), 0].float(), size).cpu()

    def metered(self, clip: Tensor, size: tuple[int, int]) -> tuple[Tensor, Passport]:
        """`labels_of`, and the energy of the clip as a whole; in windows that is a run of its own."""
        if self.spec.window:
            return self.labels_of(clip, size), measure(self.model, clip)
        with counting(self.model) as run:
            labels = self.labels_of(clip, size)
        return labels, run.passport()

    def clip(self, near: "_Near", position: int) -> Tensor:
        """The clip [T, 1, C, h, w] of a frame, as the network gets it."""
        positions = near.positions(position)
        return torch.stack([near.seen(p) for p in positions])[:, None].to(next(self.model.parameters()).device)

    def positions(self, frames: Frames) -> list[list[int]]:
        """Which frames make the clip of each frame."""
        if not self.lags:
            unit = "numbers" if self.by_number else "frames"
            return [chosen(frames.numbers, position, self.offsets, unit) for position in range(len(frames))]
        begins = frames.seconds()
        assert begins is not None
        shown = np.searchsorted(begins, begins[:, None] + np.array(self.lags) + 1e-6, side="right") - 1
        shown[:, [lag == 0 for lag in self.lags]] = np.arange(len(begins))[:, None]
        return shown.clip(0).tolist()

    def seen(self, pictures: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] as the network gets them."""
        return shrunk(pictures, self.spec)


def shrunk(pictures: Tensor, spec: DataSpec) -> Tensor:
    """uint8 [N, 3, H, W] as a network for masks gets them: the short side as `spec` says, normalised."""
    clip = LabelledClip(video=pictures)
    if spec.size:
        clip = clip.resize(*short_side(clip.size, spec.size))
    return normalise(clip.video, spec.mean, spec.std)


def segmenter_of(
    model: VideoModel,
    source: Frames,
    *,
    size: int | None = None,
    window: Sequence[int] | None = None,
    overlap: float | None = None,
    offsets: Sequence[int] | None = None,
) -> Segmenter:
    """How weights see a source: as their training clips were made, unless another size, window or offsets are given.

    offsets: in frames of the source; those of training keep their distance in time where the source says how fast it
    is, and numbered pictures of data whose offsets are numbers keep to their numbers.
    Raises ConfigError for weights of another task, and for what does not go together; DataError for other frames.
    """
    if model.task != "segmentation":
        raise ConfigError(f"these weights are for {model.task}; give weights of a recipe of task segmentation")
    spec = data_spec_of(model.metadata)
    if model.config.in_channels != 3:
        raise ConfigError(
            f"these weights see {model.config.in_channels} channels of {spec.modality}, and files have rgb"
        )
    if source.holds != "pictures" or source.channels != 3:
        raise DataError(
            f"{source.name}: holds {source.holds}, {source.channels} channels; these weights see rgb pictures"
        )
    classes = tuple(model.metadata.classes) or tuple(map(str, range(model.config.num_classes)))
    if size is not None and size < 1:
        raise ConfigError(f"size is {size}: the short side has at least 1 pixel")
    changes: dict[str, Any] = {"size": size, "window": None if window is None else tuple(window), "overlap": overlap}
    spec = replace(spec, **{name: value for name, value in changes.items() if value is not None})
    check_window(spec.window, spec.overlap)
    notes = list(notes_of(source.info))
    lags: tuple[float, ...] = ()
    by_number = spec.offset_unit == "numbers" and not isinstance(source.numbers, range)
    if offsets is not None:
        own, by_number = tuple(sorted(offsets)), False
        if 0 not in own or own != tuple(offsets):
            raise ConfigError(f"offsets are {list(offsets)}: make them ascend, and have the frame itself, 0")
    else:
        own, unit = offsets_of(spec), offset_seconds(spec)
        if unit and source.during() is not None and not by_number:
            lags = tuple(offset * unit for offset in own)
        elif unit and source.info.fps and not by_number:
            own = tuple(round(offset * unit * source.info.fps) for offset in own)
        elif unit and not by_number and len(own) > 1:
            notes.append(f"{source.name} does not say how fast it is: frames of a clip are {list(own)} frames apart")
    return Segmenter(
        model=model.eval(),
        classes=classes,
        palette=palette_of(spec, classes),
        spec=spec,
        offsets=own,
        by_number=by_number,
        lags=lags,
        fps=_pace(source.numbers, spec) if by_number else None,
        notes=tuple(notes),
    )


@dataclass(kw_only=True, repr=False)
class Segments(Shown):
    """What was found in a recording, frame by frame, and in sum; empty until `labelled` has gone by."""

    source: Frames
    segmenter: Segmenter
    shares: list[list[float]] = field(default_factory=list)
    """Of the pixels of each frame, per class."""
    kept: list[float] = field(default_factory=list)
    """Share of pixels whose class is that of the frame before, from the second frame on."""
    engine: str = "reference"
    """What ran the network."""
    _masks: list[bytes] = field(default_factory=list)
    _passport: Passport | None = None
    _last: Tensor | None = None

    def __repr__(self) -> str:
        if not self.shares:
            return f"Segments({self.path}: nothing labelled yet)"
        means = np.array(self.shares).mean(0)
        first = int(means.argmax())
        name = self.segmenter.classes[first]
        return f"Segments({self.path}: {len(self.shares)} frames, most of it {name}, {100 * means[first]:.1f} %)"

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group(*self.tables())

    @property
    def path(self) -> str:
        """The file or folder."""
        return self.source.name

    @property
    def fps(self) -> float:
        """Frames a second; USUAL_FPS where the recording does not say."""
        return self.source.info.fps or self.segmenter.fps or USUAL_FPS

    @property
    def passport(self) -> Passport:
        """Energy of the clip in the middle."""
        if self._passport is None:
            raise ConfigError(f"{self.path}: its middle is not labelled yet; go through `labelled` first")
        return self._passport

    def brief(self) -> tuple[str, str]:
        """What most pixels are, and how many."""
        means = np.array(self.shares).mean(0)
        first = int(means.argmax())
        return self.segmenter.classes[first], f"{100 * means[first]:.1f} % of pixels"

    def labelled(self, *, keep: bool = False) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(position, picture uint8 [3, H, W], labels uint8 [H, W]) of every frame, in order, counted as they go by.

        keep: hold the labels, packed, for `labels` and `draw`; without it memory does not grow with the length.
        """
        how, frames = self.segmenter, self.source
        near = _Near(frames, how.seen, how.positions(frames))
        for position in range(len(frames)):
            clip = how.clip(near, position)
            if position == len(frames) // 2:
                labels, self._passport = how.metered(clip, frames.size)
            else:
                labels = how.labels_of(clip, frames.size)
            self._add(labels)
            if keep:
                self._masks.append(zlib.compress(labels.contiguous().numpy().tobytes(), 1))
            yield position, near.shown(position), labels

    def labels(self, position: int) -> Tensor:
        """Labels uint8 [H, W] of a frame; ConfigError where they were not kept."""
        if len(self._masks) <= position:
            raise ConfigError(f"{self.path}: labels of frame {position} were not kept; use spikereel.predict")
        values = np.frombuffer(bytearray(zlib.decompress(self._masks[position])), np.uint8)
        return torch.from_numpy(values.reshape(self.source.size))

    def draw(self, path: str | PathLike) -> None:
        """Write an mp4 of the source under the colours of its classes, or a .png of the classes over time."""
        from spikereel.show.segmentation import draw_segments

        draw_segments(path, self)

    def tables(self) -> list[Any]:
        """What a terminal shows."""
        from spikereel.show.tables import energy_table, shares_table

        return [shares_table(self), energy_table(self.passport, brief=True)]

    def write(
        self, folder: Path, name: str, *, video: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Label the source and write what `write_segments` writes; lines that say so."""
        from spikereel.show.segmentation import write_segments

        write_segments(folder, name, self, video=video, progress=progress)
        kinds = "json, png" + (", mp4" if video else "")
        said = (
            f"{len(self.source)} frames of {self.path}; written: {folder / name} as {kinds}, and {folder / name}_masks"
        )
        return [said, *self.segmenter.notes]

    def _add(self, labels: Tensor) -> None:
        counts = torch.bincount(labels.flatten().long(), minlength=len(self.segmenter.classes))
        self.shares.append((counts / labels.numel()).tolist())
        if self._last is not None:
            self.kept.append(float((labels == self._last).float().mean()))
        self._last = labels

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`; shares in per cent."""
        how, shares = self.segmenter, 100.0 * np.array(self.shares)
        passport, seconds = self.passport.to_json(), self.source.begins()
        return {
            "path": self.source.name,
            "task": "segmentation",
            "engine": self.engine,
            "model": how.model.metadata.name,
            "weights": weights_hash(how.model),
            "fps": self.fps,
            "frames": len(self.shares),
            "seconds": None if seconds is None else seconds.round(6).tolist(),
            "assumed": None if self.source.info.assumed is None else asdict(self.source.info.assumed),
            "size": list(self.source.size),
            "seen_short_side": how.spec.size,
            "window": list(how.spec.window),
            "offsets": list(how.lags or how.offsets),
            "offset_unit": "seconds" if how.lags else "numbers" if how.by_number else "frames",
            "classes": list(how.classes),
            "palette": [list(colour) for colour in how.palette],
            "share": dict(zip(how.classes, shares.mean(0).round(3).tolist(), strict=True)),
            "timeline": shares.round(2).tolist(),
            "same_as_frame_before": 100.0 * float(np.mean(self.kept)) if self.kept else None,
            "energy": {key: passport[key] for key in ENERGY},
            "notes": list(how.notes),
        }


def segments(
    model: VideoModel,
    source: str | PathLike,
    *,
    size: int | None = None,
    window: Sequence[int] | None = None,
    overlap: float | None = None,
    offsets: Sequence[int] | None = None,
) -> Segments:
    """A video file, a `.npy` clip or a folder of numbered pictures, with how the weights see it; not labelled yet.

    Raises DataError for anything else, ConfigError as `segmenter_of`.
    """
    frames = open_frames(source, whole=True)
    return Segments(
        source=frames,
        segmenter=segmenter_of(model, frames, size=size, window=window, overlap=overlap, offsets=offsets),
        engine=ran_on(model, counted=False),
    )


def label(found: Segments, progress: Callable[[int, int], None] | None = None) -> Segments:
    """Segments with all frames labelled, and the labels kept."""
    for position, _, _ in found.labelled(keep=True):
        if progress is not None:
            progress(position + 1, len(found.source))
    return found


class _Near:
    """The frames around the one at hand, as they are shown and as they are seen."""

    def __init__(self, frames: Frames, see: Callable[[Tensor], Tensor], clips: list[list[int]]):
        self.frames, self.see, self._clips = frames, see, clips
        self._shown: dict[int, Tensor] = {}
        self._seen: dict[int, Tensor] = {}
        ahead = max(0, *(max(clip) - position for position, clip in enumerate(clips))) + CHUNK
        behind = max(position - min(clip) for position, clip in enumerate(clips))
        self._stores = ((self._shown, ahead), (self._seen, ahead + behind))

    def positions(self, position: int) -> list[int]:
        """Of the frames of a clip."""
        return self._clips[position]

    def shown(self, position: int) -> Tensor:
        return self._from(self._shown, position)

    def seen(self, position: int) -> Tensor:
        return self._from(self._seen, position)

    def _from(self, wanted: dict[int, Tensor], position: int) -> Tensor:
        if position not in wanted:
            positions = range(position, min(position + CHUNK, len(self.frames)))
            pictures = self.frames.shown(positions)
            for (store, reach), own in zip(self._stores, (pictures, self.see(pictures)), strict=True):
                for old in [p for p in store if p < position - reach]:
                    del store[old]
                store.update(zip(positions, own, strict=True))
        return wanted[position]


def _pace(numbers: Sequence[int], spec: DataSpec) -> float | None:
    """Frames a second of numbered pictures, where it is known what their numbers count."""
    unit = offset_seconds(spec)
    return 1 / (unit * float(np.median(np.diff(numbers)))) if unit and len(numbers) > 1 else None
