"""The twin of ReLU neurons in ONNX Runtime on the CPU: float32, and quantised to 8 bits."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from peers.contract import Built, Peer, fastest
from peers.exported import export
from spikereel.models.base import VideoModel


def session(path: Path) -> Callable[[Tensor], Tensor]:
    """The graph of a file, fully optimised, on as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = loaded.get_inputs()[0].name
    return lambda clip: torch.from_numpy(loaded.run(None, {name: clip.numpy()})[0])


def build(model: VideoModel, clip: Tensor) -> Built:
    with tempfile.TemporaryDirectory() as folder:
        run = session(export(model, clip, Path(folder) / "twin.onnx"))
    return Built(run=run, settings={"graph_optimisation": "all"})


def build_int8(model: VideoModel, clip: Tensor) -> Built:
    from onnxruntime.quantization import QuantFormat

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = export(model, clip, folder / "twin.onnx")
        formats = {"QDQ": QuantFormat.QDQ, "QOperator": QuantFormat.QOperator}
        candidates = {
            label: session(_quantised(plain, clip, folder / f"{label}.onnx", quant_format))
            for label, quant_format in formats.items()
        }
    return fastest(candidates, clip)


def _quantised(plain: Path, clip: Tensor, path: Path, quant_format: object) -> Path:
    """Weights of 8 bits a channel and activations of 8 bits a tensor, their ranges the extremes over the clip."""
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = plain.with_name("prepared.onnx")
    quant_pre_process(str(plain), str(prepared))
    quantize_static(
        str(prepared),
        str(path),
        _OneClip(clip),
        quant_format=quant_format,
        # the products of attention multiply errors, and norms that stay have no per-channel form
        op_types_to_quantize=["Conv", "Relu", "Add"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return path


class _OneClip:
    """What `quantize_static` reads its ranges from: the timed clip, the most favourable choice.

    A twin with random weights overflows on any other: its attention is a product of three, block after block.
    """

    def __init__(self, clip: Tensor):
        self.clips = [clip]

    def get_next(self) -> dict | None:
        return {"clip": self.clips.pop().numpy()} if self.clips else None


FP32 = Peer(
    name="ann_onnxruntime",
    what="ReLU twin in ONNX Runtime, float32",
    build=build,
    tolerance=1e-4,
    artificial=True,
    environment="dense",
)
INT8 = Peer(
    name="ann_onnxruntime_int8",
    what="ReLU twin in ONNX Runtime, static quantisation to 8 bits",
    build=build_int8,
    tolerance=0.25,
    artificial=True,
    environment="dense",
)
