"""Weights as the authors publish them: read safely, every key accounted for both ways."""

import pickle
import re
import struct
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.errors import WeightsError
from spikereel.models.pickled import refused_entries
from spikereel.models.svformer import SVFormerConfig
from spikereel.models.wrappers import PREFIXES, STEMS, models_among, plain_names, require_module

WRAPPERS = ("model", "model_state", "model_state_dict", "state_dict")
"""Keys under which the papers' repositories keep their weights."""

_SCALAR_NAMES = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
SCALARS = tuple(getattr(np, name) for name in _SCALAR_NAMES.split())
"""Numbers of numpy, which training scripts keep beside weights: figures, epochs, learning rates."""

MAGIC = (b"PK\x03\x04", b"\x80")
"""How archives and pickles begin, in both of which PyTorch saves."""

MEAN = ".running_mean"

UNREADABLE = (
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""What reading a file that is no checkpoint may end in: the unpickler takes any bytes for instructions."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Names of the entries of a file and of a model, by how they meet."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """In the model only."""
    unexpected: tuple[str, ...]
    """In the file only."""
    misshapen: dict[str, tuple[list[int], list[int]]]
    """In both with different shapes: (file, model)."""

    @property
    def whole(self) -> bool:
        """Whether every entry of either side has its place."""
        return not (self.missing or self.unexpected or self.misshapen)

    @property
    def without_statistics(self) -> tuple[str, ...]:
        """Batch norms whose running statistics the file does not give."""
        return tuple(k.removesuffix(MEAN) for k in sorted({*self.missing, *self.misshapen}) if k.endswith(MEAN))

    def problems(self) -> dict[str, tuple[str, ...]]:
        """Entries without a place, with both shapes where those differ; only kinds of problem that occur."""
        shapes = (f"{k} {file} (model: {model})" for k, (file, model) in self.misshapen.items())
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "wrong in shape": tuple(shapes)}
        return {kind: names for kind, names in kinds.items() if names}

    def __str__(self) -> str:
        return "; ".join(f"{len(names)} {kind}: {first_few(names)}" for kind, names in self.problems().items())


def first_few(names: Sequence[str], most: int = 3) -> str:
    """The beginning of a list, in words."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def load_authors_weights(model: nn.Module, source: str | Path | Mapping[str, Any], *, key: str | None = None) -> None:
    """Load a published checkpoint (`.pth`, `.pyth`, `.safetensors`, or its content) into a model of the same shape.

    Raises WeightsError, and leaves the model as it was, unless every key of the file finds its place with the right
    shape and every key of the model is given. Pickles run no code; see `authors_weights` for what is read.
    """
    require_module(model)
    weights = authors_weights(source, key=key)
    found = compare(model, weights)
    if not found.whole:
        raise WeightsError(
            f"{_name(source)} does not fit this model: {found}. "
            "Create the model with the widths, heads, attention, similarity and num_classes of the checkpoint"
        )
    model.load_state_dict(weights)


def authors_weights(source: str | Path | Mapping[str, Any], *, key: str | None = None) -> dict[str, Tensor]:
    """The tensors of a published checkpoint by the names they have in our models.

    Of a checkpoint with wrapping keys ("model", "model_state", ...) all else is dropped: optimiser, epoch, arguments.
    key: which set of weights to take, such as "model_ema" or "ema.state_dict", see `weight_sets`; None takes that of
    `chosen_key`: the first of WRAPPERS, or the only one.
    What wrappers leave in names is removed ("module.", "_orig_mod.", ...); a distillation head `head_kd` is averaged
    with `head`, which is what the authors' model does when it evaluates. Raises WeightsError for anything but a
    state_dict.
    """
    content = read_checkpoint(source) if isinstance(source, str | Path) else source
    return merge_heads(plain_names(_chosen(content, _name(source), key)))


def weight_sets(content: Mapping[str, Any], *, prefix: str = "") -> dict[str, Mapping[str, Tensor]]:
    """Every set of weights in a checkpoint, by its dotted key; "" for a checkpoint that is a state_dict itself.

    A set is a mapping of names to tensors, of two or more and at least one of them of several axes. The state of an
    optimiser, whose entries are numbered, is none. Models side by side in one mapping ("student.", "ema.") are a set
    each.
    """
    tensors = {name: x for name, x in content.items() if isinstance(x, Tensor)}
    named = all(isinstance(name, str) for name in content)
    found = {}
    if named and len(tensors) > 1 and any(x.ndim > 1 for x in tensors.values()):
        models = models_among(content)
        found |= {".".join(filter(None, (prefix, x))): models[x] if x else content for x in models}
    for name, inner in content.items():
        if isinstance(inner, Mapping) and isinstance(name, str) and "optim" not in name:
            found |= weight_sets(inner, prefix=f"{prefix}.{name}" if prefix else name)
    return found


def compare(model: nn.Module, weights: Mapping[str, Tensor]) -> Comparison:
    """Every entry of a state_dict and of a model accounted for, both ways."""
    own = {name: list(x.shape) for name, x in model.state_dict().items()}
    given = {name: list(x.shape) for name, x in weights.items()}
    both = sorted(own.keys() & given.keys())
    return Comparison(
        matched=tuple(k for k in both if given[k] == own[k]),
        missing=tuple(sorted(own.keys() - given.keys())),
        unexpected=tuple(sorted(given.keys() - own.keys())),
        misshapen={k: (given[k], own[k]) for k in both if given[k] != own[k]},
    )


def load_matching(model: nn.Module, weights: Mapping[str, Tensor]) -> Comparison:
    """Load the entries that fit; all others of the model stay as they are."""
    found = compare(model, weights)
    model.load_state_dict({k: weights[k] for k in found.matched}, strict=False)
    return found


def fields_from_shapes(config: Any, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Fields of a configuration that the shapes in a checkpoint tell: classes, channels; SVFormer: frames and size too.

    A field whose tensor is absent or has another number of axes is left out. SVFormer: the kernel of the convolution
    before the head covers the clip at 1/32 of its size; without it, the norms have T C features.
    """
    sizes = {"num_classes": _size(weights, "head.weight", 0, 2)}
    if isinstance(config, SVFormerConfig):
        stem = STEMS["svformer"]
        width, features = _size(weights, stem, 0, 4), _size(weights, "patch_embed1.norm.weight", 0, 1)
        steps = features // width if features and width and config.time_norm else None
        side = _size(weights, "dwconv_bf_head.weight", 3, 5)
        sizes["frames"] = _size(weights, "dwconv_bf_head.weight", 2, 5) or steps
        sizes["image_size"] = side and 32 * side
    else:
        stem = STEMS["spikevideoformer"]
    sizes["in_channels"] = _size(weights, stem, 1, 4)
    return {name: size for name, size in sizes.items() if size}


