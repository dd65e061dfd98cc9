"""Modes of modules: running a model in another one, and leaving every part of it as it was."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn


def submodules(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by name, also of models that have a `modules` or `parameters` of their own."""
    return dict(nn.Module.named_modules(model))


@contextmanager
def mode(model: nn.Module, *, training: bool) -> Generator[None, None, None]:
    """Training or evaluation mode inside the block; afterwards each module trains, or is frozen, as before."""
    modules = list(submodules(model).values())
    before = [module.training for module in modules]
    model.train(training)
    try:
        yield
    finally:
        for module, trained in zip(modules, before, strict=True):
            module.training = trained
