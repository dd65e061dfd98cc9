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


def executorch(folder: Path) -> Made:
    """XNNPACK where it takes an operation, else the portable kernels."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    extra = {"spikereel.json": ""}
    program = torch.export.load(folder / "net.pt2", extra_files=extra)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / "net.pte").write_bytes(lowered.buffer)
    method = Runtime.get().load_program(folder / "net.pte").load_method("forward")
    contract = json.loads(extra["spikereel.json"])
    names = ["video", *(f"before.{part['name']}" for part in contract["parts"])]
    run = lambda inputs: [x.numpy().copy() for x in method.execute(list(map(torch.from_numpy, inputs)))]  # noqa: E731
    return run, names, version("executorch")


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
