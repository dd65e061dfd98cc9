"""Matrix products that run outside of the layers whose hooks count: by the module that made them."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from spikereel.energy.unchanged import own_parameters
from spikereel.layers.observe import WEIGHT_LAYERS

OTHERS = (
    "mv",
    "addmv",
    "dot",
    "vdot",
    "addr",
    "addbmm",
    "mkldnn_rnn_layer",
    "_native_multi_head_attention",
    "_transformer_encoder_layer_fwd",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_attention_math",
)
"""Operations of PyTorch with products in them that have no formula in `flop_registry`."""

COUNTED = (*WEIGHT_LAYERS, ParametrizationList)
"""Modules whose matrices are seen to."""


class Products(TorchDispatchMode):
    """Watches every operation; `inside` is the depth in layers that are counted, `where` the module that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.where: list[str] = []
        self.seen: dict[str, None] = {}
        """Names of modules, in order."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        packet = func._overloadpacket
        quantised = func.namespace == "quantized" and packet.__name__.startswith(("linear", "conv"))
        if not self.inside and (packet in flop_registry or packet.__name__ in OTHERS or quantised):
            self.seen[self.where[-1] if self.where else ""] = None
        return func(*args, **(kwargs or {}))


def uncounted(found: Mapping[str, nn.Module], products: Collection[str], called: set[str]) -> tuple[str, ...]:
    """Notes on what no hook counted: products by other means, matrices of other modules, layers that nobody called.

    found: all modules of a model by name.
    """
    own = [
        name
        for name, m in found.items()
        if m._parameters
        and not isinstance(m, COUNTED)
        and any(p.ndim > 1 for p in own_parameters(m))
        and name not in products
    ]
    missed = [_named(name, found[""]) for name in (*products, *own)]
    silent = [name for name, m in found.items() if isinstance(m, WEIGHT_LAYERS) and name not in called]
    notes = [f"not counted, no convolution or linear layer: {', '.join(missed)}"] if missed else []
    if silent:
        notes.append(f"not counted, never called as a layer (its weights may be used elsewhere): {', '.join(silent)}")
    return tuple(notes)


def _named(name: str, model: nn.Module) -> str:
    return name or f"the model itself ({type(model).__name__})"
