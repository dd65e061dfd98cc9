"""What a model sees over time: one answer for each window of a long video, in order, as they go by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikereel.data.video.clip import USUAL_FPS
from spikereel.data.video.read import VideoInfo, glance
from spikereel.energy import Passport
from spikereel.errors import ConfigError, DataError
from spikereel.files import write_json
from spikereel.inference.classify import ENERGY, classes_of
from spikereel.inference.counting import counting, ran_on
from spikereel.inference.frames import Frames
from spikereel.inference.look import film, views_of
from spikereel.models.base import VideoModel
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.kinds import KINDS, sees_recordings
from spikereel.shown import Shown

LONG = 60.0
"""Seconds of a video from which one answer for the whole is too few."""

MOST_SHOWN = 20
"""Stretches of one class that a terminal shows."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """One stretch of a video."""

    start: float
    """Seconds."""
    stop: float
    frames: tuple[int, ...]
    """Numbers of the frames that were seen."""
    probabilities: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class Timeline(Shown):
    """The classes of a video, window after window."""

    path: str
    model: str
    weights: str
    """sha256 of the weights."""
    classes: tuple[str, ...]
    windows: tuple[Window, ...]
    info: VideoInfo
    passport: Passport
    """Energy of the clip of one window, the middle one."""
    engine: str = "reference"
    """What ran the network; under `auto` the modules run the one window whose energy is counted."""

    def __repr__(self) -> str:
        return f"Timeline({self.path}: {len(self.windows)} windows, mostly {self.label})"

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group(*self.tables())

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The mean over the windows."""
        return tuple(np.mean([window.probabilities for window in self.windows], axis=0).tolist())

    @property
    def label(self) -> str:
        """The class of the highest mean."""
        return self.classes[int(np.argmax(self.probabilities))]

    def stretches(self) -> list[tuple[float, float, str, float]]:
        """(start, stop, class, mean probability) of windows in a row with the same best class."""
        rows: list[tuple[float, float, str, list[float]]] = []
        for window in self.windows:
            best = int(np.argmax(window.probabilities))
            name, p = self.classes[best], window.probabilities[best]
            if rows and rows[-1][2] == name:
                start, _, _, seen = rows[-1]
                rows[-1] = (start, window.stop, name, [*seen, p])
            else:
                rows.append((window.start, window.stop, name, [p]))
        return [(start, stop, name, float(np.mean(seen))) for start, stop, name, seen in rows]

    def brief(self) -> tuple[str, str]:
        """The answer, and how sure."""
        share = max(self.probabilities)
        return self.label, f"{100 * share:.1f} % over {len(self.windows)} windows"

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        passport = self.passport.to_json()
        return {
            "engine": self.engine,
            "model": self.model,
            "weights": self.weights,
            "path": self.path,
            "classes": list(self.classes),
            "video": {"frames": self.info.frames, "fps": self.info.fps, "seconds": self.info.seconds},
            "label": self.label,
            "mean": dict(zip(self.classes, self.probabilities, strict=True)),
            "timeline": [
                {
                    "start": round(w.start, 3),
                    "stop": round(w.stop, 3),
                    "frames": list(w.frames),
                    "class": self.classes[int(np.argmax(w.probabilities))],
                    "probabilities": [round(p, 5) for p in w.probabilities],
                }
                for w in self.windows
            ],
            "energy": {key: passport[key] for key in ENERGY},
        }

    def draw(self, path: str | PathLike) -> None:
        """Write a PNG of the probabilities over time."""
        from spikereel.show.timeline import draw_timeline

        draw_timeline(path, self)

    def tables(self) -> list[Any]:
        """What a terminal shows."""
        from spikereel.show.timeline import timeline_tables

        return timeline_tables(self)

    def write(
        self, folder: Path, name: str, *, video: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Write <name>.json and, unless no pictures are wanted, <name>.png; lines that say so."""
        write_json(folder / f"{name}.json", self.to_json())
        if not video:
            return [f"written: {folder / name}.json"]
        self.draw(folder / f"{name}.png")
        return [f"written: {folder / name}.json and .png"]


def is_long(model: VideoModel, source: str | PathLike) -> bool:
    """Whether a source is a video so long that it wants a time line."""
    if Path(source).is_dir() or not sees_videos(model) or Path(source).suffix.lower() == ".npy":
        return False
    try:
        return glance(fspath(source))[0].seconds > LONG
    except DataError:
        return False


def usual_window(model: VideoModel, fps: float) -> float:
    """Seconds of a window: what a clip of training lasts, and at least two; ten where clips span whole videos."""
    spec = data_spec_of(model.metadata)
    return max(spec.frames * spec.stride / (fps or USUAL_FPS), 2.0) if spec.stride else 10.0


def timeline_of(
    model: VideoModel,
    source: str | PathLike,
    *,
    every: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Timeline:
    """One answer for each window of `every` seconds; the last one may be shorter, down to half of it.

    every: None takes `usual_window`. Frames are chosen inside a window as training chose them inside a video, so memory
    does not grow with the length. Raises ConfigError for weights that see no videos and for windows of no length,
    DataError as `classify`.
    """
    if not sees_videos(model):
        raise ConfigError("a time line is for weights that see videos; leave --every out")
    if every is not None and not 0 < every < float("inf"):
        raise ConfigError(f"every is {every}: give seconds above 0")
    spec = data_spec_of(model.metadata)
    frames = film(fspath(source), spec)
    # of a variable rate, windows are counted in steps of equal time
    fps = frames.pace() or USUAL_FPS
    places = list(spans(len(frames), fps, every or usual_window(model, fps)))
    device = next(model.parameters()).device
    windows, passport = [], None
    model.eval()
    for number, (first, last) in enumerate(places):
        indices, view = _view(frames, spec, first, last)
        view = view.to(device)
        if number == len(places) // 2:
            with counting(model) as run:
                run.begin(view)
                logits, _ = model(view)
            passport = run.passport()
        else:
            with torch.inference_mode():
                logits, _ = model(view)
        probabilities = tuple(logits[0].double().softmax(0).tolist())
        windows.append(Window(start=first / fps, stop=last / fps, frames=tuple(indices), probabilities=probabilities))
        if progress is not None:
            progress(number + 1, len(places))
    assert passport is not None
    return Timeline(
        path=fspath(source),
        model=model.metadata.name,
        weights=passport.origin.weights,
        classes=classes_of(model.metadata, model.config.num_classes),
        windows=tuple(windows),
        info=frames.info,
        passport=passport,
        engine=ran_on(model, counted=len(places) == 1),
    )


def sees_videos(model: VideoModel) -> bool:
    """Whether the weights see the colours of videos, for classes."""
    if model.task != "classification" or not model.metadata.preprocess:
        return False
    spec = data_spec_of(model.metadata)
    return not (KINDS[spec.kind].films_depth or sees_recordings(spec))


def spans(total: int, fps: float, seconds: float) -> Iterator[tuple[int, int]]:
    """Numbers of the first frame of each window and of the one behind it."""
    length = max(round(seconds * fps), 1)
    for first in range(0, total, length):
        if first and total - first < length / 2:
            return
        yield first, min(first + length, total)


def _view(frames: Frames, spec: DataSpec, first: int, last: int) -> tuple[list[int], torch.Tensor]:
    """Frames of a window, chosen as of a video of its length, and the central crop [T, 1, C, S, S]."""
    indices, (view, *_) = views_of(frames, spec.single(), first, last)
    return indices, view
