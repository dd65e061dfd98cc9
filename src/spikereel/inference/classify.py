"""One video, one answer: the classes that a trained model sees in a file, with firing rates and energy."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel.data.video.read import VideoInfo
from spikereel.energy import Passport
from spikereel.errors import ConfigError
from spikereel.files import write_json
from spikereel.hub import Metadata
from spikereel.inference.counting import counting, ran_on
from spikereel.inference.frames import Frames
from spikereel.inference.look import ARRAYS, look
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.runs.config import data_spec_of
from spikereel.runs.data import former_note
from spikereel.shown import Shown

ENERGY = ("schema", "clip", "gmac", "gsop", "mean_rate", "energy_mj", "energy_per_frame_mj", "cost_models")
"""What the JSON of a result says of a passport."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Prediction(Shown):
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
    frames: Frames | None = None
    """What `draw` draws, numbered as `indices` are."""
    engine: str = "reference"
    """What ran the network."""

    def __repr__(self) -> str:
        name, probability = self.top5[0]
        return f"Prediction({self.path}: {name} {100 * probability:.1f} %, {len(self.indices)} frames seen)"

    def __rich__(self) -> Any:
        from rich.console import Group

        return Group(*self.tables())

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

    def brief(self) -> tuple[str, str]:
        """The answer, and how sure."""
        return self.label, f"{100 * self.top5[0][1]:.1f} %"

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `json.dump`."""
        passport = self.passport.to_json()
        return {
            "model": self.model,
            "weights": self.weights,
            "path": self.path,
            "frames": list(self.indices),
            "clips": self.clips,
            "views": self.views,
            "video": {
                "frames": self.info.frames,
                "fps": self.info.fps,
                "width": self.info.width,
                "height": self.info.height,
                "codec": self.info.codec,
                "seconds": self.info.seconds,
                "assumed": None if self.info.assumed is None else asdict(self.info.assumed),
            },
            "top5": [{"class": name, "probability": p} for name, p in self.top5],
            "running": None
            if self.running is None
            else [{"class": name, "probability": p} for name, p in (_best(self.classes, x)[0] for x in self.running)],
            "energy": {key: passport[key] for key in ENERGY},
            "firing": self.firing,
            "engine": self.engine,
            "notes": list(self.notes),
        }

    def draw(self, path: str | PathLike) -> None:
        """Write an mp4 of the source with the answer, firing rates and energy as the frames go by; see `annotate`."""
        from spikereel.show.annotate import annotate

        if self.frames is None:
            raise ConfigError("this prediction has no frames to draw; make it with spikereel.predict")
        annotate(path, self, self.frames)

    def tables(self) -> list[Any]:
        """What a terminal shows."""
        from spikereel.show.tables import prediction_tables

        return prediction_tables(self)

    def write(
        self, folder: Path, name: str, *, video: bool = True, progress: Callable[[int, int], None] | None = None
    ) -> list[str]:
        """Write <name>.json and, of one clip that is no plain array, <name>.mp4; lines that say so."""
        write_json(folder / f"{name}.json", self.to_json())
        if self.clips > 1:
            return [f"written: {folder / name}.json; a video shows one clip: --views 1"]
        array = self.frames is None or (self.frames.holds == "pictures" and self.frames.info.codec in ARRAYS)
        if array or not video:
            return []
        self.draw(folder / f"{name}.mp4")
        return [f"written: {folder / name}.mp4 and .json"]


def classify(model: VideoModel, source: str | PathLike | Tensor, *, views: int | None = None) -> Prediction:
    """The classes of one video, with firing rates and energy measured on it; the model runs once.

    source: a video file; for weights trained on event recordings or on depth such a file; a `.npy` file, uint8
    [T, H, W, 3] or float [T, C, H, W] in [0, 1]; or a tensor, uint8 [T, 3, H, W] or float as in the file. Frames are
    chosen, resized and normalised as for training, which the weights know; a model trained on simulated events sees
    colour frames as the ON and OFF events between them.
    views: clips in time, each seen through its central crop; None takes the views the model is evaluated with.

    Raises DataError, in one line, for a file that is not a good one of its kind; ConfigError for weights that do not
    say how clips were made, and for several clips of a model that sees the whole video at once.
    """
    metadata = model.metadata
    seen = look(source, data_spec_of(metadata), model.config.in_channels, views=views)
    device = next(model.parameters()).device
    passport, logits, running = _run(model, [view.to(device) for view in seen.views])
    return Prediction(
        path=seen.name,
        model=metadata.name,
        weights=passport.origin.weights,
        passport=passport,
        info=seen.info,
        classes=classes_of(metadata, model.config.num_classes),
        probabilities=_softmax(logits),
        indices=seen.indices,
        clips=seen.clips,
        views=len(seen.views),
        running=None if running is None else tuple(map(_softmax, running)),
        notes=(*filter(None, [former_note(metadata)]), *seen.notes),
        frames=seen.frames,
        engine=ran_on(model, counted=True),
    )


def _run(model: VideoModel, views: list[Tensor]) -> tuple[Passport, Tensor, Tensor | None]:
    """What the views cost, and their mean logits [classes]; for models that stream also after each frame [T, classes].

    The readout runs again for each frame, on features that are there already.
    """
    answers, rows = [], []
    with counting(model) as run:
        found = []
        for view in views:
            run.begin(view)
            features, _ = model.features(view)
            logits, _ = model.readout(features)
            answers.append(logits)
            found.append(features)
    if model.can_stream:
        with torch.no_grad(), evaluating(model):
            rows = [after_each_frame(model, features) for features in found]
    running = torch.stack(rows).mean(0) if rows else None
    return run.passport(), torch.cat(answers).mean(0), running


def after_each_frame(model: VideoModel, features: Tensor, state: State | None = None) -> Tensor:
    """Logits [T, classes] after each frame of features [T, 1, D, h, w], of all frames since the state began."""
    state, rows = State(state or {}), []
    for frame in features:
        logits, own = model.readout(frame[None], state)
        state.update(own)
        rows.append(logits)
    return torch.cat(rows)


@contextmanager
def evaluating(model: VideoModel) -> Generator[None, None, None]:
    """The model in evaluation mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _softmax(logits: Tensor) -> tuple[float, ...]:
    return tuple(logits.double().softmax(0).tolist())


def _best(classes: Sequence[str], probabilities: Sequence[float]) -> list[tuple[str, float]]:
    return sorted(zip(classes, probabilities, strict=True), key=lambda pair: -pair[1])[:5]


def classes_of(metadata: Metadata, count: int) -> tuple[str, ...]:
    """The names that weights give their classes, or numbers. Raises ConfigError where there are more or fewer."""
    classes = metadata.classes or tuple(f"class {i}" for i in range(count))
    if len(classes) != count:
        raise ConfigError(f"these weights name {len(classes)} classes, the model has {count}; save them again")
    return classes