def read_checkpoint(path: str | Path) -> Mapping:
    """Content of a checkpoint file. Raises WeightsError for one that is missing, broken or would run code.

    Pickles are read with `weights_only=True`, so no code in them can run. Besides tensors and plain values they may
    hold an `argparse.Namespace`, in which training scripts keep their arguments, and numbers of numpy.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}; give the path of a .pth, .pyth or .safetensors file")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(str(path))
        except SafetensorError as error:
            raise WeightsError(f"{path} is not a whole safetensors file ({error}); fetch it again") from None
    with path.open("rb") as file:
        beginning = file.read(4)
    if not beginning.startswith(MAGIC):
        raise WeightsError(f"{path} is no PyTorch checkpoint (it begins with {beginning!r}); fetch it again")
    try:
        with warnings.catch_warnings():
            # a newer pickle protocol is named in a warning first; what cannot be read still raises
            warnings.simplefilter("ignore", UserWarning)
            with torch.serialization.safe_globals(_harmless()):
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is a pickle that holds more than tensors{_strangers(path, str(error))} and was not opened, since "
            "it could run code; save its state_dict alone, in safetensors if you can"
        ) from None
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise WeightsError(f"{path} is not a whole PyTorch checkpoint ({reason}); fetch it again") from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a state_dict; save model.state_dict()")
    return content


def _harmless() -> list[Any]:
    """What may stand in a pickle besides tensors and plain values; none of it runs anything of a file."""
    kinds = {type(np.dtype(scalar)) for scalar in SCALARS}
    scalar = np.float64(0).__reduce__()[0]
    # files of numpy before 2.0 give the function the address it had
    return [Namespace, np.dtype, *SCALARS, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]


def _strangers(path: Path, refusal: str) -> str:
    """The keys of a checkpoint whose values are refused, with their types, read without making any of them.

    refusal: what the unpickler said, which names a type that tensors of other sorts share their beginning with.
    """
    found = refused_entries(path, allowed={f"{x.__module__}.{x.__qualname__}" for x in (Namespace, *SCALARS)})
    if not found:
        named = re.search(r"(?:GLOBAL|global:?) ([A-Za-z_][\w.]+)", refusal)
        return f" ({named[1]})" if named else ""
    return " (" + ", ".join(f"{key}: {kind}" if key else kind for key, kind in found[:3]) + ")"


def chosen_key(content: Mapping[str, Any], name: str = "the state_dict") -> str:
    """The key of the set of weights that is taken where none is named; see `authors_weights`.

    Raises WeightsError for several of which none is the usual one.
    """
    sets = weight_sets(content)
    under = next((x for x in WRAPPERS if isinstance(content.get(x), Mapping)), "")
    if under in sets:
        return under
    own = [x for x in sets if not under or x.startswith(f"{under}.")]
    inner = (*(x.removesuffix(".") for x in PREFIXES), *WRAPPERS)
    usual = [key for x in inner if (key := f"{under}.{x}" if under else x) in own]
    if len(own) > 1 and not usual:
        raise WeightsError(f"{name} holds several weights: {', '.join(own)}; say which with --weights KEY")
    return next(iter(usual + own), under)


def _chosen(content: Mapping, name: str, key: str | None) -> dict[str, Tensor]:
    """One set of weights of a checkpoint: that of the key, or the usual one."""
    sets = weight_sets(content)
    if key is not None and key not in sets:
        raise WeightsError(f"{name} has no weights {key!r}; it has {', '.join(map(repr, sets)) or 'none'}")
    return _unwrap(sets.get(chosen_key(content, name) if key is None else key, content), name)


def _unwrap(content: Mapping, name: str) -> dict[str, Tensor]:
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    strange = [str(k) for k, x in content.items() if not isinstance(x, Tensor)]
    if strange or not content:
        shown = ", ".join(strange[:3]) or "nothing"
        raise WeightsError(f"{name} is not a state_dict: it holds {shown}; expected tensors, or one of {WRAPPERS}")
    return dict(content)


def merge_heads(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """One head in place of `head` and `head_kd`: their average, as in the released code when it evaluates."""
    weights = dict(weights)
    for part in ("weight", "bias"):
        one, two = (weights.get(f"{head}.{part}") for head in ("head", "head_kd"))
        if one is not None and two is not None and one.shape == two.shape:
            weights[f"head.{part}"] = (one + weights.pop(f"head_kd.{part}")) / 2
    return weights


def _size(weights: Mapping[str, Tensor], name: str, axis: int, axes: int) -> int | None:
    x = weights.get(name)
    return x.shape[axis] if x is not None and x.ndim == axes else None


def _name(source: str | Path | Mapping[str, Any]) -> str:
    return str(source) if isinstance(source, str | Path) else "the state_dict"
