"""Chains of linear layers that their authors merge into one."""

from collections.abc import Iterable

from torch import nn

from spikereel.layers.conv import RepConv, SepConv


def chains(modules: Iterable[nn.Module]) -> tuple[dict[nn.Module, tuple[float, float]], set[nn.Module]]:
    """What folding makes of the executed operations of a layer: factors when RepConv is one dense 3x3, and when
    SepConv's tail is one dense 7x7 as well; and the layers that no spike reaches, but their authors count so."""
    folds, merged = {}, set()
    for module in modules:
        if isinstance(module, RepConv):
            first, tail = module.body[0], module.body[2]
            assert isinstance(first, nn.Conv2d)
            assert isinstance(tail, nn.Sequential)
            # the border makes the first 1x1 and its norm no larger, so all three run on the same pixels
            folds |= {first: (9.0, 9.0), tail[0]: (0.0, 0.0), tail[1]: (0.0, 0.0)}
            merged |= {tail[0], tail[1]}
        elif isinstance(module, SepConv):
            folds |= {module.dwconv: (1.0, 0.0), module.pwconv2: (1.0, float(module.dwconv.weight[0].numel()))}
            merged.add(module.pwconv2)
    return folds, merged
