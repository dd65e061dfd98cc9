#!/usr/bin/env bash
# onnxslim 0.1.98 and onnxoptimizer 0.4.2 (its default passes), run by onnxruntime 1.32.0: RandomUniformLike, once for
# each time step, is made one draw for all.
# Guessed: nodes that draw are left alone, as onnxruntime leaves these; both tools call their result the same model.
# Seen: equal nodes of equal inputs are merged, random or not, so that the spikes of all steps are the same. Where the
# rates are a constant, onnxslim computes the spikes once, and every call has them. Seeds that differ (the attribute
# `seed`) keep draws apart in onnxoptimizer and onnxslim, as long as the rates come in as an input.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q onnx==1.23.2 onnxslim==0.1.98 onnxoptimizer==0.4.2 onnxruntime==1.32.0 numpy==2.4.6
env/bin/python - <<'P' 2>/dev/null
from importlib.metadata import version

import numpy as np
import onnx
import onnxoptimizer
import onnxruntime
import onnxslim
from onnx import helper

STEPS = range(4)
RATES = np.full(1000, 0.5, np.float32)


def encoder(constant, seeds=False):
    nodes = []
    for t in STEPS:
        seed = {"seed": float(t + 1)} if seeds else {}
        nodes.append(helper.make_node("RandomUniformLike", ["rates"], [f"drawn{t}"], **seed))
        nodes.append(helper.make_node("Less", [f"drawn{t}", "rates"], [f"fired{t}"]))
        nodes.append(helper.make_node("Cast", [f"fired{t}"], [f"spikes{t}"], to=1))
        nodes.append(helper.make_node("Add", [f"spikes{t}", "x"], [f"y{t}"]))
    floats = [helper.make_tensor_value_info(name, 1, [1000]) for name in ("x", "rates", *(f"y{t}" for t in STEPS))]
    kept = [onnx.numpy_helper.from_array(RATES, "rates")] if constant else []
    graph = helper.make_graph(nodes, "encoder", floats[:1] if constant else floats[:2], floats[2:], kept)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    fed = {x.name: RATES if x.name == "rates" else np.zeros(1000, np.float32) for x in session.get_inputs()}
    first, second = (np.stack(session.run(None, fed)) for _ in range(2))
    return bool((first == first[0]).all()), bool((first == second).all())


tools = {"neither": lambda model: model, "onnxslim": onnxslim.slim, "onnxoptimizer": onnxoptimizer.optimize}
found = {}
for tool, slimmed in tools.items():
    for kind, model in (("input", encoder(False)), ("seeds", encoder(False, True)), ("constant", encoder(True))):
        found[tool, kind] = steps, calls = run(slimmed(model))
        said = f"{kind}: steps {'alike' if steps else 'differ'}, calls {'alike' if calls else 'differ'}"
        print(tool, "" if tool == "neither" else version(tool), said)
if any(found["neither", kind] != (False, False) for kind in ("input", "seeds", "constant")):
    raise SystemExit(f"changed: {found}")
if not (found["onnxslim", "input"] == found["onnxoptimizer", "input"] == (True, False)):
    raise SystemExit(f"changed: {found}")
if not found["onnxslim", "constant"][1] or not found["onnxoptimizer", "constant"][0]:
    raise SystemExit(f"changed: {found}")
if found["onnxslim", "seeds"][0] or found["onnxoptimizer", "seeds"][0]:
    raise SystemExit(f"changed: {found}")
P
