"""An exported ONNX file of one step and one clip as a network of ncnn: `net.param` and `net.bin`.

ncnn has no axis of a batch and four axes at most, so axes of one element in front go. It has no comparison either: a
spike, which is x >= 0, is floor(x) + 1 cut to 0..1, which is exact for every number.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

BINARY = {"Add": 0, "Sub": 1, "Mul": 2, "Div": 3}
REVERSED = {"Add": 0, "Sub": 7, "Mul": 2, "Div": 8}
"""Number of the operation where the constant comes first."""
SAME = ("Cast", "Identity")
TURNS = {
    # order of the axes, those of the numpy shape -> `order_type`, which counts from the last axis
    (0, 2, 1): 1,
    (1, 0, 2): 2,
    (0, 2, 3, 1): 3,
    (0, 3, 1, 2): 4,
}


class Network:
    """Lines of the .param, bytes of the .bin."""

    def __init__(self, graph: Any):
        self.constants = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
        values = [*graph.value_info, *graph.input, *graph.output]
        self.shapes = {x.name: [d.dim_value for d in x.type.tensor_type.shape.dim] for x in values}
        self.lines: list[tuple[str, list[str], list[str], str]] = []
        self.weights = bytearray()
        for x in graph.input:
            self.add("Input", [], x.name, shape_of(self.shapes[x.name]))
        for node in graph.node:
            self.take(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute})
        self.split([x.name for x in graph.output])

    def add(self, kind: str, inputs: list[str], output: str, options: str = "") -> None:
        self.lines.append((kind, inputs, [output], options))

    def keep(self, *arrays: Any, tagged: bool) -> None:
        """Weights in the order of the layers; those of products carry a mark of their type, float32."""
        self.weights += struct.pack("<i", 0) if tagged else b""
        for x in arrays:
            self.weights += np.ascontiguousarray(x, np.float32).tobytes()

    def take(self, node: Any, options: dict[str, Any]) -> None:
        """Add what an operation of ONNX is."""
        kind, (output,) = node.op_type, node.output[:1]
        inputs = [x for x in node.input if x not in self.constants]
        constant = [self.constants[x] for x in node.input if x in self.constants]
        before, after = real(self.shapes[inputs[0]]), real(self.shapes[output])
        if kind in BINARY and constant:
            numbers = BINARY if node.input[0] in inputs else REVERSED
            assert constant[0].size == 1
            self.add("BinaryOp", inputs, output, f"0={numbers[kind]} 1=1 2={float(constant[0].reshape(())):.9g}")
        elif kind in BINARY:
            self.add("BinaryOp", inputs, output, f"0={BINARY[kind]}")
        elif kind == "GreaterOrEqual":
            assert float(constant[0]) == 0.0
            self.add("UnaryOp", inputs, f"{output}_floor", "0=2")
            self.add("BinaryOp", [f"{output}_floor"], f"{output}_one", "0=0 1=1 2=1.0")
            self.add("Clip", [f"{output}_one"], output, "0=0.0 1=1.0")
        elif kind in ("Conv", "Gemm", "BatchNormalization"):
            self.product(kind, inputs, output, constant, options)
        elif kind == "MatMul":
            self.add("MatMul", inputs, output)
        elif kind == "ReduceMean":
            assert constant[0].tolist() == [len(self.shapes[inputs[0]]) - 1]
            self.add("Reduction", inputs, output, f"0=3 1=0 -23303=1,{len(before) - 1} 4=0 5=1")
        elif kind == "Transpose" and [n for n in options["perm"] if self.shapes[inputs[0]][n] != 1] != sorted(
            n for n in options["perm"] if self.shapes[inputs[0]][n] != 1
        ):
            shift = len(self.shapes[inputs[0]]) - len(before)
            assert options["perm"][:shift] == list(range(shift))
            self.add("Permute", inputs, output, f"0={TURNS[tuple(n - shift for n in options['perm'][shift:])]}")
        else:
            assert np.prod(before) == np.prod(after), f"{kind} has no layer of ncnn"
            same = kind in SAME or before == after
            self.add("Noop" if same else "Reshape", inputs, output, "" if same else shape_of(self.shapes[output]))

    def product(self, kind: str, inputs: list[str], output: str, constant: list[Any], options: dict[str, Any]) -> None:
        """A layer with weights."""
        weight = constant[0]
        if kind == "BatchNormalization":
            scale, shift, mean, spread = constant
            self.add("BatchNorm", inputs, output, f"0={len(scale)} 1={options.get('epsilon', 1e-5):.9g}")
            self.keep(scale, mean, spread, shift, tagged=False)
            return
        biased, count = int(len(constant) > 1), len(weight)
        if kind == "Gemm":
            assert options.get("transB") == 1
            self.add("InnerProduct", inputs, output, f"0={count} 1={biased} 2={weight.size}")
        else:
            group, *_ = options.get("group", 1), None
            sizes = (options["kernel_shape"], options["dilations"], options["strides"], options["pads"])
            two = len(sizes[0]) == 2
            text = f"0={count} 5={biased} 6={weight.size}"
            for at, x in zip((1, 2, 3, 4), sizes, strict=True):
                # pads have both ends of each axis; they are the same here
                assert at != 4 or x[: len(x) // 2] == x[len(x) // 2 :]
                x = x[: len(sizes[0])]
                text += f" {at}={x[-1]}" + (f" 1{at}={x[0]}" if two else "")
            name = ("Convolution" if two else "Convolution1D") if group == 1 else "ConvolutionDepthWise"
            self.add(name, inputs, output, text + (f" 7={group}" if group > 1 else ""))
        self.keep(weight, tagged=True)
        self.keep(*constant[1:], tagged=False)

    def split(self, outputs: list[str]) -> None:
        """A value has one reader in ncnn: what more of them read, or is given out as well, is split before."""
        readers: dict[str, int] = {}
        for _, inputs, _, _ in self.lines:
            for x in inputs:
                readers[x] = readers.get(x, 0) + 1
        left, lines = {}, []
        for kind, inputs, (output,), options in self.lines:
            own = [f"{x}_{left[x].pop()}" if x in left else x for x in inputs]
            count = readers.get(output, 0) + (output in outputs)
            if count < 2:
                lines.append((kind, own, [output], options))
                continue
            # the name is that of what goes in or out
            whole = output if kind == "Input" else f"{output}_whole"
            lines.append((kind, own, [whole], options))
            ends = list(range(readers[output]))
            given = [output] if output in outputs else []
            lines.append(("Split", [whole], [*(f"{output}_{i}" for i in ends), *given], ""))
            left[output] = ends
        self.lines = lines

    def write(self, folder: Path) -> None:
        """`net.param` and `net.bin`."""
        blobs = sum(len(outputs) for _, _, outputs, _ in self.lines)
        text = [f"7767517\n{len(self.lines)} {blobs}"]
        for i, (kind, inputs, outputs, options) in enumerate(self.lines):
            text.append(" ".join([kind, f"n{i}", f"{len(inputs)} {len(outputs)}", *inputs, *outputs, options]))
        (folder / "net.param").write_text("\n".join(text) + "\n")
        (folder / "net.bin").write_bytes(self.weights)


def real(shape: list[int]) -> list[int]:
    """Without axes of one element in front; one is left."""
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape or [1]


def shape_of(shape: list[int]) -> str:
    """As ncnn writes it: width, height, depth, channels."""
    sizes = real(shape)[::-1]
    assert len(sizes) <= 4, f"{shape} has more than four axes"
    return " ".join(f"{at}={n}" for at, n in zip((0, 1, 2) if len(sizes) < 4 else (0, 1, 11, 2), sizes, strict=False))
