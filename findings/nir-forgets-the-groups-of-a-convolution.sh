#!/usr/bin/env bash
# nir 1.0.8: a depthwise Conv2d, valid by its own fields (groups=4, weights [4, 1, 3, 3]), cannot be in a graph that
# knows the size of its input.
# Guessed: the channels that go in are weight.shape[1] * groups, as in PyTorch, and the graph checks its edges with that.
# Seen: they are taken to be weight.shape[1], 1 for 4. With `input_shape` given, the graph is refused for types that do
# not match. Without, it is built and written; the shape has been filled in by then, and the file cannot be read again.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q nir==1.0.8 numpy==2.4.6
env/bin/python - <<'P'
from importlib.metadata import version

import nir
import numpy as np


def graph(groups, shape):
    weight = np.ones((4, 4 // groups, 3, 3), np.float32)
    layer = nir.Conv2d(
        input_shape=shape, weight=weight, stride=1, padding=1, dilation=1, groups=groups, bias=np.zeros(4, np.float32)
    )
    nodes = {"in": nir.Input(np.array([4, 8, 8])), "conv": layer, "out": nir.Output(np.array([4, 8, 8]))}
    return nir.NIRGraph(nodes, [("in", "conv"), ("conv", "out")])


print("nir", version("nir"))
seen = {}
for groups in (1, 4):
    for shape in ((8, 8), None):
        try:
            nir.write("a.nir", graph(groups, shape))
            seen[groups, shape] = "built, written"
            nir.read("a.nir")
            seen[groups, shape] += ", read"
        except Exception as error:
            seen[groups, shape] = f"{seen.get((groups, shape), '')} {type(error).__name__}: {str(error)[:70]}".strip()
        print("groups", groups, "input_shape", shape, "->", seen[groups, shape])
whole = all(seen[1, shape] == "built, written, read" for shape in ((8, 8), None))
if not whole or not seen[4, (8, 8)].startswith("ValueError") or not seen[4, None].startswith("built, written ValueError"):
    raise SystemExit(f"changed: {seen}")
P
