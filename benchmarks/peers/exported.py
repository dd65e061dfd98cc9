"""The twin of ReLU neurons as an ONNX file."""

import warnings
from pathlib import Path

import torch
from torch import Tensor

from peers.folded import FoldedTwin
from spikereel.models.base import VideoModel


def export(model: VideoModel, clip: Tensor, path: Path) -> Path:
    """Write the folded twin for clips of one shape; input "clip", output "logits"."""
    with warnings.catch_warnings():
        # the exporter warns of its own internals
        warnings.simplefilter("ignore")
        torch.onnx.export(
            FoldedTwin(model),
            (clip,),
            str(path),
            input_names=["clip"],
            output_names=["logits"],
            dynamo=True,
            verbose=False,
        )
    return path
