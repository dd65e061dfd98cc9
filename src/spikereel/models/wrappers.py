"""Wrappers around models, and what they leave in the names of weights: seen through, in any nesting."""

from collections.abc import Mapping
from typing import TypeVar

from torch import nn

INSIDE = ("_orig_mod", "module", "model", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Where wrappers hold the model: torch.compile; DataParallel, DistributedDataParallel, AveragedModel; Lightning; FSDP;
activation checkpointing."""

SEGMENTS = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")
"""What wrappers of parts put into the middle of names."""

PREFIXES = ("module.", "model.", "backbone.")
"""Before all names: of wrappers of the whole, and of the segmentation code of the papers."""

COUNTER = "n_averaged"
"""Of AveragedModel, beside the weights."""

V = TypeVar("V")


def unwrapped(model: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """The model of a kind inside a wrapper, or what was given where there is none."""
    inner: nn.Module | None = model
    while inner is not None and not isinstance(inner, kind):
        inner = next((part for name in INSIDE if (part := inner._modules.get(name)) is not None), None)
    return model if inner is None else inner


def plain_names(weights: Mapping[str, V]) -> dict[str, V]:
    """Weights by the names that they have in a model without wrappers; prefixes go where all names bear one."""
    found = {_without(name): x for name, x in weights.items() if name != COUNTER}
    while prefix := next((p for p in PREFIXES if found and all(name.startswith(p) for name in found)), None):
        found = {name.removeprefix(prefix): x for name, x in found.items()}
    return found


def _without(name: str) -> str:
    for segment in SEGMENTS:
        name = name.replace(segment, "")
    return name
