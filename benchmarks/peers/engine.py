"""Our engine on its native kernels, the kernel of each layer chosen on the clip, and checked on it layer by layer."""

import copy
import time
from dataclasses import asdict

import torch
from settled import settle
from torch import Tensor

from peers.contract import Built, Peer
from peers.parity import SMALL, ParityError, difference
from spikereel.engine.engine import compile
from spikereel.engine.loaded import native
from spikereel.engine.verify import cost, verify
from spikereel.models.base import VideoModel
from spikereel.models.spikevideoformer import SpikeVideoFormer

CHANGED = 0.01
"""Largest share of spikes that `exact=False` may change."""
AT_THRESHOLD = 1e-5
"""A spike may differ from float64 where its charge is nearer to the threshold than this."""
ERROR = 1e-5
"""Largest error of a value, in shares of the largest one of its layer."""


SEEDS = 5
"""Small clips on which engine and model are compared as wholes: on most of them rounding decides no spike."""


def build(model: VideoModel, clip: Tensor) -> Built:
    """ParityError unless every layer agrees with float64 on its own operands of this very clip, and all of them
    together with the model on a small clip on which rounding decides no spike.
    """
    whole = as_a_whole(model, clip)
    started = time.perf_counter()
    engine = compile(model)
    engine.tune(clip)
    seconds = time.perf_counter() - started
    rows = [row for one in clip.split(1, dim=1) for row in verify(engine, one)]
    worst = max(rows, key=lambda row: row.farthest)
    if not worst.farthest <= AT_THRESHOLD:
        raise ParityError(f"{worst.layer}: a spike differs {worst.farthest:.1e} from the threshold: not timed")
    off = max(rows, key=lambda row: row.error)
    if not off.error <= ERROR:
        raise ParityError(f"{off.layer}: off by {off.error:.1e} of the largest value: not timed")
    settings = {
        "seconds_to_compile": seconds,
        "instruction_set": native().instruction_set(),
        "spikes": sum(row.spikes for row in rows),
        "spikes_unlike_float64": sum(row.differing for row in rows),
        "farthest_from_threshold": worst.farthest,
        "largest_error_of_a_value": off.error,
        "whole_network": whole,
    }
    return Built(run=lambda video: engine(video)[0], settings=settings)


def as_a_whole(model: VideoModel, clip: Tensor) -> float:
    """Difference of outputs on the first small clip on which engine and model agree, in shares of the largest output.

    One spike that rounding decides moves every output of random weights, so agreement is no accident, while layers that
    are joined wrongly agree on no clip. Raises ParityError.
    """
    found = []
    # an SVFormer has norms for so many frames
    shape = SMALL if isinstance(model, SpikeVideoFormer) else (len(clip), 1, *clip.shape[2:])
    for seed in range(SEEDS):
        small = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        own = copy.deepcopy(model)
        settle(own, small)
        with torch.inference_mode():
            wanted = own(small)[0]
        found.append(difference(compile(own)(small)[0], wanted))
        if found[-1] <= ERROR:
            return found[-1]
    raise ParityError(f"engine and model differ by {min(found):.1e} or more on {SEEDS} small clips: not timed")


def build_coarse(model: VideoModel, clip: Tensor) -> Built:
    """With weights of 16 bits where that is faster; ParityError where more than one spike in a hundred changes."""
    engine = compile(model, exact=False)
    engine.tune(clip)
    found = cost(engine, clip[:, :1])
    if found.spikes > CHANGED:
        raise ParityError(f"{100 * found.spikes:.2f} % of the spikes are others: not timed")
    return Built(run=lambda video: engine(video)[0], settings={"cost": asdict(found)})


COARSE = Peer(
    name="engine_coarse",
    what="our engine with exact=False: spiking layers may round their weights to 16 bits",
    build=build_coarse,
    # outputs of random weights are chaotic: `build_coarse` counts the spikes that change
    tolerance=None,
)
PEER = Peer(
    name="engine",
    what="our engine, native kernels, float32",
    build=build,
    # with random weights one spike at the threshold moves all outputs, in float32 as well: `build` looks at each spike,
    # and at whole networks where there is none
    tolerance=None,
)
