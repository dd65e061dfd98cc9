"""A model whose state is a list of tensors: the signature of everything that leaves the library.

    output, after_1, ..., after_n = flat(video, before_1, ..., before_n)

One call is `steps` time steps. The state before the first call is a constant for each tensor (`Part.start`, zero but
for neurons that reset elsewhere), so that a runtime needs no second file to begin. Models that see whole clips at once
take the video alone, and one call is one clip; their states come out all the same, to be looked at.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim

from spikereel.errors import ConfigError, DataError
from spikereel.layers.attention import SpikeAttention
from spikereel.layers.contrast import Contrast
from spikereel.layers.neuron import Neuron
from spikereel.layers.state import State
from spikereel.models.base import VideoModel

BEGUN = "contrast.begun"
"""A part of exported states alone: frames seen by a contrast front, whose past begins with the first frame."""

MOST_CLIPS = 65536

DIVIDES = 32
"""Of frames of any size: what divides their sides."""
TRACED = (64, 96)
"""Frames of any size are traced at one at which no two axes of a state are alike."""

Meaning = Literal["membrane", "sum", "count", "past"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One tensor of a state."""

    name: str
    """Dotted, as in `State.flat()`."""
    shape: tuple[int, ...]
    """For the batch that was asked for; its first axis is the batch where there is one."""
    dtype: str
    start: float
    """Every element before the first call."""
    meaning: Meaning
    jump: float | None = None
    """membrane: what one spike takes off it; a membrane that is off by half of that has spiked otherwise."""
    over: tuple[tuple[int, int], ...] = ()
    """Where frames may be of any size: for each axis, how many rows and columns of pixels one place stands for.
    (16, 0) is height / 16, (16, 16) height / 16 times width / 16, (0, 0) the length in `shape`."""

    def first(self, batch: int | None = None, size: tuple[int, int] | None = None) -> Tensor:
        """The tensor before the first call. batch, size: instead of those of `shape`."""
        shape = self.shape if batch is None or not self.shape else (batch, *self.shape[1:])
        if size is not None and self.over:
            shape = tuple(length_of(rule, size) or n for rule, n in zip(self.over, shape, strict=True))
        return torch.full(shape, self.start, dtype=getattr(torch, self.dtype))


