"""What there is to trace in a network: its neurons and its attentions, found by one empty frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil, prod
from typing import Any, Literal, cast

import torch
from torch import Tensor

from spikereel.config import unknown_key
from spikereel.layers.attention import ProductAttention
from spikereel.layers.neuron import Neuron
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.models.empty import empty_twin
from spikereel.ops.hamming import Similarity

Kind = Literal["bits", "counts", "active"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The neurons of one module."""

    name: str
    kind: Kind
    """bits: spikes; counts: those of Integer-LIF; active: outputs of artificial neurons that are not zero."""
    shape: tuple[int, ...]
    """Of one frame: (C, H, W), or (C,) behind the mean over space."""
    levels: int = 1
    """Most spikes of a neuron and frame."""
    unit: float = 1.0
    """What a spike is worth to the layers behind."""
    threshold: float | None = None
    """Of the membrane; None for integer and artificial neurons."""
    recorded: bool = True
    """Whether each spike is kept, or the rate alone."""

    @property
    def size(self) -> int:
        """Neurons."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """That the spikes of a frame take."""
        return self.size if self.kind == "counts" else (self.size + 7) // 8


@dataclass(frozen=True, kw_only=True)
class AttentionLayer:
    """One set of q, k and v: which tokens see each other, and how alike they are."""

    name: str
    """Of the module; with `_t` for the second grouping of a factorised one."""
    q: str
    k: str
    scheme: str
    """frame, clip, pixel, past, or recent: the tokens that one sees, see `spikereel.layers.attention.TOKENS`."""
    similarity: Similarity
    heads: int
    head_dim: int
    grid: tuple[int, int]
    """Rows and columns of the tokens of a frame."""
    window: int = 1
    """Frames that a token of `recent` sees."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a network has, in order of execution."""

    layers: tuple[Layer, ...]
    attentions: tuple[AttentionLayer, ...]
    state: int = 0
    """Bytes of the state."""
    answer: int = 0
    """Bytes of what is kept of the output of a frame."""


def find(model: VideoModel, frame: Sequence[int]) -> Found:
    """Neurons and attentions of a model that sees frames [C, H, W]; nothing is computed."""
    twin, inputs = empty_twin(model), torch.zeros(1, 1, *frame, device="meta")
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str):
        def hook(module: Neuron, _inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
            shapes[name] = tuple(output[0].shape[2:])

        return hook

    for name, module in twin.named_modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(note(name))
    with torch.no_grad():
        # an empty state: weights for clips of T frames take the first one of them
        output, after = twin(inputs, State())
    layers = tuple(_layer(name, cast(Neuron, model.get_submodule(name)), shape) for name, shape in shapes.items())
    modules = [(n, m) for n, m in model.named_modules() if isinstance(m, ProductAttention)]
    attentions = tuple(a for name, module in modules for a in _attentions(name, module, shapes))
    order = list(shapes)
    wide = next(model.parameters()).element_size() / 4
    return Found(
        layers=layers,
        attentions=tuple(sorted(attentions, key=lambda a: order.index(a.q))),
        state=sum(ceil(x.numel() * max(x.element_size(), 4 * wide)) for x in after.flat().values()),
        answer=ceil(_answer(output) * max(wide, 1)),
    )


def _answer(output: Any) -> int:
    """Bytes of one frame: of logits and poses in float32, of masks the label of each pixel."""
    if isinstance(output, Tensor) and output.ndim == 5:
        return output[0, 0, 0].numel() * (1 if output.shape[2] <= 256 else 2)
    return 4 * (output.numel() if isinstance(output, Tensor) else sum(x.numel() for x in output))


def chosen(layers: Sequence[Layer], patterns: Sequence[str] | None) -> set[str]:
    """Names of the layers that patterns such as "block3.*" mean; None is all.

    Raises ConfigError for a pattern that means none, with the nearest name.
    """
    names = [layer.name for layer in layers]
    if patterns is None:
        return set(names)
    found: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        own = [name for name in names if fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")]
        if not own:
            raise unknown_key(pattern, names, "layer")
        found.update(own)
    return found


def _layer(name: str, neuron: Neuron, shape: tuple[int, ...]) -> Layer:
    c = neuron.config
    if not neuron.spiking:
        return Layer(name=name, kind="active", shape=shape)
    if c.kind == "ilif":
        return Layer(name=name, kind="counts", shape=shape, levels=c.top or c.levels, unit=c.unit)
    return Layer(name=name, kind="bits", shape=shape, threshold=c.threshold)


def _attentions(name: str, module: ProductAttention, shapes: dict[str, tuple[int, ...]]) -> list[AttentionLayer]:
    groupings = getattr(module, "groupings", ("frame",))
    found = []
    for suffix, grouping in zip(module.suffixes, groupings, strict=True):
        q = f"{name}.q_lif{suffix}"
        channels, *grid = shapes[q]
        if not cast(Neuron, module.get_submodule(f"q_lif{suffix}")).spiking:
            continue
        found.append(
            AttentionLayer(
                name=name + suffix,
                q=q,
                k=f"{name}.k_lif{suffix}",
                scheme=grouping,
                similarity=module.product,
                heads=channels // module.head_dim,
                head_dim=module.head_dim,
                grid=(grid[0], grid[1]),
                window=getattr(module, "window", 1),
            )
        )
    return found
