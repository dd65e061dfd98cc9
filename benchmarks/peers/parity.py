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
    a spike. Where float32 differs, as one spike that rounding decides moves all outputs of random weights, it is in
    float64 on the timed clip that an exact peer has to agree. A peer without a tolerance has checked itself when it was
    built, spike by spike: its difference is for the record. Raises ParityError.
    """
    found = {"output": difference(built(clip), _output(model, clip))}
    if peer.exact:
        exact = copy.deepcopy(model).double()
        small = torch.randn(SMALL, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        calibrate(exact, [small])
        found["float64"] = _exactly(peer, exact.eval(), small, "float64")
    if peer.tolerance is not None:
        found["tolerance"] = peer.tolerance
        if peer.exact and not found["output"] <= peer.tolerance:
            same = copy.deepcopy(model).double().eval()
            found["float64_timed"] = _exactly(peer, same, clip.double(), "float64, on the timed clip")
        else:
            _require(peer, found["output"], peer.tolerance, "float32, in shares of the largest output")
    return found


def _exactly(peer: Peer, model: VideoModel, clip: Tensor, where: str) -> float:
    found = difference(peer.build(model, clip)(clip), _output(model, clip))
    _require(peer, found, ROUNDING, where)
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
