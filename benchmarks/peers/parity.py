"""The check that a peer has to pass in the same process before it may be timed."""

import copy

import torch
from torch import Tensor

from peers.contract import Built, Peer
from spikereel.layers.calibrate import calibrate
from spikereel.models.base import VideoModel

ROUNDING = 1e-9
"""Largest difference of outputs in float64."""
SMALL = (4, 1, 3, 64, 64)
"""Shape of the clip for the check in float64."""


class ParityError(Exception):
    """A peer that does not compute what ours does, and is not timed."""


def check(peer: Peer, built: Built, model: VideoModel, clip: Tensor) -> dict[str, float]:
    """Differences of a built peer from `model` (its twin for artificial peers) on the very clip to be timed.

    An exact peer is also compared in float64 on a small clip, with norms calibrated on it, where no rounding can flip
    a spike. Raises ParityError.
    """
    found = {"output": difference(built(clip), _output(model, clip)), "tolerance": peer.tolerance}
    _require(peer, found["output"], peer.tolerance, "float32, in shares of the largest output")
    if peer.exact:
        exact = copy.deepcopy(model).double()
        small = torch.randn(SMALL, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        calibrate(exact, [small])
        exact.eval()
        found["float64"] = difference(peer.build(exact, small)(small), _output(exact, small))
        _require(peer, found["float64"], ROUNDING, "float64")
    return found


def difference(got: Tensor, wanted: Tensor) -> float:
    """Largest difference in shares of the largest entry wanted; not a number where either holds one."""
    assert got.shape == wanted.shape, (got.shape, wanted.shape)
    return float((got - wanted).abs().max() / wanted.abs().max())


def _output(model: VideoModel, clip: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(clip)[0]


def _require(peer: Peer, found: float, allowed: float, where: str) -> None:
    # written so that a difference that is not a number fails
    if not found <= allowed:
        raise ParityError(f"peer {peer.name} is off by {found:.2e} ({where}), allowed {allowed:g}: not timed")
