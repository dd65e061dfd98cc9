"""The models by name: create them, list them, save and load them with their configuration inside the file."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import torch
from torch import nn

from spikereel.config import build, unknown_key
from spikereel.errors import ConfigError, WeightsError
from spikereel.layers.calibrate import wake
from spikereel.layers.neuron import Kind
from spikereel.layers.observe import count_macs
from spikereel.models.base import VideoModel
from spikereel.models.empty import empty_twin
from spikereel.models.files import FAMILIES, read_weights, weights_hash, write_weights
from spikereel.models.metadata import Metadata
from spikereel.models.pretrained import WEIGHTS, read_folder
from spikereel.models.spikevideoformer import SpikeVideoFormerConfig
from spikereel.models.svformer import SVFormer, SVFormerConfig

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
SIZES = Path(__file__).parent / "sizes.json"
"""Parameters and operations of every model; `python -m spikereel.hub` writes it anew."""

SVDF = "Zou et al., SpikeVideoFormer, ICML 2025"
SDT2 = "Yao et al., Spike-driven Transformer V2 (Meta-SpikeFormer), ICLR 2024"
SVF = "Yu et al., SVFormer, 2024 (arXiv 2406.15034)"
OWN = "Spikereel; a small one for CPUs, tests and demos"

NOISE = (4, 32, 2)
"""Frames, side and number of the clips of noise that fresh norms are given the statistics of."""

TASK_PARTS = ("pose", "segmentation")
"""Fields of a configuration that hold the options of one task, and are called as the task."""

ANN = ".ann"
"""Ending of the name of a model's twin: the same graph with ReLU in place of every spiking neuron."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One figure of a paper."""

    figure: str
    protocol: str
    source: str

    def __str__(self) -> str:
        return f"{self.figure} ({self.protocol}; {self.source})"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A named set of constants."""

    config: SpikeVideoFormerConfig | SVFormerConfig
    source: str
    clip: tuple[int, int]
    """Frames and side in pixels of the clip that `ModelInfo.macs` is for."""
    published: tuple[Published, ...] = ()
    weights: tuple[str, ...] = ()
    """Tags of weights in this package: `load_model("name.tag")`."""
    obtain: str = "none published"
    """Where weights can be had besides those in this package."""


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelInfo:
    """One row of `list_models`."""

    name: str
    task: str
    parameters: int
    macs: int
    """Dense multiply-accumulates of one clip, attention included."""
    clip: tuple[int, int, int, int]
    """[T, C, H, W] that `macs` is for."""
    classes: int
    attention: str
    similarity: str
    weights: tuple[str, ...]
    obtain: str
    published: tuple[Published, ...]
    source: str
    config: Any = field(repr=False)

    def __repr__(self) -> str:
        t, _, h, w = self.clip
        size = f"{1e-6 * self.parameters:.1f} M parameters, {1e-9 * self.macs:,.3g} GMAC"
        return f"ModelInfo({self.name}: {size} for {t} x {h} x {w}; weights: {', '.join(self.weights) or 'none'})"


@dataclass(frozen=True, kw_only=True)
class ModelField:
    """One name that `create_model` takes."""

    kinds: tuple[Any, ...]
    """Types of the value; more than one where families or tasks mean different things by the name."""
    defaults: dict[tuple[str, str | None], Any]
    """{(family, task): default}; task None: for every task."""


def _sizes(prefix: str, **fields: Any) -> dict[str, SpikeVideoFormerConfig]:
    widths = {"s": (64, 128, 256, 360), "m": (96, 192, 384, 480), "b": (128, 256, 512, 640), "l": (192, 384, 768, 960)}
    return {f"{prefix}_{size}": SpikeVideoFormerConfig(widths=w, **fields) for size, w in widths.items()}


def _k400(top1: str, top5: str, energy: str) -> tuple[Published, ...]:
    figure = f"Kinetics-400 top-1 {top1} %, top-5 {top5} %, {energy} mJ"
    return (Published(figure=figure, protocol="frames, views and stride not stated", source=SVDF),)


def _svformer_figures() -> tuple[Published, ...]:
    log = "logs in the authors' repository, checkpoint chosen on the test list"
    return (
        Published(figure="UCF101 top-1 84.03 %, top-5 95.59 %", protocol="split 1, 5 clips x 3 crops", source=log),
        Published(figure="UCF101 top-1 80.73 %, top-5 94.11 %", protocol="split 1, 1 clip x 1 crop", source=log),
        Published(figure="UCF101 21 mJ a video", protocol="not reproduced by the code's own constants", source=SVF),
    )


_PUBLISHED = {
    "spikevideoformer_b": _k400("79.8", "94.0", "412.1"),
    "meta_spikeformer_b": _k400("75.5", "90.1", "396.4"),
}
_SDT2_FILES = "ImageNet weights of Spike-Driven-Transformer-V2 (github.com/BICLab): `spikereel import FILE --as {}`"

_BASES: dict[str, Architecture] = {
    "spikevideoformer_ti": Architecture(
        config=SpikeVideoFormerConfig(widths=(16, 32, 96, 160), depths=(2, 1), residual_gain=0.0),
        source=OWN,
        clip=(8, 64),
        weights=("motion", "motion_spatial", "motion_causal", "actions", "synthetic_pose", "synthetic_vss"),
    ),
    **{
        name: Architecture(
            config=config,
            source=SVDF,
            clip=(32, 224),
            published=_PUBLISHED.get(name, ()),
            obtain="none published; start from " + _SDT2_FILES.format(f"{name} --partial"),
        )
        for name, config in _sizes("spikevideoformer").items()
    },
    **{
        name: Architecture(
            config=config,
            source=SDT2,
            clip=(32, 224),
            published=_PUBLISHED.get(name, ()),
            obtain=_SDT2_FILES.format(name),
        )
        for name, config in _sizes("meta_spikeformer", attention="spatial", similarity="dot").items()
    },
    "svformer": Architecture(
        config=SVFormerConfig(),
        source=SVF,
        clip=(16, 224),
        published=_svformer_figures(),
        obtain="Baidu Pan, link in github.com/yult0821/SVFormer: `spikereel import FILE --as svformer`",
    ),
    "svformer_ti": Architecture(
        config=SVFormerConfig(frames=8, image_size=64, widths=(32, 64, 96, 128), head_dim=32), source=OWN, clip=(8, 64)
    ),
}


def _twin(entry: Architecture) -> Architecture:
    config = replace(entry.config, neuron=replace(entry.config.neuron, kind="relu"))
    return replace(entry, config=config, published=(), weights=(), obtain="none published")


ARCHITECTURES: dict[str, Architecture] = _BASES | {name + ANN: _twin(entry) for name, entry in _BASES.items()}


class ModelList(dict[str, ModelInfo]):
    """Models by name; prints as their names."""

    def __repr__(self) -> str:
        names = [name for name in self if not name.endswith(ANN)]
        return f"{len(self)} models: {', '.join(names)}; each also as NAME{ANN}"


def list_models() -> dict[str, ModelInfo]:
    """All models by name: task, size, operations, scheme, weights, where to get others, and published figures."""
    return ModelList({name: _info(name) for name in ARCHITECTURES})


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
    model = _family(base)(build(type(base), values))
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


def architecture(name: str) -> Architecture:
    """The named set of constants. Raises ConfigError for an unknown name, with the nearest one."""
    if name not in ARCHITECTURES:
        raise unknown_key(name, ARCHITECTURES, "model")
    return ARCHITECTURES[name]


def save_model(model: nn.Module, path: str | Path, metadata: Metadata | None = None) -> None:
    """Write weights, configuration and metadata into one safetensors file; whole or not at all.

    model: one of ours, also inside `torch.compile`, `DataParallel` and other wrappers. Raises WeightsError for what
    could not be read back.
    """
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
    raise WeightsError(
        f"no weights at {name_or_path}: no file, no saved folder and no listed name; listed are {', '.join(listed)}"
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


def _family(config: SpikeVideoFormerConfig | SVFormerConfig) -> type[VideoModel]:
    return next(cls for cls in FAMILIES.values() if cls.config_class is type(config))


def measured_size(name: str) -> tuple[int, int]:
    """Parameters, and dense multiply-accumulates of the clip of `list_models`, of the model as it is built."""
    c = ARCHITECTURES[name].config
    with torch.device("meta"):
        model = _family(c)(c)
    return sum(p.numel() for p in model.parameters()), _macs(_twin(ARCHITECTURES[name]).config, _clip(name))


def _clip(name: str) -> tuple[int, int, int, int]:
    frames, side = ARCHITECTURES[name].clip
    return frames, ARCHITECTURES[name].config.in_channels, side, side


@cache
def _sizes_by_name() -> dict[str, tuple[int, int]]:
    """What `measured_size` gave, because building all models takes seconds; a test compares."""
    return {name: (parameters, macs) for name, (parameters, macs) in json.loads(SIZES.read_text()).items()}


@cache
def _info(name: str) -> ModelInfo:
    entry, c = ARCHITECTURES[name], ARCHITECTURES[name].config
    parameters, macs = _sizes_by_name()[name]
    return ModelInfo(
        name=name,
        task="classification",
        parameters=parameters,
        macs=macs,
        clip=_clip(name),
        classes=c.num_classes,
        attention=getattr(c, "attention", "spatial"),
        similarity=getattr(c, "similarity", "dot"),
        weights=tuple(f"{name}.{tag}" for tag in entry.weights),
        obtain=entry.obtain,
        published=entry.published,
        source=entry.source,
        config=c,
    )


@cache
def _macs(config: SpikeVideoFormerConfig | SVFormerConfig, clip: tuple[int, int, int, int]) -> int:
    frames, *frame = clip
    with torch.device("meta"):
        model = empty_twin(_family(config)(config))
    return count_macs(model, torch.zeros(frames, 1, *frame, device="meta"))


def _as_dict(value: "DataclassInstance | Mapping[str, Any]") -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else dataclasses.asdict(value)


if __name__ == "__main__":
    SIZES.write_text(json.dumps({name: measured_size(name) for name in ARCHITECTURES}, indent=1) + "\n")
