"""The models by name: create them, list them, save and load them with their configuration inside the file."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import torch
from torch import nn

from spikereel.config import build, unknown_key
from spikereel.errors import ConfigError, WeightsError
from spikereel.layers.calibrate import wake
from spikereel.layers.neuron import Kind
from spikereel.models.architectures import (
    ARCHITECTURES,
    Architecture,
    ModelInfo,
    Published,
    architecture,
    family,
    list_models,
)
from spikereel.models.base import VideoModel
from spikereel.models.files import FAMILIES, read_weights, weights_hash, write_weights
from spikereel.models.metadata import Metadata
from spikereel.models.pretrained import WEIGHTS, read_folder
from spikereel.models.svformer import SVFormer, SVFormerConfig
from spikereel.models.wrappers import require_module

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Metadata",
    "ModelField",
    "ModelInfo",
    "Published",
    "architecture",
    "create_model",
    "find_weights",
    "list_models",
    "load_model",
    "model_fields",
    "save_model",
    "weights_hash",
]

SHIPPED = Path(__file__).parent / "weights"
NOISE = (4, 32, 2)
"""Frames, side and number of the clips of noise that fresh norms are given the statistics of."""

TASK_PARTS = ("pose", "segmentation")
"""Fields of a configuration that hold the options of one task, and are called as the task."""


@dataclass(frozen=True, kw_only=True)
class ModelField:
    """One name that `create_model` takes."""

    kinds: tuple[Any, ...]
    """Types of the value; more than one where families or tasks mean different things by the name."""
    defaults: dict[tuple[str, str | None], Any]
    """{(family, task): default}; task None: for every task."""


def create_model(name: str, *, norms: Any = "firing", **config: Any) -> VideoModel:
    """A model with fresh weights.

    norms: "firing" gives every batch norm statistics of noise with which all neurons fire; "published" leaves mean 0
    and variance 1 as the papers' code does, with which a model that was not trained yet is silent in evaluation mode.
    Training takes its own statistics from the first batch on; weights are the same either way.

    name: a key of `list_models()`. config: any field of its configuration (`SpikeVideoFormerConfig` or
    `SVFormerConfig`), of `NeuronConfig` (`tau`, `threshold`, `surrogate`, ...) or, with task="pose", of `PoseConfig`
    (`body`, `joints`, `regressor`, ...), or with task="segmentation" of `SegmentationConfig` (`head`, `width`, `neck`);
    `neuron` may be the kind alone ("lif", "plif", "if", "ilif", "relu").
    Raises ConfigError for an unknown name or field, naming the nearest one, and for a task that the model has not.
    """
    base = architecture(name).config
    _check_texts(config)
    if "pretrained" in config:
        raise ConfigError(f"pretrained is no option: models begin with fresh weights. {_loadable(name)}")
    values = dataclasses.asdict(base)
    if config.get("task", "classification") != "classification" and "task" not in values:
        raise ConfigError(f"{name} is for classification alone; task={config['task']!r} needs a SpikeVideoFormer")
    nested = {part: values[part] for part in ("neuron", *TASK_PARTS) if part in values}
    for key, value in config.items():
        owner = next((part for part, own in nested.items() if key in own and key not in values), None)
        if key in nested:
            nested[key] |= {"kind": value} if isinstance(value, str) else _as_dict(value)
        elif key in values:
            values[key] = value
        elif owner is None:
            raise unknown_key(key, [*values, *(name for own in nested.values() for name in own)])
        elif owner in TASK_PARTS and config.get("task", values.get("task")) != owner:
            raise ConfigError(f"option {key!r} belongs to task={owner!r}; give that as well")
        else:
            nested[owner][key] = value
    model = family(base)(build(type(base), values))
    model.metadata = Metadata(name=name)
    if norms == "firing":
        _wake(model)
    elif norms != "published":
        raise ConfigError(f"norms {norms!r} does not exist; choose firing or published")
    return model


def _wake(model: VideoModel) -> None:
    """See `wake`; models on the meta device have no values to give, and ReLU is never silent for long."""
    if next(model.parameters()).is_meta or model.config.neuron.kind == "relu":
        return
    c = model.config
    run: Callable[[torch.Tensor], object] = model
    frames, side, batch = NOISE
    if isinstance(c, SVFormerConfig):
        # norms may know so many time steps, and need more than one pixel
        frames, side, batch = c.frames, 64, 2
        if c.image_size != side and c.head == "conv":
            svformer = cast(SVFormer, model)
            run = lambda clip: svformer.backbone(clip, None, 0)  # noqa: E731
    generator = torch.Generator().manual_seed(0)
    wake(model, torch.rand(frames, batch, c.in_channels, side, side, generator=generator), run=run)


@cache
def model_fields() -> dict[str, ModelField]:
    """Everything that `create_model` takes by name, from the configurations themselves; nested ones are spread out."""
    found: dict[str, ModelField] = {}
    for cls in FAMILIES.values():
        config = cls.config_class()
        for key, kind in get_type_hints(cls.config_class).items():
            if key == "neuron":
                _add_field(found, "neuron", Kind, config.neuron.kind, cls.family, None)
            if key not in ("neuron", *TASK_PARTS):
                _add_field(found, key, kind, getattr(config, key), cls.family, None)
                continue
            part = getattr(config, key)
            for name, inner in get_type_hints(type(part)).items():
                if name != "kind":
                    task = key if key in TASK_PARTS else None
                    _add_field(found, name, inner, getattr(part, name), cls.family, task)
    return found


def _check_texts(config: Mapping[str, Any]) -> None:
    """Raises ConfigError for text where a number is meant, which is one character away from another meaning."""
    known = model_fields()
    for key, value in config.items():
        if isinstance(value, str) and key in known and not any("Literal" in str(kind) for kind in known[key].kinds):
            raise ConfigError(f"{key} is the text {value!r}; give a value of its type, without quotes")


def _add_field(found: dict[str, ModelField], name: str, kind: Any, default: Any, family: str, task: str | None) -> None:
    place = (family, task)
    before = found.get(name, ModelField(kinds=(), defaults={}))
    kinds = before.kinds if kind in before.kinds else (*before.kinds, kind)
    found[name] = ModelField(kinds=kinds, defaults={**before.defaults, place: default})


def save_model(model: nn.Module, path: str | Path, metadata: Metadata | None = None) -> None:
    """Write weights, configuration and metadata into one safetensors file; whole or not at all.

    model: one of ours, also inside `torch.compile`, `DataParallel` and other wrappers. Raises WeightsError for what
    could not be read back.
    """
    require_module(model)
    write_weights(model, Path(path), metadata)


def load_model(name_or_path: str | Path) -> VideoModel:
    """A model in evaluation mode from weights listed as "architecture.tag", or from what was saved.

    name_or_path: such a name, a file of `save_model` or a folder of `model.save_pretrained`.
    Raises WeightsError for a file that is missing, broken, foreign, or whose weights do not fit its configuration.
    """
    path = find_weights(name_or_path)
    return read_folder(path.parent) if Path(name_or_path).is_dir() else read_weights(path)


def find_weights(name_or_path: str | Path) -> Path:
    """Path of a weights file, given as a path, by its folder, or as a listed "architecture.tag"."""
    path = Path(name_or_path)
    for file in (path, path / WEIGHTS):
        if file.is_file():
            return file
    name, _, tag = str(name_or_path).rpartition(".")
    if name in ARCHITECTURES and tag in ARCHITECTURES[name].weights:
        return SHIPPED / f"{name}.{tag}.safetensors"
    listed = [f"{n}.{t}" for n, entry in ARCHITECTURES.items() for t in entry.weights]
    if str(name_or_path) in ARCHITECTURES:
        raise WeightsError(_no_weights(str(name_or_path)))
    if name in ARCHITECTURES:
        own = ", ".join(f"{name}.{t}" for t in ARCHITECTURES[name].weights) or "none"
        raise WeightsError(f"no weights at {name_or_path}: of {name} there are {own}; listed are {', '.join(listed)}")
    near = difflib.get_close_matches(str(name_or_path), ARCHITECTURES, n=1)
    network = f"did you mean the network {near[0]}? " if near else ""
    raise WeightsError(
        f"no weights at {name_or_path}: no file, no saved folder and no listed name; {network}listed are "
        f"{', '.join(listed)}"
    )


def _loadable(name: str) -> str:
    """Where trained weights of an architecture are."""
    entry = ARCHITECTURES[name]
    listed = " or ".join(f"load_model('{name}.{tag}')" for tag in entry.weights)
    return f"For trained ones: {listed}" if listed else f"None of {name} come with Spikereel ({entry.obtain})"


def _no_weights(name: str) -> str:
    """What to say where weights of an architecture are asked for by its name alone."""
    entry = ARCHITECTURES[name]
    fresh = f"create_model({name!r}) makes one with fresh weights"
    if entry.weights:
        return f"no weights at {name}, which is a network; name some: {', '.join(f'{name}.{t}' for t in entry.weights)}"
    return f"no weights at {name}: it is a network, and none come with Spikereel ({entry.obtain}); {fresh}"


def files_of(name_or_path: str | Path) -> list[str]:
    """Files that `load_model` reads for a name; none for what names no weights."""
    try:
        return [str(find_weights(name_or_path))]
    except WeightsError:
        return []


def _as_dict(value: "DataclassInstance | Mapping[str, Any]") -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else dataclasses.asdict(value)
