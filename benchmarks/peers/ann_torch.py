"""The twin of ReLU neurons in PyTorch, float32: norms folded, in the faster of two memory formats."""

import copy

import torch
from torch import Tensor

from peers.contract import Built, Peer, fastest, without_gradients
from peers.folded import FoldedTwin
from spikereel.models.base import VideoModel


def build(model: VideoModel, clip: Tensor) -> Built:
    plain = FoldedTwin(model)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)

    def channels_last(video: Tensor) -> Tensor:
        t, b = video.shape[:2]
        frames = video.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return last(frames.unflatten(0, (t, b)))

    candidates = {"nchw": plain, "channels_last": channels_last}
    return fastest({label: without_gradients(run) for label, run in candidates.items()}, clip)


PEER = Peer(
    name="ann_torch", what="ReLU twin in PyTorch, float32, norms folded", build=build, tolerance=1e-4, artificial=True
)
