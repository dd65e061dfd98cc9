"""ONNX with convolutions in 8 bits: weights are rounded, spikes are not, membranes stay float32.

A convolution whose input is spikes, or counts of integer neurons, is quantised; its input gets the scale of one spike,
so that no activation is rounded. Other convolutions, attention and neurons stay as they are.
Static quantisation of ONNX Runtime 1.31, format QDQ, one scale for each channel of a weight.
"""

import logging
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import Tensor

from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.files import whole

MOST = 255
"""Of a count in 8 bits."""


def quantise(path: Path, names: Sequence[str], calls: Iterable[Sequence[Tensor]], units: Iterable[float]) -> None:
    """Rewrite an ONNX file, whole or not at all.

    names: inputs of the file, in the order of each of the calls. units: what one spike adds; see `NeuronConfig.unit`.
    Raises ConfigError where no convolution takes spikes.
    """
    need("export")
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    model = onnx.load(path)
    taken = {x.name for x in model.graph.input}
    rows = [{name: x.numpy() for name, x in zip(names, call, strict=True) if name in taken} for call in calls]
    scales = _scales(model, rows, sorted(set(units)))
    nodes = [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[0] in scales]
    if not nodes:
        raise ConfigError("no convolution of this network takes spikes: there is nothing to write in 8 bits")
    overrides = {
        name: [{"scale": np.array(scale, np.float32), "zero_point": np.array(0, np.uint8)}]
        for name, scale in scales.items()
    }
    with TemporaryDirectory() as folder, _quiet():
        made = Path(folder, "model.onnx")
        quantize_static(
            model,
            made,
            _reader(rows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=nodes,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"TensorQuantOverrides": overrides, "OpTypesToExcludeOutputQuantization": ["Conv"]},
        )
        written = onnx.load(made)
    del written.metadata_props[:]
    written.metadata_props.extend(onnx.load(path, load_external_data=False).metadata_props)
    with whole(path) as part:
        part.write_bytes(written.SerializeToString())


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Without advice, on the root logger, to run a step of its own before: convolutions have their norms folded."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reader(rows: Iterable[dict[str, np.ndarray]]) -> Any:
    """What ONNX Runtime takes for data to calibrate on."""
    from onnxruntime.quantization import CalibrationDataReader

    class Calls(CalibrationDataReader):
        def __init__(self):
            self.rows = iter(rows)

        def get_next(self) -> Any:
            return next(self.rows, None)

    return Calls()


def _scales(model: Any, rows: Sequence[dict[str, np.ndarray]], units: Sequence[float]) -> dict[str, float]:
    """Inputs of convolutions that are whole numbers of a unit in every call, and that unit."""
    import onnx
    import onnxruntime as ort

    watched = type(model)()
    watched.CopyFrom(model)
    own = {x.name for x in model.graph.input}
    names = sorted({node.input[0] for node in model.graph.node if node.op_type == "Conv"} - own)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    possible = {name: list(units) for name in names}
    for row in rows:
        for name, x in zip(names, session.run(names, row), strict=True):
            possible[name] = [unit for unit in possible[name] if _counts(np.asarray(x) / unit)]
    return {name: left[-1] for name, left in possible.items() if left}


def _counts(x: np.ndarray) -> bool:
    return bool((x == np.round(x)).all() and x.min() >= 0 and x.max() <= MOST)
