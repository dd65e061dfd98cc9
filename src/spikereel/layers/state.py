"""The state of a spiking network: membranes and running sums, as a plain nested mapping that the caller owns."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from spikereel.errors import StateError

Nested = Mapping[str, Tensor | Mapping[str, Any]]


class State(dict):
    """Everything a network remembers between calls: `logits, state = model(video, state)`.

    A nested dict with the names of the modules, tensors at the leaves; `flat()` gives {"block3.0.attn.q_lif": tensor}.
    Membranes are [B, C, H, W] (or [B, C] before the head), in float32 or wider.
    """

    def __repr__(self) -> str:
        leaves = self.flat().values()
        return f"State({len(leaves)} tensors, {sum(x.numel() * x.element_size() for x in leaves):,} bytes)"

    def __reduce__(self):
        # pickled as a plain mapping, which `torch.load(weights_only=True)` reads and models take as a state
        return OrderedDict, (list(self.items()),)

    def __deepcopy__(self, memo: dict) -> "State":
        return self.clone()

    def map(self, change: Callable[[Tensor], Tensor]) -> "State":
        """A state with `change` applied to every tensor."""
        return State(_map(self, change))

    def to(self, device: torch.device | str) -> "State":
        """The state on another device."""
        return self.map(lambda x: x.to(device))

    def detach(self) -> "State":
        """The same numbers without their history: the cut of truncated back-propagation through time."""
        return self.map(Tensor.detach)

    def clone(self) -> "State":
        """An independent copy."""
        return self.map(Tensor.clone)

    def flat(self) -> dict[str, Tensor]:
        """{dotted name: tensor}."""
        return dict(_leaves(self))

    @classmethod
    def from_flat(cls, flat: Mapping[str, Tensor]) -> "State":
        """Inverse of `flat`."""
        state = cls()
        for name, tensor in flat.items():
            *path, leaf = name.split(".")
            node = state
            for part in path:
                node = node.setdefault(part, {})
            node[leaf] = tensor
        return state

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file."""
        from safetensors.torch import save_file

        tensors = {name: x.detach().cpu().contiguous().clone() for name, x in self.flat().items()}
        save_file(tensors, str(path), metadata={"spikereel_state": json.dumps({"version": 1})})

    @classmethod
    def load(cls, path: str | Path) -> "State":
        """Read a file written by `save`. Raises StateError where it is anything else."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                if "spikereel_state" not in (file.metadata() or {}):
                    raise StateError(f"{path} holds no neuron state; write one with state.save(path)")
                return cls.from_flat({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise StateError(f"cannot read a neuron state from {path}: {error}") from None


def _map(node: Nested, change: Callable[[Tensor], Tensor]) -> dict:
    return {name: change(x) if isinstance(x, Tensor) else _map(x, change) for name, x in node.items()}


def _leaves(node: Nested, prefix: str = ""):
    for name, x in node.items():
        if isinstance(x, Tensor):
            yield prefix + name, x
        else:
            yield from _leaves(x, f"{prefix}{name}.")


def _children(state: State) -> tuple[list[Any], list[str]]:
    return list(state.values()), list(state)


def _from_children(children: Iterable[Any], names: list[str]) -> State:
    return State(zip(names, children, strict=True))


def _named_children(state: State) -> tuple[list[tuple[Any, Any]], list[str]]:
    return [(pytree.MappingKey(name), x) for name, x in state.items()], list(state)


# torch.export and torch.func look inside
pytree.register_pytree_node(
    State, _children, _from_children, serialized_type_name="spikereel.State", flatten_with_keys_fn=_named_children
)
