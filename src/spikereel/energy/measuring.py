"""Running real clips once and counting: the ways in."""

import hashlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikereel.energy.meter import LAYOUT, Meter
from spikereel.energy.passport import Origin, Passport, code_hash
from spikereel.energy.weights import MOST, Copies, weights_of
from spikereel.errors import DataError
from spikereel.layers.modes import mode
from spikereel.models.base import VideoModel
from spikereel.models.files import weights_hash
from spikereel.models.metadata import Metadata
from spikereel.models.wrappers import unwrapped


def measure(
    model: nn.Module,
    clips: Tensor | Iterable[Tensor],
    *,
    layout: str = LAYOUT,
    steps: int | None = None,
    views: int = 1,
    notes: tuple[str, ...] = (),
) -> Passport:
    """Run clips of one shape through a model in evaluation mode and count.

    model: one of ours, or any other whose convolutions and linear layers are `nn` modules; membranes that a model keeps
    to itself are the same before every clip and afterwards.
    layout: axes of a clip; models from elsewhere may want "B T C H W", "B C T H W" or "B C H W". Where a model loops
    over time, the calls of a layer within a clip are the time steps.
    steps: time steps of a clip, where a model makes more of them than the clip has frames.
    views: views x clips of a decision, for energies of decisions.
    Raises DataError without clips or with clips of unequal shape.
    """
    model = unwrapped(model, VideoModel)
    clips = [clips] if isinstance(clips, Tensor) else list(clips)
    if not clips:
        raise DataError("energy needs at least one clip to measure firing rates on")
    for clip in clips:
        if isinstance(clip, tuple | list):
            raise DataError("clips come with labels here; give the clips alone: measure(model, (x for x, _ in loader))")
        if not isinstance(clip, Tensor):
            raise DataError(f"a clip is a {type(clip).__name__}; give tensors: torch.as_tensor(clip).float()")
    axes = layout.split()
    shapes = {_clip_shape(x, axes) for x in clips}
    if len(shapes) != 1:
        raise DataError(f"energy needs clips of one shape, got {sorted(shapes)}")
    (shape,) = shapes
    shape = (steps or shape[0], *shape[1:])
    batch = clips[0].shape[axes.index("B")]
    if axes.count("T") and shape[0] == 1 and batch > 1:
        notes = (*notes, f"axes {layout}: taken for {batch} clips of one frame; exchange T and B if it is one clip")
    meter, seed = Meter(model, steps=shape[0], axes=axes), torch.initial_seed()
    if meter.trusted:
        # nothing that runs changes them
        meter.workload.known = weights_of(model, meter.modules)
    # a tenth of the time of small models; others may keep tensors, which must not be marked for good
    plain = torch.inference_mode() if meter.trusted else torch.no_grad()
    with mode(model, training=False, parts=meter.modules.values()), plain:
        for clip in clips:
            meter.run(clip, clip.shape[axes.index("B")])
    origin = _origin(model, clips, seed, meter.workload.known.copies)
    return meter.passport(shape, views=views, origin=origin, notes=notes)


def _origin(model: nn.Module, clips: Sequence[Tensor], seed: int, weights: Copies | None = None) -> Origin:
    """weights: as they were, where copies are at hand."""
    name = getattr(model, "metadata", Metadata()).name or type(model).__name__
    known: dict[str, Any] = {"model": name, "code": code_hash(), "seed": seed}
    if weights is not None and sum(x.nbytes for x in clips) <= MOST:
        copied = partial(_hash, [bytearray(_bytes(x)) for x in clips])
        return Origin.unhashed({"weights": weights.hash, "data": copied}, **known)
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(_bytes(clip))
    return Origin(weights=weights_hash(model), data=digest.hexdigest(), **known)


def _hash(parts: Iterable[Any]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _bytes(clip: Tensor) -> Any:
    return clip.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


@contextmanager
def metering(model: VideoModel) -> Generator["Run", None, None]:
    """Counts what a model of ours does inside the block, in evaluation mode and without gradients.

    with metering(model) as run:
        logits, state = model(video)
    passport = run.passport()

    Every call of the model is a clip, and all clips have one shape; whoever calls parts of the model says
    `run.begin(clip)` before. Raises DataError for clips of unequal shape.
    """
    run = Run(model)
    hook = model.register_forward_pre_hook(lambda _model, inputs: run.begin(inputs[0]))
    try:
        with mode(model, training=False), torch.no_grad():
            yield run
    finally:
        hook.remove()
        run.end()


class Run:
    """Clips that go through a model while it is metered."""

    def __init__(self, model: VideoModel):
        self.model, self.seed = model, torch.initial_seed()
        self.meter: Meter | None = None
        self.shape: tuple[int, ...] = ()
        self.clips: list[Tensor] = []
        self.counting = ExitStack()

    def begin(self, clip: Tensor) -> None:
        """A clip comes next."""
        self.end()
        axes = LAYOUT.split()
        shape = _clip_shape(clip, axes)
        if self.meter is None:
            self.shape, self.meter = shape, Meter(self.model, steps=shape[0], axes=axes)
        elif shape != self.shape:
            raise DataError(f"energy needs clips of one shape, got {sorted({shape, self.shape})}")
        self.clips.append(clip.detach())
        self.counting.enter_context(self.meter.counting(clip, clip.shape[1]))

    def end(self) -> None:
        """The last clip is through."""
        self.counting.close()

    def passport(self, *, views: int = 1, notes: tuple[str, ...] = ()) -> Passport:
        """What was counted, per clip. Raises DataError where no clip was."""
        self.end()
        if self.meter is None:
            raise DataError("energy needs at least one clip to measure firing rates on")
        origin = _origin(self.model, self.clips, self.seed)
        return self.meter.passport(self.shape, views=views, origin=origin, notes=notes)


def _clip_shape(clip: Tensor, axes: Sequence[str]) -> tuple[int, ...]:
    if clip.ndim != len(axes) or "B" not in axes:
        raise DataError(f"a clip of shape {list(clip.shape)} does not have the axes {' '.join(axes)}; give layout=")
    sizes = dict(zip(axes, clip.shape, strict=True))
    return (sizes.pop("T", 1), *(n for axis, n in sizes.items() if axis != "B"))
