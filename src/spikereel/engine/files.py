"""Engines as files: the packed weights, the kernels chosen and the head, memory-mapped when read."""

import dataclasses
import gc
import json
import typing
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikereel.engine import plan
from spikereel.engine.lower_spikevideoformer import head_is_native
from spikereel.engine.plan import Buffer, Layer, Program
from spikereel.errors import WeightsError
from spikereel.models.base import VideoModel
from spikereel.models.files import FAMILIES, header_of, write_whole
from spikereel.models.metadata import Metadata

MAGIC = b"SPIKEENG"
VERSION = 4
ALIGNED = 64

LAYERS = (plan.PictureConv, plan.SpikeConv, plan.Pointwise, plan.Fire, plan.Resize, plan.AttendCount, plan.AttendApply)
KINDS: dict[str, type[Layer]] = {cls.__name__: cls for cls in LAYERS}


class _Arrays:
    """Arrays one after the other, each named by its place."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, array: NDArray) -> dict[str, Any]:
        self.content += bytes(-len(self.content) % ALIGNED)
        place = {"at": len(self.content), "shape": list(array.shape), "dtype": str(array.dtype)}
        self.content += np.ascontiguousarray(array).tobytes()
        return place


def write(path: Path, program: Program, model: VideoModel, head: dict[str, Tensor], instruction_set: str) -> None:
    """One file, whole or not at all."""
    arrays = _Arrays()
    numbers = {id(x): i for i, x in enumerate(program.buffers)}
    layers = {id(x): i for i, x in enumerate(program.layers)}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {"array": arrays.add(value)}
        if isinstance(value, Buffer):
            return {"buffer": numbers[id(value)]}
        if isinstance(value, Layer):
            return {"layer": layers[id(value)]}
        if isinstance(value, plan.Norm):
            return {"norm": [arrays.add(value.scale), arrays.add(value.bias)]}
        if isinstance(value, plan.Neuron):
            return {"neuron": dataclasses.asdict(value)}
        return value

    def fields(x: Any, skip: tuple[str, ...] = ()) -> dict[str, Any]:
        return {f.name: plain(getattr(x, f.name)) for f in dataclasses.fields(x) if f.name not in skip}

    header = {
        "version": VERSION,
        "model": header_of(model),
        "instruction_set": instruction_set,
        "buffers": [fields(x) for x in program.buffers],
        "layers": [{"kind": type(x).__name__, **fields(x, ("weight", "real"))} for x in program.layers],
        "taps": {name: numbers[id(x)] for name, x in program.taps.items()},
        "head": {name: arrays.add(x.detach().cpu().numpy()) for name, x in head.items()},
    }
    header["bytes"] = len(arrays.content)
    text = json.dumps(header).encode()
    text += b" " * (-(len(MAGIC) + 8 + len(text)) % ALIGNED)
    write_whole(path, MAGIC + len(text).to_bytes(8, "little") + text + bytes(arrays.content))


def read(path: Path) -> tuple[Program, VideoModel, str]:
    """The program, a model that holds its head alone, and the instruction set that the kernels were chosen for."""
    with _no_collection():
        return _read(path)


@contextmanager
def _no_collection() -> Generator[None]:
    """Python's garbage collector waits: all that is made here stays, and a look at all of PyTorch takes 80 ms."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _read(path: Path) -> tuple[Program, VideoModel, str]:
    header, content = _open(path)

    def array(place: dict[str, Any]) -> NDArray:
        dtype, count = np.dtype(place["dtype"]), int(np.prod(place["shape"], dtype=np.int64))
        raw = content[place["at"] : place["at"] + count * dtype.itemsize]
        return raw.view(dtype).reshape(place["shape"])

    buffers = [Buffer(x["kind"], x["channels"], x["planes"], x["padding"]) for x in header["buffers"]]
    layers: list[Layer] = [KINDS[x["kind"]].__new__(KINDS[x["kind"]]) for x in header["layers"]]

    def rich(value: Any) -> Any:
        if not isinstance(value, dict):
            return tuple(value) if isinstance(value, list) else value
        ((kind, x),) = value.items()
        if kind == "norm":
            return plan.Norm(array(x[0]), array(x[1]))
        if kind == "neuron":
            return plan.Neuron(**x)
        return {"array": array, "buffer": buffers.__getitem__, "layer": layers.__getitem__}[kind](x)

    for x, values in [*zip(buffers, header["buffers"], strict=True), *zip(layers, header["layers"], strict=True)]:
        for name, value in values.items():
            if name != "kind" or isinstance(x, Buffer):
                setattr(x, name, rich(value))
        if isinstance(x, plan.SpikeConv):
            x.weight = None
    program = Program(layers, buffers, {name: buffers[i] for name, i in header["taps"].items()})
    tensors = {name: torch.from_numpy(array(place).copy()) for name, place in header["head"].items()}
    return program, _shell(header["model"], tensors), header["instruction_set"]


def _open(path: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    try:
        content = np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read an engine from {path}: {error}") from None
    length = int.from_bytes(bytes(content[len(MAGIC) : len(MAGIC) + 8]), "little")
    start = len(MAGIC) + 8 + length
    if bytes(content[: len(MAGIC)]) != MAGIC or start > len(content):
        raise WeightsError(f"{path} is no engine file, or half of one; write it with engine.save(path)")
    header = json.loads(bytes(content[len(MAGIC) + 8 : start]))
    if len(content) != start + header["bytes"]:
        raise WeightsError(f"{path} is half of an engine file; write it again with engine.save(path)")
    if header["version"] != VERSION:
        raise WeightsError(
            f"{path} is of version {header['version']}, this one reads {VERSION}; compile the model again"
        )
    # a plain array: slices of it are made a thousand times
    return header, np.asarray(content)[start:]


def head_of(model: VideoModel) -> dict[str, Tensor]:
    """The tensors of the parts that run as modules."""
    lowered = lowered_parts(model)
    return {name: x for name, x in model.state_dict().items() if name.split(".")[0] not in lowered}


def lowered_parts(model: VideoModel) -> set[str]:
    """Children of a model in place of which the native kernels run."""
    names = {name for name, _ in model.named_children()}
    stems = ("downsample", "ConvBlock", "block3", "block4", "patch_embed", "blocks", "lpl", "lpDW", "lpPW", "lpBN")
    own = {name for name in names if name.startswith(stems)}
    return own | {"head"} if head_is_native(model.config) else own


def _shell(header: dict[str, Any], head: dict[str, Tensor]) -> VideoModel:
    """The model with its head alone: all else stays without memory."""
    family = FAMILIES[header["architecture"]]
    config = _rebuilt(family.config_class, header["config"])
    small = {"depths": tuple(1 for _ in config.depths)}
    with torch.device("meta"):
        model = family(dataclasses.replace(config, **small))
    model.load_state_dict(head, strict=False, assign=True)
    for name in lowered_parts(model):
        setattr(model, name, nn.Identity())
    if not any(True for _ in model.parameters()):
        # those who call a model ask its parameters for device and type
        model.register_parameter("none", nn.Parameter(torch.empty(0), requires_grad=False))
    model.config, model.metadata = config, _rebuilt(Metadata, header["metadata"])
    return model.eval()


def _rebuilt(cls: type, values: dict[str, Any]) -> Any:
    """A dataclass from its plain values, without the parser that makes errors for people readable."""
    hints = typing.get_type_hints(cls)
    out = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            value = _rebuilt(hints[name], value)
        out[name] = tuple(value) if isinstance(value, list) else value
    return cls(**out)
