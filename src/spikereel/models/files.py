"""Weights files: one safetensors file that holds the tensors, the configuration and the metadata of a model."""

import dataclasses
import hashlib
import json
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spikereel.config import build
from spikereel.errors import ConfigError, WeightsError
from spikereel.files import write_whole
from spikereel.models.base import VideoModel
from spikereel.models.metadata import Metadata
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer
from spikereel.models.wrappers import beside, holding, inside, plain_names

FORMAT = 1

NUMPY = frozenset({torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool})
"""Types whose bytes NumPy gives as they are; those of others, such as bfloat16, are looked at one by one."""

LARGE = 4096
"""Values of a tensor that is hashed by itself."""

FAMILIES: dict[str, type[VideoModel]] = {cls.family: cls for cls in (SpikeVideoFormer, SVFormer)}
"""Architectures by the name that files carry."""


def header_of(model: VideoModel, metadata: Metadata | None = None) -> dict:
    """What a file says of its tensors, in plain types."""
    return {
        "format": FORMAT,
        "architecture": model.family,
        "config": dataclasses.asdict(model.config),
        "metadata": dataclasses.asdict(metadata or model.metadata),
    }


def write_weights(model: nn.Module, path: Path, metadata: Metadata | None = None) -> None:
    """Write weights and header into one file; whole or not at all. Wrappers around the model are seen through.

    Raises WeightsError for what is no model of ours, or could not be read back.
    """
    from safetensors.torch import save

    inner = holding(model, VideoModel)
    if not isinstance(inner, VideoModel):
        raise WeightsError(f"cannot save a {type(model).__name__}: {_why_none(model)}")
    header = header_of(inner, metadata)
    tensors = {name: x.detach().cpu().contiguous() for name, x in plain_names(inner.state_dict()).items()}
    _check_readable(header, tensors)
    write_whole(path, save(tensors, metadata={"spikereel": json.dumps(header)}))


def _why_none(model: nn.Module) -> str:
    """Why there is not one model in a module that can be saved."""
    models = inside(model, VideoModel)
    if not models:
        return "there is no model of spikereel in it"
    if len(models) > 1:
        return f"there are {len(models)} models of spikereel in it; save one of them"
    others = beside(model, models[0])
    return f"beside the model it has {len(others)} weights, first {others[0]!r}; save the model alone"


def _check_readable(header: dict, tensors: dict[str, torch.Tensor]) -> None:
    with torch.device("meta"):
        own = from_header(header, "this model").state_dict()
    strange = sorted(own.keys() ^ tensors.keys())
    strange += [name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape]
    if strange:
        raise WeightsError(
            f"cannot save this model: {len(strange)} weights are not those of its configuration, first {strange[0]!r}; "
            "undo what was changed in it (pruning, parametrisation, other layers)"
        )


def read_weights(path: Path) -> VideoModel:
    """The model of a file, in evaluation mode. Raises WeightsError for one that is broken, foreign or unfit."""
    header, tensors = _read(path)
    model = from_header(header, str(path))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path}: weights do not fit the configuration in the file: {str(error)[:200]}") from None
    return model.eval()


def from_header(header: dict, where: str) -> VideoModel:
    """A model with fresh weights, as a header describes it."""
    family = FAMILIES.get(header.get("architecture", ""))
    if family is None:
        raise WeightsError(
            f"{where}: architecture {header.get('architecture')!r} is none of {', '.join(FAMILIES)}; upgrade spikereel"
        )
    try:
        model = family(build(family.config_class, header["config"]))
        model.metadata = build(Metadata, header["metadata"])
    except ConfigError as error:
        raise WeightsError(f"{where}: the configuration in the file does not fit this version: {error}") from None
    return model


def check_header(text: str, where: str) -> dict:
    """A header from its JSON. Raises WeightsError for one that is broken or of another format."""
    try:
        header = json.loads(text)
        whole = header["format"] != FORMAT or header.keys() >= {"config", "metadata"}
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise WeightsError(f"{where} carries a broken Spikereel configuration; fetch or save it again")
    if header["format"] != FORMAT:
        raise WeightsError(f"{where} has format {header['format']}, this version reads {FORMAT}; upgrade spikereel")
    return header


def weights_hash(model: nn.Module) -> str:
    """sha256 over all names and values of the state_dict: the same for the same numbers, wherever they are stored."""
    digest, small = hashlib.sha256(), []
    for x in plain_parts(model):
        # norms have hundreds of small tensors: one call for many, and no copy of the large ones
        if isinstance(x, np.ndarray) and x.size > LARGE:
            digest.update(b"".join(small))
            digest.update(x)
            small = []
        else:
            small.append(x)
    digest.update(b"".join(small))
    return digest.hexdigest()


def plain_parts(model: nn.Module) -> Iterator[Any]:
    """What `weights_hash` is of: names and bytes of the state_dict in the order of the names; the bytes of the model
    itself where they can be."""
    for name, x in sorted(model.state_dict(keep_vars=True).items()):
        yield name.encode()
        yield plain_bytes(x)


def plain_bytes(x: Any) -> Any:
    """A value of a state_dict; quantised modules keep tuples, types and packed weights there."""
    if not isinstance(x, torch.Tensor):
        return b"".join(bytes(plain_bytes(y)) for y in x) if isinstance(x, tuple) else repr(x).encode()
    if x.dtype in NUMPY:
        return np.ascontiguousarray(x.numpy(force=True))
    x = (x.dequantize() if x.is_quantized else x).contiguous()
    return x.detach().flatten().view(torch.uint8).numpy(force=True)


def _read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = (file.metadata() or {}).get("spikereel")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        what = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
        if what in ("video", "image"):
            raise WeightsError(
                f"{path} is {'a video' if what == 'video' else 'a picture'}, where weights are asked for; give a file "
                "of weights or a name of `spikereel list` in its place"
            ) from None
        raise WeightsError(
            f"{path} is not a whole safetensors file ({error}); authors' files go through `spikereel import`"
        ) from None
    if header is None:
        raise WeightsError(f"{path} carries no Spikereel configuration; bring it in with `spikereel import`")
    return check_header(header, str(path)), tensors
