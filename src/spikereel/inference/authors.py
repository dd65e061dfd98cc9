"""Checkpoints of the papers' authors, brought in as weights of ours."""

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikereel.config import unknown_key
from spikereel.errors import ConfigError, WeightsError
from spikereel.hub import ARCHITECTURES, Metadata, create_model, load_model, save_model
from spikereel.models.authors import (
    Comparison,
    authors_weights,
    chosen_key,
    fields_from_shapes,
    load_matching,
    read_checkpoint,
    weight_sets,
)
from spikereel.models.base import VideoModel
from spikereel.runs.recipes import published_data

LEAST = 0.1
"""Of a model's parameters: what a file has to give. One of another size gives counters and a bias."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A checkpoint read into a model; nothing is written yet."""

    model: VideoModel
    source: Path
    sha256: str
    name: str
    """What the configuration is taken from."""
    found: Comparison
    taken: str = ""
    """Key of the weights in the file; empty for a file that is a state_dict itself."""
    others: tuple[str, ...] = ()
    """Keys of other weights in the file, which were not taken."""

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
            "weights": self.taken,
            "other_weights": list(self.others),
            "architecture": self.model.family,
            "config": dataclasses.asdict(self.model.config),
            "matched": list(self.found.matched),
            "missing": list(self.found.missing),
            "unexpected": list(self.found.unexpected),
            "misshapen": shapes,
        }


def read_import(source: str | Path, name: str, *, weights: str | None = None) -> Imported:
    """A checkpoint in a model of the given name; entries without a place are in `found`, and fresh in the model.

    name: an architecture, which the shapes in the file complete (classes, channels, frames, size), or weights (a file,
    a folder or a listed name), whose configuration is kept as it is, with their classes and way to make clips.
    weights: key of the set of weights to take, where the file has several, such as "model_ema".
    Raises WeightsError for a file that cannot be read safely or has nothing in common with the model, ConfigError for
    an unknown name.
    """
    source = Path(source)
    named = None if name in ARCHITECTURES else _named(name)
    content = read_checkpoint(source)
    sets, tensors = weight_sets(content), authors_weights(content, key=weights)
    taken = weights if weights is not None else chosen_key(content, str(source))
    with torch.random.fork_rng(devices=[]):
        # what the file does not give is fresh, and the same each time
        torch.manual_seed(0)
        model = _like(named) if named else _create(name, tensors)
    found = load_matching(model, tensors)
    if not found.matched:
        raise WeightsError(f"{source} has no entry in common with {name}: {found}; give another --as")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Imported(
        model=model.eval(),
        source=source,
        sha256=digest,
        name=name,
        found=found,
        taken=taken,
        others=tuple(x for x in sets if x != taken),
    )


def write_import(imported: Imported, out: str | Path, *, partial: bool = False) -> None:
    """Write the weights, with their origin in `metadata.training` and the authors' way to make clips.

    Raises WeightsError, and writes nothing, for a partial load that was not asked for, or that next to nothing fits.
    """
    if not (imported.found.whole or partial):
        raise WeightsError(
            f"{imported.source} does not fit {imported.name}: {imported.found}; nothing written. "
            "Give another --as, or --partial to leave fresh values where nothing fits"
        )
    sizes = {name: x.numel() for name, x in imported.model.named_parameters()}
    taken, all_of_them = sum(sizes.get(name, 0) for name in imported.found.matched), sum(sizes.values())
    if taken < LEAST * all_of_them:
        raise WeightsError(
            f"{imported.source} has {taken:,} of the {all_of_them:,} parameters of {imported.name}, the rest would be "
            "fresh; nothing written. Give another --as: `spikereel list` has the sizes"
        )
    origin = {"origin": imported.source.name, "sha256": imported.sha256, "imported_as": imported.name}
    origin |= {"weights": imported.taken} if imported.others else {}
    meta = imported.model.metadata
    metadata = dataclasses.replace(
        meta,
        training=origin | imported.counts(),
        preprocess=meta.preprocess or dataclasses.asdict(published_data(imported.model.config)),
    )
    save_weights(imported.model, out, metadata)


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


def save_weights(model: VideoModel, out: str | Path, metadata: Metadata) -> None:
    """Write weights, whole or not at all; ConfigError where they cannot be."""
    try:
        save_model(model, out, metadata)
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}; choose another place") from None
