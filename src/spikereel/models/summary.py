"""A model as a table that a person can read: parts, shapes, parameters, operations, neurons."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, cast

import torch
from torch import Tensor, nn

from spikereel.errors import ConfigError
from spikereel.layers.attention import ProductAttention
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import macs_by_module
from spikereel.models.base import VideoModel
from spikereel.models.empty import empty_twin
from spikereel.shown import Shown

WIDTH = 80
USUAL_SIDE = 224


@dataclass(frozen=True, kw_only=True)
class Part:
    """One row: a block, or a single layer."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Of its output for one frame; empty where it has none of its own."""
    parameters: int
    macs: float
    """Dense multiply-accumulates a frame, the products of attention among them."""
    neurons: int
    """Outputs of its neurons in a frame."""
    neuron: str
    """Their kinds."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Summary(Shown):
    """What `model.summary()` gives: prints as a table, and has its rows as `parts`."""

    title: str
    clip: tuple[int, int, int, int]
    """[T, C, H, W] that shapes and operations are for."""
    parts: tuple[Part, ...]
    parameters: int
    macs: float
    """Of a frame."""

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
        table.add_column("part", overflow="fold", max_width=34)
        table.add_column("shape", no_wrap=True)
        for name in ("parameters", "MACs", "neurons"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("kind")
        for x in self.parts:
            shape = " x ".join(map(str, x.shape))
            table.add_row(Text(x.name), shape, *map(_short, (x.parameters, x.macs, x.neurons)), Text(x.neuron))
        neurons = sum(x.neurons for x in self.parts)
        table.add_section()
        table.add_row("all", "", *map(_short, (self.parameters, self.macs, neurons)), "", style="bold")
        t, c, h, w = self.clip
        of = f", of clips of {t}" if t > 1 else ""
        return Group(Text(self.title, "bold"), table, Text(f"of one frame of {c} x {h} x {w}{of}", "dim"))

    def __repr__(self) -> str:
        from rich.console import Console

        text = StringIO()
        console = Console(
            file=text, width=WIDTH, markup=False, emoji=False, highlight=False, color_system=None, force_jupyter=False
        )
        console.print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def summary(model: VideoModel, *, size: int | Sequence[int] | None = None, every: bool = False) -> Summary:
    """The parts of a model; nothing is computed. See `VideoModel.summary`."""
    clip = _clip(model, size)
    twin, shapes = empty_twin(model), {}
    named = dict(twin.named_modules())
    for name, module in named.items():
        module.register_forward_hook(_note(name, shapes))
    macs = macs_by_module(twin, torch.zeros(clip[0], 1, *clip[1:], device="meta"))
    rows: dict[str, list[str]] = {}
    for name, module in named.items():
        if module is not twin and (isinstance(module, Neuron) or name in macs or _own(module)):
            rows.setdefault(name if every else _block(name, named), []).append(name)
    parts = tuple(_part(row, names, named, shapes, macs, clip[0]) for row, names in rows.items())
    total = sum(p.numel() for p in twin.parameters())
    return Summary(title=repr(model), clip=clip, parts=parts, parameters=total, macs=sum(macs.values()) / clip[0])


def _note(name: str, shapes: dict[str, tuple[int, ...]]):
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor):
            shapes[name] = tuple(first.shape)

    return hook


def _part(
    row: str,
    names: list[str],
    named: dict[str, nn.Module],
    shapes: dict[str, tuple[int, ...]],
    macs: dict[str, int],
    frames: int,
) -> Part:
    neurons = [name for name in names if isinstance(named[name], Neuron)]
    count = sum(torch.Size(shapes[name]).numel() for name in neurons if name in shapes)
    inside = [x for x in named[row].modules() if isinstance(x, ProductAttention)]
    kinds = [*dict.fromkeys(cast(Neuron, named[name]).config.kind for name in neurons), *_kinds(inside)]
    return Part(
        name=row,
        kind=type(named[row]).__name__,
        shape=_of_frame(shapes.get(row, ()), frames),
        parameters=sum(p.numel() for name in names for p in named[name].parameters(recurse=False)),
        macs=sum(macs.get(name, 0) for name in names) / frames,
        neurons=count // frames,
        neuron=", ".join(kinds),
    )


def _kinds(inside: list[ProductAttention]) -> list[str]:
    """What attends to what, in words."""
    return list(dict.fromkeys(f"{'+'.join(getattr(x, 'groupings', ('frame',)))} {x.product}" for x in inside))


def _of_frame(shape: tuple[int, ...], frames: int) -> tuple[int, ...]:
    """Without time and batch, however they are folded."""
    if not shape:
        return ()
    return shape[2:] if shape[:2] == (frames, 1) else shape[1:]


def _block(name: str, named: dict[str, nn.Module]) -> str:
    """The first part of a name, or the first two in a list of blocks."""
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if rest and isinstance(named[first], nn.ModuleList) else first


def _short(count: int | float) -> str:
    """A count in few characters."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g}" if count else "-"


def _own(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None


def _clip(model: VideoModel, size: int | Sequence[int] | None) -> tuple[int, int, int, int]:
    c, seen = model.config, model.metadata.preprocess
    # weights for clips of T frames have a head that takes them at once
    frames = int(getattr(c, "frames", 1))
    if size is None:
        size = int(getattr(c, "image_size", None) or seen.get("size") or USUAL_SIDE)
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    if min(height, width) < 1:
        raise ConfigError(f"size is {size}: give pixels, or height and width")
    return frames, c.in_channels, height, width
