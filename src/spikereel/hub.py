"""The models by name: create them, list them, save and load them with their configuration inside the file."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikereel.config import build, unknown_key
from spikereel.errors import ConfigError, WeightsError
from spikereel.layers.neuron import NeuronConfig
from spikereel.models.metadata import Metadata
from spikereel.models.spikevideoformer import SpikeVideoFormer, SpikeVideoFormerConfig

SHIPPED = Path(__file__).parent / "weights"
FORMAT = 1

SVDF = "Zou et al., SpikeVideoFormer, ICML 2025"
SDT2 = "Yao et al., Spike-driven Transformer V2 (Meta-SpikeFormer), ICLR 2024"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A named set of constants."""

    config: SpikeVideoFormerConfig
    source: str
    published: str = ""
    """Figures of the paper, with their protocol."""
    weights: tuple[str, ...] = ()
    """Tags of weights in this package: `load_model("name.tag")`."""


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """One row of `list_models`."""

    name: str
    task: str
    parameters: int
    classes: int
    attention: str
    similarity: str
    weights: tuple[str, ...]
    published: str
    source: str


def _sizes(prefix: str, **fields: Any) -> dict[str, SpikeVideoFormerConfig]:
    widths = {
        "s": (64, 128, 256, 360), "m": (96, 192, 384, 480), "b": (128, 256, 512, 640), "l": (192, 384, 768, 960),
    }  # fmt: skip
    return {f"{prefix}_{size}": SpikeVideoFormerConfig(widths=w, **fields) for size, w in widths.items()}


_K400 = "Kinetics-400 top-1 {} % / top-5 {} %, {} mJ (paper; T, views and stride not stated)"
_PUBLISHED = {
    "spikevideoformer_b": _K400.format("79.8", "94.0", "412.1"),
    "meta_spikeformer_b": _K400.format("75.5", "90.1", "396.4"),
}

ARCHITECTURES: dict[str, Architecture] = {
    "spikevideoformer_ti": Architecture(
        config=SpikeVideoFormerConfig(widths=(16, 32, 96, 160), depths=(2, 1), residual_gain=0.0),
        source="Spikereel; a small one for CPUs, tests and demos",
        weights=("motion", "motion_spatial"),
    ),
    **{
        name: Architecture(config=config, source=SVDF, published=_PUBLISHED.get(name, ""))
        for name, config in _sizes("spikevideoformer").items()
    },
    **{
        name: Architecture(config=config, source=SDT2, published=_PUBLISHED.get(name, ""))
        for name, config in _sizes("meta_spikeformer", attention="spatial", similarity="dot").items()
    },
}


def list_models() -> dict[str, ModelInfo]:
    """All models by name: task, size, scheme, weights that ship with the package, and published figures."""
    return {name: _info(name, entry) for name, entry in ARCHITECTURES.items()}


def create_model(name: str, **config: Any) -> SpikeVideoFormer:
    """A model with fresh weights.

    name: a key of `list_models()`. config: any field of `SpikeVideoFormerConfig`, or of `NeuronConfig` (`tau`,
    `threshold`, `surrogate`, ...); `neuron` may be the kind alone ("lif", "plif", "ilif").
    Raises ConfigError for an unknown name or field, naming the nearest one.
    """
    if name not in ARCHITECTURES:
        raise unknown_key(name, ARCHITECTURES, "model")
    values = dataclasses.asdict(ARCHITECTURES[name].config)
    neuron = values["neuron"]
    fields = {f.name for f in dataclasses.fields(SpikeVideoFormerConfig)}
    for key, value in config.items():
        if key == "neuron":
            neuron |= {"kind": value} if isinstance(value, str) else _as_dict(value)
        elif key in fields:
            values[key] = value
        elif key in neuron:
            neuron[key] = value
        else:
            raise unknown_key(key, [*fields, *neuron])
    model = SpikeVideoFormer(build(SpikeVideoFormerConfig, values))
    model.metadata = Metadata(name=name)
    return model


def save_model(model: SpikeVideoFormer, path: str | Path, metadata: Metadata | None = None) -> None:
    """Write weights, configuration and metadata into one safetensors file; whole or not at all."""
    from safetensors.torch import save

    path = Path(path)
    metadata = metadata or model.metadata
    header = {
        "format": FORMAT, "architecture": "spikevideoformer", "config": dataclasses.asdict(model.config),
        "metadata": dataclasses.asdict(metadata),
    }  # fmt: skip
    tensors = {name: x.detach().cpu().contiguous() for name, x in model.state_dict().items()}
    content = save(tensors, metadata={"spikereel": json.dumps(header)})
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_model(name_or_path: str | Path) -> SpikeVideoFormer:
    """A model in evaluation mode from a file that `save_model` wrote, or from weights listed as "architecture.tag".

    Raises WeightsError for a file that is missing, broken, foreign, or whose weights do not fit its configuration.
    """
    path = find_weights(name_or_path)
    header, tensors = _read(path)
    try:
        model = SpikeVideoFormer(build(SpikeVideoFormerConfig, header["config"]))
        model.metadata = build(Metadata, header["metadata"])
    except ConfigError as error:
        raise WeightsError(f"{path}: the configuration in the file does not fit this version: {error}") from None
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: weights do not fit the configuration in the file: {str(error)[:200]}") from None
    return model.eval()


def find_weights(name_or_path: str | Path) -> Path:
    """Path of a weights file, given as a path or as a listed "architecture.tag"."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    name, _, tag = str(name_or_path).partition(".")
    if name in ARCHITECTURES and tag in ARCHITECTURES[name].weights:
        return SHIPPED / f"{name}.{tag}.safetensors"
    listed = [f"{n}.{t}" for n, entry in ARCHITECTURES.items() for t in entry.weights]
    raise WeightsError(
        f"no weights at {name_or_path}: neither a file nor a listed name; listed are {', '.join(listed)}"
    )


def weights_hash(model: nn.Module) -> str:
    """sha256 over all names and values of the state_dict: the same for the same numbers, wherever they are stored."""
    digest = hashlib.sha256()
    for name, x in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = (file.metadata() or {}).get("spikereel")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({error}); authors' .pth files go through load_authors_weights"
        ) from None
    if header is None:
        raise WeightsError(f"{path} carries no Spikereel configuration; use load_authors_weights(model, path)")
    return _header(path, header), tensors


def _header(path: Path, text: str) -> dict:
    try:
        header = json.loads(text)
        whole = header["format"] != FORMAT or header.keys() >= {"config", "metadata"}
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise WeightsError(f"{path} carries a broken Spikereel configuration; fetch or save it again")
    if header["format"] != FORMAT:
        raise WeightsError(f"{path} has format {header['format']}, this version reads {FORMAT}; upgrade spikereel")
    return header


def _info(name: str, entry: Architecture) -> ModelInfo:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in SpikeVideoFormer(entry.config).parameters())
    c = entry.config
    return ModelInfo(
        name=name, task="classification", parameters=parameters, classes=c.num_classes, attention=c.attention,
        similarity=c.similarity, weights=tuple(f"{name}.{tag}" for tag in entry.weights), published=entry.published,
        source=entry.source,
    )  # fmt: skip


def _as_dict(value: NeuronConfig | Mapping[str, Any]) -> dict[str, Any]:
    return dataclasses.asdict(value) if isinstance(value, NeuronConfig) else dict(value)