def length_of(rule: tuple[int, int], size: tuple[int, int]) -> int:
    """The length of an axis by its rule, see `Part.over`; 0 for one that sizes do not change."""
    sides = [side // pixels for side, pixels in zip(size, rule, strict=True) if pixels]
    return math.prod(sides) if sides else 0


class Flat(nn.Module):
    """See the module; `fields` names the outputs, `parts` the states, both in order."""

    def __init__(self, model: VideoModel, *, steps: int, batch: int, size: tuple[int, int], any_size: bool = False):
        super().__init__()
        self.model, self.whole, self.any_size = model, sees_whole_clips(model), any_size
        self.eval()
        self.shape = (steps, batch, model.config.in_channels, *size)
        output, state = self._seen(size)
        self.fields: tuple[str, ...] = output._fields if isinstance(output, tuple) else ("logits",)
        known = state.flat()
        self.parts = tuple(_part(model, name, x) for name, x in known.items() if x.numel())
        if any_size:
            self.parts = self._with_rules()
        self.empty = tuple(name for name, x in known.items() if not x.numel())
        """States of artificial neurons, which remember nothing: no tensors of the signature."""
        if model.contrast is not None and not self.whole:
            self.parts += (Part(name=BEGUN, shape=(), dtype="int64", start=0, meaning="count"),)

    def _seen(self, size: tuple[int, int]) -> tuple[Any, State]:
        """What the model gives for black frames of a size."""
        with torch.no_grad():
            black = torch.zeros(*self.shape[:3], *size, dtype=next(self.model.parameters()).dtype)
            # an empty state begins a stream: single frames without one are taken for a clip that lost its state
            return self.model(black, None if self.whole else State())

    def _with_rules(self) -> tuple[Part, ...]:
        """The parts with `over`, found by frames of several sizes. Raises ConfigError for weights of one size alone."""
        height, width = self.shape[3:]
        sizes = [(height, width), (height + 32, width), (height, width + 64), (height + 64, width + 32)]
        try:
            seen = [self._seen(size)[1].flat() for size in sizes]
        except DataError as error:
            raise ConfigError(f"frames of any size are none for these weights: {error}") from None
        found = []
        for part in self.parts:
            lengths = list(zip(*(known[part.name].shape for known in seen), strict=True))
            found.append(replace(part, over=tuple(_rule(part.name, x, sizes) for x in lengths)))
        return tuple(found)

    def forward(self, video: Tensor, *before: Tensor) -> tuple[Tensor, ...]:
        """The fields of the output, then the state after, in the order of `parts`."""
        state = None if self.whole else self.state(video, before)
        output, after = self.model(video, state)
        known = after.flat()
        if state is not None and any(part.name == BEGUN for part in self.parts):
            known[BEGUN] = before[-1] + video.shape[0]
        states = (known[part.name].to(getattr(torch, part.dtype)) for part in self.parts)
        return (*(output if isinstance(output, tuple) else (output,)), *states)

    def state(self, video: Tensor, before: tuple[Tensor, ...]) -> State:
        """What the model takes: the tensors by name, the past of a contrast front begun where it has none yet."""
        named = {part.name: x for part, x in zip(self.parts, before, strict=True)}
        begun = named.pop(BEGUN, None)
        if begun is not None:
            assert isinstance(self.model.contrast, Contrast)
            named["contrast"] = torch.where(begun == 0, self.model.contrast.begin(video), named["contrast"])
        return State.from_flat({**named, **{name: video.new_empty(0) for name in self.empty}})

    def example(self) -> tuple[Tensor, ...]:
        """A video and a state before the first call, each a tensor of its own: exporters merge what is one object."""
        video = torch.zeros(self.shape, dtype=next(self.model.parameters()).dtype)
        return (video, *(() if self.whole else (part.first() for part in self.parts)))

    def free(self, *, batch: bool) -> tuple | None:
        """For `torch.export`: which axes of the example may have any length; None for none. batch: whether it may."""
        if not (batch or self.any_size):
            return None
        clips = Dim("batch", min=1, max=MOST_CLIPS)
        states = tuple(
            {
                **({0: clips} if batch and part.shape else {}),
                # how they follow from the size only the tracer can tell
                **{i: Dim.DYNAMIC for i, rule in enumerate(part.over) if any(rule)},
            }
            for part in self.parts
        )
        video = {**({1: clips} if batch else {}), **({3: Dim.DYNAMIC, 4: Dim.DYNAMIC} if self.any_size else {})}
        return (video, states) if self.parts and not self.whole else (video,)


def flat(model: VideoModel, *, steps: int, batch: int = 1, size: tuple[int, int], any_size: bool = False) -> Flat:
    """The model with a list of tensors for its state. any_size: of frames; `size` is that of the example.

    Raises ConfigError where the weights are tied to clips of another number of frames, or to a size.
    """
    frames = model.config.frames if getattr(model, "fixed_frames", False) else None
    if frames not in (None, steps):
        raise ConfigError(f"these weights take clips of {frames} frames at once, not {steps} steps: --steps {frames}")
    return Flat(model, steps=steps, batch=batch, size=size, any_size=any_size)


def sees_whole_clips(model: VideoModel) -> bool:
    """Whether one call must be one clip: attention over all of it, or norms and heads that tell time steps apart."""
    return not model.can_stream or getattr(model, "fixed_frames", False)


def _rule(name: str, lengths: tuple[int, ...], sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """See `Part.over`: the rule by which an axis has these lengths at these sizes."""
    if len(set(lengths)) == 1:
        return (0, 0)
    steps = [2**i for i in range(DIVIDES.bit_length())]
    for rule in [rule for s in steps for rule in ((s, 0), (0, s), (s, s))]:
        if all(length_of(rule, size) == n for size, n in zip(sizes, lengths, strict=True)):
            return rule
    raise ConfigError(f"frames of any size: {name} is {list(lengths)} for frames of {sizes}, by no rule; give a size")


def _part(model: VideoModel, name: str, x: Tensor) -> Part:
    path, _, leaf = name.rpartition(".")
    modules = dict(model.named_modules())
    dtype, start, jump, meaning = str(x.dtype).removeprefix("torch."), 0.0, None, "sum"
    if isinstance(neuron := modules.get(name), Neuron):
        meaning, c = "membrane", neuron.config
        if c.kind == "ilif":
            jump = 1.0
        elif neuron.spiking:
            start = c.v_reset if c.reset == "hard" else 0.0
            jump = c.threshold - start
    elif name == "contrast":
        meaning = "past"
    elif leaf == "frames":
        meaning = "count"
    elif leaf == "summed" and _whole_numbers(modules[path]):
        # float64 is float32 on several runtimes, and stands still at 2^24
        dtype = "int32"
    return Part(name=name, shape=tuple(x.shape), dtype=dtype, start=start, meaning=meaning, jump=jump)


def _whole_numbers(attention: nn.Module) -> bool:
    """Whether the sums of an attention are whole numbers."""
    assert isinstance(attention, SpikeAttention)
    v = attention.get_submodule("v_lif")
    assert isinstance(v, Neuron)
    return v.spiking and v.config.unit == 1.0
