"""One call of a network that is traced: what it answers, frame by frame, and what it costs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.energy.costs import COSTS
from spikereel.energy.layer import PARTS
from spikereel.energy.measuring import Run
from spikereel.energy.passport import Passport
from spikereel.inference.classify import after_each_frame
from spikereel.layers.state import State
from spikereel.models.base import VideoModel


def call(model: VideoModel, video: Tensor, state: State | None, run: Run | None) -> tuple[Any, State, Tensor | None]:
    """Output and state of a call, and the features before the head of a model that answers after each frame."""
    if model.task != "classification" or not model.can_stream:
        output, after = model(video, state)
        return output, after, None
    if run is not None:
        # the model itself, which would say so, is not called
        run.begin(video)
    features, after = model.features(video, state)
    output, own = model.readout(features, state)
    after.update(own)
    return output, after, features


def outputs_of(
    model: VideoModel, output: Any, features: Tensor | None, state: State | None, frames: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """{name: [A, ...]} of an output of one clip, and the frames that they belong to."""
    if model.task == "classification":
        if features is None:
            return {"logits": plain(output)}, np.array([frames - 1])
        return {"logits": plain(after_each_frame(model, features, state))}, np.arange(frames)
    if isinstance(output, Tensor):
        labels = output[:, 0].argmax(1)
        small = labels.to(torch.uint8 if output.shape[2] <= 256 else torch.int16)
        return {"masks": plain(small)}, np.arange(len(labels))
    parts = output._asdict()
    return {name: plain(x[:, 0]) for name, x in parts.items()}, np.arange(len(next(iter(parts.values()))))


def spent(passport: Passport) -> dict[str, np.ndarray]:
    """float64 [T, costs, parts] picojoules, and [T, costs] of the same network as an ANN."""
    splits = [passport.per_frame_pj(cost) for cost in COSTS]
    anns = [passport.per_frame_pj(cost, ann=True) for cost in COSTS]
    return {
        "energy": np.array([[split[part] for part in PARTS] for split in splits]).transpose(2, 0, 1),
        "ann": np.array([np.sum([split[part] for part in PARTS], axis=0) for split in anns]).T,
    }


def plain(x: Tensor) -> np.ndarray:
    # half precision has no place in the file, and bfloat16 none in NumPy
    x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return x.detach().cpu().contiguous().numpy()
