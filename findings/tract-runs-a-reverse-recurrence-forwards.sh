#!/usr/bin/env bash
# tract 0.23.9: RNN, GRU and LSTM of ONNX with direction="reverse" read the sequence from its beginning, not its end.
# Guessed: as onnxruntime 1.32.0, or an error that says the direction is not done; "bidirectional" is right here, its
# second half being the very same recurrence.
# Seen: all outputs of all steps are those of direction="forward" with the same weights, to the last digit that onnxruntime
# gives; the state at the end is that of the last frame, not of the first. No error and no warning. A network with one
# layer forwards and one backwards, as Keras and others write two directions, is wrong in half of its features.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q tract==0.23.9 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P'
import numpy as np
import onnx
import onnxruntime
import tract
from onnx import helper

T, INPUTS, HIDDEN = 6, 4, 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
clip = np.random.default_rng(0).standard_normal((T, 1, INPUTS)).astype(np.float32)


def recurrence(kind, direction):
    """One layer; both directions have the same weights."""
    draw, ways = np.random.default_rng(1), 2 if direction == "bidirectional" else 1
    weights = {
        name: np.repeat(draw.standard_normal((1, GATES[kind] * HIDDEN, size)).astype(np.float32), ways, axis=0)
        for name, size in (("w", INPUTS), ("r", HIDDEN))
    }
    node = helper.make_node(kind, ["x", "w", "r"], ["y", "last"], hidden_size=HIDDEN, direction=direction)
    inputs = [helper.make_tensor_value_info("x", 1, clip.shape)]
    outputs = [
        helper.make_tensor_value_info("y", 1, [T, ways, 1, HIDDEN]),
        helper.make_tensor_value_info("last", 1, [ways, 1, HIDDEN]),
    ]
    held = [onnx.numpy_helper.from_array(x, name) for name, x in weights.items()]
    graph = helper.make_graph([node], "recurrence", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def by_onnxruntime(model):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": clip})


def by_tract(model):
    onnx.save(model, "a.onnx")
    return [x.to_numpy() for x in tract.onnx().load("a.onnx").into_model().into_runnable().run([clip])]


def same(ours, theirs):
    return all(a.shape == b.shape and np.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


found = {}
for kind in GATES:
    forward = by_onnxruntime(recurrence(kind, "forward"))
    for direction in ("forward", "reverse", "bidirectional"):
        model = recurrence(kind, direction)
        got, wanted = by_tract(model), by_onnxruntime(model)
        found[kind, direction] = same(got, wanted), same(got, forward)
        last = [round(float(x), 3) for x in got[1][-1, 0]], [round(float(x), 3) for x in wanted[1][-1, 0]]
        said = f"state at the end {last[0]}, onnxruntime {last[1]}; as onnxruntime: {found[kind, direction][0]}"
        print("tract", tract.version(), kind, direction, said + f", as forward: {found[kind, direction][1]}")
wanted = {"forward": (True, True), "reverse": (False, True), "bidirectional": (True, False)}
if found != {(kind, direction): wanted[direction] for kind, direction in found}:
    raise SystemExit("changed")
P
