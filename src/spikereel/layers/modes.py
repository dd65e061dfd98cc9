"""Modes of modules: running a model in another one, and leaving every part of it as it was."""

from collections.abc import Collection, Generator
from contextlib import contextmanager

from torch import nn


def submodules(model: nn.Module) -> dict[str, nn.Module]:
    """All modules by name, also of models that have a `modules` or `parameters` of their own.

    In the order of `nn.Module.named_modules`, each once under its first name; several times as fast.
    """
    found: dict[nn.Module, str] = {}
    waiting = [("", model)]
    while waiting:
        name, module = waiting.pop()
        if module in found:
            continue
        found[module] = name
        start = f"{name}." if name else ""
        waiting += [(start + key, part) for key, part in reversed(module._modules.items()) if part is not None]
    return {name: module for module, name in found.items()}


@contextmanager
def mode(
    model: nn.Module, *, training: bool, parts: Collection[nn.Module] | None = None
) -> Generator[None, None, None]:
    """Training or evaluation mode inside the block; afterwards each module trains, or is frozen, as before.

    parts: all modules of the model, where they are known already.
    """
    modules = submodules(model).values() if parts is None else parts
    before = [module.training for module in modules]
    if any(trained != training for trained in before):
        model.train(training)
    try:
        yield
    finally:
        for module, trained in zip(modules, before, strict=True):
            if module.training != trained:
                module.training = trained
