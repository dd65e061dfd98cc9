"""Layers and passports written by hand, whose energies can be worked out on paper."""

from spikereel.energy import LayerCost


def layer(name: str, macs: float, rate: tuple[float, ...], **fields) -> LayerCost:
    """A convolution on spikes that folds to itself, unless `fields` say otherwise."""
    values = {
        "kind": "conv2d",
        "operand": "binary",
        "analog": False,
        "inner_macs": macs,
        "folded_macs": macs,
        "fused_macs": macs,
        **fields,
    }
    return LayerCost(name=name, macs=macs, rate=rate, **values)
