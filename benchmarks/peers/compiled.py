"""torch.compile of our reference model, one stage or block at a time.

Compiling takes minutes: the loop over time is unrolled in every neuron. Blocks of one shape share what was compiled,
which one graph of the whole model would not.
"""

import copy
import time

import torch
from torch import Tensor, nn

from peers.contract import Built, Peer, without_gradients
from spikereel.models.base import VideoModel


def build(model: VideoModel, clip: Tensor) -> Built:
    built = copy.deepcopy(model)
    for stage in built.children():
        for block in stage if isinstance(stage, nn.ModuleList) else [stage]:
            block.compile(dynamic=False)
    run = without_gradients(lambda video: built(video)[0])
    started = time.perf_counter()
    run(clip)
    seconds = time.perf_counter() - started
    return Built(
        run=run, settings={"compiled": "by block", "compile_seconds": seconds, "threads": torch.get_num_threads()}
    )


PEER = Peer(name="compiled", what="torch.compile of our reference model, block by block", build=build, tolerance=1e-4)
