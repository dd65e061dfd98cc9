"""C: the network as a list of plain operations in one file, run by a C99 library that lies beside it.

`NAME.spkc` holds operations, weights and the contract; `NAME.spkc.src/` holds `spikereel.h`, `spikereel.c`, an example
`main.c` and a Makefile. One frame is one call, state and scratch belong to the caller, nothing is allocated. It takes
classifiers that go on from frame to frame: spatial or causal attention of SpikeVideoFormer, and SVFormer with shared
norms and the mean head.

Layout, 32-bit words, little endian: 12 of the header (magic, version, operations, weights, words of state, words of
scratch, starts, channels, height, width, classes, 0), operations of 24 words, starts of 3, weights; then the contract.
"""

import ctypes
import json
import shutil
import struct
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikereel.errors import ConfigError, WeightsError
from spikereel.exporting.contract import Contract
from spikereel.exporting.flat import Flat, Part
from spikereel.exporting.lower_c import Program, lower
from spikereel.files import whole, write_text

MAGIC, VERSION, HEADER, FIELDS = 0x524B5053, 1, 12, 24
SOURCES = ("spikereel.h", "spikereel.c", "main.c", "Makefile")


def write(flat: Flat, contract: Contract, path: Path) -> None:
    """Write the file, whole or not at all, and the sources. Raises ConfigError for what the library cannot do."""
    program = lower(flat)
    if contract.steps != 1 or contract.batch != 1:
        raise ConfigError(f"C takes one frame of one clip a call, not {contract.steps} of {contract.batch}")
    text = json.dumps({**contract.to_json(), "places": program.places}).encode()
    with whole(path) as part:
        part.write_bytes(_packed(program, contract) + text + struct.pack("<i", len(text)))
    folder = Path(f"{path}.src")
    folder.mkdir(exist_ok=True)
    for name in SOURCES:
        write_text(folder / name, _source(name))


def read(path: Path, *, threads: int | None = None) -> tuple[Contract, Any, str]:
    """The contract, a function from inputs to outputs, and the name of what runs it: one thread, whatever is asked.

    Raises WeightsError for a file that is broken, ConfigError where there is no C compiler.
    """
    content = path.read_bytes()
    length = struct.unpack("<i", content[-4:])[0] if len(content) > 4 else -1
    text = content[-4 - length : -4].decode(errors="replace") if 0 < length < len(content) else ""
    try:
        places = json.loads(text).pop("places")
        values = {name: x for name, x in json.loads(text).items() if name != "places"}
    except (ValueError, KeyError, AttributeError):
        raise WeightsError(f"{path} is no whole file of spikereel export --to c; export again") from None
    contract, (library, compiler) = Contract.from_text(json.dumps(values), path), _library()
    # numpy's memory is aligned; the file stays in it as long as the call
    own = np.frombuffer(content + b"\0" * (-len(content) % 4), dtype=np.int32).copy()
    model = _Model()
    error = library.sr_open(ctypes.byref(model), own.ctypes.data_as(ctypes.c_void_p), len(content))
    if error:
        raise WeightsError(f"{path}: {library.sr_error(error).decode()}; export again")
    work = np.zeros(library.sr_work_bytes(ctypes.byref(model)) // 4, dtype=np.float32)
    logits = np.zeros(model.classes, dtype=np.float32)

    def call(inputs: Sequence[Tensor]) -> list[Tensor]:
        frame = np.ascontiguousarray(inputs[0].numpy()[0, 0])
        state = np.zeros(model.state_words, dtype=np.int32)
        for part, x in zip(contract.parts, inputs[1:], strict=True):
            _put(state, places[part.name], part, x)
        pointers = (x.ctypes.data_as(ctypes.c_void_p) for x in (frame, state, work, logits))
        library.sr_step(ctypes.byref(model), *pointers)
        states = [_get(state, places[part.name], part) for part in contract.parts]
        assert own is not None
        return [torch.from_numpy(logits.copy())[None], *states]

    return contract, call, f"the C library, built by {compiler}"


def _packed(program: Program, contract: Contract) -> bytes:
    counts = (len(program.ops), len(program.weights), program.state, program.work, len(program.starts))
    sizes = (contract.channels, *contract.size, program.classes, 0)
    head = struct.pack(f"<{HEADER}i", MAGIC, VERSION, *counts, *sizes)
    ops = b"".join(struct.pack(f"<{FIELDS}i", *op) for op in program.ops)
    starts = b"".join(struct.pack("<iif", *start) for start in program.starts)
    return head + ops + starts + program.weights.astype("<f4").tobytes()


def _put(state: np.ndarray, place: Sequence[int], part: Part, x: Tensor) -> None:
    at, count = place
    values = x.numpy()
    if part.meaning == "membrane" and x.ndim > 2:
        values = np.moveaxis(values[0], 0, -1)
    kind = np.int32 if part.meaning == "count" or part.dtype == "int32" else np.float32
    state[at : at + count] = np.ascontiguousarray(values, dtype=kind).reshape(-1).view(np.int32)


def _get(state: np.ndarray, place: Sequence[int], part: Part) -> Tensor:
    at, count = place
    words = state[at : at + count]
    whole_numbers = part.meaning == "count" or part.dtype == "int32"
    values = words.copy() if whole_numbers else words.view(np.float32).copy()
    if part.meaning == "membrane" and len(part.shape) > 2:
        values = np.moveaxis(values.reshape(*part.shape[2:], part.shape[1]), -1, 0)
    shape = part.first(1).shape
    return torch.from_numpy(np.ascontiguousarray(values)).reshape(shape).to(getattr(torch, part.dtype))


class _Model(ctypes.Structure):
    _fields_ = (
        ("ops", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("op_count", "weight_count", "state_words", "work_words", "start_count")),
        ("starts", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("channels", "height", "width", "classes")),
    )


@cache
def _library() -> tuple[Any, str]:
    """The library, built for this process, and the compiler with its version."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise ConfigError("no C compiler is found, which a .spkc file is run with; install gcc or clang")
    folder = Path(mkdtemp(prefix="spikereel-"))
    for name in SOURCES:
        (folder / name).write_text(_source(name))
    built = folder / "libspikereel.so"
    options = ["-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    made = subprocess.run(
        [compiler, *options, str(folder / "spikereel.c"), "-o", str(built), "-lm"], capture_output=True, text=True
    )
    if made.returncode:
        raise ConfigError(f"{compiler} cannot build the C library: {made.stderr.strip().splitlines()[-1]}")
    library = ctypes.CDLL(str(built))
    shutil.rmtree(folder)
    library.sr_error.restype = ctypes.c_char_p
    library.sr_open.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    for name in ("sr_state_bytes", "sr_work_bytes"):
        getattr(library, name).restype = ctypes.c_size_t
    asked = subprocess.run([compiler, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True)
    return library, f"{Path(compiler).name} {asked.stdout.strip()}".strip()


def _source(name: str) -> str:
    return files("spikereel.exporting").joinpath("c_source", name).read_text()
