"""Models that keep membranes to themselves, and have them again as they were."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.layers.modes import submodules


def own_parameters(module: nn.Module) -> list[Tensor]:
    """Parameters of a module without those of its parts."""
    return [p for p in module._parameters.values() if p is not None]


class Kept:
    """Membranes and buffers of modules that keep them to themselves, as they were."""

    def __init__(self, model: nn.Module):
        self.places = [(where, key, x, _copy(x)) for where in _stores(model) for key, x in where.items() if _kept(x)]

    def put_back(self) -> None:
        """Every value in its place again; those that are none of these are left alone."""
        for where, key, x, copy in self.places:
            now = where.get(key)
            if isinstance(x, Tensor):
                if now is not x:
                    where[key] = x
                if x._version != copy[1] and not torch.equal(x, copy[0]):
                    with torch.no_grad():
                        x.copy_(copy[0])
            elif isinstance(now, Tensor):
                where[key] = x


def _stores(model: nn.Module) -> list[dict[str, Any]]:
    """The dictionaries in which modules keep values that change as they run."""
    found = []
    for module in submodules(model).values():
        found += [module._buffers, vars(module)]
        found += [x for key, x in vars(module).items() if isinstance(x, dict) and not _torch_own(key)]
    return found


def _torch_own(key: str) -> bool:
    return key in vars(nn.Module()) or key.startswith(("_forward", "_backward"))


def _kept(x: Any) -> bool:
    return isinstance(x, Tensor) or (isinstance(x, int | float) and not isinstance(x, bool))


def _copy(x: Any) -> Any:
    return (x.detach().clone(), x._version) if isinstance(x, Tensor) else x


def first_tensor(*values: Any) -> Tensor | None:
    """The first tensor of arguments or results, in tuples, lists and mappings too."""
    for value in values:
        if isinstance(value, Tensor):
            return value
        # tuples first: what is a mapping takes long to find out
        inner = value if isinstance(value, tuple | list) else value.values() if isinstance(value, Mapping) else ()
        if inner and (found := first_tensor(*inner)) is not None:
            return found
    return None
