"""Chains of linear layers that their authors merge into one, and matrices that no hook counts."""

from torch import nn

from spikereel.layers.conv import RepConv, SepConv
from spikereel.layers.observe import WEIGHT_LAYERS


def chains(model: nn.Module) -> tuple[dict[nn.Module, tuple[float, float]], set[nn.Module]]:
    """What folding makes of the executed operations of a layer: factors when RepConv is one dense 3x3, and when
    SepConv's tail is one dense 7x7 as well; and the layers that no spike reaches, but their authors count so."""
    folds, merged = {}, set()
    for module in model.modules():
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


def uncounted(model: nn.Module) -> tuple[str, ...]:
    """A note that names modules with matrices of their own which no hook counts."""
    seen = [
        name
        for name, m in model.named_modules()
        if not isinstance(m, WEIGHT_LAYERS) and any(p.ndim > 1 for p in m.parameters(recurse=False))
    ]
    return (f"not counted, no convolution or linear layer: {', '.join(seen)}",) if seen else ()
