"""Classes of many clips: decoded by threads, put together by size, and each with its own firing rates and energy."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikereel.bulk.clock import Clock
from spikereel.bulk.job import Job
from spikereel.energy.many import Estimates
from spikereel.engine.choose import Reference, engine_for
from spikereel.errors import DataError, SpikereelError
from spikereel.inference.classify import classes_of
from spikereel.inference.look import look
from spikereel.layers.observe import rates_by_clip
from spikereel.models.base import VideoModel
from spikereel.runs.config import data_spec_of

BATCHES = {"native": 1, "cpu": 8, "cuda": 32}
"""Clips at once where none are asked for; the native engine takes them one by one in any case."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A clip as the network gets it."""

    views: Tensor
    """float32 [T, views, C, H, W]."""
    indices: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """Of the views of one clip, averaged."""

    logits: Tensor
    """float64 [classes]."""
    embedding: Tensor | None
    """float32 [D]: what the frames bring to the head, averaged over time."""
    rates: dict[str, list[float]]
    """{neuron: firing rate at each time step}."""


class Classes:
    """`decode` a file, in any thread; `answer` clips of one shape together, in one."""

    def __init__(self, model: VideoModel, job: Job, clock: Clock):
        self.job, self.clock, self.model = job, clock, model.to(job.device).eval()
        self.spec = data_spec_of(model.metadata)
        self.names = classes_of(model.metadata, model.config.num_classes)
        self.runner = engine_for(self.model, "reference" if job.device != "cpu" else job.engine, threads=job.threads)
        self.native = not isinstance(self.runner, Reference)
        usual = BATCHES["native" if self.native else torch.device(job.device).type]
        self.batch = job.batch or usual
        self.estimates = Estimates(self.model, weights=job.weights)

    def warm(self) -> None:
        """Learn what clips of the usual size cost, before the first one comes."""
        c, spec = self.model.config, self.spec
        with suppress(SpikereelError):
            size = (spec.frames, c.in_channels, spec.size, spec.size)
            self.estimates.energy_mj({}, size)

    def decode(self, path: str) -> Decoded:
        """Frames of a file, chosen and prepared as for training. Raises DataError for a file that is not a good one."""
        with self.clock.busy("decode"):
            seen = look(self.job.place(path), self.spec, self.model.config.in_channels, views=self.job.options["views"])
            return Decoded(views=torch.cat(seen.views, dim=1), indices=seen.indices, notes=seen.notes)

    def shape(self, clip: Decoded) -> tuple[int, ...]:
        """What clips must have in common to go through the network together."""
        return tuple(clip.views.shape)

    def answer(self, paths: Sequence[str], clips: Sequence[Decoded]) -> list[dict[str, Any]]:
        """Columns of each clip, all of one shape."""
        with self.clock.busy("network"), torch.inference_mode():
            answers = [self._alone(clip.views) for clip in clips] if self.native else self._together(clips)
            return [self._row(clip, x) for clip, x in zip(clips, answers, strict=True)]

    def _alone(self, views: Tensor) -> _Answer:
        with self.runner.firing_rates() as rates:
            logits, pooled = self._forward(views)
        return _Answer(
            logits=logits.double().mean(0),
            embedding=None if pooled is None else pooled.mean(0),
            rates={name: x.tolist() for name, x in rates.items()},
        )

    def _together(self, clips: Sequence[Decoded]) -> list[_Answer]:
        count = clips[0].views.shape[1]
        with rates_by_clip(self.model) as rates:
            logits, pooled = self._forward(torch.cat([clip.views for clip in clips], dim=1))
        own = [slice(i * count, (i + 1) * count) for i in range(len(clips))]
        return [
            _Answer(
                logits=logits[x].double().mean(0),
                embedding=None if pooled is None else pooled[x].mean(0),
                rates={name: r[:, x].mean(1).tolist() for name, r in rates.items()},
            )
            for x in own
        ]

    def _forward(self, views: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits [B, classes] and, where they are asked for, embeddings [B, D], on the CPU."""
        front = self.runner.front
        features, _ = front.features(views.to(self.job.device))
        logits, _ = front.readout(features)
        pooled = front.pooled(features)[0].mean(0).float().cpu() if self.job.embedding else None
        return logits.float().cpu(), pooled

    def _row(self, clip: Decoded, x: _Answer) -> dict[str, Any]:
        if not torch.isfinite(x.logits).all():
            raise DataError("the answer of the network is not finite; look at the clip, or train the weights again")
        probabilities = x.logits.softmax(0).tolist()
        first = max(range(len(probabilities)), key=probabilities.__getitem__)
        energy, notes = energy_of(self.estimates, x.rates, (*clip.views.shape[:1], *clip.views.shape[2:]))
        return {
            "engine": self.runner.name,
            "class": self.names[first],
            "probability": probabilities[first],
            "probabilities": probabilities,
            "embedding": None if x.embedding is None else x.embedding.tolist(),
            "frames": list(clip.indices),
            **firing_columns(x.rates),
            "energy_mj": energy,
            "notes": [*clip.notes, *notes],
        }


def firing_columns(rates: dict[str, list[float]]) -> dict[str, Any]:
    """The firing rate of every neuron, mean over time, and the mean of all."""
    means = {name: sum(x) / len(x) for name, x in rates.items()}
    return {"firing": means, "firing_rate": sum(means.values()) / max(len(means), 1)}


def energy_of(
    estimates: Estimates, rates: dict[str, list[float]], clip: tuple[int, ...]
) -> tuple[float | None, list[str]]:
    """Millijoules of a clip [T, C, H, W] as the papers count, from its firing rates; None and why where not known."""
    try:
        return estimates.energy_mj(rates, clip), []  # ty: ignore[invalid-argument-type]
    except SpikereelError as error:
        return None, [f"no energy: {error}"]
