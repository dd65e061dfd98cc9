"""Batch norms that take the statistics of training clips anew."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.errors import ConfigError, WeightsError
from spikereel.hub import weights_hash
from spikereel.inference.authors import save_weights
from spikereel.layers.calibrate import calibrate
from spikereel.models.base import VideoModel
from spikereel.runs.clips import build_loader
from spikereel.runs.data import DataSpec
from spikereel.runs.tasks import norm_clips

BATCH = 8
"""Clips at a time in calibration; all batches are full, so that every clip counts the same."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """How far the statistics of one batch norm went in calibration, over its features."""

    name: str
    mean: float
    """Root mean square change of the mean, in standard deviations as they were."""
    scale: float
    """Median standard deviation, new over old."""


def recalibrate(
    model: VideoModel, spec: DataSpec, clips: int, *, progress: Callable[[int, int], None] | None = None
) -> tuple[int, list[Move]]:
    """Give every batch norm the statistics of training clips; how many were seen, and what moved, farthest first.

    clips: about so many, in full batches of 8 (or of all there are); at most one pass over the data. Metadata then say
    what was done; figures from before are kept apart, since they no longer hold.
    """
    if clips < 2:
        raise ConfigError(f"--clips must be at least 2, got {clips}")
    before, digest = _statistics(model), weights_hash(model)
    dataset = norm_clips(model.task, dataclasses.replace(spec, copies=1), classes=tuple(model.metadata.classes) or None)
    batch = min(BATCH, clips, len(dataset))
    batches = min(-(-clips // batch), len(dataset) // batch)
    loader = build_loader(dataset, spec, batch=batch, shuffle=True)
    calibrate(model, _first(loader, batches, lambda done: progress and progress(done * batch, batches * batch)))
    moves = [_move(name, before[name], after) for name, after in _statistics(model).items()]
    broken = [x.name for x in moves if not torch.isfinite(torch.tensor([x.mean, x.scale])).all()]
    if broken:
        raise WeightsError(f"statistics of {broken[0]} are not finite on these clips; check the weights and the data")
    done = {"clips": batches * batch, "data": spec.kind, "data_hash": dataset.fingerprint(), "weights_hash": digest}
    meta = model.metadata
    model.metadata = dataclasses.replace(
        meta, preprocess=dataclasses.asdict(spec), training={"calibrated": done, "before": meta.training}
    )
    return batches * batch, sorted(moves, key=lambda x: -x.mean)


def write_calibrated(model: VideoModel, out: str | Path) -> None:
    """Write the weights, whole or not at all; ConfigError where they cannot be."""
    save_weights(model, out, model.metadata)


def _first(loader: Any, batches: int, done: Callable[[int], Any]) -> Iterator[Tensor]:
    """Batches as [T, B, C, H, W]."""
    for i, (videos, _) in zip(range(batches), loader, strict=False):
        yield videos.transpose(0, 1)
        done(i + 1)


def _statistics(model: VideoModel) -> dict[str, tuple[Tensor, Tensor, float]]:
    norms = {name: m for name, m in model.named_modules() if isinstance(m, _BatchNorm)}
    found = {}
    for name, m in norms.items():
        assert m.running_mean is not None
        assert m.running_var is not None
        found[name] = (m.running_mean.clone(), m.running_var.clone(), m.eps)
    return found


def _move(name: str, before: tuple[Tensor, Tensor, float], after: tuple[Tensor, Tensor, float]) -> Move:
    (mean, var, eps), (mean_after, var_after, _) = before, after
    scale = (var + eps).sqrt()
    shift = ((mean_after - mean) / scale).square().mean().sqrt()
    return Move(name=name, mean=float(shift), scale=float(((var_after + eps).sqrt() / scale).median()))
