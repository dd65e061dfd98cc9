"""Wrappers around models, and what they leave in the names of weights: seen through, in any nesting."""

from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeVar

from torch import nn

from spikereel.errors import ConfigError

INSIDE = ("_orig_mod", "module", "model", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Where wrappers hold the model: torch.compile; DataParallel, DistributedDataParallel, AveragedModel; Lightning; FSDP;
activation checkpointing."""

SEGMENTS = frozenset({"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"})
"""What wrappers of parts put into names; those of DataParallel, "module", in the middle."""

PREFIXES = ("module.", "model.", "backbone.")
"""Before all names: of wrappers of the whole, and of the segmentation code of the papers."""

STEMS = {"svformer": "patch_embed1.proj.weight", "spikevideoformer": "downsample1_1.encode_conv.weight"}
"""Of each family, the weights that every model has: what stands before them stands before all of its names."""

COUNTER = "n_averaged"
"""Of AveragedModel, beside the weights."""

V = TypeVar("V")


def require_module(model: Any) -> None:
    """Raises ConfigError for a name in place of a model, or arguments in another order."""
    if not isinstance(model, nn.Module):
        got = f"the text {str(model)!r}" if isinstance(model, str | PathLike) else f"a {type(model).__name__}"
        raise ConfigError(
            f"the model itself comes first, got {got}; give what load_model(NAME) or create_model(NAME) returns"
        )


def unwrapped(model: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """The model of a kind inside a wrapper that runs it as it is, or what was given where there is none.

    Raises ConfigError for what is no module.
    """
    require_module(model)
    inner: nn.Module | None = model
    while inner is not None and not isinstance(inner, kind):
        alone = ("0",) if isinstance(inner, nn.Sequential) and len(inner) == 1 else ()
        inner = next((part for name in (*INSIDE, *alone) if (part := inner._modules.get(name)) is not None), None)
    return model if inner is None else inner


def holding(model: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """The model of a kind whose weights are all that a module has: in `unwrapped` ones, or under any name.

    What was given where there are several, or parameters beside it.
    """
    inner = unwrapped(model, kind)
    found = inside(inner, kind)
    return found[0] if len(found) == 1 and (found[0] is inner or not beside(model, found[0])) else model


def inside(model: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    """All models of a kind in a module, but for those in one of them."""
    if isinstance(model, kind):
        return [model]
    return list(dict.fromkeys(x for part in model.children() for x in inside(part, kind)))


def beside(model: nn.Module, inner: nn.Module) -> list[str]:
    """Names of the parameters of a module that are not of a model in it."""
    own = {id(x) for x in inner.parameters()}
    return [name for name, x in model.named_parameters() if id(x) not in own]


def plain_names(weights: Mapping[str, V]) -> dict[str, V]:
    """Weights by the names that they have in a model without wrappers; prefixes go where all names bear one."""
    found = {_without(name): x for name, x in weights.items()}
    found.pop(COUNTER, None)
    while prefix := next((p for p in PREFIXES if found and all(name.startswith(p) for name in found)), None):
        found = {name.removeprefix(prefix): x for name, x in found.items()}
    return found


def models_among(weights: Mapping[str, V]) -> dict[str, dict[str, V]]:
    """The weights of each model in a state_dict, by what stands before their names: {"student": ..., "ema": ...}.

    "" for names of a model without a wrapper, or of none that is known: then it is all of them. What is of no model
    stays with each where it has several axes, as weights of layers have; figures of losses and of metrics go.
    """
    plain = plain_names(weights)
    before = {name.removesuffix(stem) for name in plain for stem in STEMS.values() if name.endswith(stem)}
    if not before or "" in before:
        return {"": plain}
    others = {k: x for k, x in plain.items() if not k.startswith(tuple(before)) and getattr(x, "ndim", 0) > 1}
    found = {}
    for prefix in sorted(before):
        own = {name.removeprefix(prefix): x for name, x in plain.items() if name.startswith(prefix)}
        found[prefix.removesuffix(".")] = plain_names(own) | others
    return found


def _without(name: str) -> str:
    parts = [part for part in name.split(".") if part not in SEGMENTS]
    return ".".join(part for i, part in enumerate(parts) if i == 0 or part != "module")
