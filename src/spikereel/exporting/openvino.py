"""OpenVINO, from the graph of ONNX: an .xml file and its .bin.

Where it stands (2026.4): it runs in bfloat16 by default, which moves membranes, so that a call asks for float32; saving
rounds weights to float16 unless told not to; and float64 is float32, int64 is int32 inside, whatever the ports say.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from spikereel.errors import WeightsError
from spikereel.exporting import onnx
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Flat
from spikereel.extras import need
from spikereel.files import whole

KEY = "spikereel"


def write(flat: Flat, contract: Contract, path: Path) -> None:
    """Write both files; the .xml comes last, whole or not at all. Raises ConfigError without the extra."""
    need("openvino")
    import openvino as ov  # ty: ignore[import-not-found]

    with TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, path.name)
        source.write_bytes(onnx.graph_of(flat, contract).SerializeToString())
        model = ov.convert_model(source)
        model.set_rt_info(json.dumps(contract.to_json()), KEY)
        ov.save_model(model, target, compress_to_fp16=False)
        for end in (".bin", ".xml"):
            with whole(path.with_suffix(end)) as part:
                shutil.copyfile(target.with_suffix(end), part)


def read(path: Path, *, threads: int | None = None) -> tuple[Contract, onnx.Call, str]:
    """The contract, a function from inputs to outputs, and the name of what runs it.

    Raises WeightsError for a file that is broken, or none of ours.
    """
    need("openvino")
    import openvino as ov  # ty: ignore[import-not-found]

    weights = path.with_suffix(".bin")
    if path.is_file() and not weights.is_file():
        raise WeightsError(f"{weights} is not there, which {path} has its weights in; keep both in one folder")
    # else OpenVINO tries each format that it knows, with lines of its own for them
    if path.is_file() and not path.read_bytes().lstrip().startswith(b"<"):
        raise WeightsError(f"{path} is no whole OpenVINO model (no XML); export again")
    core = ov.Core()
    try:
        model = core.read_model(path)
        text = model.get_rt_info(KEY).astype(str) if model.has_rt_info(KEY) else None
    except RuntimeError as error:
        # the first line says where in OpenVINO, the last one what
        said = [line for line in str(error).splitlines() if line.strip()][-1]
        raise WeightsError(f"{path} is no whole OpenVINO model ({said.strip()[:120]}); export again") from None
    contract = Contract.from_text(text, path)
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads or torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", hints)
    names = {name for port in compiled.inputs for name in port.names}

    def call(inputs: Sequence[Tensor]) -> list[Tensor]:
        given = {name: x.numpy() for name, x in zip(contract.inputs, inputs, strict=True) if name in names}
        found = compiled(given)
        return [torch.from_numpy(found[name].copy()) for name in contract.outputs]

    return contract, call, f"OpenVINO {ov.__version__.partition('-')[0]}"
