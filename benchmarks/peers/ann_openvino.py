"""The twin of ReLU neurons in OpenVINO on the CPU: float32, and quantised to 8 bits by NNCF."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from peers.contract import Built, Peer, fastest
from peers.exported import export
from spikereel.models.base import VideoModel


def loaded(model: VideoModel, clip: Tensor) -> Any:
    """The graph of the twin, weights in float32."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        graph = openvino.convert_model(str(export(model, clip, Path(folder) / "twin.onnx")))
        # weights are mapped from the file, which goes away
        return graph.clone()


def compiled(graph: Any, precision: str | None) -> Callable[[Tensor], Tensor]:
    """The graph on as many threads as torch has; precision None leaves it to OpenVINO: bfloat16 where there is any."""
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
    return lambda clip: torch.from_numpy(request.infer([clip.numpy()])[0].copy())


def build(model: VideoModel, clip: Tensor) -> Built:
    return Built(run=compiled(loaded(model, clip), "f32"), settings={"precision": "f32"})


def build_int8(model: VideoModel, clip: Tensor) -> Built:
    import nncf

    # ranges from the timed clip, as for ONNX Runtime
    graph = nncf.quantize(loaded(model, clip), nncf.Dataset([clip.numpy()]), subset_size=1)
    return fastest({"rest in f32": compiled(graph, "f32"), "rest as OpenVINO likes": compiled(graph, None)}, clip)


FP32 = Peer(
    name="ann_openvino",
    what="ReLU twin in OpenVINO, float32",
    build=build,
    tolerance=1e-4,
    artificial=True,
    environment="dense",
)
INT8 = Peer(
    name="ann_openvino_int8",
    what="ReLU twin in OpenVINO, quantised to 8 bits by NNCF",
    build=build_int8,
    tolerance=0.25,
    artificial=True,
    environment="dense",
)
