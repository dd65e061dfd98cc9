"""ExecuTorch: a .pte file, by XNNPACK where it takes an operation and by the portable kernels elsewhere.

Where it stands (1.5.1): initial values of buffers are dropped, so states are plain inputs, as everywhere; memory is
planned for the largest batch, so that a file takes one batch; and what the runtime gives lies in memory that the next
call overwrites. The contract is a constant method of the program.
"""

import copy
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikereel.errors import WeightsError
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Flat
from spikereel.exporting.onnx import Call
from spikereel.exporting.program import quiet
from spikereel.extras import need
from spikereel.files import whole
from spikereel.models.svformer import ClipConv

KEY = "spikereel"
METHOD = "forward"


def write(flat: Flat, contract: Contract, path: Path) -> None:
    """Write the file, whole or not at all. Raises ConfigError without the extra."""
    need("executorch")
    with quiet(), torch.no_grad():
        from executorch.backends.xnnpack.partition import xnnpack_partitioner  # ty: ignore[import-not-found]
        from executorch.exir import to_edge_transform_and_lower  # ty: ignore[import-not-found]

        text = np.frombuffer(json.dumps(contract.to_json()).encode(), np.uint8)
        program = torch.export.export(without_conv3d(flat), flat.example())
        lowered = to_edge_transform_and_lower(
            program,
            partitioner=[xnnpack_partitioner.XnnpackPartitioner()],
            constant_methods={KEY: torch.from_numpy(text.copy())},
        ).to_executorch()
    with whole(path) as part:
        part.write_bytes(lowered.buffer)


class _Tall(nn.Module):
    """A `ClipConv` as a convolution of one picture: the frames one below the other."""

    def __init__(self, own: ClipConv):
        super().__init__()
        assert own.bias is not None
        self.weight, self.bias, self.groups = own.weight, own.bias, own.groups

    def forward(self, x: Tensor, state: dict | None = None, first: int = 0) -> tuple[Tensor, dict]:
        weight = self.weight[:, :, first : first + len(x)].flatten(2, 3)
        sums = F.conv2d(x.movedim(0, 2).flatten(2, 3), weight, groups=self.groups).unsqueeze(-1)
        if state:
            sums = sums + state["sums"]
        return sums + self.bias.view(-1, 1, 1, 1), {"sums": sums}


def without_conv3d(flat: Flat) -> Flat:
    """The same network; ExecuTorch writes convolutions over three axes, and has no kernel that runs them."""
    own = copy.deepcopy(flat)
    for name, module in flat.named_modules():
        if isinstance(module, ClipConv):
            own.set_submodule(name, _Tall(module))
    return own


def read(path: Path, *, threads: int | None = None) -> tuple[Contract, Call, str]:
    """The contract, a function from inputs to outputs, and the name of what runs it.

    threads: those of ExecuTorch's one pool, which all its programs of this process share.
    Raises WeightsError for a file that is broken, or none of ours.
    """
    need("executorch")
    with quiet():
        from executorch.extension.pybindings import portable_lib  # ty: ignore[import-not-found]
        from executorch.runtime import Runtime  # ty: ignore[import-not-found]
    try:
        with _silent():
            portable_lib._unsafe_reset_threadpool(threads or torch.get_num_threads())
            program = Runtime.get().load_program(path.read_bytes())
            held = program.load_method(KEY).execute(()) if KEY in program.method_names else []
            method = program.load_method(METHOD) if held else None
    except RuntimeError as error:
        raise WeightsError(f"{path} is no whole file of ExecuTorch ({str(error).splitlines()[0][:120]})") from None
    contract = Contract.from_text(held[0].numpy().tobytes().decode() if held else None, path)
    assert method is not None

    def call(inputs, _kept=program):
        # a method does not keep the bytes of its program, and takes memory in one order alone
        return [x.clone() for x in method.execute(tuple(x.contiguous() for x in inputs))]

    return contract, call, f"ExecuTorch {version('executorch')}"


@contextmanager
def _silent() -> Generator[None, None, None]:
    """Without the lines that its library writes to the error stream beside what it raises."""
    saved, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)
