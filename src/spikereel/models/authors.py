"""Import of the weights that the authors published: read safely, and every key accounted for both ways."""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.errors import WeightsError

WRAPPERS = ("model", "model_state", "model_state_dict", "state_dict")
"""Keys under which the papers' repositories keep their weights."""

PREFIXES = ("module.", "backbone.")

UNREADABLE = (
    RuntimeError, EOFError, ValueError, OSError, LookupError, TypeError, AttributeError, AssertionError, struct.error,
)  # fmt: skip
"""What reading a file that is no checkpoint may end in: the unpickler takes any bytes for instructions."""


def load_authors_weights(model: nn.Module, source: str | Path | Mapping[str, Any]) -> None:
    """Load a published checkpoint (`.pth`, `.pyth`, `.safetensors`, or its state_dict) into a model of the same shape.

    Pickles are read with `weights_only=True`, so no code in them can run. Wrapping keys ("model", "state_dict", ...)
    and the prefixes "module." and "backbone." are removed; a distillation head `head_kd` is averaged with `head`, which
    is what the authors' model does when it evaluates.
    Raises WeightsError, and leaves the model as it was, unless every key of the file finds its place with the right
    shape and every key of the model is given.
    """
    name = str(source) if isinstance(source, str | Path) else "the state_dict"
    content = read_checkpoint(source) if isinstance(source, str | Path) else source
    weights = merge_heads(strip_prefixes(_unwrap(content, name)))
    own = model.state_dict()
    problems = []
    for what, keys in (
        ("missing", sorted(own.keys() - weights.keys())),
        ("unexpected", sorted(weights.keys() - own.keys())),
        ("wrong in shape", [
            f"{k} {list(weights[k].shape)} (model: {list(own[k].shape)})"
            for k in own.keys() & weights.keys() if weights[k].shape != own[k].shape
        ]),
    ):  # fmt: skip
        if keys:
            shown = ", ".join(sorted(keys)[:3]) + (", ..." if len(keys) > 3 else "")
            problems.append(f"{len(keys)} {what}: {shown}")
    if problems:
        raise WeightsError(
            f"{name} does not fit this model: {'; '.join(problems)}. "
            "Create the model with the widths, heads, attention, similarity and num_classes of the checkpoint"
        )
    model.load_state_dict(weights)


def read_checkpoint(path: str | Path) -> Mapping:
    """Content of a checkpoint file; WeightsError for one that is missing, broken or would run code."""
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
    try:
        with warnings.catch_warnings():
            # a newer pickle protocol is named in a warning first; what cannot be read still raises
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path} is a pickle that holds more than tensors and was not opened, since it could run code; "
            "save its state_dict alone, in safetensors if you can"
        ) from None
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {error}".split("\n")[0]
        raise WeightsError(f"{path} is not a whole PyTorch checkpoint ({reason}); fetch it again") from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a state_dict; save model.state_dict()")
    return content


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


def strip_prefixes(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefixes of DistributedDataParallel and of the segmentation code, where all names bear one."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): x for name, x in weights.items()}
    return weights


def merge_heads(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """One head in place of `head` and `head_kd`: their average, as in the published evaluation. Spec section 2.11."""
    weights = dict(weights)
    for part in ("weight", "bias"):
        if {f"head.{part}", f"head_kd.{part}"} <= weights.keys():
            weights[f"head.{part}"] = (weights[f"head.{part}"] + weights.pop(f"head_kd.{part}")) / 2
    return weights
