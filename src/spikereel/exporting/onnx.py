"""ONNX: one call is `steps` time steps, states are inputs and outputs; run by ONNX Runtime.

Where it stands: `torch.onnx.export` of PyTorch 2.13 writes a stack trace beside every node, several times the weights
of a small model; those go. Names, shapes and types are read back from the file.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from spikereel.errors import ConfigError, WeightsError
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Flat
from spikereel.exporting.quantised import quantise
from spikereel.extras import need
from spikereel.files import whole
from spikereel.layers.neuron import Neuron

Call = Callable[[Sequence[Tensor]], list[Tensor]]
Calls = Sequence[Sequence[Tensor]]
"""Inputs of several calls."""

OPSETS = range(18, 24)
"""Operator sets that can be asked for; the newest are not read by every runtime."""
USUAL_OPSET = 20
KEY = "spikereel"


def write(
    flat: Flat,
    contract: Contract,
    path: Path,
    *,
    opset: int = USUAL_OPSET,
    calibration: Sequence[Sequence[Tensor]] = (),
) -> None:
    """Write the file, whole or not at all. calibration: inputs of calls; with it weights are in 8 bits.

    Raises ConfigError without the extra, or for another operator set.
    """
    need("export")
    if opset not in OPSETS:
        raise ConfigError(f"operator set {opset} is not written; choose one of {OPSETS[0]} to {OPSETS[-1]}")
    model = graph_of(flat, contract, opset)
    with TemporaryDirectory() as folder:
        made = Path(folder, path.name)
        made.write_bytes(model.SerializeToString())
        if calibration:
            quantise(made, contract.inputs, calibration, _units(flat))
        with whole(path) as part:
            shutil.copyfile(made, part)


def graph_of(flat: Flat, contract: Contract, opset: int = USUAL_OPSET) -> Any:
    """The ModelProto, with the contract in it. Needs onnx and onnxscript, and nothing that runs it."""
    import onnx

    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            flat,
            flat.example(),
            dynamo=True,
            input_names=contract.inputs,
            output_names=contract.outputs,
            dynamic_shapes=flat.free(batch=contract.batch is None),
            opset_version=opset,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for thing in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, *model.graph.input):
        del thing.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
    onnx.helper.set_model_props(model, {KEY: json.dumps(contract.to_json())})
    onnx.checker.check_model(model, full_check=True)
    _read_back(model, contract)
    return model


def read(path: Path, *, threads: int | None = None) -> tuple[Contract, Call, str]:
    """The contract, a function from inputs to outputs, and the name of what runs it.

    Raises WeightsError for a file that is broken, or none of ours.
    """
    need("export")
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors  # ty: ignore[missing-module-member]

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3
    broken = (ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.InvalidArgument, ort_errors.Fail)
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except broken as error:
        raise WeightsError(f"{path} is no whole ONNX file ({str(error).splitlines()[0][:120]}); export again") from None
    contract = Contract.from_text(session.get_modelmeta().custom_metadata_map.get(KEY), path)
    names = [x.name for x in session.get_inputs()]

    def call(inputs: Sequence[Tensor]) -> list[Tensor]:
        # an input that the network does not look at is none of the graph
        given = {name: x.numpy() for name, x in zip(contract.inputs, inputs, strict=True) if name in names}
        return [torch.from_numpy(x) for x in session.run(contract.outputs, given)]

    return contract, call, f"ONNX Runtime {ort.__version__}"


def _units(flat: Flat) -> list[float]:
    """What one spike adds to the sums of each neuron's followers."""
    neurons = (m for m in flat.modules() if isinstance(m, Neuron) and m.spiking)
    return [m.config.unit if m.config.kind == "ilif" else 1.0 for m in neurons]


def _read_back(model: Any, contract: Contract) -> None:
    """The exporter drops named axes of loops without a word, and renames what is passed through."""
    inputs = {x.name: x.type.tensor_type.shape.dim for x in model.graph.input}
    outputs = [x.name for x in model.graph.output]
    assert set(inputs) <= set(contract.inputs), f"inputs are {sorted(inputs)}"
    assert outputs == contract.outputs, f"outputs are {outputs}"
    wanted = {1: contract.batch is None, 3: contract.any_size, 4: contract.any_size}
    for i, free in wanted.items():
        axis = inputs["video"][i]
        assert bool(axis.dim_param) == free, f"axis {i} of the video of the file is {axis}"


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Without the exporter's lines about packages that are not there, and about what PyTorch itself will change."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for kind in (FutureWarning, DeprecationWarning, UserWarning):
                warnings.simplefilter("ignore", kind)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
