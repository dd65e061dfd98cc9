"""Truncated back-propagation through time: a backward pass for each window of a clip, and the state carried on.

What one window needs is freed before the next begins, so that memory does not grow with the clip. See docs/training.md.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikereel.errors import ConfigError
from spikereel.layers.norm import ClipNorm
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.runs.config import Recipe
from spikereel.runs.windows import Window, windows_of

Judge = Callable[[Tensor, State, Window], tuple[Tensor, dict[str, Tensor], State]]
"""Of the frames of a window and the state before it: what it adds to the loss of its clip, figures to show, and the
state after it."""


def windowed_loss(model: VideoModel, clip: Tensor, size: int, judge: Judge) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a clip [T, B, C, H, W] over windows of `size` frames, with gradients that are computed already; and
    the mean of the figures.

    Each window begins at the state that the one before left, as a constant. A branch that drop path leaves out is left
    out in all windows of a step. The backward pass of the result hands each parameter the sum over windows.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    whole = windows_of(len(clip), size)
    total, shown, state = clip.new_zeros(()), dict[str, Tensor](), State()
    grads: list[Tensor | None] = [None] * len(parameters)
    with _attending_within(model), _gentle(model, len(whole)):
        for window in whole:
            with nullcontext() if window.last else _same_draws(clip):
                loss, figures, after = judge(clip[window.frames], state, window)
                # in half precision backward passes belong outside of autocast
                with torch.autocast(clip.device.type, enabled=False):
                    found = torch.autograd.grad(loss, parameters, allow_unused=True)
            grads = [_sum(one, two) for one, two in zip(grads, found, strict=True)]
            total = total + loss.detach()
            for name, value in figures.items():
                shown[name] = shown.get(name, 0.0) + window.share * value.detach()
            state = after.detach()
            # with them goes all that the backward pass kept, before the next window needs as much
            del after, loss, figures, found
    return _Handed.apply(total, grads, *parameters), shown


class _Handed(torch.autograd.Function):
    """A loss whose gradients are there already."""

    @staticmethod
    def forward(ctx, loss, grads, *parameters):
        ctx.grads = grads
        return loss.clone()

    @staticmethod
    def backward(ctx, *given):
        handed, ctx.grads = ctx.grads, None
        return None, None, *(None if x is None else x.mul_(given[0].to(x.dtype)) for x in handed)


def _sum(before: Tensor | None, found: Tensor | None) -> Tensor | None:
    if before is None or found is None:
        return found if before is None else before
    return before.add_(found)


def windows_notes(recipe: Recipe, model: VideoModel) -> list[str]:
    """What is to be known of windows before training; none where a window covers a clip.

    Raises ConfigError for a network that has no answer to a part of a clip.
    """
    if not recipe.truncated:
        return []
    size, frames, config = recipe.optim.truncate, recipe.data.frames, model.config
    if getattr(config, "head", None) == "conv":
        raise ConfigError(
            f"optim.truncate={size} learns of answers to parts of a clip, and the conv head of {model.family} has one "
            "to whole clips alone; give model.head=mean"
        )
    count = len(windows_of(frames, size))
    said = [f"clips of {frames} frames are learnt from in {count} windows of {size}: no gradient goes back further"]
    if not model.can_stream:
        said.append(
            f"attention={config.attention} is not causal: in training a frame sees those of its window of {size} "
            f"alone, in validation all {frames}; so norms are taken anew of whole clips before each validation"
        )
    return said


@contextmanager
def _attending_within(model: VideoModel) -> Generator[None, None, None]:
    """Let attention over whole clips go on from a state, and relate the frames of one window alone."""
    was, model.windowed = model.windowed, True
    try:
        yield
    finally:
        model.windowed = was


@contextmanager
def _gentle(model: nn.Module, windows: int) -> Generator[None, None, None]:
    """Running statistics move as far in so many windows as else in one pass.

    Norms that tell time steps apart see each of them once in either case.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and not (isinstance(m, ClipNorm) and m.steps)]
    before = [(norm, norm.momentum) for norm in norms if windows > 1 and norm.momentum is not None]
    for norm, momentum in before:
        norm.momentum = 1.0 - (1.0 - momentum) ** (1.0 / windows)
    try:
        yield
    finally:
        for norm, momentum in before:
            norm.momentum = momentum


@contextmanager
def _same_draws(clip: Tensor) -> Generator[None, None, None]:
    """Random numbers drawn inside are drawn again after it."""
    with torch.random.fork_rng(devices=[clip.device] if clip.is_cuda else []):
        yield
