"""The named networks: their constants, sizes, published figures, and the weights that ship."""

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from spikereel.config import unknown_key
from spikereel.errors import ConfigError
from spikereel.layers.observe import count_macs
from spikereel.models.base import VideoModel, task_of
from spikereel.models.empty import empty_twin
from spikereel.models.files import FAMILIES
from spikereel.models.spikevideoformer import SpikeVideoFormerConfig
from spikereel.models.svformer import SVFormerConfig

SIZES = Path(__file__).parents[1] / "sizes.json"
"""Parameters and operations of every model; `python -m spikereel.models.architectures` writes it anew."""

SVDF = "Zou et al., SpikeVideoFormer, ICML 2025"
SDT2 = "Yao et al., Spike-driven Transformer V2 (Meta-SpikeFormer), ICLR 2024"
SVF = "Yu et al., SVFormer, 2024 (arXiv 2406.15034)"
OWN = "Spikereel; a small one for CPUs, tests and demos"

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


def architecture(name: str) -> Architecture:
    """The named set of constants. Raises ConfigError for an unknown name, with the nearest one, and for weights."""
    if name not in ARCHITECTURES:
        base, _, tag = str(name).rpartition(".")
        if base in ARCHITECTURES and tag in ARCHITECTURES[base].weights:
            raise ConfigError(f"{name!r} names weights, which load_model({name!r}) reads; the model is {base!r}")
        raise unknown_key(name, ARCHITECTURES, "model")
    return ARCHITECTURES[name]


def family(config: SpikeVideoFormerConfig | SVFormerConfig) -> type[VideoModel]:
    return next(cls for cls in FAMILIES.values() if cls.config_class is type(config))


def measured_size(name: str) -> tuple[int, int]:
    """Parameters, and dense multiply-accumulates of the clip of `list_models`, of the model as it is built."""
    c = ARCHITECTURES[name].config
    with torch.device("meta"):
        model = family(c)(c)
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
        task=task_of(c),
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
        model = empty_twin(family(config)(config))
    return count_macs(model, torch.zeros(frames, 1, *frame, device="meta"))


if __name__ == "__main__":
    SIZES.write_text(json.dumps({name: measured_size(name) for name in ARCHITECTURES}, indent=1) + "\n")
