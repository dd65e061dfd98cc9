"""Weights from elsewhere: checkpoints of the authors brought in, and norms that take the statistics of given clips."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.config import override, unknown_key
from spikereel.errors import ConfigError, WeightsError
from spikereel.hub import ARCHITECTURES, Metadata, create_model, load_model, save_model, weights_hash
from spikereel.layers.calibrate import calibrate
from spikereel.models.authors import Comparison, authors_weights, fields_from_shapes, load_matching
from spikereel.models.base import VideoModel
from spikereel.runs.clips import build_loader
from spikereel.runs.config import DataSpec, data_spec_of
from spikereel.runs.datasets import training_clips
from spikereel.runs.recipes import published_data

BATCH = 8
"""Clips at a time in calibration; all batches are full, so that every clip counts the same."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A checkpoint read into a model; nothing is written yet."""

    model: VideoModel
    source: Path
    sha256: str
    name: str
    """What the configuration is taken from."""
    found: Comparison

    def counts(self) -> dict[str, int]:
        """Entries by how they met."""
        names = ("matched", "missing", "unexpected", "misshapen")
        return {name: len(getattr(self.found, name)) for name in names}

    def to_json(self) -> dict[str, Any]:
        """Every entry by name."""
        shapes = [{"name": k, "file": file, "model": model} for k, (file, model) in self.found.misshapen.items()]
        return {
            "source": str(self.source),
            "sha256": self.sha256,
            "as": self.name,
            "architecture": self.model.family,
            "config": dataclasses.asdict(self.model.config),
            "matched": list(self.found.matched),
            "missing": list(self.found.missing),
            "unexpected": list(self.found.unexpected),
            "misshapen": shapes,
        }


def read_import(source: str | Path, name: str) -> Imported:
    """A checkpoint in a model of the given name; entries without a place are in `found`, and fresh in the model.

    name: an architecture, which the shapes in the file complete (classes, channels, frames, size), or weights (a file,
    a folder or a listed name), whose configuration is kept as it is, with their classes and way to make clips.
    Raises WeightsError for a file that cannot be read safely or has nothing in common with the model, ConfigError for
    an unknown name.
    """
    source = Path(source)
    named = None if name in ARCHITECTURES else _named(name)
    weights = authors_weights(source)
    with torch.random.fork_rng(devices=[]):
        # what the file does not give is fresh, and the same each time
        torch.manual_seed(0)
        model = _like(named) if named else _create(name, weights)
    found = load_matching(model, weights)
    if not found.matched:
        raise WeightsError(f"{source} has no entry in common with {name}: {found}; give another --as")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Imported(model=model.eval(), source=source, sha256=digest, name=name, found=found)


def write_import(imported: Imported, out: str | Path, *, partial: bool = False) -> None:
    """Write the weights, with their origin in `metadata.training` and the authors' way to make clips.

    Raises WeightsError, and writes nothing, for a partial load that was not asked for.
    """
    if not (imported.found.whole or partial):
        raise WeightsError(
            f"{imported.source} does not fit {imported.name}: {imported.found}; nothing written. "
            "Give another --as, or --partial to leave fresh values where nothing fits"
        )
    origin = {"origin": imported.source.name, "sha256": imported.sha256, "imported_as": imported.name}
    meta = imported.model.metadata
    metadata = dataclasses.replace(
        meta,
        training=origin | imported.counts(),
        preprocess=meta.preprocess or dataclasses.asdict(published_data(imported.model.config)),
    )
    _save(imported.model, out, metadata)


@dataclass(frozen=True, kw_only=True)
class Move:
    """How far the statistics of one batch norm went in calibration, over its features."""

    name: str
    mean: float
    """Root mean square change of the mean, in standard deviations as they were."""
    scale: float
    """Median standard deviation, new over old."""


def data_of(model: VideoModel, assignments: Sequence[str]) -> DataSpec:
    """How clips are made: as the weights say, changed by `data.key=value`; ConfigError where neither says.

    Weights that do not say, such as those saved by hand, need data.kind; frames and size are then those of the model
    where it has such.
    """

    @dataclass(frozen=True, kw_only=True)
    class Options:
        data: DataSpec

    if model.metadata.preprocess:
        spec = data_spec_of(model.metadata)
    elif any(x.startswith("data.kind=") for x in assignments):
        c, own = model.config, DataSpec()
        spec = dataclasses.replace(
            own, frames=getattr(c, "frames", own.frames), size=getattr(c, "image_size", own.size)
        )
    else:
        raise ConfigError(
            "these weights do not say how clips are made; give data.kind=motion, or data.kind and data.root"
        )
    return override(Options(data=spec), assignments).data


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
    dataset = training_clips(
        model.task, dataclasses.replace(spec, copies=1), classes=tuple(model.metadata.classes) or None
    )
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
    _save(model, out, model.metadata)


def _named(name: str) -> VideoModel:
    try:
        return load_model(name)
    except WeightsError:
        if Path(name).exists() or os.sep in name or name.endswith(".safetensors"):
            raise
    listed = [f"{n}.{tag}" for n, entry in ARCHITECTURES.items() for tag in entry.weights]
    raise unknown_key(name, [*ARCHITECTURES, *listed], "model")


def _like(model: VideoModel) -> VideoModel:
    fresh = type(model)(model.config)
    fresh.metadata = dataclasses.replace(model.metadata, training={})
    return fresh


def _create(name: str, weights: dict[str, Tensor]) -> VideoModel:
    return create_model(name, norms="published", **fields_from_shapes(ARCHITECTURES[name].config, weights))


def _save(model: VideoModel, out: str | Path, metadata: Metadata) -> None:
    try:
        save_model(model, out, metadata)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}; choose another place") from None


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
