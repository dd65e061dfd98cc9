#!/usr/bin/env bash
# onnxruntime 1.31.1, static 8-bit quantisation: spikes of 0 and 1 come out as 0 and 0.9995 with Percentile calibration,
# and as 0 and 0.9961 with Distribution, whose zero point is 128; MinMax and Entropy keep 0 and 1.
# Guessed: a tensor that holds two values only, 0 and 1, is kept exactly by every calibration of 256 levels.
# Seen: the bounds come from the middle of the last of 2,048 bins of a histogram, or from a mean and a deviation. A sum
# of weights of spikes is then 0.05 or 0.4 % too small, and a charge that would meet the threshold exactly does not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 sympy
env/bin/python - <<'P' 2>/dev/null | grep -v -e "^Collecting" -e "^Finding" -e "^Number" -e "^Percentile :" -e "^Scenario"
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static

random = np.random.default_rng(0)
weight = numpy_helper.from_array(random.standard_normal((8, 4, 3, 3)).astype(np.float32), "w")
value = lambda name, channels: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 16, 16])
convolution = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
graph = helper.make_graph([convolution], "g", [value("x", 4)], [value("y", 8)], [weight])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 9
onnx.save(model, "plain.onnx")


class Spikes(CalibrationDataReader):
    def __init__(self):
        self.left = 20

    def get_next(self):
        self.left -= 1
        return {"x": (random.random((1, 4, 16, 16)) < 0.1).astype(np.float32)} if self.left >= 0 else None


seen = {}
for method in CalibrationMethod:
    options = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "calibrate_method": method}
    quantize_static("plain.onnx", "int8.onnx", Spikes(), **options)
    held = {x.name: numpy_helper.to_array(x) for x in onnx.load("int8.onnx").graph.initializer}
    scale, zero = float(held["x_scale"]), int(held["x_zero_point"])
    one = (min(round(1 / scale) + zero, 255) - zero) * scale
    seen[method.name] = round(one, 4)
    print("onnxruntime", onnxruntime.__version__, f"{method.name}: a spike of 1 becomes {one:.6f}, zero point {zero}")
if seen != {"MinMax": 1.0, "Entropy": 1.0, "Percentile": 0.9995, "Distribution": 0.9961}:
    print("changed:", seen)
    raise SystemExit(1)
P
