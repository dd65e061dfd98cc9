"""Runs exported files in another runtime, in its side environment: `export_run.py TARGET FOLDER`.

FOLDER holds net.onnx and net.pt2 of one step, and calls.npz with `names` of the inputs, `video` and states before each
call. Writes TARGET.npz: outputs of each call `call.K.I`, running on from the file's own states and, `from.K.I`, from
those of the model, and seconds.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[list[np.ndarray]], list[np.ndarray]]
Made = tuple[Run, list[str], str]
"""What runs a call, the inputs that it takes by name, and the version."""


def tract(folder: Path) -> Made:
    """By its Python bindings; inputs need their shapes."""
    import tract

    model = tract.onnx().load(str(folder / "net.onnx"))
    names = [model.input_name(i) for i in range(model.input_count())]
    known = dict(np.load(folder / "calls.npz"))
    for i, name in enumerate(names):
        x = known[f"0.{name}"]
        kind = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}[str(x.dtype)]
        model.set_input_fact(i, ",".join([*map(str, x.shape), kind]))
    runnable = model.into_model().into_runnable()
    return (lambda inputs: [x.to_numpy() for x in runnable.run(inputs)]), names, tract.version()


def iree(folder: Path) -> Made:
    """On llvm-cpu; doubles stay doubles."""
    import iree.compiler.tools.import_onnx.__main__ as importer
    import iree.runtime as rt
    import onnx
    from iree.compiler.tools import compile_file

    args = importer.parse_arguments([str(folder / "net.onnx"), "-o", str(folder / "net.mlir")])
    assert importer.main(args) in (0, None)
    flags = ["--iree-llvmcpu-target-cpu=host", "--iree-input-demote-f64-to-f32=false"]
    made = compile_file(str(folder / "net.mlir"), target_backends=["llvm-cpu"], input_type="onnx", extra_args=flags)
    module = rt.load_vm_module(rt.VmModule.copy_buffer(rt.VmInstance(), made), rt.Config("local-sync"))
    graph = onnx.load(folder / "net.onnx").graph
    call = module[graph.name]
    names = [x.name for x in graph.input]
    return (lambda inputs: [np.array(x.to_host()) for x in call(*inputs)]), names, version("iree-base-compiler")


def tvm(folder: Path) -> Made:
    """Relax on LLVM."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    model = onnx.load(folder / "net.onnx")
    known = dict(np.load(folder / "calls.npz"))
    names = [x.name for x in model.graph.input]
    shapes = {name: list(known[f"0.{name}"].shape) for name in names}
    made = tvm.compile(from_onnx(model, shape_dict=shapes, keep_params_in_input=False), target="llvm")
    machine = relax.VirtualMachine(made, tvm.cpu())
    give = lambda x: tvm.runtime.tensor(x)  # noqa: E731
    return ((lambda inputs: [x.numpy() for x in machine["main"](*map(give, inputs))]), names, version("apache-tvm"))


def litert(folder: Path) -> Made:
    """LiteRT through litert-torch, by the interpreter with XNNPACK."""
    import litert_torch
    import torch
    from ai_edge_litert.interpreter import Interpreter

    program, names = _program(folder)
    known = dict(np.load(folder / "calls.npz"))
    example = tuple(torch.from_numpy(known[f"0.{name}"]) for name in names)
    litert_torch.convert(program.module(), example, enable_x64=True).export(str(folder / "net.tflite"))
    runner = Interpreter(str(folder / "net.tflite"), num_threads=1).get_signature_runner()

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        found = runner(**{f"args_{i}": x for i, x in enumerate(inputs)})
        return [found[f"output_{i}"] for i in range(len(found))]

    return run, names, version("ai-edge-litert")


def aotinductor(folder: Path) -> Made:
    """Compiled ahead of time by PyTorch's Inductor, which needs a C++ compiler; never with its freezing."""
    import torch
    from torch._inductor import aoti_compile_and_package, aoti_load_package

    program, names = _program(folder)
    torch.set_num_threads(1)
    model = aoti_load_package(aoti_compile_and_package(program, package_path=str(folder / "net.aot.pt2")))
    return (lambda inputs: [x.numpy() for x in model(*map(torch.from_numpy, inputs))]), names, torch.__version__


def ncnn(folder: Path) -> Made:
    """Layer for layer from the ONNX file; float32 and no Winograd, which is not exact."""
    import ncnn
    import onnx
    from ncnn_graph import Network, real

    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "net.onnx"), data_prop=True)
    Network(model.graph).write(folder)
    net = ncnn.Net()
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    net.opt.use_winograd_convolution, net.opt.num_threads = False, 1
    assert net.load_param(str(folder / "net.param")) == 0
    assert net.load_model(str(folder / "net.bin")) == 0
    names, known = [x.name for x in model.graph.input], dict(np.load(folder / "calls.npz"))
    outputs = [x.name for x in model.graph.output]
    form = {f"after.{name.removeprefix('before.')}": known[f"0.{name}"] for name in names if name != "video"}

    def run(inputs: list[np.ndarray]) -> list[np.ndarray]:
        with net.create_extractor() as call:
            # ncnn.Mat looks at the memory of the array, and does not keep it
            arrays = [x.astype(np.float32).reshape(real(list(x.shape))) for x in inputs]
            for name, x in zip(names, arrays, strict=True):
                call.input(name, ncnn.Mat(x).clone())
            found = {name: np.array(call.extract(name)[1]) for name in outputs}
        return [
            x.reshape(form[name].shape).astype(form[name].dtype) if name in form else x[None]
            for name, x in found.items()
        ]

    return run, names, version("ncnn")


def _program(folder: Path) -> tuple[Any, list[str]]:
    """The program of torch.export, and the names of its inputs."""
    import torch

    extra = {"spikereel.json": ""}
    program = torch.export.load(folder / "net.pt2", extra_files=extra)
    return program, ["video", *(f"before.{part['name']}" for part in json.loads(extra["spikereel.json"])["parts"])]


def main() -> None:
    target, folder = sys.argv[1], Path(sys.argv[2])
    known = dict(np.load(folder / "calls.npz"))
    contract = json.loads((folder / "contract.json").read_text())
    own, fields = [f"before.{part['name']}" for part in contract["parts"]], len(contract["fields"])
    begun = time.perf_counter()
    run, names, said = globals()[target](folder)
    prepared, found, states = time.perf_counter() - begun, {}, None
    seconds = 0.0
    for k in range(int(known["calls"])):
        before = {name: known[f"{k}.{name}"] for name in ("video", *own)}
        free = before if states is None else {"video": before["video"], **states}
        for kind, given in (("call", free), ("from", before)):
            begun = time.perf_counter()
            # numpy.ascontiguousarray gives a scalar an axis, which all of them refuse
            outputs = run([np.asarray(given[name], order="C") for name in names])
            seconds += time.perf_counter() - begun
            found |= {f"{kind}.{k}.{i}": x for i, x in enumerate(outputs)}
            if kind == "call":
                states = dict(zip(own, outputs[fields:], strict=True))
    np.savez(folder / f"{target}.npz", version=said, prepared=prepared, seconds=seconds, **found)


if __name__ == "__main__":
    main()
