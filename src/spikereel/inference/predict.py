"""One video, one answer: classes, firing rates and energy of a trained model on a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.data.video.read import VideoInfo
from spikereel.energy import Passport, measure
from spikereel.errors import ConfigError
from spikereel.hub import Metadata, weights_hash
from spikereel.inference.look import look
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.runs.config import data_spec_of


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
    shown: Tensor | None = None
    """Of a recording or a depth video, the pictures to draw, numbered as `indices` are: float [T, C, H, W]."""

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
            },
            "top5": [{"class": name, "probability": p} for name, p in self.top5],
            "running": None
            if self.running is None
            else [{"class": name, "probability": p} for name, p in (_best(self.classes, x)[0] for x in self.running)],
            "energy": {key: passport[key] for key in energy},
            "firing": self.firing,
            "notes": list(self.notes),
        }


def predict(model: VideoModel, source: str | PathLike | Tensor, *, views: int | None = None) -> Prediction:
    """The classes of one video, with firing rates and energy measured on it.

    source: a video file; for weights trained on recordings of events or on depth such a file; a `.npy` file, uint8
    [T, H, W, 3] or float [T, C, H, W] in [0, 1]; or a tensor, uint8 [T, 3, H, W] or float as in the file. Frames are
    chosen, resized and normalised as for training, which the weights know; a model trained on simulated events sees
    colour frames as the ON and OFF events between them.
    views: clips in time, each seen through its central crop; None takes the views the model is evaluated with.

    Raises DataError, in one line, for a file that is not a good one of its kind; ConfigError for weights that do not
    say how clips were made, and for several clips of a model that sees the whole video at once.
    """
    metadata = model.metadata
    if model.task != "classification":
        raise ConfigError(
            f"these weights are for {model.task}, not for classes; use `spikereel predict --task {model.task}`"
        )
    seen = look(source, data_spec_of(metadata), model.config.in_channels, views=views)
    device = next(model.parameters()).device
    clips = [view.to(device) for view in seen.views]
    passport, logits = _measured(model, clips)
    return Prediction(
        path=seen.name,
        model=metadata.name,
        weights=weights_hash(model),
        passport=passport,
        info=seen.info,
        classes=_classes_of(metadata, model.config.num_classes),
        probabilities=_softmax(logits),
        indices=seen.indices,
        clips=seen.clips,
        views=len(clips),
        running=_running(model, clips) if model.can_stream else None,
        notes=seen.notes,
        shown=seen.shown,
    )


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
